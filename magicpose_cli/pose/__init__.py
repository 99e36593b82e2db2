"""Poses of people: found, tracked, retargeted, read, written and drawn."""
