"""Pose files of this program and of others, read and written."""
