"""Motions changed: mirrored, resampled, sped up, cut, looped, blended and smoothed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation, Slerp

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.skeletal_motion import SkeletalMotion, opposite_name
from magicpose_cli.errors import ConfigError

MAX_NEW_FRAMES = 2_000_000
SMOOTH_HZ = 6.0  # what human walking holds below it (Winter, Biomechanics and Motor Control)
MAX_SMOOTH = 100.0  # strength; beyond, a film of hours would be held still


def mirrored_motion(motion: SkeletalMotion) -> SkeletalMotion:
    """The motion as a mirror shows it: left is right, and x is -x.

    Joints and curves of two sides, told by their names, change places. The joints'
    places are the mirrored ones exactly, of skeletons that are not symmetric, too: the rest pose is
    mirrored.
    """
    partner = [motion.names.index(opposite_name(name, motion.names)) for name in motion.names]
    ancestry = [-1 if p < 0 else partner[p] for p in motion.parents[partner]]
    if ancestry != motion.parents.tolist():  # sides hang at different places: the names stay
        partner = list(range(len(motion.names)))
    flipped = np.array([-1.0, 1.0, 1.0])
    curves = {
        name: motion.curves[opposite_name(name, tuple(motion.curves))] for name in motion.curves
    }
    orders = tuple(motion.euler_orders[p] for p in partner) if motion.euler_orders else ()
    return replace(
        motion,
        rest_offsets_m=motion.rest_offsets_m[partner] * flipped,
        rotations=motion.rotations[:, partner] * [1.0, -1.0, -1.0, 1.0],
        root_m=motion.root_m * flipped,
        curves=curves,
        euler_orders=orders,
    )


def motion_at(
    motion: SkeletalMotion, frames: AnyArray, fps: float | Fraction | None = None
) -> SkeletalMotion:
    """The motion at these frames, which may lie between its own.

    Args:
        motion: any.
        frames: (N,) numbers from 0 to F - 1, fractions allowed.
        fps: the rate of the new frames; the old one by default.

    Rotations go the shortest way between two frames (slerp), the root along a cubic spline, curves
    straight.
    """
    count = len(motion)
    rate = motion.fps if fps is None else fps
    if count == 1:
        frames = np.zeros(len(frames), np.int64)
    whole = np.round(frames).astype(np.int64)
    if np.array_equal(whole, frames):
        curves = {name: curve[whole] for name, curve in motion.curves.items()}
        return replace(motion, rotations=motion.rotations[whole], root_m=motion.root_m[whole],
                       curves=curves, fps=rate)  # fmt: skip
    own = np.arange(count)
    rotations = np.empty((len(frames), len(motion.names), 4))
    for joint in range(len(motion.names)):
        rotations[:, joint] = Slerp(own, Rotation.from_quat(motion.rotations[:, joint]))(
            frames
        ).as_quat()
    root = make_interp_spline(own, motion.root_m, k=3 if count > 3 else 1)(frames)
    curves = {name: np.interp(frames, own, curve) for name, curve in motion.curves.items()}
    return replace(motion, rotations=rotations, root_m=root, curves=curves, fps=rate)


def resampled_motion(motion: SkeletalMotion, fps: float | Fraction) -> SkeletalMotion:
    """The motion at another frame rate; its times stay. Errors: ConfigError for a rate of none."""
    if not 0 < fps < np.inf:
        raise ConfigError(f"fps: expected more than 0 frames a second, got {fps}")
    return _stretched(motion, float(motion.fps / fps), fps)


def sped_motion(motion: SkeletalMotion, factor: float) -> SkeletalMotion:
    """The motion so many times as fast, at its own frame rate. Errors: ConfigError."""
    if not 0 < factor < np.inf:
        raise ConfigError(f"speed: expected a factor above 0, got {factor}")
    return _stretched(motion, factor, motion.fps)


def _stretched(motion: SkeletalMotion, step: float, fps: float | Fraction) -> SkeletalMotion:
    count = int((len(motion) - 1) / step + 1e-6) + 1
    if count > MAX_NEW_FRAMES:
        raise ConfigError(f"{count} frames would be made; expected {MAX_NEW_FRAMES} at most")
    return motion_at(motion, np.minimum(np.arange(count) * step, len(motion) - 1), fps)


def cut_motion(
    motion: SkeletalMotion, start_s: float = 0.0, end_s: float | None = None
) -> SkeletalMotion:
    """The frames whose times lie from start_s up to, but not at, end_s (None: to the end).

    Errors: ConfigError where no frame is left.
    """
    times = np.arange(len(motion)) / float(motion.fps)
    near = 1e-6 / float(motion.fps)
    kept = times >= start_s - near
    if end_s is not None:
        kept &= times < end_s - near
    if not kept.any():
        until = "the end" if end_s is None else f"{end_s:g} s"
        raise ConfigError(
            f"no frame lies from {start_s:g} s to {until}; the motion lasts "
            f"{motion.duration_s:.3f} s, choose --start and --end within"
        )
    return motion_at(motion, np.flatnonzero(kept))


def looped_motion(motion: SkeletalMotion, seconds: float = 0.5) -> SkeletalMotion:
    """The motion made to repeat without a jump; it is shorter by the seconds of the blend.

    The last frames are blended into the first ones, and what the root has traveled over the ground
    is taken out evenly, so that a walk stays in place.
    """
    count = min(max(round(seconds * float(motion.fps)), 1), len(motion) // 2)
    if count < 1:
        return motion
    left = len(motion) - count
    root = motion.root_m.copy()
    drift = (root[left] - root[0]) * [1.0, 0.0, 1.0]
    root -= drift * (np.arange(len(motion)) / left)[:, None]
    motion = replace(motion, root_m=root)
    begin = motion_at(motion, np.arange(count))
    tail = motion_at(motion, np.arange(left, left + count))
    return _joined(_crossfade(tail, begin), _piece(motion, count, left))


def blended_motions(
    first: SkeletalMotion, second: SkeletalMotion, seconds: float = 0.5
) -> SkeletalMotion:
    """One motion that goes over into another of the same skeleton.

    The second is taken to the rate of the first, set where the first ends and turned about the
    vertical as that stands. Over the seconds, both run and the weight goes from one to the other.

    Errors: ConfigError for other joints.
    """
    if (first.names, first.parents.tolist()) != (second.names, second.parents.tolist()):
        raise ConfigError(
            f"blend: expected two motions of the same joints, got {len(first.names)} and "
            f"{len(second.names)} others; bring both to the same skeleton with --humanoid"
        )
    second = resampled_motion(second, first.fps)
    count = min(max(round(seconds * float(first.fps)), 1), len(first), len(second))
    left = len(first) - count
    second = _placed(second, first.rotations[left, 0], first.root_m[left])
    names = [name for name in first.curves if name in second.curves]
    first, second = (
        replace(motion, curves={name: motion.curves[name] for name in names})
        for motion in (first, second)
    )
    tail, begin = motion_at(first, np.arange(left, len(first))), motion_at(second, np.arange(count))
    middle = _crossfade(tail, begin)
    return _joined(_piece(first, 0, left), middle, _piece(second, count, len(second)))


def _placed(motion: SkeletalMotion, rotation: AnyArray, place: AnyArray) -> SkeletalMotion:
    """The motion moved over the ground and turned about the vertical, so that it begins as told."""
    turn = (
        Rotation.from_quat(rotation) * Rotation.from_quat(motion.rotations[0, 0]).inv()
    ).as_quat()
    upright = np.array([0.0, turn[1], 0.0, turn[3]])  # its part about the vertical
    if np.linalg.norm(upright) < 1e-9:
        upright[3] = 1.0
    turned = Rotation.from_quat(upright)
    root = turned.apply(motion.root_m - motion.root_m[0]) + motion.root_m[0]
    rotations = motion.rotations.copy()
    rotations[:, 0] = (turned * Rotation.from_quat(rotations[:, 0])).as_quat()
    shift = (place - root[0]) * [1.0, 0.0, 1.0]
    return replace(motion, rotations=rotations, root_m=root + shift)


def _crossfade(first: SkeletalMotion, second: SkeletalMotion) -> SkeletalMotion:
    """As many frames as both have, from the one to the other."""
    share = (np.arange(len(first)) + 0.5) / len(first)
    weight = share * share * (3 - 2 * share)  # no jump in the speed at either end
    turns = second.rotations.copy()
    turns[np.sum(turns * first.rotations, axis=-1) < 0] *= -1
    rotations = np.empty_like(turns)
    for joint in range(len(first.names)):
        start = Rotation.from_quat(first.rotations[:, joint])
        way = (start.inv() * Rotation.from_quat(turns[:, joint])).as_rotvec()
        rotations[:, joint] = (start * Rotation.from_rotvec(way * weight[:, None])).as_quat()
    root = first.root_m + (second.root_m - first.root_m) * weight[:, None]
    curves = {
        name: curve + (second.curves[name] - curve) * weight for name, curve in first.curves.items()
    }
    return replace(first, rotations=rotations, root_m=root, curves=curves)


def _piece(motion: SkeletalMotion, start: int, end: int) -> SkeletalMotion | None:
    return motion_at(motion, np.arange(start, end)) if end > start else None


def _joined(*parts: SkeletalMotion | None) -> SkeletalMotion:
    there = [part for part in parts if part is not None]
    return replace(
        there[0],
        rotations=np.concatenate([part.rotations for part in there]),
        root_m=np.concatenate([part.root_m for part in there]),
        curves={
            name: np.concatenate([part.curves[name] for part in there]) for name in there[0].curves
        },
    )


def smoothed_motion(motion: SkeletalMotion, strength: float = 1.0) -> SkeletalMotion:
    """The motion without jitter and without lag.

    A Butterworth filter of second order runs forward and backward over quaternions, root and
    curves. It keeps what is slower than SMOOTH_HZ / strength; 0 changes nothing.

    Errors: ConfigError for a strength that is not 0 to MAX_SMOOTH.
    """
    if not 0 <= strength <= MAX_SMOOTH:
        raise ConfigError(f"smooth: expected 0 to {MAX_SMOOTH:g}, got {strength:g}")
    rate = float(motion.fps)
    if strength == 0 or len(motion) < 3 or SMOOTH_HZ / strength >= 0.49 * rate:
        return motion
    sections = butter(2, SMOOTH_HZ / strength, fs=rate, output="sos")
    pad = min(len(motion) - 1, round(rate))

    def calm(values: AnyArray) -> AnyArray:
        return np.asarray(sosfiltfilt(sections, values, axis=0, padlen=pad))

    rotations = calm(continuous(motion.rotations))
    rotations /= np.maximum(np.linalg.norm(rotations, axis=-1, keepdims=True), 1e-9)
    curves = {name: calm(curve) for name, curve in motion.curves.items()}
    return replace(motion, rotations=rotations, root_m=calm(motion.root_m), curves=curves)


def continuous(rotations: AnyArray) -> AnyArray:
    """(F, J, 4) the same rotations with signs that do not change from frame to frame."""
    same = np.sum(rotations[1:] * rotations[:-1], axis=-1) >= 0
    signs = np.cumprod(np.where(same, 1.0, -1.0), axis=0)
    return np.concatenate([rotations[:1], rotations[1:] * signs[..., None]])
