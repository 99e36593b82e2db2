"""Retargeting through a body in space: the driver's turns on the reference's bones.

A body is fitted to the driver's clip and to the reference. The driver's joint rotations move the
reference's body before the reference's camera, so that every bone is foreshortened as it is on the
reference. What the driver's body does not explain in a frame, such as the expression of the face,
is the driver's own and is carried over in the picture, enlarged as the person is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.detector_joints import joint_offsets
from magicpose_cli.body.fit import FittedClip, fit_clip
from magicpose_cli.body.laid_motion import (
    ANKLE_JOINTS,
    BodyMotion,
    BodySketch,
    on_ground,
    turned_about_vertical,
)
from magicpose_cli.body.model import Body
from magicpose_cli.body.reference_body import (
    REFERENCE_LAYERS,
    ReferenceBody,
    bone_offsets,
    fit_reference_body,
)
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.anchor import find_anchor
from magicpose_cli.pose.retargeting.mesh import carried_meshes
from magicpose_cli.pose.retargeting.points import POINT_INDICES, POINT_NAMES, named_points
from magicpose_cli.pose.retargeting.proportions import alike_lines
from magicpose_cli.pose.retargeting.retarget import Retargeted, completed, shift_onto_reference

if TYPE_CHECKING:
    from torch import Tensor

POSED_TOGETHER = 32  # frames whose vertices are kept at a time


def retarget_in_space(
    poses: Sequence[Pose],
    target: Pose,
    fps: float,
    *,
    anchor: str = "best",
    expression: float = 1.0,
    head: float = 1.0,
    gaze: float = 1.0,
) -> Retargeted | None:
    """Move a clip onto the reference's person through bodies in space.

    Args:
        poses: The driver's person, one pose a frame.
        target: The reference's person.
        fps: Frames a second.
        anchor: "best", "first" or a frame's number: where the driver stands as the reference does.
        expression: Scales the change of a dense face's expression.
        head: Scales the turn of a dense face.
        gaze: Scales the gaze of a dense face.

    Returns:
        The poses in the target's pixels; None where no body fits either person.

    Raises:
        ConfigError: For an unknown anchor.
    """
    import torch

    clip, body = PoseClip.of(poses), Body.load(REFERENCE_LAYERS)
    reference = fit_reference_body(body, target)
    if reference is None:
        return None
    frame = find_anchor(clip, target, anchor)
    with torch.no_grad():
        fitted = _fitted(body, clip, fps)
        if fitted is None:
            return None
        alike = anchor != "best" or bool(alike_lines(target, clip[frame]).any())
        driver = _as_driver(body, reference, fitted, clip)
        placed = _placed(driver, reference, clip, frame, alike=alike)
        pixels = _carried(driver, reference, placed, clip)
    moved = np.full((len(clip), len(POINT_NAMES), 2), np.nan)
    moved[:, POINT_INDICES] = pixels
    if alike:
        shift_onto_reference(moved, named_points([target])[0], frame)
    hidden = np.zeros(moved.shape[:2], bool)
    hidden[:, POINT_INDICES] = ~clip.seen
    moved[hidden] = np.nan
    meshes = carried_meshes(
        clip, moved, target, frame,
        alike=alike, least_turn=anchor == "best", expression=expression, head=head, gaze=gaze,
    )  # fmt: skip
    scale = driver.size * driver.enlargement(reference, placed.place_m)
    return completed(
        clip, target, moved, "chain", frame, meshes=meshes, scale=float(np.median(scale))
    )


def _fitted(body: Body, clip: PoseClip, fps: float) -> FittedClip | None:
    """The body in every frame of the clip; None where it fits nobody."""
    try:
        return fit_clip(
            body, clip.points, clip.scores, clip.width, clip.height,
            fps=fps, points_3d=clip.body_3d, offsets_m=joint_offsets(clip.body_3d),
        )  # fmt: skip
    except InputError:
        return None


@dataclass(frozen=True, eq=False)
class _DriverBody:
    """The driver's body, fitted to the clip.

    Attributes:
        person: As a reference of its own, whose offsets are means over the clip.
        motion: Before its own camera.
        size: The reference's legs over the driver's, or their whole bodies.
    """

    person: ReferenceBody
    motion: BodyMotion
    size: float

    def enlargement(self, reference: ReferenceBody, place_m: Tensor) -> Floats:
        """(F,) pixels of the reference's camera over those of the driver's, for one length."""
        focal = float(reference.camera.focal_px or 1) / float(self.person.camera.focal_px or 1)
        share = self.motion.place_m[:, 2] / place_m[:, 2].clamp_max(-0.1)
        return np.asarray(focal * share.numpy())


def _as_driver(
    body: Body, reference: ReferenceBody, fitted: FittedClip, clip: PoseClip
) -> _DriverBody:
    offsets, total = reference.offsets_m * 0, 0
    for start in range(0, len(clip), POSED_TOGETHER):
        part = slice(start, start + POSED_TOGETHER)
        count = len(clip[part])
        offsets = offsets + count * bone_offsets(
            body, reference.bones, fitted.shape, fitted.rotations[part], fitted.root[part],
            fitted.camera, clip[part],
        )  # fmt: skip
        total += count
    person = ReferenceBody(
        body, fitted.shape, fitted.rotations[0], fitted.root[0], fitted.camera, reference.bones,
        offsets / total, clip.seen.any(axis=0),
    )  # fmt: skip
    motion = BodyMotion(fitted.rotations, fitted.root + person.rest_joints[0])
    return _DriverBody(person, motion, _legs_m(reference) / _legs_m(person))


def _legs_m(person: ReferenceBody) -> float:
    """Meters from hip to knee to ankle at rest."""
    joints = [person.rest_joints[person.body.joint(f"{name}.L")]
              for name in ("upperleg01", "lowerleg01", "foot")]  # fmt: skip
    return float((joints[1] - joints[0]).norm() + (joints[2] - joints[1]).norm())


def _placed(
    driver: _DriverBody, reference: ReferenceBody, clip: PoseClip, anchor: int, *, alike: bool
) -> BodyMotion:
    """The driver's motion on the reference's body, where the reference stands at the anchor."""
    motion = driver.motion
    start = motion.place_m[anchor]
    motion = replace(motion, place_m=driver.size * (motion.place_m - start) + start)
    place = reference.root_joint_m
    seen_from = [np.arctan2(float(-at[0]), float(-at[2])) for at in (start, place)]
    motion = turned_about_vertical(motion, seen_from[1] - seen_from[0])
    feet = bool(clip.seen[:, ANKLE_JOINTS].any(axis=1).mean() > 0.5)
    shown = reference if feet else replace(reference, shown=np.zeros_like(reference.shown))
    return on_ground(motion, shown, BodySketch(reference), anchor, alike=alike)


def _carried(
    driver: _DriverBody, reference: ReferenceBody, placed: BodyMotion, clip: PoseClip
) -> Floats:
    """(F, 128, 2) pixels in the reference's picture; those of unseen points mean nothing."""
    enlarged = driver.size * driver.enlargement(reference, placed.place_m)
    rows = []
    for start in range(0, len(clip), POSED_TOGETHER):
        part = slice(start, start + POSED_TOGETHER)
        own = _own_points(driver.person, driver.motion, part)
        left = clip.points[part].astype(np.float64) - own
        left = np.where(np.isfinite(left), left, 0.0)
        rows.append(_own_points(reference, placed, part) + enlarged[part, None, None] * left)
    return np.concatenate(rows)


def _own_points(person: ReferenceBody, motion: BodyMotion, part: slice) -> Floats:
    """(f, 128, 2) pixels of a person's own points in their own picture."""
    body, rest = person.body, person.rest_joints
    rotations = motion.rotations[part]
    posed = body(person.shape, None, rotations, motion.place_m[part] - rest[0])
    world, _ = body.transforms(rest[None], rotations)
    offsets = (world[:, person.bones] @ person.offsets_m[..., None])[..., 0]
    points = body.key_points(*posed).pose + offsets
    return np.asarray(person.camera.project(points).pixels.double().numpy())
