"""Detectors: a picture in, the poses of its people out."""
