"""People who are rendered: a 3D body with clothes, hair, skin, light and a place to be."""
