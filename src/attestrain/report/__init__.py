"""What a run looked like, for readers: loss curves, round timelines and tables drawn from its bundle."""
