"""A run from its first round to its bundle: the round in order, its roles, the journal and recovery."""
