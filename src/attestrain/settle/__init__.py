"""An EVM chain: client, contract artefacts, the embedded chain, deployment."""
