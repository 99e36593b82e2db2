"""The user's home folder, where there is one."""

from __future__ import annotations

from pathlib import Path

NOWHERE = Path("/nonexistent")  # of a user without a home


def user_home() -> Path:
    """Return the home; for a user who has none a path that does not exist."""
    try:
        return Path.home()
    except RuntimeError:
        return NOWHERE


def expanded(text: str | Path) -> Path:
    """Replace a leading ~ or ~NAME by that user's home, where there is one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
