// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Hashes of recent blocks: from the history contract of EIP-2935 where the chain keeps one, which goes back 8,191 blocks,
/// and from the BLOCKHASH instruction elsewhere, which goes back 256.
///
/// The history is part of the state and so survives what the instruction does not: the embedded chain, started again from
/// its state, has forgotten older hashes and answers the instruction with made-up ones.
library Blocks {
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// The hash of block `number`; zero if it is the current one, a later one, or forgotten.
    function hashOf(uint256 number) internal view returns (bytes32) {
        (bool done, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        bytes32 found = done && answer.length == 32 ? abi.decode(answer, (bytes32)) : bytes32(0);
        return found != 0 ? found : blockhash(number);
    }
}
