"""Clips of drawn people with exact points: two bodies, the same motion."""

from dataclasses import fields

import numpy as np
import torch

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.synthetic.casting import animate_motions, sample_identities
from magicpose_cli.synthetic.drawn_skeleton import place_points
from magicpose_cli.synthetic.people import TEST_SEEDS, DrawnMotion, Identity

SIZE = 512


def two_people(seed: int, framing: str = "full") -> tuple[Identity, Identity]:
    generator = torch.Generator().manual_seed(TEST_SEEDS + seed)
    both = sample_identities(2, SIZE, generator, framing=framing)
    return both.rows(slice(0, 1)), both.rows(slice(1, 2))


def motion(seed: int, frames: int) -> DrawnMotion:
    return animate_motions(1, frames, torch.Generator().manual_seed(TEST_SEEDS + seed))


def at_rest() -> DrawnMotion:
    """Standing upright, arms a little off the body, everything seen at its full length."""
    rest = motion(0, 1)
    for field in fields(DrawnMotion):
        value = getattr(rest, field.name)
        if value.is_floating_point():
            value.zero_()
    rest.arm.fill_(0.4)
    rest.leg.fill_(0.1)
    rest.eye_open.fill_(0.75)
    rest.curl.fill_(0.3)
    for length in (rest.arm_depth, rest.leg_depth, rest.spread):
        length.fill_(1.0)
    return rest


def joined(*motions: DrawnMotion) -> DrawnMotion:
    return DrawnMotion(
        **{f.name: torch.cat([getattr(m, f.name) for m in motions]) for f in fields(DrawnMotion)}
    )


def exact_poses(person: Identity, moves: DrawnMotion) -> list[Pose]:
    """Every point, those beyond the picture as well."""
    count = len(moves.lean)
    points = place_points(person.rows(torch.zeros(count, dtype=torch.long)), moves)

    def seen(values: torch.Tensor) -> np.ndarray:
        return torch.cat([values, torch.ones(len(values), 1)], 1).numpy()

    return [
        Pose.of(
            SIZE, SIZE,
            body=seen(points.body[k]), face=seen(points.face[k]),
            right_hand=seen(points.hands[k, 0]), left_hand=seen(points.hands[k, 1]),
        )
        for k in range(count)
    ]  # fmt: skip


def body_height(person: Identity) -> float:
    """In pixels."""
    return float(person.camera[0, 0])


def mirrored(pose: Pose) -> Pose:
    """The film seen in a mirror, where right is left."""
    swap = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    jaw = list(range(16, -1, -1))
    # fmt: off
    rest = [26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27, 28, 29, 30, 35, 34, 33, 32, 31,
            45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
            54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    # fmt: on
    face = jaw + rest

    def of(points: np.ndarray, score: np.ndarray) -> np.ndarray:
        return np.column_stack([pose.width - points[:, 0], points[:, 1], score])

    return Pose.of(
        pose.width, pose.height,
        body=of(pose.body, pose.body_score)[swap],
        face=of(pose.face, pose.face_score)[face],
        left_hand=of(pose.right_hand, pose.right_hand_score),
        right_hand=of(pose.left_hand, pose.left_hand_score),
    )  # fmt: skip
