// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blocks} from "./Blocks.sol";
import {RunLedger} from "./RunLedger.sol";
import {StakeVault} from "./StakeVault.sol";
import {Wired} from "./Wired.sol";

/// Session keys of participants, by run, role, slot, key epoch and participant.
///
/// Which participant a slot belongs to is the transcript's business. Everybody writes under their own account only, so
/// nobody can take a slot, or a session key, away from whom it was given to by being first.
///
/// An entry hashes account, key, term, evidence, a recent block and the time into one word, so a key can never be dated
/// back: whoever checks its evidence knows when it was given.
contract ParticipantRegistry is Wired {
    uint8 public constant WORKER = 0;
    uint8 public constant AUDITOR = 1;
    /// Oldest block, in blocks, that an enrolment may rest on.
    uint256 public constant MAX_AGE = 256;

    mapping(bytes32 key => bytes32 entry) public entries;
    mapping(bytes32 run => address[]) private auditors;
    mapping(bytes32 key => bytes32) private stated;
    mapping(bytes32 runParticipantAndSession => bool) private used;
    mapping(bytes32 runAndAccount => bool) public audits;
    RunLedger public ledger;
    StakeVault public vault;

    event Enrolled(
        bytes32 indexed run,
        uint8 role,
        uint32 slot,
        uint32 keyEpoch,
        address indexed participant,
        address session,
        uint32 until,
        bytes32 evidence,
        uint64 blockNumber,
        bytes32 blockHash,
        uint64 timestamp
    );

    error BadRole();
    error RunNotOpen();
    error EpochOutOfOrder();
    error EpochTaken();
    error SessionUsed();
    error BlockNotRecent();
    error StakeTooSmall();
    error NotNamed();

    function wire(RunLedger ledger_, StakeVault vault_) external once {
        (ledger, vault) = (ledger_, vault_);
    }

    /// Enrol a session key for a key epoch of a slot; the caller is the participant.
    function enrol(
        bytes32 run,
        uint8 role,
        uint32 slot,
        uint32 keyEpoch,
        address session,
        uint32 until,
        bytes32 evidence,
        uint64 blockNumber
    ) external {
        bytes32 key = _key(run, role, slot, keyEpoch, msg.sender);
        bytes32 said = keccak256(abi.encode(session, until, evidence, blockNumber));
        if (entries[key] != 0) {
            if (stated[key] == said) return;
            revert EpochTaken();
        }
        if (role > AUDITOR) revert BadRole();
        if (!ledger.isOpen(run)) revert RunNotOpen();
        _require(run, role, slot, keyEpoch);
        bytes32 used_ = keccak256(abi.encode(run, msg.sender, session));
        if (used[used_]) revert SessionUsed();
        bytes32 hash = blockNumber + MAX_AGE < block.number ? bytes32(0) : Blocks.hashOf(blockNumber);
        if (hash == 0) revert BlockNotRecent();
        used[used_] = true;
        stated[key] = said;
        entries[key] = keccak256(
            abi.encode(msg.sender, session, uint256(until), evidence, uint256(blockNumber), hash, block.timestamp)
        );
        vault.hold(msg.sender, run);
        if (role == AUDITOR) _addAuditor(run);
        emit Enrolled(
            run, role, slot, keyEpoch, msg.sender, session, until, evidence, blockNumber, hash, uint64(block.timestamp)
        );
    }

    /// Everybody who audits a run, in the order in which they enrolled: at most as many as were named.
    function auditorsOf(bytes32 run) external view returns (address[] memory) {
        return auditors[run];
    }

    function isAuditor(bytes32 run, address account) external view returns (bool) {
        return audits[keccak256(abi.encode(run, account))];
    }

    /// Whether an account enrolled for a key epoch of a slot.
    function isEnrolled(bytes32 run, uint8 role, uint32 slot, uint32 keyEpoch, address participant)
        external
        view
        returns (bool)
    {
        return entries[_key(run, role, slot, keyEpoch, participant)] != 0;
    }

    function _require(bytes32 run, uint8 role, uint32 slot, uint32 keyEpoch) private view {
        if (keyEpoch > 0 && entries[_key(run, role, slot, keyEpoch - 1, msg.sender)] == 0) revert EpochOutOfOrder();
        (uint128 worker, uint128 auditor) = ledger.stakesOf(run);
        if (vault.stakeOf(msg.sender) < (role == WORKER ? worker : auditor)) revert StakeTooSmall();
    }

    function _addAuditor(bytes32 run) private {
        bytes32 key = keccak256(abi.encode(run, msg.sender));
        if (audits[key]) return;
        if (!ledger.mayAudit(run, msg.sender)) revert NotNamed();
        audits[key] = true;
        auditors[run].push(msg.sender);
    }

    function _key(bytes32 run, uint8 role, uint32 slot, uint32 keyEpoch, address participant)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(run, uint256(role), uint256(slot), uint256(keyEpoch), participant));
    }
}
