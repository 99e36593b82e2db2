"""The pose map: a pose drawn as thick as the model has learned, at the model's size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Picture
from magicpose_cli.pose.draw import draw
from magicpose_cli.pose.keypoints import Pose


def pose_map(pose: Pose, canvas: int) -> Picture:
    """(H, W, 3) uint8 RGB of the pose's own size, drawn on a canvas of that short side.

    Limbs have a fixed width in pixels and the training poses were drawn at the films' own size,
    then scaled; drawing at the network's size would make them too thick or too thin.
    """
    factor = canvas / min(pose.width, pose.height)
    drawn = draw(pose, (round(pose.width * factor), round(pose.height * factor)))
    picture = Image.fromarray(drawn).resize((pose.width, pose.height), Image.Resampling.BILINEAR)
    return np.asarray(picture)
