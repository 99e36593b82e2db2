"""Putting a finished result in its place: all at once, and never over something else."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from pathlib import Path

from magicpose_cli.errors import OutputError

MAX_NAME = 255  # bytes of a file's name, on all that is common
FRAME_NAME = re.compile(r"\d{6,}\.png")  # what a folder of frames holds, and nothing else


def hidden_beside(target: Path, suffix: str | None = None) -> Path:
    """A free hidden name in the target's folder, for the work in progress."""
    suffix = target.suffix if suffix is None else suffix
    mark = f".partial-{secrets.token_hex(4)}{suffix}"
    return target.parent / (_shortened(f".{target.stem}", mark) + mark)


def _shortened(stem: str, rest: str) -> str:
    """As much of a name as fits the system's limit before the rest of it."""
    while len(os.fsencode(stem + rest)) > MAX_NAME:
        stem = stem[:-1]
    return stem


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what a former run has left of its work on NAME in this folder, hidden or finished."""
    for pattern in (f".{name}.*", f"{name}*"):
        for left in folder.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def partial_name(target: Path) -> Path:
    """A free name beside the target for what an interrupted run finished: NAME.partial.mp4."""
    for number in range(1, 10_000):
        mark = (".partial" if number == 1 else f".partial-{number}") + target.suffix
        name = target.with_name(_shortened(target.stem, mark) + mark)
        if not os.path.lexists(name):
            return name
    raise OutputError(f"{target.parent} holds too many partial results of {target.name}; clean up")


def check_writable(path: Path, overwrite: bool, folder: bool = False) -> None:
    """Raise OutputError where a file, or a folder of frames, cannot be made at `path`.

    Missing parent folders are no error (writing makes them) where they can be made. Leaves nothing.
    """
    try:
        if path.is_dir() and not folder:
            raise OutputError(f"{path} is a folder; name a file")
        if os.path.lexists(path) and not _is_empty_folder(path):
            if not overwrite:
                raise OutputError(f"{path} exists; choose another name or give --overwrite")
            if path.is_dir() and not all(FRAME_NAME.fullmatch(p.name) for p in path.iterdir()):
                raise OutputError(f"{path} holds other files than frames; choose another folder")
        parent = path.absolute().parent
        while not os.path.lexists(parent):
            parent = parent.parent
        if not parent.is_dir():
            raise OutputError(f"{path} cannot be written: {parent} is not a folder")
        # Only trying tells: mode bits mean nothing to root, on read-only disks or network folders.
        trial = hidden_beside(parent / path.name)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}; choose another place"
        ) from error


def place(finished: Path, target: Path, overwrite: bool) -> None:
    """Move the finished hidden file or folder to its target in one step.

    Without overwrite, what has appeared at the target meanwhile stays: OutputError, and `finished`
    stays too. Other failures of the file system are OSError.
    """
    if finished.is_dir():
        _place_folder(finished, target, overwrite)
    elif overwrite:
        finished.replace(target)
    else:
        try:
            os.link(finished, target)  # unlike a rename it refuses an existing target
        except FileExistsError:
            raise _appeared(target) from None
        except OSError:  # a disk without hard links
            if os.path.lexists(target):
                raise _appeared(target) from None
            finished.replace(target)
        else:
            finished.unlink()


def _place_folder(finished: Path, target: Path, overwrite: bool) -> None:
    old: Path | None = None
    if target.is_dir() and not _is_empty_folder(target):
        if not overwrite:
            raise _appeared(target)
        old = hidden_beside(finished.with_name(target.name))  # goes with a work folder, if killed
        target.replace(old)
    elif target.is_dir():
        target.rmdir()
    elif overwrite:
        target.unlink(missing_ok=True)
    elif os.path.lexists(target):
        raise _appeared(target)
    finished.replace(target)
    if old is not None:
        shutil.rmtree(old)


def _appeared(target: Path) -> OutputError:
    return OutputError(
        f"{target} has appeared during the run; choose another name or give --overwrite"
    )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
