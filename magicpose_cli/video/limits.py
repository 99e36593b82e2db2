"""How large a picture may be: memory goes by its pixels, and a small file can hold many."""

from __future__ import annotations

import os
from pathlib import Path

from magicpose_cli.errors import InputError

MAX_MEGAPIXELS = 120.0  # of a picture, or of a film's frame; with its copies about 1 GB
VARIABLE = "MAGICPOSE_MAX_MEGAPIXELS"


def max_pixels() -> int:
    """The limit, or what the environment puts in its place. Raises InputError for no number."""
    text = os.environ.get(VARIABLE, "").strip()
    try:
        megapixels = float(text) if text else MAX_MEGAPIXELS
        if not 0 < megapixels < 2000:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{VARIABLE}={text}: expected a number of millions of pixels below 2000, such as 200"
        ) from None
    return int(megapixels * 1e6)


def check_size(path: Path, width: int, height: int) -> None:
    """Raise InputError for a picture beyond the limit; to be asked before it is decoded."""
    if width * height > max_pixels():
        raise InputError(beyond_limit(path, f"{width}x{height}: "))


def beyond_limit(path: Path, size: str = "") -> str:
    """What to say of a picture beyond the limit; size: its own, where it is known."""
    return (
        f"{path} is {size}more than {max_pixels() / 1e6:g} million pixels, the limit for the sake "
        f"of memory; make it smaller, or raise it: magicpose --max-megapixels N ... ({VARIABLE})"
    )
