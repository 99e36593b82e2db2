"""The training recipe: networks, pairs, stages, and the loop."""
