"""How true a body is that is fitted to a film, on rendered people whose motion is known.

Each film goes the way of `magicpose motion`: written, read, people found and followed, a body
fitted. Beside it stand the points in space that the detector itself tells, frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from magicpose_cli.arrays import Floats
from magicpose_cli.benchmarks.known_motion import (
    FIRST_MOTION_SEED,
    KNOWN_FPS,
    MOVES,
    KnownMotion,
    film_known_motion,
    write_film,
)
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.progress import OnProgress, Progress, silent

FILMED_FRAMES = 50
FILMED_PX = 448
DETECTOR, BODY = SOURCES = ("detector", "body")
CALM_S = 0.12  # standard deviation of the window under which jitter is gone
STANDS_M_S = 0.1  # an ankle of the truth that is slower stands
MEASURED = slice(1, 14)  # of BODY_JOINTS: neck, arms and legs
_AT = {name: number for number, name in enumerate(BODY_JOINTS)}
_HIPS = [_AT["left_hip"], _AT["right_hip"]]
_ANKLES = [_AT["left_ankle"], _AT["right_ankle"]]
_BONES = tuple(
    (_AT[f"{side}_{first}"], _AT[f"{side}_{second}"])
    for side in ("left", "right")
    for first, second in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"),
                          ("knee", "ankle"))
)  # fmt: skip
_BENDS = tuple(
    tuple(_AT[f"{side}_{joint}"] for joint in joints)
    for side in ("left", "right")
    for joints in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"),
                   ("hip", "shoulder", "elbow"), ("shoulder", "hip", "knee"))
)  # fmt: skip


@dataclass(frozen=True)
class BodyErrors:
    """One film's figures, or the means of many; NaN where nothing could be measured.

    All but the last two are of the joints that the detector sees.

    Attributes:
        hips_mm: Mean distance of neck and limbs' joints from the truth, hips laid on hips.
        aligned_mm: The same after each frame is turned, scaled and shifted to lie best
            (Procrustes).
        calm_hips_mm: hips_mm of motions that are smoothed, the truth as well: without jitter.
        calm_aligned_mm: aligned_mm likewise.
        angle_deg: Mean error of the bends of elbows, knees, shoulders and hips.
        trunk_deg: Angle between trunks, hips to neck.
        bone_mm: Standard deviation of the limbs' bones over the film.
        jitter_m_s2: Mean length of the joints' accelerations, hips laid on hips.
        skate_m_s: Mean speed of the ankles that stand in the truth; of points around the hips none.
        all_mm: aligned_mm of all joints, the unseen ones as well.
    """

    hips_mm: float
    aligned_mm: float
    calm_hips_mm: float
    calm_aligned_mm: float
    angle_deg: float
    trunk_deg: float
    bone_mm: float
    jitter_m_s2: float
    skate_m_s: float
    all_mm: float

    @staticmethod
    def mean(errors: Sequence[BodyErrors]) -> BodyErrors:
        """The means of films."""
        values = np.array([[getattr(each, field.name) for field in fields(BodyErrors)]
                           for each in errors])  # fmt: skip
        with np.errstate(invalid="ignore"):
            known = np.isfinite(values)
            sums = np.where(known, values, 0).sum(axis=0)
            return BodyErrors(
                *(float(v) for v in sums / np.where(known.any(0), known.sum(0), np.nan))
            )


@dataclass(frozen=True)
class BodyBenchmark:
    """The fields are keys of `bench body --json`.

    Attributes:
        films: How many of each move were measured.
        failed: In how many films nobody was found.
        frames: Of each.
        size: Side of the pictures in pixels.
        detector: Its name.
        height_m: Of the people, the mean.
        truth_jitter_m_s2: As jitter_m_s2, of the truth itself.
        errors: Of each of SOURCES, by the move, and "all".
        gain_percent: By how much the body's calm_hips_mm and calm_aligned_mm are below the
            detector's.
    """

    films: int
    failed: int
    frames: int
    size: int
    detector: str
    height_m: float
    truth_jitter_m_s2: float
    errors: dict[str, dict[str, BodyErrors]]
    gain_percent: tuple[float, float]


def measure_errors(found: Floats, truth: KnownMotion, shown: Floats) -> BodyErrors:
    """Compare points in space with a known motion.

    Args:
        found: (F, 18, 3) meters: x right, y down, z away from the camera; NaN where unknown.
        truth: Of as many frames.
        shown: (F, 18) truth of the joints that count.
    """
    known = shown & np.isfinite(found).all(-1)
    own = _from_hips(found)
    their = _from_hips(truth.joints_m)
    apart = np.where(known[..., None], own - their, np.nan)
    aligned = np.where(known[..., None], _procrustes(own, their, known) - their, np.nan)
    every = np.isfinite(found).all(-1)
    whole = np.where(every[..., None], _procrustes(own, their, every) - their, np.nan)
    lengths = np.stack([np.linalg.norm(own[:, b] - own[:, a], axis=-1) for a, b in _BONES], 1)
    lengths[~np.stack([known[:, a] & known[:, b] for a, b in _BONES], 1)] = np.nan
    return BodyErrors(
        hips_mm=_mean_mm(apart),
        aligned_mm=_mean_mm(aligned),
        calm_hips_mm=_mean_mm(_calm(apart)),
        calm_aligned_mm=_mean_mm(_calm(aligned)),
        angle_deg=_mean(np.abs(_bends(own, known) - _bends(their, known))),
        trunk_deg=_mean(_angle(own[:, _AT["neck"]], their[:, _AT["neck"]])),
        bone_mm=1000 * _mean(np.nanstd(lengths[:, np.isfinite(lengths).any(0)], axis=0)),
        jitter_m_s2=jitter_m_s2(own, known),
        skate_m_s=_skate_m_s(found, truth),
        all_mm=_mean_mm(whole),
    )


def jitter_m_s2(points: Floats, known: Floats) -> float:
    """Mean length of the accelerations of (F, 18, 3) points where (F, 18) are known."""
    bend = points[2:] - 2 * points[1:-1] + points[:-2]
    bend[~(known[2:] & known[1:-1] & known[:-2])] = np.nan
    return _mean(np.linalg.norm(bend[:, MEASURED], axis=-1)) * KNOWN_FPS**2


def _from_hips(points: Floats) -> Floats:
    """From the middle of the hips, which detectors put at the origin where they see one alone."""
    middle = points[:, _HIPS].mean(axis=1, keepdims=True)
    found: Floats = points - np.nan_to_num(middle)
    return found


def _procrustes(own: Floats, their: Floats, known: Floats) -> Floats:
    """Turn, scale and shift each frame's points to lie best on the other's."""
    moved = np.full_like(own, np.nan)
    for frame, rows in enumerate(known):
        rows = (
            rows & (np.arange(len(rows)) >= MEASURED.start) & (np.arange(len(rows)) < MEASURED.stop)
        )
        if rows.sum() < 4:
            continue
        a, b = own[frame, rows], their[frame, rows]
        a0, b0 = a.mean(0), b.mean(0)
        u, s, v = np.linalg.svd((a - a0).T @ (b - b0))
        flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
        turn = (u * flip) @ v
        scale = (s * flip).sum() / ((a - a0) ** 2).sum()
        moved[frame] = scale * (own[frame] - a0) @ turn + b0
    return moved


def _calm(apart: Floats) -> Floats:
    """(F, 18, 3) errors smoothed over time; what is unknown stays so."""
    known = np.isfinite(apart)
    weights = gaussian_filter1d(known.astype(float), CALM_S * KNOWN_FPS, axis=0, mode="nearest")
    sums = gaussian_filter1d(
        np.where(known, apart, 0.0), CALM_S * KNOWN_FPS, axis=0, mode="nearest"
    )
    return np.where(known, sums / np.maximum(weights, 1e-9), np.nan)


def _bends(points: Floats, known: Floats) -> Floats:
    """(F, 8) degrees."""
    found = []
    for a, b, c in _BENDS:
        angle = _angle(points[:, a] - points[:, b], points[:, c] - points[:, b])
        found.append(np.where(known[:, a] & known[:, b] & known[:, c], angle, np.nan))
    return np.stack(found, axis=1)


def _angle(first: Floats, second: Floats) -> Floats:
    """Degrees between (F, 3) vectors."""
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.asarray(np.degrees(np.arctan2(cross, (first * second).sum(-1))))


def _skate_m_s(found: Floats, truth: KnownMotion) -> float:
    """Speed of ankles that stand; NaN for points that are told from the hips."""
    middle = found[:, _HIPS].mean(axis=1)
    if np.nanmax(np.abs(middle), initial=0.0) < 0.05:
        return float("nan")
    own, their = (
        np.linalg.norm(np.diff(points[:, _ANKLES], axis=0), axis=-1) * KNOWN_FPS
        for points in (found, truth.joints_m)
    )
    return _mean(own[their < STANDS_M_S])


def _mean_mm(apart: Floats) -> float:
    return 1000 * _mean(np.linalg.norm(apart[:, MEASURED], axis=-1))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
