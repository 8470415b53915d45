// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blocks} from "./Blocks.sol";

/// What the sequencer of a run tells the chain: prefixes of its transcript, and the blocks that became beacons.
///
/// Everything said about a run is hashed into one word, its accumulator: whoever has the transcript computes it again and
/// needs one storage proof. Each call repeated with the same arguments is accepted without effect, so senders may retry.
contract RunLedger {
    struct Run {
        bytes32 accumulator;
        address sequencer;
        uint64 pendingHeight;
        uint32 epochs;
        uint64 deadline;
        uint64 closedAt;
        uint32 missed;
        bool closed;
        uint128 workerStake;
        uint128 auditorStake;
    }

    bytes32 private constant DOMAIN = keccak256("attestrain.dev/run-ledger@v1");
    /// Most auditors of a run: a committee is all of them, and a case must fit into a block.
    uint256 public constant MAX_AUDITORS = 16;
    /// Longest wait for a beacon: well inside the 256 blocks whose hashes every chain remembers.
    uint64 public constant MAX_DELAY = 200;
    /// Longest that a run which nobody ever closes may hold stakes and money.
    uint256 public constant MAX_DURATION = 3650 days;

    mapping(bytes32 run => Run) public runs;
    mapping(bytes32 run => bytes32) private latest;
    mapping(bytes32 run => bytes32) private terms;
    mapping(bytes32 runAndAccount => bool) private named;
    /// Blocks between an anchor and the block whose hash becomes the beacon.
    uint64 public beaconDelay;
    /// Seconds after its close in which a run still holds stakes.
    uint64 public caseWindow;

    event Opened(bytes32 indexed run, address indexed sequencer, uint64 deadline);
    event Anchored(bytes32 indexed run, uint32 indexed epoch, bytes32 root, uint64 size, bytes32 checkpoint, bool last);
    event Captured(bytes32 indexed run, uint32 indexed epoch, uint64 height, bytes32 value);
    event Missed(bytes32 indexed run, uint64 height, uint64 next);

    error NotSequencer();
    error NotOpen();
    error AlreadyOpen();
    error OutOfOrder();
    error CapturePending();
    error TooEarly();
    error BadDeadline();
    error BadDelay();
    error TooManyAuditors();

    constructor(uint64 beaconDelay_, uint64 caseWindow_) {
        if (beaconDelay_ == 0 || beaconDelay_ > MAX_DELAY) revert BadDelay();
        beaconDelay = beaconDelay_;
        caseWindow = caseWindow_;
    }

    /// Open a run; the caller becomes its sequencer. Stakes are what enrolling asks, in wei.
    ///
    /// Who may audit the run is named here, before anybody stakes, and never again: a committee that strangers could join
    /// later would let whoever pays for the most accounts take the stakes of others.
    function open(
        bytes32 run,
        uint128 workerStake,
        uint128 auditorStake,
        uint64 deadline,
        address[] calldata auditors
    ) external {
        Run storage r = runs[run];
        bytes32 said = keccak256(abi.encode(msg.sender, workerStake, auditorStake, deadline, auditors));
        if (r.sequencer != address(0)) {
            if (terms[run] == said) return;
            revert AlreadyOpen();
        }
        if (deadline <= block.timestamp || deadline > block.timestamp + MAX_DURATION) revert BadDeadline();
        if (auditors.length > MAX_AUDITORS) revert TooManyAuditors();
        for (uint256 i = 0; i < auditors.length; i++) {
            named[keccak256(abi.encode(run, auditors[i]))] = true;
        }
        terms[run] = said;
        r.accumulator = keccak256(abi.encode(DOMAIN, run, msg.sender));
        r.sequencer = msg.sender;
        r.pendingHeight = uint64(block.number) + beaconDelay;
        r.deadline = deadline;
        r.workerStake = workerStake;
        r.auditorStake = auditorStake;
        emit Opened(run, msg.sender, deadline);
    }

    /// Write down the hash of the block that the latest anchor fixed. Anyone may; nobody can choose.
    ///
    /// A block that the chain has forgotten is replaced by another one, and that is counted.
    function capture(bytes32 run) external {
        Run storage r = runs[run];
        if (r.sequencer == address(0)) revert NotOpen();
        uint64 height = r.pendingHeight;
        if (height == 0) return;
        if (block.number <= height) revert TooEarly();
        bytes32 value = Blocks.hashOf(height);
        if (value == 0) {
            r.missed += 1;
            r.pendingHeight = uint64(block.number) + beaconDelay;
            emit Missed(run, height, r.pendingHeight);
            return;
        }
        r.accumulator = keccak256(abi.encode(r.accumulator, uint256(height), value));
        r.pendingHeight = 0;
        emit Captured(run, r.epochs, height, value);
    }

    /// Anchor the transcript's first `size` entries, whose root is `root`, and a checkpoint. `last` closes the run.
    function anchor(bytes32 run, uint32 epoch, bytes32 root, uint64 size, bytes32 checkpoint, bool last) external {
        Run storage r = runs[run];
        if (r.sequencer != msg.sender) revert NotSequencer();
        bytes32 said = keccak256(abi.encode(epoch, root, size, checkpoint, last));
        if (epoch == r.epochs && latest[run] == said) return;
        if (r.closed) revert NotOpen();
        if (epoch != r.epochs + 1) revert OutOfOrder();
        if (r.pendingHeight != 0) revert CapturePending();
        r.accumulator = keccak256(abi.encode(r.accumulator, uint256(epoch), root, uint256(size), checkpoint));
        r.epochs = epoch;
        latest[run] = said;
        if (last) {
            r.closed = true;
            r.closedAt = uint64(block.timestamp);
        } else {
            r.pendingHeight = uint64(block.number) + beaconDelay;
        }
        emit Anchored(run, epoch, root, size, checkpoint, last);
    }

    /// Whether participants may still enrol.
    function isOpen(bytes32 run) external view returns (bool) {
        Run storage r = runs[run];
        return r.sequencer != address(0) && !r.closed && block.timestamp < r.deadline;
    }

    /// Whether nothing of the run can cost anybody a stake any more. However late a run is closed, its deadline bounds
    /// how long it holds stakes.
    function isOver(bytes32 run) external view returns (bool) {
        Run storage r = runs[run];
        uint64 end = r.closed && r.closedAt < r.deadline ? r.closedAt : r.deadline;
        return block.timestamp > uint256(end) + caseWindow;
    }

    /// Whether an account was named as an auditor when the run was opened.
    function mayAudit(bytes32 run, address account) external view returns (bool) {
        return named[keccak256(abi.encode(run, account))];
    }

    function sequencerOf(bytes32 run) external view returns (address) {
        return runs[run].sequencer;
    }

    function stakesOf(bytes32 run) external view returns (uint128 worker, uint128 auditor) {
        return (runs[run].workerStake, runs[run].auditorStake);
    }

    function isClosed(bytes32 run) external view returns (bool) {
        return runs[run].closed;
    }

    function deadlineOf(bytes32 run) external view returns (uint64) {
        return runs[run].deadline;
    }
}
