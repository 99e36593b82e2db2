"""How large a picture may be: memory goes by its pixels, and a small file can hold many."""

from __future__ import annotations

import os
from pathlib import Path

from magicpose_cli.errors import InputError

MAX_MEGAPIXELS = 120.0  # of a picture, or of a film's frame; with its copies about 1 GB
MAX_MEGAPIXELS_VARIABLE = "MAGICPOSE_MAX_MEGAPIXELS"


def max_pixels() -> int:
    """Return the limit: MAX_MEGAPIXELS, or what the environment variable says.

    Raises:
        InputError: The variable holds no number.
    """
    text = os.environ.get(MAX_MEGAPIXELS_VARIABLE, "").strip()
    try:
        megapixels = float(text) if text else MAX_MEGAPIXELS
        if not 0 < megapixels < 2000:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{MAX_MEGAPIXELS_VARIABLE}={text}: expected a number of millions of pixels below "
            "2000, such as 200"
        ) from None
    return int(megapixels * 1e6)


def check_size(path: Path, width: int, height: int) -> None:
    """Check a picture's size before it is decoded.

    Raises:
        InputError: The picture is beyond the limit.
    """
    if width * height > max_pixels():
        raise InputError(beyond_limit(path, f"{width}x{height}: "))


def beyond_limit(path: Path, size: str = "") -> str:
    """Return the message for a picture beyond the limit; size: "WxH: " where it is known."""
    return (
        f"{path} is {size}more than {max_pixels() / 1e6:g} million pixels, the limit for the sake "
        "of memory; make it smaller, or raise it: magicpose --max-megapixels N ... "
        f"({MAX_MEGAPIXELS_VARIABLE})"
    )
