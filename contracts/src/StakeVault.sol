// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {RunLedger} from "./RunLedger.sol";
import {Wired} from "./Wired.sol";

/// Stakes of participants, in the chain's own coin.
///
/// A stake leaves by request, after a delay, and only while no run holds it; what is asked back can still be slashed.
/// Payments are pulled, so a receiver that refuses blocks nobody else.
contract StakeVault is Wired, ReentrancyGuard {
    struct Account {
        uint128 stake;
        uint128 slashed;
        uint128 pending;
        uint64 readyAt;
        uint32 holds;
    }

    mapping(address participant => Account) public accounts;
    mapping(bytes32 participantAndRun => bool) private held;
    mapping(address => uint256) public credit;
    /// Wei slashed per case: a case takes once.
    mapping(bytes32 caseId => uint256) public taken;
    RunLedger public ledger;
    address public registry;
    address public cases;
    /// Seconds between asking a stake back and getting it.
    uint64 public withdrawalDelay;
    /// Wei that belongs to nobody any more.
    uint256 public burned;

    event Deposited(address indexed participant, uint256 amount);
    event WithdrawalRequested(address indexed participant, uint256 amount, uint64 readyAt);
    event Withdrawn(address indexed participant, uint256 amount);
    event Held(address indexed participant, bytes32 indexed run);
    event Released(address indexed participant, bytes32 indexed run);
    event Slashed(address indexed participant, bytes32 indexed caseId, uint256 amount, uint256 toReporter);

    error NotRegistry();
    error NotCases();
    error NotOver();
    error NotReady();
    error StillHeld();
    error TooMuch();
    error TransferFailed();

    constructor(uint64 withdrawalDelay_) {
        withdrawalDelay = withdrawalDelay_;
    }

    function wire(RunLedger ledger_, address registry_, address cases_) external once {
        (ledger, registry, cases) = (ledger_, registry_, cases_);
    }

    function deposit() external payable {
        _deposit(msg.sender);
    }

    function depositFor(address participant) external payable {
        _deposit(participant);
    }

    function _deposit(address participant) private {
        if (msg.value > type(uint128).max - accounts[participant].stake) revert TooMuch();
        accounts[participant].stake += uint128(msg.value);
        emit Deposited(participant, msg.value);
    }

    /// Ask some stake back. A later request adds to an earlier one, and starts the delay again.
    function requestWithdraw(uint128 amount) external {
        Account storage a = accounts[msg.sender];
        if (amount > a.stake) revert TooMuch();
        a.stake -= amount;
        a.pending += amount;
        a.readyAt = uint64(block.timestamp) + withdrawalDelay;
        emit WithdrawalRequested(msg.sender, amount, a.readyAt);
    }

    /// Take what was asked back, once its time has come and no run holds the account.
    function withdraw() external nonReentrant {
        Account storage a = accounts[msg.sender];
        if (a.holds != 0) revert StillHeld();
        if (a.pending == 0 || block.timestamp < a.readyAt) revert NotReady();
        uint256 amount = a.pending;
        a.pending = 0;
        emit Withdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// Keep a participant's stake until the run is over.
    function hold(address participant, bytes32 run) external {
        if (msg.sender != registry) revert NotRegistry();
        bytes32 key = keccak256(abi.encode(participant, run));
        if (held[key]) return;
        held[key] = true;
        accounts[participant].holds += 1;
        emit Held(participant, run);
    }

    /// Keep the stake of an accused until its case is decided, however long ago the run ended.
    function holdForCase(address participant) external {
        if (msg.sender != cases) revert NotCases();
        accounts[participant].holds += 1;
    }

    /// Let go of it.
    function releaseFromCase(address participant) external {
        if (msg.sender != cases) revert NotCases();
        accounts[participant].holds -= 1;
    }

    /// Let go of a stake whose run is over. Anyone may.
    function release(address participant, bytes32 run) external {
        bytes32 key = keccak256(abi.encode(participant, run));
        if (!held[key] || !ledger.isOver(run)) revert NotOver();
        held[key] = false;
        accounts[participant].holds -= 1;
        emit Released(participant, run);
    }

    /// Take up to `amount`, from the stake and then from what is asked back: half to the reporter, half to nobody.
    function slash(address participant, uint128 amount, address reporter, bytes32 caseId) external {
        if (msg.sender != cases) revert NotCases();
        if (taken[caseId] != 0) return;
        Account storage a = accounts[participant];
        uint128 fromStake = amount < a.stake ? amount : a.stake;
        uint128 rest = amount - fromStake;
        uint128 fromPending = rest < a.pending ? rest : a.pending;
        uint128 lost = fromStake + fromPending;
        a.stake -= fromStake;
        a.pending -= fromPending;
        a.slashed += lost;
        taken[caseId] = lost;
        uint256 share = lost / 2;
        credit[reporter] += share;
        burned += lost - share;
        emit Slashed(participant, caseId, lost, share);
    }

    /// Take a reporter's share.
    function collect() external nonReentrant {
        uint256 amount = credit[msg.sender];
        credit[msg.sender] = 0;
        _pay(msg.sender, amount);
    }

    function stakeOf(address participant) external view returns (uint128) {
        return accounts[participant].stake;
    }

    function _pay(address to, uint256 amount) private {
        (bool done,) = to.call{value: amount}("");
        if (!done) revert TransferFailed();
    }
}
