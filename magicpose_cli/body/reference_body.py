"""The body of the person of one picture: its proportions, its camera, and its own points.

A parametric body never fits a person to the pixel. What is left between the fitted body's key
points and the detected ones is kept as an offset of each point that is fixed to its bone. The
person's own pose is then reproduced exactly, and in another pose face, joints and fingers keep the
person's own shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Mask
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.detector_joints import joint_offsets
from magicpose_cli.body.fit import FOCAL, fit_clip
from magicpose_cli.body.layout import POSE_POINTS
from magicpose_cli.body.model import Body
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose

if TYPE_CHECKING:
    from torch import Tensor

REFERENCE_LAYERS = ("skin", "eyes")
MAX_POINT_OFFSET_M = 0.12  # from the fitted body; what is farther is a bad fit
MAX_FIT_ERROR = 0.06  # of the seen points' extent: a fit that is worse shows another body
MEAN_HEIGHT_SHARE = 0.75  # of a picture's height that a mean person takes


@dataclass(frozen=True, eq=False)
class ReferenceBody:
    """A person in a picture as a body before a camera.

    Attributes:
        body: The parametric body.
        shape: (1, K) components.
        rotations: (J, 3, 3) local rotations of the person's own pose.
        root: (3,) meters, the place of the body's rest origin.
        camera: At the world's origin, looking along -z.
        bones: (128,) the joint that each point of a pose follows most.
        offsets_m: (128, 3) from the body's key points to the person's own, in the rest pose's axes
            of their bones.
        shown: (128,) bool, the points that the picture shows.
    """

    body: Body
    shape: Tensor
    rotations: Tensor
    root: Tensor
    camera: Camera
    bones: Tensor
    offsets_m: Tensor
    shown: Mask

    @property
    def rest_joints(self) -> Tensor:
        """(J, 3) meters, the joints of the rest pose."""
        return self.body.rest(self.shape).joints[0]

    @property
    def root_joint_m(self) -> Tensor:
        """(3,) meters, the place of the root joint in the person's own pose."""
        return self.root + self.rest_joints[0]


def fit_reference_body(body: Body, pose: Pose) -> ReferenceBody | None:
    """Fit the body to the person of a picture; None where the fit fails.

    Args:
        body: On the CPU.
        pose: In pixels of the picture.
    """
    import torch

    clip = PoseClip.of([pose])
    try:
        fitted = fit_clip(
            body, clip.points, clip.scores, pose.width, pose.height,
            points_3d=clip.body_3d, offsets_m=joint_offsets(clip.body_3d),
        )  # fmt: skip
    except InputError:
        return None
    extent = float(np.nanmax(np.ptp(clip.points[0][clip.seen[0]], axis=0)))
    if not float(fitted.reprojection_px[0]) <= MAX_FIT_ERROR * extent:  # NaN compares false
        return None
    bones = point_bones(body)
    with torch.no_grad():
        offsets = bone_offsets(
            body, bones, fitted.shape, fitted.rotations, fitted.root, fitted.camera, clip
        )
    return ReferenceBody(
        body,
        fitted.shape,
        fitted.rotations[0],
        fitted.root[0],
        fitted.camera,
        bones,
        offsets,
        np.asarray(clip.seen[0]),
    )


def mean_reference_body(body: Body, width: int, height: int) -> ReferenceBody:
    """A mean adult who stands in the middle of an empty picture of this size in pixels."""
    import torch

    shape = torch.zeros(1, body.component_count)
    vertices = body.rest(shape).vertices[0]
    focal_px = FOCAL * max(width, height)
    low, high = float(vertices[:, 1].min()), float(vertices[:, 1].max())
    away = focal_px * (high - low) / (MEAN_HEIGHT_SHARE * height)
    return ReferenceBody(
        body,
        shape,
        body.identity(1)[0],
        torch.tensor([0.0, -(low + high) / 2, -away]),
        Camera(width, height, distance_m=0.0, focal_px=focal_px),
        point_bones(body),
        torch.zeros(POSE_POINTS, 3),
        np.ones(POSE_POINTS, bool),
    )


def point_bones(body: Body) -> Tensor:
    """(128,) the joint of the skeleton that moves each point of a pose most."""
    import torch

    own = body.point_rows < POSE_POINTS
    rows, columns = body.point_rows[own], body.point_columns[own]
    carriers = torch.cat([body.weights, torch.eye(body.joint_count)])
    # A joint's place follows its parent, a vertex its bones; a face's point the joint itself.
    shares = carriers[columns] * body.point_weights[own][:, None]
    return torch.zeros(POSE_POINTS, body.joint_count).index_add(0, rows, shares).argmax(dim=1)


def bone_offsets(
    body: Body,
    bones: Tensor,
    shape: Tensor,
    rotations: Tensor,
    root: Tensor,
    camera: Camera,
    clip: PoseClip,
) -> Tensor:
    """Measure how far seen points lie from the body's, fixed to their bones; a clip's mean.

    Args:
        body: The body that was fitted.
        bones: (128,) of `point_bones`.
        shape: (1, K).
        rotations: (F, J, 3, 3) local.
        root: (F, 3) meters.
        camera: At the world's origin, looking along -z.
        clip: (F) frames of what is seen, in the camera's pixels.

    Returns:
        (128, 3) meters in the rest pose's axes of the bones; 0 for points that are never seen.
    """
    import torch

    points = body.key_points(*body(shape, None, rotations, root)).pose
    world, _ = body.transforms(body.rest(shape).joints, rotations)
    pixels, depth = camera.project(points)
    apart = torch.from_numpy(clip.points).to(pixels.dtype) - pixels
    known = apart.isfinite().all(-1) & torch.from_numpy(np.array(clip.seen))
    flat = apart.nan_to_num(0) * (depth / float(camera.focal_px or 1.0))[..., None]
    space = torch.cat([flat[..., :1], -flat[..., 1:], torch.zeros_like(flat[..., :1])], dim=-1)
    local = (world[:, bones].mT @ space[..., None])[..., 0] * known[..., None]
    mean = local.sum(0) / known.sum(0).clamp_min(1)[:, None]
    length = mean.norm(dim=-1, keepdim=True)
    capped: Tensor = mean * (MAX_POINT_OFFSET_M / length.clamp_min(1e-9)).clamp_max(1.0)
    return capped
