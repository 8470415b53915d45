// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";

/// A contract that its deployer tells once, and never again, where the others are.
///
/// Addresses are kept in storage and not in the code, so that every deployment has the code that ships with the package.
/// The deployer's own slot lies apart, so that what a contract declares first stays in slot 0, where proofs look for it.
abstract contract Wired {
    bytes32 private constant DEPLOYER = keccak256("attestrain.dev/deployer@v1");

    error NotDeployer();

    constructor() {
        StorageSlot.getAddressSlot(DEPLOYER).value = msg.sender;
    }

    modifier once() {
        StorageSlot.AddressSlot storage deployer = StorageSlot.getAddressSlot(DEPLOYER);
        if (deployer.value != msg.sender) revert NotDeployer();
        deployer.value = address(0);
        _;
    }
}
