"""How true a body is that is fitted to a film, on rendered people whose motion is known.

Each film goes the way of `magicpose motion`: written, read, people found and followed, a body
fitted. Beside it stand the points in space that the detector itself tells, frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.benchmarks.known_motion import (
    FIRST_MOTION_SEED,
    KNOWN_FPS,
    MOVES,
    KnownMotion,
    film_known_motion,
    write_known_film,
)
from magicpose_cli.config.preset import MotionSettings, Preset
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.progress import OnProgress, Progress, silent

KNOWN_FRAMES = 50
KNOWN_PICTURE_PX = 448
DETECTOR_POINTS, FITTED_BODY = SOURCES = ("detector", "body")
ALL_MOVES = "all"
CALM_S = 0.12  # standard deviation of the window under which jitter is gone
STANDS_M_S = 0.1  # an ankle of the truth that is slower stands
MEASURED = slice(1, 14)  # of BODY_JOINTS: neck, arms and legs
LEAST_ALIGNED = 4  # points that are laid on others
_AT = {name: number for number, name in enumerate(BODY_JOINTS)}
_HIP_ROWS = [_AT["left_hip"], _AT["right_hip"]]
_ANKLE_ROWS = [_AT["left_ankle"], _AT["right_ankle"]]
_LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
_BENDS, _LIMB_BONES = (
    tuple(tuple(_AT[f"{side}_{joint}"] for joint in joints)
          for side in ("left", "right") for joints in chains)
    for chains in (
        (*_LIMBS, ("hip", "shoulder", "elbow"), ("shoulder", "hip", "knee")),
        [limb[start : start + 2] for limb in _LIMBS for start in (0, 1)],
    )
)  # fmt: skip


@dataclass(frozen=True)
class BodyErrors:
    """One film's figures, or the means of many; NaN where nothing could be measured.

    Those in millimeters are mean distances of neck, arms' and legs' joints that the detector sees
    from the truth.

    Attributes:
        hips_mm: In the camera's axes, the hips laid on the hips.
        scaled_mm: The same after one factor for the film, as the person's size is a guess.
        aligned_mm: After each frame is turned, scaled and shifted to lie best (Procrustes).
        calm_scaled_mm: scaled_mm of motions that are smoothed, the truth as well: without jitter.
        calm_aligned_mm: aligned_mm likewise.
        upright_mm: calm_scaled_mm in the world's axes, y up, as each source tells them.
        lean_deg: Mean error of how far the whole person leans to the front or back in the world.
        angle_deg: Mean error of the bends of elbows, knees, shoulders and hips.
        bone_mm: Standard deviation of the limbs' bones over the film.
        jitter_m_s2: Mean length of the joints' accelerations, the hips laid on the hips.
        skate_m_s: Mean speed of the ankles that stand in the truth; of points that are told from
            the hips none.
    """

    hips_mm: float
    scaled_mm: float
    aligned_mm: float
    calm_scaled_mm: float
    calm_aligned_mm: float
    upright_mm: float
    lean_deg: float
    angle_deg: float
    bone_mm: float
    jitter_m_s2: float
    skate_m_s: float

    @staticmethod
    def mean(errors: Sequence[BodyErrors]) -> BodyErrors:
        """Return the means of films, of each figure over those that have it."""
        names = [field.name for field in fields(BodyErrors)]
        return BodyErrors(
            *(_mean(np.array([getattr(each, name) for each in errors])) for name in names)
        )


@dataclass(frozen=True)
class BodyBenchmark:
    """The fields are keys of `bench body --json`.

    Attributes:
        films: How many were measured.
        failed: In how many films nobody was found.
        frames: Of each.
        size: Side of the pictures in pixels.
        height_m: Of the people, the mean.
        truth_jitter_m_s2: As jitter_m_s2, of the truth itself.
        truth_skate_m_s: As skate_m_s: ankles roll while soles stand.
        errors: Of each of SOURCES, by the move and ALL_MOVES.
        gain_percent: By how much the body's calm_scaled_mm, calm_aligned_mm and upright_mm are
            below the detector's.
    """

    films: int
    failed: int
    frames: int
    size: int
    height_m: float
    truth_jitter_m_s2: float
    truth_skate_m_s: float
    errors: dict[str, dict[str, BodyErrors]]
    gain_percent: dict[str, float]


def measure_bodies(films: int, *, on_progress: OnProgress = silent) -> BodyBenchmark:
    """Film people whose motion is known, fit bodies and compare.

    Args:
        films: How many, of people that nothing was tuned on: walking, dancing, gesturing in turn.
        on_progress: Is told each film.

    Raises:
        DetectionError: Nobody was found in any film.
    """
    from magicpose_cli.run.temporary import temporary_folder

    rows: list[tuple[str, KnownMotion, BodyErrors, BodyErrors]] = []
    failed = 0
    with temporary_folder() as folder:
        for number in range(films):
            on_progress(Progress("films", number, films, "films"))
            move = MOVES[number % len(MOVES)]
            truth = film_known_motion(
                FIRST_MOTION_SEED + number, move, KNOWN_FRAMES, KNOWN_PICTURE_PX
            )
            try:
                found = _measure_film(folder / f"{number}.mp4", truth)
            except (DetectionError, InputError):
                failed += 1
                continue
            rows.append((move, replace(truth, pictures=truth.pictures[:0]), *found))
        on_progress(Progress("films", films, films, "films"))
    if not rows:
        raise DetectionError(f"nobody was found in {films} films of rendered people")
    return _summary(rows, failed)


def _summary(
    rows: Sequence[tuple[str, KnownMotion, BodyErrors, BodyErrors]], failed: int
) -> BodyBenchmark:
    errors: dict[str, dict[str, BodyErrors]] = {source: {} for source in SOURCES}
    for move in (*MOVES, ALL_MOVES):
        own = [row for row in rows if move in (row[0], ALL_MOVES)]
        if own:
            errors[DETECTOR_POINTS][move] = BodyErrors.mean([row[2] for row in own])
            errors[FITTED_BODY][move] = BodyErrors.mean([row[3] for row in own])
    first, second = errors[DETECTOR_POINTS][ALL_MOVES], errors[FITTED_BODY][ALL_MOVES]
    gains = {
        name: 100 * (1 - getattr(second, name) / getattr(first, name))
        for name in ("calm_scaled_mm", "calm_aligned_mm", "upright_mm")
    }
    truths = [row[1] for row in rows]
    still = [_jitter_m_s2(_from_hips(each.joints_m), np.ones(each.joints_m.shape[:2], bool))
             for each in truths]  # fmt: skip
    return BodyBenchmark(
        films=len(rows),
        failed=failed,
        frames=KNOWN_FRAMES,
        size=KNOWN_PICTURE_PX,
        height_m=float(np.mean([each.height_m for each in truths])),
        truth_jitter_m_s2=_mean(np.array(still)),
        truth_skate_m_s=_mean(np.array([_skate_m_s(each.joints_m, each) for each in truths])),
        errors=errors,
        gain_percent=gains,
    )


def _measure_film(path: Path, truth: KnownMotion) -> tuple[BodyErrors, BodyErrors]:
    """The detector's errors and the body's."""
    from magicpose_cli.motion.body_motion import fit_followed, poses_of_person

    settings: MotionSettings = Preset().motion
    write_known_film(path, truth.pictures)
    poses, rate, _ = poses_of_person(path, settings)
    person = fit_followed(poses, rate, path)
    if poses.body_3d is None:
        raise DetectionError("the detector tells no points in space")
    fitted = person.fitted
    points = person.body.key_points(
        *person.body(fitted.shape, None, fitted.rotations, fitted.root)
    ).pose
    joints = points[:, : len(BODY_JOINTS)].double().numpy() * [1.0, -1.0, -1.0]
    own = poses.body_3d.astype(np.float64)
    shown = (poses.scores[:, : len(BODY_JOINTS)] > 0) & np.isfinite(own).all(axis=-1)
    body = measure_errors(joints, truth, shown, person.summary.tilt_deg)
    return (
        measure_errors(own, truth, shown),
        replace(body, bone_mm=person.summary.bone_length_spread_mm),
    )


def measure_errors(
    found: Floats, truth: KnownMotion, shown: AnyArray, tilt_deg: float = 0.0
) -> BodyErrors:
    """Compare points in space with a known motion.

    Args:
        found: (F, 18, 3) meters: x right, y down, z away from the camera; NaN where unknown.
        truth: Of as many frames.
        shown: (F, 18) truth of the joints that count.
        tilt_deg: By how much the camera looks down, as the source tells.
    """
    known = shown & np.isfinite(found).all(axis=-1)
    own, their = _from_hips(found), _from_hips(truth.joints_m)
    own = np.where(known[..., None], own, np.nan)
    measured = np.nan_to_num(own[:, MEASURED]), np.nan_to_num(their[:, MEASURED])
    factor = float((measured[0] * measured[1]).sum() / (measured[0] ** 2).sum())
    scaled = factor * own
    aligned = _procrustes(own, their, known) - their
    down = float(np.degrees(np.arcsin(-truth.up[2])))
    upright, standing = _upright(scaled, tilt_deg), _upright(their, down)
    lengths = np.stack([np.linalg.norm(own[:, b] - own[:, a], axis=-1) for a, b in _LIMB_BONES])
    lengths = lengths[np.isfinite(lengths).any(axis=1)]
    return BodyErrors(
        hips_mm=_mean_mm(own - their),
        scaled_mm=_mean_mm(scaled - their),
        aligned_mm=_mean_mm(aligned),
        calm_scaled_mm=_mean_mm(_calm(scaled - their)),
        calm_aligned_mm=_mean_mm(_calm(aligned)),
        upright_mm=_mean_mm(_calm(upright - standing)),
        lean_deg=_lean_deg(upright, standing),
        angle_deg=_mean(np.abs(_bends(own) - _bends(their))),
        bone_mm=1000 * _mean(np.nanstd(lengths, axis=1)),
        jitter_m_s2=_jitter_m_s2(own, known),
        skate_m_s=_skate_m_s(found, truth),
    )


def _jitter_m_s2(points: Floats, known: AnyArray) -> float:
    """Mean length of the accelerations of (F, 18, 3) points where (F, 18) are known."""
    places = np.where(known[..., None], points, np.nan)
    bend = places[2:] - 2 * places[1:-1] + places[:-2]
    return _mean(np.linalg.norm(bend[:, MEASURED], axis=-1)) * KNOWN_FPS**2


def _from_hips(points: Floats) -> Floats:
    """From the middle of the hips; it is the detector's own origin where it sees one of them."""
    middle = points[:, _HIP_ROWS].mean(axis=1, keepdims=True)
    found: Floats = points - np.nan_to_num(middle)
    return found


def _upright(points: Floats, tilt_deg: float) -> Floats:
    """(F, 18, 3) turned so that y, which is down, is the vertical."""
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    found: Floats = points @ np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]]).T
    return found


def _lean_deg(found: Floats, truth: Floats) -> float:
    """Error of the mean lean, from the ankles' middle to the neck, to the front or back."""
    ways = []
    both = np.isfinite(found[:, [_AT["neck"], *_ANKLE_ROWS]]).all(axis=(1, 2))
    if not both.any():
        return float("nan")
    for points in (found[both], truth[both]):
        way = (points[:, _AT["neck"]] - points[:, _ANKLE_ROWS].mean(axis=1)).mean(axis=0)
        ways.append(np.degrees(np.arctan2(way[2], -way[1])))
    return float(abs(ways[0] - ways[1]))


def _procrustes(own: Floats, their: Floats, known: AnyArray) -> Floats:
    """Turn, scale and shift each frame's known points to lie best on the others."""
    moved = np.full_like(own, np.nan)
    counts = np.zeros(own.shape[1], bool)
    counts[MEASURED] = True
    for frame, rows in enumerate(known & counts):
        if rows.sum() < LEAST_ALIGNED:
            continue
        first, second = own[frame, rows], their[frame, rows]
        start, end = first.mean(axis=0), second.mean(axis=0)
        u, stretch, v = np.linalg.svd((first - start).T @ (second - end))
        stretch, u = stretch.copy(), u.copy()
        if np.linalg.det(u @ v) < 0:
            u[:, -1], stretch[-1] = -u[:, -1], -stretch[-1]
        scale = stretch.sum() / ((first - start) ** 2).sum()
        moved[frame] = scale * (own[frame] - start) @ (u @ v) + end
    return moved


def _calm(apart: Floats) -> Floats:
    """(F, 18, 3) errors smoothed over time; what is unknown stays so."""
    known = np.isfinite(apart)
    frames = CALM_S * KNOWN_FPS
    sums = gaussian_filter1d(np.where(known, apart, 0.0), frames, axis=0, mode="nearest")
    weights = gaussian_filter1d(known.astype(float), frames, axis=0, mode="nearest")
    return np.where(known, sums / np.maximum(weights, 1e-9), np.nan)


def _bends(points: Floats) -> Floats:
    """(F, 8) degrees."""
    angles = []
    for a, b, c in _BENDS:
        first, second = points[:, a] - points[:, b], points[:, c] - points[:, b]
        cross = np.linalg.norm(np.cross(first, second), axis=-1)
        angles.append(np.degrees(np.arctan2(cross, (first * second).sum(axis=-1))))
    return np.stack(angles, axis=1)


def _skate_m_s(found: Floats, truth: KnownMotion) -> float:
    """Speed of the ankles that stand; NaN for points that are told from the hips."""
    middles = np.linalg.norm(found[:, _HIP_ROWS].mean(axis=1), axis=-1)
    if not np.nanmedian(middles) > STANDS_M_S / KNOWN_FPS:
        return float("nan")
    own, their = (
        np.linalg.norm(np.diff(points[:, _ANKLE_ROWS], axis=0), axis=-1) * KNOWN_FPS
        for points in (found, truth.joints_m)
    )
    return _mean(own[their < STANDS_M_S])


def _mean_mm(apart: Floats) -> float:
    return 1000 * _mean(np.linalg.norm(apart[:, MEASURED], axis=-1))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
