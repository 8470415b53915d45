"""What follows from a transcript: beacon, assignment, membership, draws and faults, as pure functions."""
