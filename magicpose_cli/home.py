"""The user's home, where there is one, and names that a disk takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

LONGEST = 220  # bytes of a name: disks take 255, and what belongs to a file has its name and more
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


def fitting(name: Callable[..., str], *parts: str) -> str:
    """The name that is made of these parts, its longest ones cut as far as a disk needs it."""
    longest = max(map(_size, parts))
    while _size(Path(name(*parts)).name) > LONGEST and longest > 1:
        longest -= 1
        parts = tuple(part if _size(part) <= longest else _cut(part, longest) for part in parts)
    return name(*parts)


def _cut(text: str, longest: int) -> str:
    while _size(text) > longest:
        text = text[:-1]
    return text


def _size(text: str) -> int:
    return len(os.fsencode(text))
