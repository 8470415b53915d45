"""TPM 2.0 quotes: read, and never taken for training."""
