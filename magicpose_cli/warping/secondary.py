"""Secondary motion: what the points do not tell, tracked in the driver's own picture.

Hair swings, shoulders and clothes sway, and points are a little off. So the driver's anchor frame
is warped to each frame as the reference is, and where the driver really is is found by optical flow
(Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"). Of this only what is smooth
and small is taken along: a motion, none of the driver's looks or shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.pose.keypoints import Pose

SIDE = 320  # pixels of the window's short side, in which the flow is looked for
SMOOTH = 1 / 32  # of the short side: standard deviation of what is averaged over
FURTHEST = 1 / 64  # of the short side: what goes further is mistaken
DOUBT = 20.0  # levels of 255 by which the two still differ where a flow counts half
PRIOR = 0.1  # weight of no motion, against that of one pixel in each


@dataclass(frozen=True)
class Driven:
    """A frame of the driver. pose: its person. field (h, w, 2) float32: pixels of the pose's
    picture, at points `scale` of them apart, by which the person is further than the points tell.
    size: pixels of the reference's picture in one of the driver's.
    """

    pose: Pose
    field: np.ndarray
    scale: float
    size: float

    def drift(self, places: np.ndarray) -> np.ndarray:
        """(rows, columns, 2) pixels of the driver -> the drift there, in the reference's."""
        at = places.astype(np.float32) / np.float32(self.scale)
        found = cv2.remap(
            self.field, np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1]),
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0,
        )  # fmt: skip
        return np.float32(self.size) * found


def drift_between(
    predicted: np.ndarray, cover: np.ndarray, frame: np.ndarray, flow: cv2.DISOpticalFlow
) -> np.ndarray:
    """(h, w, 2) float32 pixels from where the person is predicted to where they are.

    predicted, frame: (h, w, 3) uint8 RGB; cover: (h, w) float32, where the prediction shows them.
    """
    shown, real = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (predicted, frame))
    back = flow.calc(real, shown, None)
    height, width = cover.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    found = cv2.remap(shown, x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR)
    error = found.astype(np.float32) - real
    weight = cover / (1 + (error / DOUBT) ** 2)
    side = min(height, width)
    furthest = FURTHEST * side
    length = np.linalg.norm(back, axis=-1)
    back *= -np.minimum(1, furthest / np.maximum(length, 1e-6))[..., None]
    blur = lambda values: cv2.GaussianBlur(values, (0, 0), SMOOTH * side)
    return blur(back * weight[..., None]) / (blur(weight) + PRIOR)[..., None]
