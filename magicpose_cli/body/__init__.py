"""The body in space: its motion, its shape and its pictures."""
