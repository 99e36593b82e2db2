"""The driver's motion on the reference's body.

Each mode is a function (poses, target) -> poses in the table MODES. `align` moves and scales the
whole clip at once, so proportions and motion stay the driver's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

# Lengths that tell how large a person is in the picture, with their weights: high for those that
# change little as the person moves. "mid_hip" is made here; "face_n" is point n of the 68.
BONES = (
    ("neck", "mid_hip", 4.0),
    ("right_shoulder", "left_shoulder", 3.0),
    ("right_hip", "left_hip", 1.0),
    ("neck", "nose", 2.0),
    ("right_eye", "left_eye", 1.0),
    ("right_ear", "left_ear", 1.0),
    ("face_27", "face_8", 1.0),  # between the eyes to the chin
    ("face_0", "face_16", 1.0),  # ear to ear along the jaw's ends
    *((f"{side}_{a}", f"{side}_{b}", weight)
      for side in ("right", "left")
      for a, b, weight in (
          ("shoulder", "elbow", 1.0), ("elbow", "wrist", 1.0),
          ("hip", "knee", 2.0), ("knee", "ankle", 2.0),
      )),
)  # fmt: skip
_NAMES = (*BODY_JOINTS, "mid_hip", *(f"face_{n}" for n in range(68)))
INDEX = {name: index for index, name in enumerate(_NAMES)}
# What is laid onto the reference, the best first.
ANCHOR_GROUPS = (
    ("neck", "right_hip", "left_hip"),
    ("nose", "right_eye", "left_eye"),
    tuple(f"face_{n}" for n in range(68)),
    BODY_JOINTS,
)
# A bone looks shorter whenever it points at the camera, so the driver's true length is near its
# greatest; not the greatest itself, which may be a mistake of the detector.
LENGTH_PERCENTILE = 90.0


def retarget(poses: Sequence[Pose], target: Pose | None, mode: str = "align") -> list[Pose]:
    """Move the clip `poses` onto the person of the reference picture, `target`.

    `align`: one scale and one shift for the whole clip; results are in the target's pixels and
    size. `none`: the poses as they are, in the driver's pixels; `target` is not looked at.
    Errors: DetectionError where `target` is empty or shares no points with the driver,
    ConfigError for an unknown mode.
    """
    if mode not in MODES:
        raise ConfigError(f"retarget: {mode!r} is not known; expected one of {', '.join(MODES)}")
    return MODES[mode](poses, target)


def _align(poses: Sequence[Pose], target: Pose | None) -> list[Pose]:
    if target is None or target.is_empty:
        raise DetectionError(
            "reference: no person was found in the picture to align the driver with; "
            "take a clearer picture, or pass --retarget none to use the driver's poses as they are"
        )
    reference = _named_points(target)
    driver = np.stack([_named_points(pose) for pose in poses])
    scale = _scale(reference, driver)
    shift = _shift(reference, driver * scale)
    return [
        pose.map_points(lambda points: points * scale + shift, target.width, target.height)
        for pose in poses
    ]


def _none(poses: Sequence[Pose], target: Pose | None) -> list[Pose]:
    return list(poses)


MODES: dict[str, Callable[[Sequence[Pose], Pose | None], list[Pose]]] = {
    "align": _align,
    "none": _none,
}


def _named_points(pose: Pose) -> np.ndarray:
    """(87, 2) float64 points in the order of INDEX; NaN where unseen."""
    hips = pose.body[[BODY_JOINTS.index("right_hip"), BODY_JOINTS.index("left_hip")]]
    return np.concatenate([pose.body, hips.mean(axis=0, keepdims=True), pose.face], dtype=float)


def _scale(reference: np.ndarray, driver: np.ndarray) -> float:
    """Reference length over driver length: the weighted median over the bones both show."""
    ratios = _ratios(reference, driver, BONES)
    if not ratios:  # odd pieces of a body: whatever two joints both show
        pairs = [(a, b, 1.0) for a, b in combinations(_NAMES, 2)]
        ratios = _ratios(reference, driver, pairs)
    if not ratios:
        raise DetectionError(
            "retarget: the reference and the driver show no two points of the body in common; "
            "take pictures of the same parts, or pass --retarget none"
        )
    values, weights = np.array(sorted(ratios)).T
    return float(values[np.searchsorted(np.cumsum(weights), weights.sum() / 2)])


def _ratios(
    reference: np.ndarray, driver: np.ndarray, bones: Sequence[tuple[str, str, float]]
) -> list[tuple[float, float]]:
    """(ratio, weight) of every bone that both show at some length; what the driver shows in few
    frames weighs little."""
    ratios = []
    for a, b, weight in bones:
        wanted = float(np.linalg.norm(reference[INDEX[a]] - reference[INDEX[b]]))
        lengths = np.linalg.norm(driver[:, INDEX[a]] - driver[:, INDEX[b]], axis=1)
        lengths = lengths[np.isfinite(lengths)]
        if wanted > 0 and len(lengths):  # NaN compares false
            length = float(np.percentile(lengths, LENGTH_PERCENTILE))
            if length > 0:
                ratios.append((wanted / length, weight * len(lengths) / len(driver)))
    return ratios


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
