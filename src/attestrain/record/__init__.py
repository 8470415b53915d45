"""What is claimed: digests, canonical documents, Merkle trees, statements, the transcript. Pure, no input or output."""
