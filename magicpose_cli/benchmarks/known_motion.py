"""Films of rendered people whose motion in space is known: they walk, dance, gesture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats, Pictures, to_pictures
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.joint_motion import BodyClip

WALK, DANCE, GESTURE = MOVES = ("walk", "dance", "gesture")
FIRST_MOTION_SEED = 3_500_000_000  # of people that nothing was tuned on
KNOWN_FPS = 25
LARGEST_HEADING_DEG = 100.0  # of a walk, against +z, where the camera about is


@dataclass(frozen=True, eq=False)
class KnownMotion:
    """What is known of a rendered person's film.

    Attributes:
        pictures: (F, S, S, 3) uint8 RGB.
        joints_m: (F, 18, 3) the body's points: x right, y down, z away from the camera.
        pixels: (F, 18, 2) the same in the pictures.
        up: (3,) the vertical, along the same axes.
        height_m: Of the person, sole to crown.
        focal_px: Of the camera.
    """

    pictures: Pictures
    joints_m: Floats
    pixels: Floats
    up: Floats
    height_m: float
    focal_px: float


def film_known_motion(seed: int, move: str, frames: int, size: int) -> KnownMotion:
    """Render a person who moves, with feet that stay where they stand.

    Args:
        seed: Fixes everything, 0 <= seed < 2**32.
        move: One of MOVES.
        frames: KNOWN_FPS of them are a second.
        size: Side of the pictures in pixels.
    """
    import torch

    from magicpose_cli.body.layout import LAYERS
    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.rendered_people import rendered_motion, sample_identity
    from magicpose_cli.synthetic.rendered.walking import with_planted_feet

    body = Body.load(LAYERS)
    who, what, where = (np.random.default_rng([seed, part]) for part in range(3))
    identity = sample_identity(body, who)
    motion = _motion(body, identity.shape, what, move, np.arange(frames) / KNOWN_FPS)
    motion = with_planted_feet(body, identity.shape, motion)
    clip = rendered_motion(body, identity, motion, where, size, "full", seed)
    skin = torch.unique(body.faces[body.layers["skin"]])
    heights = body.rest(identity.shape).vertices[0, skin, 1]
    joints = clip.points_m[:, : len(BODY_JOINTS)]
    up = clip.camera.rotation(joints)[:, 1]
    return KnownMotion(
        to_pictures(clip.images),
        clip.camera.to_camera(joints).double().numpy(),
        clip.camera.project(joints).pixels.double().numpy(),
        up.double().numpy(),
        float(heights.max() - heights.min()),
        float(clip.camera.focal_px or 0.0),
    )


def _motion(
    body: Body, shape: object, what: np.random.Generator, move: str, times_s: Floats
) -> BodyClip:
    from magicpose_cli.synthetic.rendered.joint_motion import sample_body_clip
    from magicpose_cli.synthetic.rendered.walking import sample_walk

    if move == WALK:
        heading = what.uniform(-LARGEST_HEADING_DEG, LARGEST_HEADING_DEG)
        return sample_walk(body, what, times_s, heading)
    return sample_body_clip(body, body.rest(shape), what, times_s, move)  # type: ignore[arg-type]


def write_known_film(path: Path, pictures: Pictures) -> None:
    """Write the pictures as a film of KNOWN_FPS."""
    from fractions import Fraction

    from magicpose_cli.video import VideoWriter

    with VideoWriter(path, Fraction(KNOWN_FPS)) as writer:
        for picture in pictures:
            writer.write(picture)
