"""Where a detector sees joints that this body has elsewhere.

Each set of pictures was labeled in its own way: MediaPipe's elbow lies higher on the arm than the
body's, its ears, which are points of the face's mesh, on the cheeks. The offsets are means over
rendered people, in meters of a person of 1.7 m, fixed to the bones.
"""

from __future__ import annotations

from collections.abc import Mapping

from magicpose_cli.arrays import AnyArray
from magicpose_cli.pose.keypoints import BODY_JOINTS

Offset = tuple[float, float, float]

# Of the person's right side, in the rest pose's axes: to the left, up, ahead.
MEDIAPIPE_OFFSETS_M: Mapping[str, Offset] = {
    "shoulder": (0.006, 0.004, 0.004),
    "elbow": (0.016, 0.018, -0.006),
    "wrist": (0.007, 0.0, -0.005),
    "hip": (-0.002, -0.003, 0.01),
    "knee": (0.009, 0.008, -0.002),
    "ear": (0.004, 0.009, 0.024),
}


def joint_offsets(points_3d: AnyArray | None) -> dict[int, Offset] | None:
    """Return the offsets of a detector's joints by their index, for `fit_clip`.

    Args:
        points_3d: The detector's points in space, which MediaPipe alone tells; None where there
            are none: of other detectors no offsets are known.
    """
    if points_3d is None:
        return None
    found = {}
    for index, name in enumerate(BODY_JOINTS):
        side, _, joint = name.partition("_")
        if joint in MEDIAPIPE_OFFSETS_M:
            across, up, ahead = MEDIAPIPE_OFFSETS_M[joint]
            found[index] = (across if side == "right" else -across, up, ahead)
    return found
