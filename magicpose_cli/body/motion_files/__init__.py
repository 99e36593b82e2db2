"""Files of motion in space and of face curves, read and written."""
