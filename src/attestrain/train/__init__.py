"""Inner training with a trace: tasks, models, optimizers, segments, and state as canonical bytes."""
