"""A fitted person as a motion, and the skin on the humanoid's bones."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from magicpose_cli.body.fit import FittedClip
from magicpose_cli.body.fit_overlay import fit_overlay
from magicpose_cli.body.fitted_mesh import humanoid_mesh
from magicpose_cli.body.fitted_motion import fitted_motion, summarize_fit
from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_files.files import read_motion_file, write_motion_file
from magicpose_cli.body.motion_summary import joint_angles
from magicpose_cli.body.skeletal_motion import (
    forward_kinematics,
    joint_positions,
    rest_positions,
    world_rotations,
)
from tests.body.motion import CAMERA, SIZE, dance


@pytest.fixture(scope="module")
def fitted(body):
    """A person who stands with the back to the camera, as a fit would have it."""
    shape, rotations, root = dance(body, 4, facing_deg=170)
    return FittedClip(shape, rotations, root, CAMERA, torch.tensor([2.0, 4.0, np.nan, 3.0]))


@pytest.fixture(scope="module")
def motion(body, fitted):
    return fitted_motion(body, fitted, 30)


def distances(points):
    return np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)


def test_joints_are_where_the_fit_has_them(body, fitted, motion):
    own = body(fitted.shape, None, fitted.rotations, fitted.root).joints.double().numpy()
    found = forward_kinematics(motion)
    assert np.allclose(distances(own), distances(found), atol=1e-4)
    assert np.allclose(np.diff(own[..., 1], axis=0), np.diff(found[..., 1], axis=0), atol=1e-5)


def test_the_person_begins_at_the_origin_and_faces_forward(body, fitted, motion):
    assert np.allclose(motion.root_m[0, [0, 2]], 0, atol=1e-9)
    bones = humanoid_joints(motion.names, motion.parents)
    places = forward_kinematics(motion)
    left = places[0, bones["leftUpperLeg"]] - places[0, bones["rightUpperLeg"]]
    assert left[0] > 0.9 * np.linalg.norm(left)
    assert (places[:, bones["leftToes"], 2] > places[:, bones["leftFoot"], 2]).all()
    assert (places[:, bones["head"], 1] > places[:, bones["hips"], 1] + 0.5).all()
    vertices = body(fitted.shape, None, fitted.rotations, fitted.root).vertices
    lowest = vertices[..., 1].amin(1) + motion.root_m[0, 1] - fitted.root[0, 1]
    assert abs(np.percentile(lowest.numpy(), 10)) < 0.03
    assert -0.01 < rest_positions(motion.parents, motion.rest_offsets_m)[:, 1].min() < 0.1


def test_names_are_the_humanoids(motion):
    bones = humanoid_joints(motion.names, motion.parents)
    assert len(bones) == 54
    assert all(motion.names[joint] == bone for bone, joint in bones.items())
    assert len([name for name in motion.names if name.startswith("left")]) == 47
    angles = joint_angles(forward_kinematics(motion), bones)
    assert angles["left hip"].max() > 5 and angles["left knee"].max() > 15


def test_figures_of_the_fit(body, fitted, motion):
    told = summarize_fit(body, fitted, motion)
    assert told.reprojection_px == 3.0 and told.unseen == 1 and told.focal_px == 700
    assert 1.5 < told.height_m < 2.0 and told.bone_length_spread_mm < 1e-6


@pytest.mark.parametrize("name", ["a.bvh", "a.npz"])
def test_files_hold_it(motion, tmp_path, name):
    write_motion_file(tmp_path / name, motion)
    again = read_motion_file(tmp_path / name)
    joints = [again.index(name) for name in motion.names]
    apart = forward_kinematics(again)[:, joints] - forward_kinematics(motion)
    assert np.abs(apart).max() < 1e-4
    assert all("centimeters" in note for note in again.notes)


def test_the_skin_moves_with_the_humanoid(body, fitted, motion):
    mesh = humanoid_mesh(body, fitted.shape, motion)
    on_bones = humanoid(motion)
    world = world_rotations(on_bones)
    places = joint_positions(on_bones, world)
    rest = rest_positions(on_bones.parents, on_bones.rest_offsets_m)
    arms = mesh.vertices_m[np.abs(mesh.vertices_m[:, 0]) > 0.35]
    assert np.ptp(arms[:, 1]) < 0.25  # a T-pose
    assert np.allclose(mesh.weights.sum(axis=1), 1, atol=1e-5)
    for frame in (0, 3):
        moved = sum(
            mesh.weights[:, joint, None]
            * (Rotation.from_quat(world[frame, joint]).apply(mesh.vertices_m - rest[joint])
               + places[frame, joint])
            for joint in range(len(rest))
        )  # fmt: skip
        own = body(fitted.shape, None, fitted.rotations, fitted.root)
        skin = own.vertices[frame, np.unique(body.faces)].double().numpy()
        centered = [points - points.mean(axis=0) for points in (moved, skin)]
        turn, _ = Rotation.align_vectors(*centered)
        assert np.linalg.norm(centered[0] - turn.apply(centered[1]), axis=1).mean() < 0.03
        assert np.degrees(np.linalg.norm(turn.as_rotvec()[[0, 2]])) < 5


def test_the_overlay_has_left_and_right(body, fitted):
    gray = np.full((SIZE[1] // 2, SIZE[0] // 2, 3), 128, np.uint8)
    drawn = fit_overlay(body, fitted, 0, gray).astype(int)
    assert drawn.shape == gray.shape and (drawn[:5] == 128).all()
    green = drawn[..., 1] - drawn[..., 0] > 60
    orange = drawn[..., 0] - drawn[..., 1] > 60
    assert green.sum() > 300 and orange.sum() > 300
    columns = np.arange(gray.shape[1])  # seen from behind, left is left
    assert (green.sum(0) * columns).sum() / green.sum() < (orange.sum(0) * columns).sum() / (
        orange.sum()
    )
    points = body.key_points(*body(fitted.shape, None, fitted.rotations, fitted.root)).pose
    for knee, side in ((9, orange), (12, green)):
        x, y = (CAMERA.project(points[0, knee]).pixels / 2).round().int().tolist()
        assert side[y, x]


def test_a_body_that_is_not_in_the_picture_is_not_drawn(body, fitted):
    gray = np.full((64, 36, 3), 128, np.uint8)
    away = FittedClip(fitted.shape, fitted.rotations, fitted.root + torch.tensor([50.0, 0, 0]),
                      CAMERA, fitted.reprojection_px)  # fmt: skip
    assert (fit_overlay(body, away, 0, gray) == gray).all()
