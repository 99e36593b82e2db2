"""Lines for people."""

from __future__ import annotations

import sys

from magicpose_cli.errors import printable


def say(*lines: str) -> None:
    """Write lines to stderr at once; names in them steer no terminal."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stderr.flush()
