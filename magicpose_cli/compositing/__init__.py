"""The made frame and the reference's picture as one: background kept, window pasted back."""
