"""Intel: quotes of TDX guests and SGX enclaves, and the collateral that judges them."""
