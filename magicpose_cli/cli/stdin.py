"""REF or DRIVER from standard input: `-` in the place of a name."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from magicpose_cli.errors import InputError, OutputError

STDIN_PATH = Path("-")
SUFFIX_BY_MAGIC = (
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"\x93NUMPY", ".npy"),
    (b"PK\x03\x04", ".npz"),
    (b"HIERARCHY", ".bvh"),
    (b"glTF", ".glb"),
    (b"{", ".json"),
    (b"[", ".json"),
)
"""How files begin whose kind is told by their name; all others are told by their content."""


@contextmanager
def without_stdin(*paths: Path) -> Iterator[list[Path]]:
    """The same paths; what `-` stands for is a file `stdin.*` for as long as the block lasts.

    Raises typer.BadParameter where several are `-`, or standard input is a terminal.
    """
    if paths.count(STDIN_PATH) > 1:
        raise typer.BadParameter("only one input can come from standard input (-)")
    if STDIN_PATH not in paths:
        yield list(paths)
        return
    if sys.stdin.isatty():
        raise typer.BadParameter("- reads standard input, which is a terminal; pipe a file into it")
    from magicpose_cli.run.temporary import temporary_folder

    with temporary_folder() as folder:
        spooled = _spool(folder)
        yield [spooled if path == STDIN_PATH else path for path in paths]


def _spool(folder: Path) -> Path:
    """Standard input as a file: a film is read more than once, and not from its start alone."""
    start = sys.stdin.buffer.read(16)
    if not start:
        raise InputError("standard input is empty; pipe a picture or a film into it")
    suffix = next(
        (suffix for magic, suffix in SUFFIX_BY_MAGIC if start.lstrip().startswith(magic)), ""
    )
    if start[8:12] == b"WEBP":
        suffix = ".webp"
    path = folder / f"stdin{suffix}"
    try:
        with path.open("wb") as file:
            file.write(start)
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    except OSError as error:
        raise OutputError(
            f"standard input cannot be kept in {folder}: {error.strerror}; make room, or set "
            "TMPDIR to another folder"
        ) from error
    return path
