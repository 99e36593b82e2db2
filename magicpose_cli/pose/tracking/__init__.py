"""Detections of a clip linked to one person's motion, cleaned up and smoothed."""
