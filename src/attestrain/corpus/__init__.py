"""From text to training batches: sources, tokenizers, Merkle-rooted datasets, and the digest of every batch."""
