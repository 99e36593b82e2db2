"""Frames made by several processes, GPUs or machines, in order, as if by one."""
