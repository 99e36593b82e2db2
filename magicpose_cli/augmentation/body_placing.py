"""A person's body in asked poses, before the picture's camera, and what a detector would see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.seen_person import SeenPerson
from magicpose_cli.body.filmed_points import film
from magicpose_cli.body.joint_groups import JOINT_GROUPS
from magicpose_cli.body.laid_motion import BodyMotion, BodySketch, own_pose, turns_about
from magicpose_cli.motion.head_mesh import turned_meshes
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.retargeting.points import named_points
from magicpose_cli.pose.retargeting.retarget import completed

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.reference_body import ReferenceBody

_FINGERS = tuple(
    joint for name, group in JOINT_GROUPS.items() if "finger" in name for joint in group.joints
)


@dataclass(frozen=True, eq=False)
class PlacedPoses:
    """A person in n poses.

    Attributes:
        motion: Of their body, a frame for each pose.
        poses: What a detector would see, in pixels of the canvas.
        boxes: (n, 4) left, top, right, bottom of the whole body in pixels of the canvas.
    """

    motion: BodyMotion
    poses: PoseClip
    boxes: np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def place_poses(
    seen: SeenPerson, rotations: Tensor, viewpoints: Sequence[Viewpoint]
) -> PlacedPoses:
    """Put a person into poses where they stand in their picture.

    Args:
        seen: The person.
        rotations: (n, J, 3, 3) local, the root facing ahead.
        viewpoints: n cameras around the person.
    """
    import torch

    reference = seen.body
    with torch.no_grad():
        motion = _at_own_place(reference, rotations, viewpoints)
    filmed = film(reference, motion)
    side = reference.camera.width
    clip = PoseClip(side, side, filmed.points, filmed.scores)
    if not np.isfinite(seen.pose.face).any():
        faces = np.zeros(clip.scores.shape, bool)
        faces[:, PART_COLUMNS["face"]] = True
        clip.forget(faces)
    meshes = turned_meshes(seen.pose, reference, filmed)
    moved = completed(clip, seen.pose, named_points(clip), "chain", 0, meshes=meshes, scale=1.0)
    return PlacedPoses(motion, moved.poses, _boxes(reference, motion))


def _at_own_place(
    reference: ReferenceBody, rotations: Tensor, viewpoints: Sequence[Viewpoint]
) -> BodyMotion:
    """Turn bodies before the camera, the soles as high in the picture as the person's own."""
    import torch

    azimuths = np.radians([view.azimuth_deg for view in viewpoints])
    elevations = np.radians([view.elevation_deg for view in viewpoints])
    turned = rotations.clone()
    fingers = [reference.body.joint(name) for name in _FINGERS]
    turned[:, fingers] = reference.rotations[fingers]
    turned[:, 0] = turns_about("x", elevations) @ turns_about("y", -azimuths) @ rotations[:, 0]
    distances = torch.tensor([view.distance for view in viewpoints]).float()
    places = distances[:, None] * reference.root_joint_m[None]
    motion = BodyMotion(turned, places)
    sketch = BodySketch(reference)
    now, own = (_middle_and_foot(reference, sketch, m) for m in (motion, own_pose(reference)))
    pixels = (own - now) * -places[:, 2:] / float(reference.camera.focal_px or 1.0)
    steps = torch.stack([pixels[:, 0], -pixels[:, 1], torch.zeros(len(turned))], dim=1)
    return BodyMotion(turned, places + steps)


def _middle_and_foot(reference: ReferenceBody, sketch: BodySketch, motion: BodyMotion) -> Tensor:
    """(n, 2) pixels: x of the body's middle, y of its lowest sole."""
    import torch

    joints, soles = sketch.joints_and_soles(motion)
    at = reference.camera.project(torch.cat([joints, soles], dim=1)).pixels
    middle = (at[..., 0].amin(1) + at[..., 0].amax(1)) / 2
    return torch.stack([middle, at[..., 1].amax(1)], dim=1)


def _boxes(
    reference: ReferenceBody, motion: BodyMotion
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    import torch

    body = reference.body
    with torch.no_grad():
        rest = body.rest(reference.shape).joints[0, 0]
        vertices = body(reference.shape, None, motion.rotations, motion.place_m - rest).vertices
        pixels = reference.camera.project(vertices).pixels
    return torch.cat([pixels.amin(1), pixels.amax(1)], dim=1).double().numpy()
