"""From a bundle and a policy to a verdict: numbered checks that need no torch, network, chain or account."""
