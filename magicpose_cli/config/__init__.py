"""Settings: what can be asked for, its default, and the TOML files that ask for it."""
