"""The system's temporary folder: one of our own in it, and what killed runs have left there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from magicpose_cli.errors import OutputError
from magicpose_cli.run.lock import Lock, Locked

_PREFIX, _MARK = "magicpose-", ".magicpose.lock"
_OUR_FOLDERS = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")  # as mkdtemp names it


def check_temporary() -> Path:
    """Where temporary files go. Raises OutputError where no place for them can be written."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        tried = ", ".join(tempfile._candidate_tempdir_list())  # type: ignore[attr-defined]
        raise OutputError(
            f"no folder for temporary files can be written ({tried}); set TMPDIR to one that can, "
            "with room in it"
        ) from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for as long as the block lasts; those that killed runs have left go first.

    Raises OutputError where none can be made.
    """
    place = check_temporary()
    for folder in place.glob(f"{_PREFIX}*"):
        _remove_left(folder)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    except OSError as error:
        raise OutputError(
            f"{place}: no folder can be made in it ({error.strerror}); set TMPDIR to another"
        ) from error
    lock = None
    try:
        with suppress(OSError):  # a full disk: what is to come tells it better
            lock = Lock(folder / _MARK)
        yield folder
    finally:
        if lock is not None:
            lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(folder: Path) -> None:
    """Remove a folder that is proven to be of a run that has ended.

    The folder is ours and bears our mark with the id of a process that is no more, and nobody holds
    its lock.
    """
    import psutil

    mark = folder / _MARK
    with suppress(OSError, ValueError, Locked):
        state = folder.lstat()
        own = not hasattr(os, "getuid") or state.st_uid == os.getuid()
        if (
            not _OUR_FOLDERS.fullmatch(folder.name)
            or folder.is_symlink()
            or not own
            or mark.is_symlink()
        ):
            return
        if psutil.pid_exists(int(mark.read_text())):
            return
        Lock(mark).release()
        shutil.rmtree(folder, ignore_errors=True)
