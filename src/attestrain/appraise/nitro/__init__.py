"""AWS Nitro Enclaves: attestation documents, whose signature and certificates are checked; not taken for training."""
