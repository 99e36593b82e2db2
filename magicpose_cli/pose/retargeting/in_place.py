"""The clip without the person's way through the picture, be it they who walk or the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import FACE, POINT_INDEX, named_points

WINDOW_S = 2.0  # what sways faster than in about this time is the person's motion, not their way
FREE, FARTHEST = 0.4, 0.7  # face heights from its own place: a head goes freely, or never beyond
STRAYED = 0.5  # face heights, brows to chin, by which a neck is away from where it mostly is
STRAYS_OFTEN = 0.1  # of the frames
HOLD_S = 0.1  # standard deviation of the average over time: a neck's point trembles
MIN_FOOT_SHARE = 0.5  # of the frames: the feet tell where the ground is if they are seen in so many


def neck_strays(poses: Sequence[Pose]) -> bool:
    """Tell whether the neck often goes farther than a picture of the head alone could show.

    Known only of a film that shows shoulders.
    """
    clip = PoseClip.of(poses)
    points = named_points(clip)
    neck, face = points[:, POINT_INDEX["neck"]], points[:, FACE]
    known = np.isfinite(neck).all(axis=1)
    seen = np.isfinite(face).all(axis=(1, 2))
    if known.mean() < MIN_FOOT_SHARE or not seen.any():
        return False
    height = float(np.median(np.ptp(face[seen, :, 1], axis=1)))
    away = np.linalg.norm(neck[known] - np.median(neck[known], axis=0), axis=1)
    return bool((away > STRAYED * height).mean() > STRAYS_OFTEN)


def with_neck_held(poses: Sequence[Pose], fps: float) -> PoseClip:
    """Move each pose so that the neck stays where it begins: what is left is the head's motion."""
    clip = PoseClip.of(poses)
    neck = named_points(clip)[:, POINT_INDEX["neck"]]
    smooth = np.stack([gaussian_filter1d(_filled(axis), HOLD_S * fps) for axis in neck.T], axis=1)
    return clip.shifted((smooth[0] - smooth).astype(np.float32))


def near_own_place(poses: Sequence[Pose], target: Pose) -> PoseClip | None:
    """Let a head go no farther than a neck that the picture shows a piece of.

    A head that goes farther comes to rest at FARTHEST softly.

    Args:
        poses: Laid onto the reference, in its pixels.
        target: The reference's own pose, which shows a face.

    Returns:
        None where no head goes so far.
    """
    clip = PoseClip.of(poses)
    faces, own = clip.part("face"), target.face
    height = float(np.ptp(own[np.isfinite(own).all(axis=1), 1]))
    if clip.face_mesh is not None and target.face_mesh is not None:
        faces, own = clip.face_mesh[..., :2], target.face_mesh[:, :2]
    known = np.isfinite(faces).all(axis=2).any(axis=1)
    if not known.any():
        return None
    middle = np.full((len(clip), 2), np.nan)
    middle[known] = np.nanmean(faces[known].astype(np.float64), axis=1)
    off = np.stack([_filled(axis) for axis in middle.T], axis=1) - np.nanmean(own, axis=0)
    far = np.linalg.norm(off, axis=1) / height
    rest = FARTHEST - FREE
    held = FREE + rest * np.tanh(np.maximum(far - FREE, 0) / rest)
    if (far <= FREE).all():
        return None
    share = np.where(far > FREE, held / np.maximum(far, 1e-9), 1.0)
    return clip.shifted(((share - 1)[:, None] * off).astype(np.float32))


def in_place(poses: Sequence[Pose], fps: float) -> PoseClip:
    """Move each pose so that the person stays where they begin.

    The camera then seems to go along smoothly.
    Sideways their trunk tells the way. Up and down the lower foot does, where feet are seen, so
    that who sits down sinks; else the trunk.
    """
    clip = PoseClip.of(poses)
    points = named_points(clip)
    trunk = _first_known(points, ("mid_hip", "neck", "nose"))
    feet = np.fmax(*(points[:, POINT_INDEX[f"{side}_ankle"], 1] for side in ("right", "left")))
    way = np.stack([trunk[:, 0], feet if _often(feet) else trunk[:, 1]], axis=1)
    frames = 2 * round(WINDOW_S * fps / 2) + 1
    window = min(frames, len(clip) - 1 + len(clip) % 2)
    if window < 3 or not np.isfinite(way).any(axis=0).all():
        return clip
    smooth = savgol_filter([_filled(axis) for axis in way.T], window, min(2, window - 1)).T
    steps = (smooth - smooth[0]).astype(np.float32)
    return clip.shifted(-steps)


def _first_known(points: Floats, names: Sequence[str]) -> Floats:
    """(frames, 2) of the first of these points that is seen often, else most often."""
    rows = [points[:, POINT_INDEX[name]] for name in names]
    seen = [np.isfinite(row[:, 0]).mean() for row in rows]
    often = [row for row, share in zip(rows, seen, strict=True) if share >= MIN_FOOT_SHARE]
    return often[0] if often else rows[int(np.argmax(seen))]


def _often(values: Floats) -> bool:
    return bool(np.isfinite(values).mean() >= MIN_FOOT_SHARE)


def _filled(values: Floats) -> Floats:
    """(frames,) without NaN: in a straight line between what is known."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known])
