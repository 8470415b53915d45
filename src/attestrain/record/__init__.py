"""What is claimed: digests, canonical documents, Merkle trees, signed statements, the transcript. Pure: no input or output."""
