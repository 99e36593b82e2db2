"""A motion laid onto another body's proportions and place."""
