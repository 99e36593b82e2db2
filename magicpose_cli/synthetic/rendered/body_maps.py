"""Maps of the bodies of rendered people, as a fit to their points might have given them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from magicpose_cli.arrays import Pictures
from magicpose_cli.body.maps import (
    MAP_LAYERS,
    depth_range_of,
    draw_posed_maps,
    map_channels,
    without_guessed_parts,
)
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle

if TYPE_CHECKING:
    from magicpose_cli.synthetic.rendered.rendered_people import RenderedClip

FITTED_JOINTS = tuple(
    f"{bone}.{side}"
    for bone in ("upperleg01", "lowerleg01", "foot", "upperarm01", "lowerarm01", "wrist")
    for side in "LR"
)
JOINT_ERROR_DEG = 4.0  # of each axis of these joints
SHAPE_ERROR = 0.25  # of each component, in standard deviations among adults


def imperfect_maps(clip: RenderedClip, names: Sequence[str], rng: np.random.Generator) -> Pictures:
    """Draw maps of the undressed body under the clothes: joints and build are a little off.

    Args:
        clip: Whose bodies are drawn.
        names: Some of body.maps.BODY_MAP_NAMES.
        rng: Where the errors come from.

    Returns:
        The maps behind each other, (F, S, S, 3 * maps) uint8 RGB.
    """
    body = Body.load(MAP_LAYERS)
    frames = len(clip.motion.rotations)
    off = torch.from_numpy(rng.normal(0, SHAPE_ERROR, clip.shape.shape)).float()
    rotations = clip.motion.rotations.clone()
    for name in FITTED_JOINTS:
        turn = torch.from_numpy(rng.normal(0, np.radians(JOINT_ERROR_DEG), (frames, 3))).float()
        joint = body.joint(name)
        rotations[:, joint] = rotations[:, joint] @ matrix_from_axis_angle(turn)
    posed = body(clip.shape + off, clip.motion.expression, rotations, clip.motion.root).vertices
    depths = depth_range_of([posed], clip.camera)
    size = torch.tensor([clip.camera.width, clip.camera.height])
    seen = ((clip.points >= 0) & (clip.points < size)).all(-1).numpy()
    drawn = []
    for frame in range(frames):
        shown, vertices = without_guessed_parts(body, seen[frame]), posed[frame : frame + 1]
        maps = draw_posed_maps(shown, vertices, clip.camera, names, depths)
        drawn.append(map_channels(maps))
    return np.stack(drawn)
