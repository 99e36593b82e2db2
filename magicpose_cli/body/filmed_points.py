"""What a detector would see of a body that moves before a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats, Points, Scores
from magicpose_cli.body.laid_motion import BodyMotion
from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.body.point_visibility import hidden_points
from magicpose_cli.body.reference_body import ReferenceBody
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

FRAMES_AT_ONCE = 16
HIDDEN_SCORE = 0.4  # of a point that is guessed behind another part of the body
FACE_SEEN_DEG = 80.0  # a face that is turned away further is not found
HAND_HIDDEN = 0.5  # of a hand's points: more hidden ones hide the hand
NEAREST_M = 0.2  # to the camera: what is nearer or behind it is not seen
_HEAD_ROWS = [BODY_JOINTS.index(n) for n in
               ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]  # fmt: skip


@dataclass(frozen=True, eq=False)
class FilmedPoints:
    """A body's points in the camera's picture.

    Attributes:
        points: (F, 128, 2) pixels, NaN where unseen.
        scores: (F, 128), 0 where unseen.
        joints_m: (F, 18, 3) x right, y down, z away from the camera, meters.
        head_turns: (F, 3, 3) world rotations of the head's joint.
        heads_m: (F, 3) meters, its place.
    """

    points: Points
    scores: Scores
    joints_m: Points
    head_turns: Floats
    heads_m: Floats


def film(
    reference: ReferenceBody, motion: BodyMotion, on_frame: Callable[[int], None] = lambda n: None
) -> FilmedPoints:
    """Project a moving body and take out what the camera cannot see of it.

    A joint of a limb behind another part keeps its place with HIDDEN_SCORE, as detectors guess it.
    Points of a head that is seen from behind are missing, and so is a hand most of which is hidden.

    Args:
        reference: The person, with the camera.
        motion: In the camera's world.
        on_frame: Told how many frames are done.
    """
    import torch

    made: list[tuple[Tensor, ...]] = []
    count = len(motion.place_m)
    with torch.no_grad():
        for start in range(0, count, FRAMES_AT_ONCE):
            made.append(_film_part(reference, motion, slice(start, start + FRAMES_AT_ONCE)))
            on_frame(min(start + FRAMES_AT_ONCE, count))
    whole = [torch.cat(parts).numpy() for parts in zip(*made, strict=True)]
    points, scores, joints, turns, heads = whole
    points[scores == 0] = np.nan
    return FilmedPoints(
        points.astype(np.float32), scores.astype(np.float32), joints.astype(np.float32),
        turns.astype(np.float64), heads.astype(np.float64),
    )  # fmt: skip


def _film_part(
    reference: ReferenceBody, motion: BodyMotion, frames: slice
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    body, camera = reference.body, reference.camera
    rest = body.rest(reference.shape).joints
    rotations, place = motion.rotations[frames], motion.place_m[frames]
    expression = None if motion.expression is None else motion.expression[frames]
    posed = body(reference.shape, expression, rotations, place - rest[0, 0])
    world, _ = body.transforms(rest, rotations)
    bones = reference.bones
    offsets = (world[:, bones] @ reference.offsets_m[..., None])[..., 0]
    points = body.key_points(*posed).pose + offsets
    pixels, depth = camera.project(points)
    head = body.joint("head")
    facing = _facing(world[:, head], posed.joints[:, head])
    hidden = hidden_points(body, posed.vertices, points, camera)
    scores = _scores(hidden, depth, facing)
    joints = camera.to_camera(points[:, : len(BODY_JOINTS)])
    return pixels, scores, joints, world[:, head], posed.joints[:, head]


def _facing(turns: Tensor, heads_m: Tensor) -> Tensor:
    """(f,) cosine between where the head looks and the way to the camera at the origin."""
    from torch.nn.functional import normalize

    cosine: Tensor = (turns[:, :, 2] * normalize(-heads_m, dim=-1)).sum(-1)
    return cosine


def _scores(hidden: Tensor, depth: Tensor, facing: Tensor) -> Tensor:
    """(f, 128) as a detector would give them."""
    import torch

    scores = torch.where(hidden, HIDDEN_SCORE, 1.0).to(depth.dtype)
    scores[:, _HEAD_ROWS] = (~hidden[:, _HEAD_ROWS]).to(depth.dtype)
    turned_away = facing < float(np.cos(np.radians(FACE_SEEN_DEG)))
    scores[:, POSE_SLICES["face"]] *= (~turned_away).to(depth.dtype)[:, None]
    for side in ("left", "right"):
        hand = POSE_SLICES[f"{side}_hand"]
        covered = hidden[:, hand].float().mean(dim=1) > HAND_HIDDEN
        scores[:, hand] *= (~covered).to(depth.dtype)[:, None]
    scores[depth < NEAREST_M] = 0.0
    return scores
