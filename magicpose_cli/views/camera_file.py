"""The cameras of views in the JSON that NeRF and Gaussian-splatting tools read (transforms.json).

The person stands still in that world and the camera moves: x to the picture's right, y up, z to the
picture's camera, meters, the origin where the person turns. Matrices go from the camera to the
world; a camera's axes are OpenGL's: x right, y up, z backward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.views.angles import ViewAngles
from magicpose_cli.views.body_depth import meters_to_pixels
from magicpose_cli.views.sheets import rotation
from magicpose_cli.views.subject import Subject
from magicpose_cli.views.view_renderer import ViewRenderer

FACE_HEIGHT_M = 0.18  # of the face's mesh, where no body tells the scale
TO_WORLD_AXES = np.diag(
    [1.0, -1.0, -1.0]
)  # from x right, y down, z away to x right, y up, z backward


def camera_to_world(pivot: Floats, focal_px: float, angles: ViewAngles, scale_m: float) -> Floats:
    """(4, 4) where the camera stands around a person who is shown turned by these angles.

    Args:
        pivot: (3,) of the turn, in the axes of `Sheets.points`.
        focal_px: Of the camera, which is so far from depth 0.
        angles: Of the view.
        scale_m: Meters in a pixel.
    """
    back = rotation(angles).T
    matrix = np.eye(4)
    matrix[:3, :3] = TO_WORLD_AXES @ back @ TO_WORLD_AXES
    matrix[:3, 3] = scale_m * TO_WORLD_AXES @ back @ (np.array([0.0, 0.0, -focal_px]) - pivot)
    return matrix


def camera_record(
    subject: Subject, renderer: ViewRenderer, views: Sequence[ViewAngles], names: Sequence[str]
) -> dict[str, Any]:
    """The whole of transforms.json.

    Args:
        subject: The person.
        renderer: Of the views.
        views: Their angles.
        names: Their files', beside the JSON.
    """
    height, width = subject.picture.shape[:2]
    focal = renderer.solid.focal_px
    if subject.body is not None:
        scale_m = 1 / meters_to_pixels(subject.body)[0]
    else:
        scale_m = FACE_HEIGHT_M / renderer.solid.face_height
    frames = [
        {
            "file_path": name,
            "transform_matrix": camera_to_world(renderer.pivot, focal, view, scale_m).tolist(),
            "yaw_deg": view.yaw_deg,
            "pitch_deg": view.pitch_deg,
        }
        for name, view in zip(names, views, strict=True)
    ]
    return {
        "camera_angle_x": 2 * math.atan(width / 2 / focal),
        "camera_angle_y": 2 * math.atan(height / 2 / focal),
        "camera_model": "PINHOLE",
        "fl_x": focal, "fl_y": focal, "cx": width / 2, "cy": height / 2, "w": width, "h": height,
        "frames": frames,
    }  # fmt: skip
