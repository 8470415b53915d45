"""Evidence of NVIDIA's GPUs and NVSwitches: SPDM reports, certificates, reference values, the fabric between them."""
