"""The reference's own pixels, moved: matte, plate, parts, layers, field, and what they make."""
