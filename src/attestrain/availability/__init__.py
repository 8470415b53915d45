"""Blobs that stay retrievable without trust in one host: erasure code, dispersal, keeping, retrieval and repair."""
