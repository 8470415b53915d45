"""Produce evidence: the simulator, later Linux configfs-tsm, dstack and NVIDIA."""
