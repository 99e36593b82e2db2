"""NumPy files of strangers, opened without running anything or taking memory on their word."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.files import whole_file

MAX_ARCHIVE_BYTES = (
    1 << 29
)  # of all arrays, unpacked: three hours of one person at 30 frames a second
MAX_ARRAYS = 64
MAGIC = b"\x93NUMPY"
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # of an archive and of an empty one
_FORMAT: Any = np.lib.format  # whose functions have no types
HEADERS = {
    (1, 0): _FORMAT.read_array_header_1_0,
    (2, 0): _FORMAT.read_array_header_2_0,
}
# What zipfile and NumPy's header raise on files that are damaged by accident or on purpose.
DAMAGED_ARRAYS = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, SyntaxError, TypeError, OverflowError,
    MemoryError, RecursionError, NotImplementedError, RuntimeError, tokenize.TokenError,
)  # fmt: skip


def load_arrays(path: Path) -> dict[str, AnyArray]:
    """The arrays of a .npz by name, or the one of a .npy as "": numbers and truth values alone.

    Sizes are checked against the file's before anything is unpacked, and pickles are never opened.
    Errors: InputError naming the file and the array.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            file.seek(0)
            if start == MAGIC:
                size = path.stat().st_size
                _check_total(path, size)
                return {"": _read(f"{path}", file, size)}
            if start.startswith(ZIP_STARTS):
                return _members(path, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DAMAGED_ARRAYS as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: is a damaged NumPy file ({said})") from error
    raise InputError(f"{path}: is no NumPy file; expected an archive (.npz) or an array (.npy)")


def save_arrays(path: Path, arrays: Mapping[str, AnyArray], *, overwrite: bool = False) -> None:
    """Write a compressed .npz in one step. Errors: OutputError."""
    with whole_file(path, overwrite) as hidden, hidden.open("wb") as file:
        np.savez_compressed(file, **arrays)


def save_array(path: Path, array: AnyArray, *, overwrite: bool = False) -> None:
    """Write a .npy in one step. Errors: OutputError."""
    with whole_file(path, overwrite) as hidden, hidden.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _members(path: Path, file: IO[bytes]) -> dict[str, AnyArray]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if not 1 <= len(members) <= MAX_ARRAYS:
            raise InputError(f"{path}: expected 1 to {MAX_ARRAYS} arrays, got {len(members)}")
        _check_total(path, sum(member.file_size for member in members))
        arrays = {}
        for member in members:
            if not member.filename.endswith(".npy"):
                raise InputError(f"{path}: {member.filename!r:.60} is no array of NumPy's")
            with archive.open(member) as stream:
                name = member.filename.removesuffix(".npy")
                arrays[name] = _read(f"{path}: {name[:40]}", stream, member.file_size)
        return arrays


def _check_total(path: Path, size: int) -> None:
    if size > MAX_ARCHIVE_BYTES:
        raise InputError(
            f"{path}: holds {size >> 20} MB of arrays; expected poses of "
            f"{MAX_ARCHIVE_BYTES >> 20} MB at most, cut it into parts"
        )


def _read(where: str, stream: IO[bytes], size: int) -> AnyArray:
    """An array from a stream that claims to hold `size` bytes, as its header describes it."""
    data = stream.read(size)
    if len(data) != size:
        raise InputError(f"{where}: is cut off, {len(data)} of {size} bytes are there")
    header = io.BytesIO(data)
    version = _FORMAT.read_magic(header)
    if version not in HEADERS:
        raise InputError(f"{where}: is of version {version} of NumPy's format; expected 1.0 or 2.0")
    shape, by_columns, dtype = HEADERS[version](header)
    if dtype.hasobject:
        raise InputError(
            f"{where}: holds Python objects (a pickle), which could run any code when opened; if "
            "you trust it, p = np.load(FILE, allow_pickle=True).item(), and save plain arrays: "
            "np.savez(NEW, keypoints=..., scores=...), or candidate=p['bodies']['candidate'], "
            "subset=p['bodies']['subset'], faces=p['faces'], hands=p['hands']"
        )
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise InputError(f"{where}: expected numbers of up to 64 bits, got {dtype.str:.40}")
    count, there = math.prod(shape), size - header.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != there:
        raise InputError(
            f"{where}: its header tells {count * dtype.itemsize} bytes ({dtype.str}, "
            f"{'x'.join(map(str, shape)):.60}), got {there}"
        )
    array = np.frombuffer(data, dtype, count, header.tell())
    array = array.reshape(shape, order="F" if by_columns else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
