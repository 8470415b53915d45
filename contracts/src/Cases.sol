// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ParticipantRegistry} from "./ParticipantRegistry.sol";
import {RunLedger} from "./RunLedger.sol";
import {StakeVault} from "./StakeVault.sol";
import {Wired} from "./Wired.sol";

/// Cases about one segment of one worker-round, decided by the auditors of the run: commit, reveal, strict majority.
///
/// The accused loses a fine if the majority observed something else than the trace claims; otherwise the accuser loses the
/// bond to the accused. No case is decided by fewer than two, because a committee has at least three. What was claimed,
/// each voter reads in the transcript: what the accuser says of it decides nothing.
contract Cases is Wired, ReentrancyGuard {
    uint8 public constant OPEN = 1;
    uint8 public constant GUILTY = 2;
    uint8 public constant INNOCENT = 3;
    uint8 public constant VOID = 4;
    /// Smallest committee: one auditor's word never takes a stake.
    uint256 public constant MIN_COMMITTEE = 3;

    struct Case {
        address accused;
        uint64 commitBy;
        uint8 status;
        uint8 committee;
        address accuser;
        uint64 revealBy;
        uint8 guilty;
        uint8 innocent;
        bytes32 claimed;
        bytes32 run;
        uint8 commits;
        uint32 attempt;
    }

    mapping(bytes32 caseId => Case) public cases;
    mapping(bytes32 caseAndVoter => bytes32) public commitments;
    mapping(bytes32 caseAndVoter => bool) public revealed;
    mapping(bytes32 caseAndVoter => bool) private members;
    mapping(address => uint256) public credit;
    RunLedger public ledger;
    ParticipantRegistry public registry;
    StakeVault public vault;
    uint64 public commitSeconds;
    uint64 public revealSeconds;
    uint128 public bond;
    uint128 public fine;

    event CaseOpened(
        bytes32 indexed caseId, bytes32 indexed run, uint32 round, uint32 worker, uint64 segment, address accused, address accuser
    );
    event VoteCommitted(bytes32 indexed caseId, address indexed voter);
    event VoteRevealed(bytes32 indexed caseId, address indexed voter, bytes32 claimed, bytes32 observed, bool guilty);
    event CaseDecided(bytes32 indexed caseId, uint8 status, uint8 guilty, uint8 innocent);

    error NotAuditor();
    error CaseExists();
    error NotOpen();
    error RunOver();
    error WrongBond();
    error NotEnrolled();
    error CommitteeTooSmall();
    error TooLate();
    error TooEarly();
    error AlreadyVoted();
    error BadReveal();
    error Undecided();
    error TransferFailed();

    constructor(uint64 commitSeconds_, uint64 revealSeconds_, uint128 bond_, uint128 fine_) {
        (commitSeconds, revealSeconds, bond, fine) = (commitSeconds_, revealSeconds_, bond_, fine_);
    }

    function wire(RunLedger ledger_, ParticipantRegistry registry_, StakeVault vault_) external once {
        (ledger, registry, vault) = (ledger_, registry_, vault_);
    }

    /// The accused is part of it: whoever else enrolled for the same slot cannot be accused in a worker's stead.
    function caseIdOf(bytes32 run, uint32 round, uint32 worker, uint64 segment, address accused)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(run, uint256(round), uint256(worker), uint256(segment), accused));
    }

    /// Accuse a worker of a segment whose result it claimed to be `claimed`. The caller audits the run and posts the bond.
    ///
    /// A void case may be opened again: an accomplice could otherwise use up the case that a cheat has coming, at an hour
    /// when nobody votes. A verdict stands.
    function open(bytes32 run, uint32 round, uint32 worker, uint32 keyEpoch, uint64 segment, address accused, bytes32 claimed)
        external
        payable
    {
        if (!registry.isAuditor(run, msg.sender)) revert NotAuditor();
        if (ledger.isOver(run)) revert RunOver();
        if (msg.value != bond) revert WrongBond();
        if (!registry.isEnrolled(run, 0, worker, keyEpoch, accused)) revert NotEnrolled();
        bytes32 caseId = caseIdOf(run, round, worker, segment, accused);
        Case storage c = cases[caseId];
        if (c.status != 0 && c.status != VOID) revert CaseExists();
        address[] memory committee = registry.auditorsOf(run);
        uint32 attempt = c.attempt + 1;
        uint8 size = 0;
        for (uint256 i = 0; i < committee.length; i++) {
            if (committee[i] == accused) continue; // nobody votes on oneself
            members[_ballot(caseId, attempt, committee[i])] = true;
            size += 1;
        }
        if (size < MIN_COMMITTEE) revert CommitteeTooSmall();
        vault.holdForCase(accused);
        (c.attempt, c.commits, c.guilty, c.innocent) = (attempt, 0, 0, 0);
        c.accused = accused;
        c.commitBy = uint64(block.timestamp) + commitSeconds;
        c.revealBy = c.commitBy + revealSeconds;
        c.status = OPEN;
        c.committee = size;
        c.accuser = msg.sender;
        c.claimed = claimed;
        c.run = run;
        emit CaseOpened(caseId, run, round, worker, segment, accused, msg.sender);
    }

    /// Commit to a vote: `commitment` = keccak256(abi.encode(caseId, voter, claimed, observed, salt)). It binds the voter,
    /// so a copied commitment cannot be revealed.
    function commit(bytes32 caseId, bytes32 commitment) external {
        Case storage c = cases[caseId];
        bytes32 ballot = _ballot(caseId, c.attempt, msg.sender);
        if (c.status != OPEN) revert NotOpen();
        if (!members[ballot]) revert NotAuditor();
        if (block.timestamp > c.commitBy) revert TooLate();
        if (commitment == 0 || commitments[ballot] != 0) revert AlreadyVoted();
        commitments[ballot] = commitment;
        c.commits += 1;
        emit VoteCommitted(caseId, msg.sender);
    }

    /// Reveal what the trace claims and what was observed. A vote is guilty if the two differ.
    function reveal(bytes32 caseId, bytes32 claimed, bytes32 observed, bytes32 salt) external {
        Case storage c = cases[caseId];
        bytes32 ballot = _ballot(caseId, c.attempt, msg.sender);
        if (c.status != OPEN) revert NotOpen();
        if (c.commits < c.committee && block.timestamp <= c.commitBy) revert TooEarly();
        if (block.timestamp > c.revealBy) revert TooLate();
        if (revealed[ballot]) revert AlreadyVoted();
        if (commitments[ballot] != keccak256(abi.encode(caseId, msg.sender, claimed, observed, salt))) revert BadReveal();
        revealed[ballot] = true;
        bool guilty = observed != claimed;
        if (guilty) c.guilty += 1;
        else c.innocent += 1;
        emit VoteRevealed(caseId, msg.sender, claimed, observed, guilty);
    }

    /// Decide a case that has a strict majority, or declare it void once nobody can vote any more. Anyone may.
    function resolve(bytes32 caseId) external nonReentrant {
        Case storage c = cases[caseId];
        if (c.status != OPEN) revert NotOpen();
        uint256 majority = uint256(c.committee) / 2 + 1;
        if (c.guilty >= majority) {
            c.status = GUILTY;
            credit[c.accuser] += bond;
            vault.slash(c.accused, fine, c.accuser, caseId);
        } else if (c.innocent >= majority) {
            c.status = INNOCENT;
            credit[c.accused] += bond;
        } else if (block.timestamp > c.revealBy) {
            c.status = VOID;
            credit[c.accuser] += bond;
        } else {
            revert Undecided();
        }
        vault.releaseFromCase(c.accused);
        emit CaseDecided(caseId, c.status, c.guilty, c.innocent);
    }

    /// Take bonds that came back or were won.
    function collect() external nonReentrant {
        uint256 amount = credit[msg.sender];
        credit[msg.sender] = 0;
        (bool done,) = msg.sender.call{value: amount}("");
        if (!done) revert TransferFailed();
    }

    function ballotOf(bytes32 caseId, address voter) external view returns (bool member, bool committed, bool revealed_) {
        bytes32 ballot = _ballot(caseId, cases[caseId].attempt, voter);
        return (members[ballot], commitments[ballot] != 0, revealed[ballot]);
    }

    function _ballot(bytes32 caseId, uint32 attempt, address voter) private pure returns (bytes32) {
        return keccak256(abi.encode(caseId, attempt, voter));
    }
}
