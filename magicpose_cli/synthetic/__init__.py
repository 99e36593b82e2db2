"""People that the program draws itself: for the demo, for tests and for training."""
