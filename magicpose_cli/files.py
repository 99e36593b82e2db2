"""Files and folders: named, checked, written in one step, hashed.

Whatever the program writes is whole, or is not there: a file or folder is made under a hidden name
beside its target and renamed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from magicpose_cli.errors import OutputError

MAX_NAME_BYTES = 255  # of a file's name on all common systems
MAX_OWN_NAME_BYTES = 220  # of a name that we make: files beside it have its name and a suffix
HASH_BLOCK_BYTES = 1 << 20
_HIDDEN = re.compile(r"\..*\.partial-([0-9a-f]{1,8})-([0-9a-f]{8})-([0-9a-f]{12})(?:\.\w+)?", re.S)


def check_writable(path: Path, overwrite: bool, own: str | None = None) -> None:
    """Check that a file or folder can be written at a path; leave nothing there.

    Missing parent folders are no error where they can be made.

    Args:
        path: Of the file, or of the folder where `own` is given.
        overwrite: What exists at the path may be replaced.
        own: A pattern (re.fullmatch) of the names in a folder that is to be written. A folder that
            holds other names may not be replaced even with `overwrite`, an empty one always.

    Raises:
        OutputError: Nothing can be made there, or what exists there must stay.
    """
    try:
        if not path.name:
            raise OutputError(f"{path}: expected the name of a file or of a new folder")
        if path.is_dir() and own is None:
            raise OutputError(f"{path} is a folder; name a file")
        if os.path.lexists(path) and not _is_empty_folder(path):
            if not overwrite:
                raise OutputError(f"{path} exists; choose another name or give --overwrite")
            _check_holds_only(path, own)
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
        raise unwritable(path, error) from error


def _check_holds_only(path: Path, own: str | None) -> None:
    if path.is_dir() and own is not None:
        for entry in sorted(path.iterdir()):
            if not re.fullmatch(own, entry.name):
                raise OutputError(
                    f"{path} holds other files than those to be written ({entry.name}); choose "
                    "another folder"
                )


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the error for a path that the system refuses to write."""
    return OutputError(f"{path} cannot be written: {error.strerror or error}; choose another place")


def hidden_beside(target: Path, suffix: str | None = None) -> Path:
    """Return a free hidden name in the target's folder, for work in progress.

    The name bears the number of this process, and a mark that tells it from any other file: see
    `remove_leftovers`.
    """
    pid, chance = f"{os.getpid():x}", secrets.token_hex(4)
    mark = f".partial-{pid}-{chance}-{_own_mark(target.name, pid, chance)}"
    mark += target.suffix if suffix is None else suffix
    return target.parent / (shortened(f".{target.stem}", mark) + mark)


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes have left under hidden names on their way to this target.

    Nothing goes but files and folders whose names only `hidden_beside` gives for this target, on
    this machine, in a process that is no more.
    """
    import psutil

    with suppress(OSError):
        for path in target.absolute().parent.iterdir():
            match = _HIDDEN.fullmatch(path.name)
            if match is None:
                continue
            pid, chance, mark = match.groups()
            if mark == _own_mark(target.name, pid, chance) and not psutil.pid_exists(int(pid, 16)):
                _remove(path)


def _own_mark(name: str, pid: str, chance: str) -> str:
    """Of a hidden name: nobody else has it by chance, nor has another machine or container."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    parts = ("magicpose", platform.node(), numbers, name, pid, chance)
    return hashlib.sha256(os.fsencode("\0".join(parts))).hexdigest()[:12]


def shortened(stem: str, rest: str) -> str:
    """Cut the stem of a name so that stem and rest fit the system's limit; return the stem."""
    return _cut(stem, MAX_NAME_BYTES - _size(rest))


def name_that_fits(name: Callable[..., str], *parts: str) -> str:
    """Make a name of these parts, its longest parts cut to MAX_OWN_NAME_BYTES in all."""
    longest = max(map(_size, parts))
    while _size(Path(name(*parts)).name) > MAX_OWN_NAME_BYTES and longest > 1:
        longest -= 1
        parts = tuple(_cut(part, longest) for part in parts)
    return name(*parts)


def _cut(text: str, longest: int) -> str:
    while _size(text) > longest:
        text = text[:-1]
    return text


def _size(text: str) -> int:
    return len(os.fsencode(text))


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key to sort names by: frame2 before frame10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 4000 else (1, 0, part)
        for part in parts
    ]


def move_into_place(finished: Path, target: Path, overwrite: bool) -> None:
    """Move a finished hidden file or folder to its target in one step.

    Raises:
        OutputError: Something has appeared at the target meanwhile and `overwrite` is not given;
            both stay.
        OSError: The file system fails.
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
    former: Path | None = None
    if _is_empty_folder(target):
        target.rmdir()
    elif os.path.lexists(target):
        if not overwrite:
            raise _appeared(target)
        # beside what is finished: in a resume folder it goes with that, if we are killed
        former = hidden_beside(finished.with_name(target.name))
        target.replace(former)
    try:
        finished.replace(target)
    except OSError:
        if former is not None:
            former.replace(target)
        raise
    if former is not None:
        _remove(former)


def _appeared(target: Path) -> OutputError:
    return OutputError(
        f"{target} has appeared during the run; choose another name or give --overwrite"
    )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a hidden name to write to, which becomes `path` at the end; a failure leaves nothing.

    Raises:
        OutputError: The path cannot be written, or what is there must stay; see `check_writable`.
    """
    check_writable(path, overwrite)
    hidden = hidden_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        yield hidden
        move_into_place(hidden, path, overwrite)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        _remove(hidden)


@contextmanager
def whole_folder(path: Path, overwrite: bool, own: str) -> Iterator[Path]:
    """Give a hidden folder to fill with files whose names match `own`; see `whole_file`."""
    check_writable(path, overwrite, own)
    try:
        with new_folder(path, overwrite=overwrite) as hidden:
            yield hidden
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def new_folder(
    target: Path, *, partial: Path | None = None, overwrite: bool = True
) -> Iterator[Path]:
    """Give a folder to fill, which takes the target's place when the block ends well.

    Args:
        target: Where the folder goes at the end; after an error the folder is removed instead.
        partial: Its name until then, so that a later run finds and removes what a killed one left.
        overwrite: What exists at the target may be replaced.

    Raises:
        OSError: The file system fails; the caller handles it.
    """
    hidden = partial or hidden_beside(target, "")
    remove_leftovers(target)
    _remove(hidden)
    try:
        hidden.mkdir(parents=True)
        yield hidden
        move_into_place(hidden, target, overwrite)
    finally:
        _remove(hidden)


def write_json(path: Path, value: Any, *, lasting: bool = False) -> None:
    """Write JSON in one step, over a former file.

    Args:
        path: Of the file; missing folders are made.
        value: What `json.dumps` takes.
        lasting: Return only once the file is on the disk.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json.dumps(value, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        write_bytes(path, text.encode(), lasting=lasting)
    except OSError as error:
        raise unwritable(path, error) from error


def write_bytes(path: Path, content: bytes | memoryview, *, lasting: bool = False) -> None:
    """Write a file in one step, over a former one.

    Args:
        path: Of the file.
        content: All of it.
        lasting: Return only once the file is on the disk.

    Raises:
        OSError: The file cannot be written; the caller handles it.
    """
    hidden = hidden_beside(path, ".tmp")
    try:
        with hidden.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        hidden.replace(path)
    except BaseException:
        _remove(hidden)
        raise


def content_hash(path: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Return the SHA-256 of a file, or over the names and contents of all files below a folder.

    Args:
        path: Of the file or folder.
        suffixes: Of the files that count in a folder; all by default.

    Raises:
        OSError: A file cannot be read; the caller handles it.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        _add(digest, path)
        return digest.hexdigest()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name, file in sorted(files.items()):
        if not suffixes or file.suffix in suffixes:
            digest.update(os.fsencode(f"{name}\0{file.stat().st_size}\0"))
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: Any, file: Path) -> None:
    with file.open("rb") as opened:
        while block := opened.read(HASH_BLOCK_BYTES):
            digest.update(block)
