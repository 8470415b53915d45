"""Event logs: what a guest measured while it booted and afterwards, held against the registers of its quote."""
