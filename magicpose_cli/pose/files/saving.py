"""Files and folders that appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from magicpose_cli.errors import OutputError


def check_free(path: Path, overwrite: bool, own: str | None = None) -> None:
    """Raise OutputError where something stands at `path` that must stay.

    own: a pattern of names; a folder that holds nothing else may be replaced with `overwrite`, an
    empty one always.
    """
    try:
        _check_free(path, overwrite, own)
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise _unwritable(path, error) from error


def _check_free(path: Path, overwrite: bool, own: str | None) -> None:
    if not path.name:
        raise OutputError(f"{path}: expected the name of a file or of a new folder")
    if path.is_dir() and own is None:
        raise OutputError(f"{path}: is a folder; expected the name of a file")
    if path.is_dir() and own is not None:
        others = [entry for entry in path.iterdir() if not entry.match(own)]
        if others:
            raise OutputError(f"{path}: holds other files than {own}; choose another folder")
        if not any(path.iterdir()):
            return
    parent = path.absolute().parent
    while not os.path.lexists(parent):  # missing folders are made
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(f"{path}: cannot be written; {parent} is not a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path}: exists already; pass --overwrite to replace it")


@contextmanager
def whole_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden name to write to, which becomes `path` at the end; nothing is left by a failure.

    Errors: OutputError where `path` must stay (see check_free) or cannot be written.
    """
    check_free(path, overwrite)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_folder(path: Path, overwrite: bool, own: str) -> Iterator[Path]:
    """The same for a folder of files whose names match `own`."""
    check_free(path, overwrite, own)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    former = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.is_dir():
            path.replace(former)
        else:
            path.unlink(missing_ok=True)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if former.is_dir() and not path.exists():  # whatever stopped us: nothing is lost
            former.replace(path)
        for rest in (partial, former):
            shutil.rmtree(rest, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")
