"""Poses made by hand, in a picture of 256 x 256 pixels."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

STANDING = {
    "nose": (128.4, 42.6), "neck": (128.2, 66.3),
    "right_shoulder": (104.7, 67.1), "right_elbow": (92.3, 98.4), "right_wrist": (84.6, 127.8),
    "left_shoulder": (151.6, 66.9), "left_elbow": (169.8, 93.2), "left_wrist": (181.3, 64.7),
    "right_hip": (113.2, 130.6), "right_knee": (109.7, 177.3), "right_ankle": (106.4, 223.8),
    "left_hip": (142.7, 130.2), "left_knee": (148.6, 176.4), "left_ankle": (157.3, 221.6),
    "right_eye": (122.3, 36.7), "left_eye": (134.6, 36.4),
    "right_ear": (114.8, 39.6), "left_ear": (142.1, 39.3),
}  # fmt: skip


def body_of(**joints: tuple[float, float]) -> np.ndarray:
    body = np.zeros((18, 3))
    for name, (x, y) in joints.items():
        body[BODY_JOINTS.index(name)] = x, y, 0.9
    return body


def face_around(x: float, y: float, size: float) -> np.ndarray:
    """68 points: the jaw on an arc from the right ear to the left, the rest in rows inside."""
    jaw = np.linspace(np.pi, 0.0, 17)
    arc = np.column_stack([np.cos(jaw), np.sin(jaw)])
    column, row = np.meshgrid(np.linspace(-0.6, 0.6, 17), (-0.5, -0.1, 0.4))
    points = np.concatenate([arc, np.column_stack([column.ravel(), row.ravel()])])
    return np.column_stack([points * size + (x, y), np.full(68, 0.8)])


def hand_at(x: float, y: float, size: float, turn: float) -> np.ndarray:
    """A wrist and five straight fingers fanned around the direction `turn`, in radians."""
    points = [(0.0, 0.0)]
    for finger in range(5):
        angle = turn + 0.35 * (finger - 2)
        points += [(np.cos(angle) * r, np.sin(angle) * r) for r in (0.45, 0.65, 0.82, 1.0)]
    return np.column_stack([np.array(points) * size + (x, y), np.full(21, 0.7)])


@pytest.fixture
def full_body() -> Pose:
    return Pose.of(
        256, 256,
        body=body_of(**STANDING),
        face=face_around(128.4, 41.3, 14.2),
        left_hand=hand_at(182.6, 61.7, 21.3, -1.4),
        right_hand=hand_at(83.7, 130.4, 21.3, 1.7),
    )  # fmt: skip


@pytest.fixture
def half_body() -> Pose:
    """Cut off at the hips, the left arm and the right ear unseen."""
    upper = {
        name: (2.1 * x - 141.3, 2.1 * y - 37.7)
        for name, (x, y) in STANDING.items()
        if name not in ("left_elbow", "left_wrist", "right_ear")
        and not name.endswith(("hip", "knee", "ankle"))
    }
    face = face_around(128.3, 49.2, 31.4)
    face[5:9, 2] = 0.0
    return Pose.of(256, 256, body=body_of(**upper), face=face)


@pytest.fixture
def cut_off_close_up() -> Pose:
    """Face and hands partly out of the picture on every side; one limb leaves it too."""
    return Pose.of(
        256, 256,
        body=body_of(nose=(31.4, 122.6), right_eye=(-20.3, 80.7), neck=(58.6, 271.4)),
        face=face_around(30.6, 110.3, 81.7),
        left_hand=hand_at(228.3, 31.6, 78.4, -0.8),
        right_hand=hand_at(192.7, 231.4, 81.6, 2.2),
    )  # fmt: skip


@pytest.fixture
def mesh() -> np.ndarray:
    """A face's mesh (478, 3), partly above the picture."""
    return np.random.default_rng(5).normal((128, 10, 0), 15, (478, 3)).astype(np.float32)
