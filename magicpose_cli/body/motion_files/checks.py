"""What a motion out of a stranger's file may be; else one line says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES, SkeletalMotion
from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import MAX_CLIP_FRAMES, MAX_FPS, MIN_FPS

MAX_MOTION_BYTES = 1 << 28  # of a file of text or a GLB
MAX_JOINTS = 1024
MAX_ROTATIONS = 12_000_000  # joints times frames: 384 MB
MAX_NAME = 200  # characters
MAX_METERS = 1e5
MAX_CURVE = 1e3
USUAL_RATES = (24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 150, 200, 240, 250, 300, 480)
EXACT_USUAL_RATES = (
    *map(Fraction, USUAL_RATES),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60, 120)),
)


def refuse_motion(path: Path, what: str, expected: str, got: object) -> NoReturn:
    """Raise InputError: what was expected of a part of the file, and what is there."""
    raise InputError(f"{path}: {what}: expected {expected}, got {got!s:.80}")


def check_file_size(path: Path, most: int = MAX_MOTION_BYTES) -> int:
    """Bytes of the file. Errors: InputError where it cannot be read or is too large."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a file of motion")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if size > most:
        refuse_motion(
            path, "size", f"{most >> 20} MB at most, cut it into parts", f"{size >> 20} MB"
        )
    return size


def read_bytes_within(path: Path, most: int = MAX_MOTION_BYTES) -> bytes:
    """The whole file. Errors: InputError."""
    check_file_size(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_text_within(path: Path) -> str:
    """The whole file as text; bytes that are no UTF-8 stand for themselves (names alone have any).

    Errors: InputError.
    """
    return read_bytes_within(path).decode("utf-8-sig", "replace")


def check_counts(path: Path, joints: int, frames: int) -> None:
    """Errors: InputError for more or fewer than a motion may have; before arrays are made."""
    if not 1 <= joints <= MAX_JOINTS:
        refuse_motion(path, "joints", f"1 to {MAX_JOINTS}", joints)
    if not 1 <= frames <= MAX_CLIP_FRAMES:
        refuse_motion(path, "frames", f"1 to {MAX_CLIP_FRAMES}", frames)
    if joints * frames > MAX_ROTATIONS:
        most = MAX_ROTATIONS // joints
        refuse_motion(path, f"frames of {joints} joints", f"{most} at most, cut it", frames)


def check_rate(path: Path, fps: float | Fraction) -> float | Fraction:
    """The rate. Errors: InputError where nothing has such a one."""
    if not MIN_FPS <= fps <= MAX_FPS:
        refuse_motion(
            path, "rate", f"{MIN_FPS:g} to {MAX_FPS:g} frames a second", f"{float(fps):g}"
        )
    return fps


def rate_near(fps: float, error: float) -> float | Fraction:
    """The usual rate within a relative error of this one, exactly; else this one."""
    near = [usual for usual in EXACT_USUAL_RATES if abs(float(usual) / fps - 1) <= error]
    return min(near, key=lambda usual: abs(float(usual) / fps - 1)) if near else fps


def unique_joint_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, cut to MAX_NAME; those that stood before get a number."""
    seen: set[str] = set()
    result = []
    for name in names:
        name = name.strip()[:MAX_NAME] or "joint"
        free, number = name, 1
        while free in seen:
            number += 1
            free = f"{name}_{number}"
        seen.add(free)
        result.append(free)
    return tuple(result)


def checked_motion(
    path: Path,
    names: Sequence[str],
    parents: Sequence[int] | AnyArray,
    rest_offsets_m: AnyArray,
    rotations: AnyArray,
    root_m: AnyArray,
    fps: float | Fraction,
    curves: Mapping[str, AnyArray] | None = None,
    euler_orders: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> SkeletalMotion:
    """The motion of a file's numbers, its quaternions made unit ones.

    Errors: InputError naming what is not finite, too large, no rotation or no tree of joints.
    """
    check_counts(path, len(names), len(rotations))
    check_rate(path, fps)
    lengths_of = {"rest offsets": (rest_offsets_m, MAX_METERS), "root": (root_m, MAX_METERS)}
    curves_of = {name: (curve, MAX_CURVE) for name, curve in (curves or {}).items()}
    for what, (values, most) in (lengths_of | curves_of).items():
        _check_range(path, what, values, most)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rotations, axis=-1, keepdims=True)
    if not ((lengths > 1e-3) & (lengths < 1e3)).all():
        refuse_motion(path, "rotations", "quaternions of length 1", "others")
    own = np.asarray(parents)
    if own[0] != -1 or ((own[1:] < 0) | (own[1:] >= np.arange(1, len(own)))).any():
        refuse_motion(path, "joints", "one root, and parents before their children", "others")
    if len(set(names)) != len(names):
        refuse_motion(path, "joints", "names that differ", "one twice")
    return SkeletalMotion(
        tuple(names), own, rest_offsets_m, rotations / lengths, root_m, fps, dict(curves or {}),
        euler_orders, notes,
    )  # fmt: skip


def check_motion(path: Path, motion: SkeletalMotion) -> SkeletalMotion:
    """The motion. Errors: InputError where its skeleton or its root is too large."""
    _check_range(path, "rest offsets", motion.rest_offsets_m, MAX_METERS)
    _check_range(path, "root", motion.root_m, MAX_METERS)
    return motion


def _check_range(path: Path, what: str, values: AnyArray, most: float) -> None:
    fine = np.abs(values) <= most  # NaN is not
    if not fine.all():
        unit = " m" if most == MAX_METERS else ""
        odd = np.asarray(values)[~fine].flat[0]
        refuse_motion(path, what, f"finite numbers up to {most:g}{unit}", f"{odd:g}")


def known_curve(name: str) -> str | None:
    """ARKit's name of a curve, whatever its capitals, underscores or spaces; None of others."""
    return _CURVES.get("".join(c for c in name.lower() if c.isalnum()))


_CURVES = {name.lower(): name for name in ARKIT_CURVES}
