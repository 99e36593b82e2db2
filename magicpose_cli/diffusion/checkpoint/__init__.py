"""Weights on disk: how they are opened, checked, converted and loaded."""
