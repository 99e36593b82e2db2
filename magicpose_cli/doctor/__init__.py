"""What there is, what a preset would take of it, and whether it can run: `examine.examine`."""
