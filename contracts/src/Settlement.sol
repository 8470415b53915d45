// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {RunLedger} from "./RunLedger.sol";
import {Wired} from "./Wired.sol";

/// Pay of finished runs: the sequencer posts one root, everyone claims their own amount under it.
contract Settlement is Wired, ReentrancyGuard {
    struct Payout {
        bytes32 root;
        uint128 funded;
        uint128 total;
        uint128 claimed;
    }

    /// Seconds after a run's deadline in which claims are paid; then the sequencer may take the rest back.
    uint256 public constant CLAIM_WINDOW = 30 days;

    mapping(bytes32 run => Payout) public payouts;
    mapping(bytes32 runAndAccount => bool) private paid;
    RunLedger public ledger;

    event Funded(bytes32 indexed run, address indexed from, uint256 amount);
    event Posted(bytes32 indexed run, bytes32 root, uint256 total);
    event Claimed(bytes32 indexed run, address indexed account, uint256 amount);
    event Swept(bytes32 indexed run, address indexed to, uint256 amount);

    error NotSequencer();
    error NotClosed();
    error AlreadyPosted();
    error NotFunded();
    error TooMuch();
    error BadProof();
    error TooEarly();
    error TransferFailed();

    function wire(RunLedger ledger_) external once {
        ledger = ledger_;
    }

    /// Put money behind a run, before its pay is posted. Only its sequencer may, who gets back what nobody claims.
    function fund(bytes32 run) external payable {
        Payout storage p = payouts[run];
        if (p.root != 0) revert AlreadyPosted();
        if (ledger.sequencerOf(run) != msg.sender) revert NotSequencer();
        if (msg.value > type(uint128).max - p.funded) revert TooMuch();
        p.funded += uint128(msg.value);
        emit Funded(run, msg.sender, msg.value);
    }

    /// Post what a closed run owes: the root over (account, amount), and the sum.
    function post(bytes32 run, bytes32 root, uint128 total) external {
        Payout storage p = payouts[run];
        if (ledger.sequencerOf(run) != msg.sender) revert NotSequencer();
        if (!ledger.isClosed(run)) revert NotClosed();
        if (p.root != 0) {
            if (p.root == root && p.total == total) return;
            revert AlreadyPosted();
        }
        if (root == 0 || total > p.funded) revert NotFunded();
        p.root = root;
        p.total = total;
        emit Posted(run, root, total);
    }

    /// Pay an account what it is owed. Anyone may ask; a second time pays nothing.
    function claim(bytes32 run, address account, uint128 amount, bytes32[] calldata proof) external nonReentrant {
        Payout storage p = payouts[run];
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(block.chainid, run, account, uint256(amount)))));
        if (p.root == 0 || !MerkleProof.verifyCalldata(proof, p.root, leaf)) revert BadProof();
        bytes32 key = keccak256(abi.encode(run, account));
        if (paid[key]) return;
        if (uint256(p.claimed) + amount > p.total) revert TooMuch();
        paid[key] = true;
        p.claimed += amount;
        emit Claimed(run, account, amount);
        _pay(account, amount);
    }

    /// Give back what nobody claimed, long after the run.
    function sweep(bytes32 run) external nonReentrant {
        Payout storage p = payouts[run];
        if (ledger.sequencerOf(run) != msg.sender) revert NotSequencer();
        if (block.timestamp <= uint256(ledger.deadlineOf(run)) + CLAIM_WINDOW) revert TooEarly();
        uint256 amount = p.funded - p.claimed;
        p.funded = p.claimed;
        p.total = p.claimed;
        emit Swept(run, msg.sender, amount);
        _pay(msg.sender, amount);
    }

    function _pay(address to, uint256 amount) private {
        (bool done,) = to.call{value: amount}("");
        if (!done) revert TransferFailed();
    }
}
