"""The user's home, where there is one."""

from __future__ import annotations

from pathlib import Path

NOWHERE = Path("/nonexistent")  # of a user without a home


def user_home() -> Path:
    """The home; for a user who has none a path where nothing is."""
    try:
        return Path.home()
    except RuntimeError:
        return NOWHERE


def expanded(text: str | Path) -> Path:
    """The path, a leading ~ or ~NAME as the home that it stands for, where there is one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
