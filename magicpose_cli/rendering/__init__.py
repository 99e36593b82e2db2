"""Frames out of pose maps: in this process, in several, or on other machines."""
