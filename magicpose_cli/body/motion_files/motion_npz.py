"""Motions as NumPy archives: our own, exact to the bit, and AMASS's.

Ours, version 1:

magicpose_motion  ()            the version
fps               (2,) int64    frames a second as a fraction, or () float64
names             (J,) text     joints
parents           (J,) int      -1 for the root
rest_offsets_m    (J, 3) float64
rotations         (F, J, 4) float64  x, y, z, w, local to the parents
root_m            (F, 3) float64
euler_orders      (J,) text     left out where there are none
curve_names       (C,) text     left out where there are none, and so is
curves            (F, C) float64
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from fractions import Fraction
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.checks import (
    MAX_JOINTS,
    MAX_NAME,
    check_counts,
    check_file_size,
    check_rate,
    checked_motion,
    refuse_motion,
)
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.arrays import (
    DAMAGED_ARRAYS,
    MAX_ARCHIVE_BYTES,
    MAX_ARRAYS,
    save_arrays,
)

MARK, VERSION = "magicpose_motion", 1
MAX_CURVES = 256


def member_names(path: Path) -> set[str]:
    """The names of the arrays in a NumPy archive. Errors: InputError where it is none."""
    check_file_size(path, MAX_ARCHIVE_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DAMAGED_ARRAYS as error:
        raise InputError(f"{path}: is no NumPy archive ({error!s:.80}); expected .npz") from error
    if len(members) > MAX_ARRAYS:
        refuse_motion(path, "arrays", f"{MAX_ARRAYS} at most", len(members))
    if sum(member.file_size for member in members) > MAX_ARCHIVE_BYTES:
        refuse_motion(
            path, "arrays", f"{MAX_ARCHIVE_BYTES >> 20} MB at most, cut it into parts", "more"
        )
    return {member.filename.removesuffix(".npy") for member in members}


def load_members(path: Path, names: Collection[str]) -> dict[str, AnyArray]:
    """Some of an archive's arrays: numbers and text. Others are not opened, pickles never.

    Errors: InputError for a damaged archive, and for an array of Python objects.
    """
    there = member_names(path) & set(names)
    arrays: dict[str, AnyArray] = {}
    name = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in sorted(there):
                array = archive[name]
                if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufUS":
                    refuse_motion(path, name, "numbers or text", "others")
                arrays[name] = array
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DAMAGED_ARRAYS as error:
        if name and "allow_pickle" in str(error):
            raise InputError(
                f"{path}: {name} is a pickle (Python objects), which could run any code when "
                "opened; if you trust the file, save its arrays as plain numbers with np.savez"
            ) from error
        raise InputError(f"{path}: is a damaged NumPy archive ({error!s:.80})") from error
    return arrays


def write_motion_npz(path: Path, motion: SkeletalMotion, *, overwrite: bool = False) -> None:
    """Write in one step. Errors: OutputError."""
    fps = motion.fps
    arrays: dict[str, AnyArray] = {
        MARK: np.array(VERSION),
        "fps": np.array([fps.numerator, fps.denominator], np.int64)
        if isinstance(fps, Fraction)
        else np.array(fps, np.float64),
        "names": np.array(motion.names),
        "parents": motion.parents,
        "rest_offsets_m": motion.rest_offsets_m,
        "rotations": motion.rotations,
        "root_m": motion.root_m,
    }
    if motion.euler_orders:
        arrays["euler_orders"] = np.array(motion.euler_orders)
    if motion.curves:
        arrays["curve_names"] = np.array(list(motion.curves))
        arrays["curves"] = np.stack(list(motion.curves.values()), axis=1)
    save_arrays(path, arrays, overwrite=overwrite)


def read_motion_npz(path: Path) -> SkeletalMotion:
    """Read our own archive. Errors: InputError naming the array that does not fit."""
    names = ("fps", "names", "parents", "rest_offsets_m", "rotations", "root_m", "euler_orders",
             "curve_names", "curves", MARK)  # fmt: skip
    arrays = load_members(path, names)
    version = numbers_of(path, arrays, MARK, (), "iu")
    if version != VERSION:
        refuse_motion(path, MARK, f"version {VERSION} (update magicpose)", version)
    joints = _texts(path, arrays, "names", MAX_JOINTS)
    rotations = numbers_of(path, arrays, "rotations", (None, len(joints), 4), "f")
    frames = len(rotations)
    check_counts(path, len(joints), frames)
    curves: dict[str, AnyArray] = {}
    if "curves" in arrays:
        curve_names = _texts(path, arrays, "curve_names", MAX_CURVES)
        values = numbers_of(path, arrays, "curves", (frames, len(curve_names)), "f")
        curves = {name: values[:, column] for column, name in enumerate(curve_names)}
    orders: tuple[str, ...] = ()
    if "euler_orders" in arrays:
        orders = _texts(path, arrays, "euler_orders", MAX_JOINTS)
        if len(orders) != len(joints):
            refuse_motion(path, "euler_orders", f"{len(joints)} texts", len(orders))
    return checked_motion(
        path,
        joints,
        numbers_of(path, arrays, "parents", (len(joints),), "iu").astype(np.int64),
        numbers_of(path, arrays, "rest_offsets_m", (len(joints), 3), "f"),
        rotations,
        numbers_of(path, arrays, "root_m", (frames, 3), "f"),
        _rate(path, arrays),
        curves,
        orders,
    )


def numbers_of(
    path: Path, arrays: dict[str, AnyArray], name: str, shape: tuple[int | None, ...], kinds: str
) -> AnyArray:
    """An array of this shape (None: any length) and one of these kinds of numbers.

    Errors: InputError.
    """
    array = arrays.get(name)
    told = "(" + ", ".join("n" if side is None else str(side) for side in shape) + ")"
    if array is None:
        refuse_motion(path, name, f"an array {told}", "nothing")
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds or array.dtype.itemsize > 8:
        what = "float" if kinds == "f" else "whole" if kinds == "iu" else "plain"
        refuse_motion(path, name, f"{what} numbers {told}", f"{array.dtype.str:.20} {array.shape}")
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _texts(path: Path, arrays: dict[str, AnyArray], name: str, most: int) -> tuple[str, ...]:
    array = arrays.get(name)
    if array is None or array.ndim != 1 or array.dtype.kind != "U" or not 1 <= len(array) <= most:
        refuse_motion(
            path, name, f"1 to {most} texts", "others" if array is not None else "nothing"
        )
    if array.dtype.itemsize > 4 * MAX_NAME:
        refuse_motion(path, name, f"texts of up to {MAX_NAME} characters", "longer ones")
    texts = tuple(map(str, array))
    if len(set(texts)) != len(texts) and name != "euler_orders":
        refuse_motion(path, name, "names that differ", "one twice")
    return texts


def _rate(path: Path, arrays: dict[str, AnyArray]) -> float | Fraction:
    if arrays.get("fps", np.zeros(0)).shape == (2,):
        above, below = numbers_of(path, arrays, "fps", (2,), "iu").tolist()
        if below == 0:
            refuse_motion(path, "fps", "frames a second", f"{above}/0")
        return check_rate(path, Fraction(above, below))
    return check_rate(path, float(numbers_of(path, arrays, "fps", (), "f")))
