"""How well `track` restores a motion whose truth is known: drawn people with planted mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.track import TrackReport, track

TRACKED_FPS = 25.0
TRACKED_FRAMES = 120
TRACKED_PICTURE_PX = 512  # pixels of the square picture
ERROR_COLUMNS = {"body": slice(0, 18), "face": slice(18, 86), "hands": slice(86, 128)}
MAX_LAG = 6  # frames
_PAIRS = {
    "arms": ("shoulder", "elbow", "wrist"),
    "legs": ("hip", "knee", "ankle"),
}


@dataclass(frozen=True)
class Mistakes:
    """What is planted; lengths in body heights, the rest as the share of frames it happens in.

    Attributes:
        noise: Standard deviation of a body joint's coordinates.
        fine_noise: The same of points of faces and hands.
        dropouts: Frames without anybody, and as many without the face or a hand.
        hidden: How many frames in a row are without anybody.
        swaps: Left and right exchanged, of the body, the arms or the legs.
        jumps: A joint, a hand or the face elsewhere.
        jump: How far away these are, (least, most).
    """

    noise: float = 0.01
    fine_noise: float = 0.003
    dropouts: float = 0.10
    hidden: int = 6
    swaps: float = 0.05
    jumps: float = 0.05
    jump: tuple[float, float] = (0.15, 0.4)


def measure_tracking(clips: int, seed: int) -> dict[str, float]:
    """Error, jitter and lag before and after `track`, over `clips` clips of drawn people.

    Errors are mean distances from the truth, jitter is the mean length of second differences (also
    of the truth itself), both in % of the body height, for body, face and hands; lag is in frames,
    by cross-correlation of the body's speeds with the truth's.

    Args:
        clips: How many people.
        seed: From TEST_SEEDS on for people that no model was trained on.
    """
    rng = np.random.default_rng(seed)
    sums: dict[str, list[float]] = {}
    for truth, height in drawn_motions(clips, TRACKED_FRAMES, seed):
        found = plant(truth, height, Mistakes(), rng)
        tracked, report = track(
            [[Detection(p)] if not p.is_empty else [] for p in found], TRACKED_FPS
        )
        for name, value in compare_tracking(truth, found, tracked, height, report).items():
            sums.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in sums.items()}


def drawn_motions(clips: int, frames: int, seed: int) -> list[tuple[list[Pose], float]]:
    """The exact poses of drawn people who move smoothly, and their height in pixels."""
    import torch

    from magicpose_cli.synthetic.casting import animate_motions, sample_identities
    from magicpose_cli.synthetic.drawn_skeleton import place_points
    from magicpose_cli.synthetic.people import DrawnPoints

    generator = torch.Generator().manual_seed(seed)
    identities = sample_identities(clips, 32, generator, framing="full")
    identities.camera *= TRACKED_PICTURE_PX / 32  # a small background is drawn faster
    motions = animate_motions(clips, frames, generator)
    points = place_points(identities.rows(torch.arange(clips).repeat_interleave(frames)), motions)
    assert isinstance(points, DrawnPoints)
    return [
        (
            [points.pose(clip * frames + frame, TRACKED_PICTURE_PX) for frame in range(frames)],
            float(identities.camera[clip, 0]),
        )
        for clip in range(clips)
    ]


def plant(
    truth: list[Pose], height: float, mistakes: Mistakes, rng: np.random.Generator
) -> list[Pose]:
    """The poses as a bad detector would give them."""
    missed = rng.random(len(truth)) < mistakes.dropouts
    if mistakes.hidden:
        start = int(rng.integers(5, len(truth) - mistakes.hidden - 5))
        missed[start : start + mistakes.hidden] = True
    return [
        Pose.of(pose.width, pose.height) if gone else _mistaken(pose, height, mistakes, rng)
        for pose, gone in zip(truth, missed, strict=True)
    ]


def compare_tracking(
    truth: list[Pose],
    found: list[Pose],
    tracked: Sequence[Pose],
    height: float,
    report: TrackReport,
) -> dict[str, float]:
    """The numbers of one clip, see `measure_tracking`."""
    exact, before, after = (_points(poses) for poses in (truth, found, tracked))
    numbers: dict[str, float] = {}
    for part, columns in ERROR_COLUMNS.items():
        for name, points in (("before", before), ("after", after)):
            distance = np.hypot(*np.moveaxis(points[:, columns] - exact[:, columns], 2, 0))
            numbers[f"{part}_error_{name}"] = 100 * float(np.nanmean(distance)) / height
        for name, points in (("truth", exact), ("before", before), ("after", after)):
            bend = np.hypot(*np.moveaxis(np.diff(points[:, columns], 2, axis=0), 2, 0))
            numbers[f"{part}_jitter_{name}"] = 100 * float(np.nanmean(bend)) / height
    body = ERROR_COLUMNS["body"]
    numbers["lag_frames"] = lag(exact[:, body], after[:, body])
    numbers["flips_found"], numbers["jumps_found"] = report.flips, report.jumps
    return numbers


def lag(truth: Floats, points: Floats) -> float:
    """Measure by how many frames points come late.

    That is where the cross-correlation of the speeds is greatest, between frames by a parabola
    through the three greatest values.

    Args:
        truth: Points (frames, n, 2).
        points: Of the same shape.
    """
    speeds = [np.diff(array, axis=0) for array in (truth, points)]
    known = np.isfinite(speeds[0]) & np.isfinite(speeds[1])
    exact, late = (np.where(known, speed, 0.0) for speed in speeds)
    count = len(exact) - 2 * MAX_LAG
    middle = exact[MAX_LAG : MAX_LAG + count]
    windows = [late[shift : shift + count] for shift in range(2 * MAX_LAG + 1)]
    scores = np.array([(middle * w).sum() / max(np.linalg.norm(w), 1e-9) for w in windows])
    best = int(np.clip(np.argmax(scores), 1, 2 * MAX_LAG - 1))
    low, top, high = scores[best - 1 : best + 2]
    curve = low - 2 * top + high
    return float(best - MAX_LAG + (0.5 * (low - high) / curve if curve else 0.0))


def _mistaken(pose: Pose, height: float, mistakes: Mistakes, rng: np.random.Generator) -> Pose:
    parts = {
        part: np.column_stack([getattr(pose, part), getattr(pose, f"{part}_score")])
        for part in PARTS
    }
    for part, points in parts.items():
        noise = mistakes.noise if part == "body" else mistakes.fine_noise
        points[:, :2] += rng.normal(0, noise * height, (len(points), 2))
        if part != "body" and rng.random() < mistakes.dropouts:
            points[:, 2] = 0
    if rng.random() < mistakes.jumps:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(*mistakes.jump) * height
        points = parts[str(rng.choice(list(PARTS)))]
        rows = slice(None) if len(points) != PARTS["body"] else int(rng.integers(PARTS["body"]))
        points[rows, :2] += (length * np.cos(angle), length * np.sin(angle))
    if rng.random() < mistakes.swaps:
        _swap(parts, str(rng.choice(["body", "arms", "legs"])))
    return Pose.of(pose.width, pose.height, **parts)


def _swap(parts: dict[str, Floats], what: str) -> None:
    names = _PAIRS.get(what, (*_PAIRS["arms"], *_PAIRS["legs"], "eye", "ear"))
    for name in names:
        pair = [BODY_JOINTS.index(f"{side}_{name}") for side in ("right", "left")]
        parts["body"][pair] = parts["body"][pair[::-1]]
    if what != "legs":
        parts["left_hand"], parts["right_hand"] = parts["right_hand"], parts["left_hand"]


def _points(poses: Sequence[Pose]) -> Floats:
    """(frames, 128, 2) float64."""
    points = [np.concatenate([getattr(pose, part) for part in PARTS]) for pose in poses]
    stacked: Floats = np.stack(points).astype(np.float64)
    return stacked
