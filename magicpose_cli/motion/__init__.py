"""The driver's motion, from its frames to poses on the reference, for `animate` and `poses`."""
