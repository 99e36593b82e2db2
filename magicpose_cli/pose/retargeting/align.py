"""One scale and one shift for the whole clip: the driver's own body, laid onto the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from magicpose_cli.errors import DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.points import FACE, INDEX, named_points
from magicpose_cli.pose.retargeting.proportions import Ratios

# What is laid onto the reference, the best first.
ANCHOR_GROUPS = (
    ("neck", "right_hip", "left_hip"),
    ("nose", "right_eye", "left_eye"),
    tuple(f"face_{n}" for n in range(68)),
    BODY_JOINTS,
)
_COUNT = FACE.stop  # hands tell nothing of where the body is


@dataclass(frozen=True)
class Alignment:
    """Driver pixels to reference pixels: points * scale + shift."""

    scale: float
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) of the driver in the reference's picture."""
        return points * self.scale + self.shift


def align(
    poses: Sequence[Pose], target: Pose, ratios: Ratios | None, frame: int | None = None
) -> Alignment:
    """The driver's clip onto the person of the reference.

    ratios: reference over driver as `compare` gives it. The shift is told from the one frame, or
    from the whole clip (its median) where `frame` is None. Errors: DetectionError where the two
    share no two points.
    """
    reference = named_points([target])[0, :_COUNT]
    driver = named_points(poses)[:, :_COUNT]
    scale = ratios.whole if ratios else _scale_of_pieces(reference, driver)
    if not np.isfinite(reference - driver).any():
        raise _nothing_in_common()
    laid = driver if frame is None else driver[frame : frame + 1]
    if frame is not None and not np.isfinite(reference - laid).any():
        laid = driver  # that frame shows other parts
    return Alignment(scale, _shift(reference, laid * scale))


def _scale_of_pieces(reference: np.ndarray, driver: np.ndarray) -> float:
    """Reference over driver for odd pieces of a body: the median over whatever two points both
    show."""
    common = np.flatnonzero(np.isfinite(reference).all(1) & np.isfinite(driver).all(2).any(0))
    ratios = []
    for a, b in combinations(common, 2):
        lengths = np.linalg.norm(driver[:, a] - driver[:, b], axis=1)
        length = lengths[np.isfinite(lengths)].max(initial=0.0)
        wanted = np.linalg.norm(reference[a] - reference[b])
        if length > 0 and wanted > 0:
            ratios.append(wanted / length)
    if not ratios:
        raise _nothing_in_common()
    return float(np.median(ratios))


def _nothing_in_common() -> DetectionError:
    return DetectionError(
        "retarget: the reference and the driver show no two points of the body in common; "
        "take pictures of the same parts, or pass --retarget none"
    )


def _shift(reference: np.ndarray, driver: np.ndarray) -> np.ndarray:
    """(2,) pixels: for each anchor the median over the clip, then the mean over the anchors."""
    differences = reference - driver  # (frames, points, 2)
    frames_seen = np.isfinite(differences).all(axis=2).sum(axis=0)
    # The first group that is seen about as often as any: a talking head that shows its shoulders
    # in two frames is laid onto the reference by its face.
    group = next(
        indices
        for indices in ([INDEX[name] for name in group] for group in ANCHOR_GROUPS)
        if 2 * frames_seen[indices].max() >= frames_seen.max()
    )
    anchors = [index for index in group if frames_seen[index]]
    shifts = [np.nanmedian(differences[:, index], axis=0) for index in anchors]
    return np.average(shifts, axis=0, weights=frames_seen[anchors])
