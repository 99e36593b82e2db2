"""Speed, memory and exactness of each part, measured on this machine."""
