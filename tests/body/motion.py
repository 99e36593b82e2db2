"""A person's known motion, and the points that a camera sees of it."""

import numpy as np
import torch

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.fit_rig import make_rig
from magicpose_cli.body.joint_groups import GROUP_NAMES
from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.pose.keypoints import Pose

SIZE = (360, 640)
CAMERA = Camera(*SIZE, distance_m=0.0, focal_px=700.0)
HIPS = [8, 11]


def dance(body, frames, *, facing_deg=20.0):
    """Shape (1, 3), rotations (F, J, 3, 3) and root (F, 3): arms, legs, spine and head move."""
    rig = make_rig(body, [0])
    time = torch.arange(frames) / 30
    angles = torch.zeros(frames, len(GROUP_NAMES), 3)

    def turn(name, *degrees):
        angles[:, GROUP_NAMES.index(name)] = torch.deg2rad(
            torch.stack([torch.as_tensor(d).expand(frames) for d in degrees], dim=1)
        )

    wave, other = torch.sin(4 * time), torch.cos(3 * time)
    turn("spine", 10 * wave, 10 * other, 5 * wave)
    turn("neck", 5 * other, 20 * wave, 0.0)
    turn("left_upper_arm", 10 * wave, -20.0, 20 + 20 * wave)
    turn("right_upper_arm", 0.0, 20 + 10 * other, -10 + 20 * wave)
    turn("left_upper_leg", -25 + 20 * wave, 0.0, 5.0)
    turn("left_lower_leg", 30 - 20 * wave, 0.0, 0.0)
    turn("right_lower_leg", 10 + 5 * other, 0.0, 0.0)
    for side, bend in (("left", 60 + 30 * wave), ("right", 50 + 20 * other)):
        group = GROUP_NAMES.index(f"{side}_lower_arm")
        angles[:, group] = torch.deg2rad(bend)[:, None] * rig.axes[group][:, 1]
    root = torch.stack([5 * wave, facing_deg + 15 * other, 3 * wave], dim=1)
    place = torch.stack([0.2 * wave, 0.02 * other, -3.2 + 0.1 * other], dim=1)
    rotations = rig.rotations(matrix_from_axis_angle(torch.deg2rad(root)), angles)
    return torch.tensor([[0.3, -0.5, 0.4]]), rotations, place


def seen(body, shape, rotations, root, *, noise_px=0.0, noise_m=0.0, seed=0):
    """The key points in space (F, 128, 3), their pixels (F, 128, 2), and body_3d (F, 18, 3)."""
    generator = np.random.default_rng(seed)
    points = body.key_points(*body(shape, None, rotations, root)).pose
    pixels = CAMERA.project(points).pixels.numpy()
    space = (points[:, :18] - points[:, HIPS].mean(1, keepdim=True)).numpy() * [1, -1, -1]
    pixels = pixels + generator.normal(0, noise_px, pixels.shape)
    return points, pixels, 0.8 * space + generator.normal(0, noise_m, space.shape)


def seen_poses(body, shape, rotations, root):
    """The same as poses, with points in space."""
    _, pixels, space = seen(body, shape, rotations, root)
    poses = []
    for points, spread in zip(pixels, space, strict=True):
        parts = {
            part: np.column_stack([points[own], np.ones(own.stop - own.start)])
            for part, own in POSE_SLICES.items()
        }
        poses.append(Pose.of(*SIZE, **parts, body_3d=spread.astype(np.float32)))
    return poses


def joint_error_mm(body, fitted, points):
    """Mean distance of the 12 limb joints from the truth, hips aligned and scaled as it is."""
    found = body.key_points(*body(fitted.shape, None, fitted.rotations, fitted.root)).pose
    own, their = ((p - p[:, HIPS].mean(1, keepdim=True))[:, 2:14] for p in (found, points))
    scale = (own * their).sum() / (own * own).sum()
    return 1000 * (scale * own - their).norm(dim=-1).mean().item()
