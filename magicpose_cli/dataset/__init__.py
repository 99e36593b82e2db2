"""Training data: from films and drawn people to a folder of clips, and its clips read back."""
