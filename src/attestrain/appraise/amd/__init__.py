"""AMD SEV-SNP evidence: attestation reports, the certificates of the chip that signed them, and a policy. Pure."""
