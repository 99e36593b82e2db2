"""The face's mesh goes where the face's points go."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.track import Detection, track

FPS = 25.0
OWN = list(FACE_FROM_478)
EMPTY = Pose.of(256, 256)


def moved(pose, dx, dy=0.0):
    shift = np.float32([dx, dy])
    return pose.map_points(lambda points: points + shift, pose.width, pose.height)


def follow(poses, **options):
    return track([[] if p.is_empty else [Detection(p)] for p in poses], FPS, **options)[0]


def faceless(pose):
    nothing = np.full((68, 2), np.nan, np.float32)
    return replace(pose, face=nothing, face_score=np.zeros(68, np.float32), face_mesh=None)


def with_mesh(pose, mesh):
    """The mesh, through the points of the face where it has them."""
    mesh = mesh.copy()
    mesh[OWN, :2] = pose.face
    return replace(pose, face_mesh=mesh, face_score=np.ones(68, np.float32))


def between(walk, before, frame, after):
    """The mesh by shares of the way, but beside the straight way as the walk's own frame is."""
    share = (frame - before) / (after - before)
    straight = (1 - share) * walk[before].face_mesh + share * walk[after].face_mesh
    return straight + (walk[frame].face_mesh - straight).mean(0)


@pytest.fixture
def walk(full_body, mesh):
    pose = with_mesh(full_body, mesh)
    return [moved(pose, 0.4 * i, 3 * np.sin(i / 6)) for i in range(60)]


def test_without_smoothing_it_stays_to_the_last_bit(walk):
    for before, after in zip(walk, follow(walk, smooth=0), strict=True):
        assert np.array_equal(before.face_mesh, after.face_mesh)


def test_it_is_smoothed_as_the_points_of_the_face(full_body, mesh):
    rng = np.random.default_rng(0)
    still = with_mesh(full_body, mesh)
    found = []
    for noise in rng.normal(0, 1, (60, 478, 3)).astype(np.float32):
        noisy = still.face_mesh + noise
        found.append(replace(still, face_mesh=noisy, face=noisy[OWN, :2]))
    poses = follow(found)
    for pose in poses:
        np.testing.assert_allclose(pose.face_mesh[OWN, :2], pose.face, atol=1e-3)
    meshes = np.stack([pose.face_mesh for pose in poses])
    left = (meshes - still.face_mesh).std(axis=(0, 1))
    assert (left < 0.6).all(), left
    assert meshes.dtype == np.float32


def test_nothing_of_it_is_smoothed_across_a_cut(full_body, mesh):
    near = with_mesh(full_body, mesh)
    far = moved(near, 300)
    poses = follow([near] * 20 + [far] * 20)
    for pose, exact in zip(poses, [near] * 20 + [far] * 20, strict=True):
        np.testing.assert_allclose(pose.face_mesh, exact.face_mesh, atol=0.01)


def test_a_face_that_jumps_takes_its_mesh_along(walk):
    found = list(walk)
    shift = np.float32([90, 60, 0])
    found[25] = replace(
        walk[25], face=walk[25].face + shift[:2], face_mesh=walk[25].face_mesh + shift
    )
    poses = follow(found, smooth=0)
    np.testing.assert_allclose(poses[25].face_mesh, between(walk, 24, 25, 26), atol=0.02)
    np.testing.assert_allclose(poses[25].face_mesh[OWN, :2], poses[25].face, atol=1e-3)


def test_a_face_that_flickers_in_leaves_no_mesh(walk):
    found = [faceless(pose) for pose in walk]
    found[30] = walk[30]
    assert all(pose.face_mesh is None for pose in follow(found))


def test_it_is_filled_in_where_the_face_is(walk):
    """Four frames without a face are bridged, by shares of the way; 20 are not."""
    found = list(walk)
    for frame in (*range(10, 14), *range(30, 50)):
        found[frame] = faceless(walk[frame])
    poses = follow(found, smooth=0, max_gap_s=0.2)
    for frame in range(10, 14):
        np.testing.assert_allclose(poses[frame].face_mesh, between(walk, 9, frame, 14), atol=0.15)
        np.testing.assert_allclose(poses[frame].face_mesh[OWN, :2], poses[frame].face, atol=1e-3)
        assert poses[frame].face_score.all()
    assert all(pose.face_mesh is None for pose in poses[30:50])
    assert not any(pose.face_score.any() for pose in poses[30:50])


def test_it_jumps_with_a_head_whose_face_is_not_found(walk):
    """Who jumps is blurred: of them the body is seen and not the face."""
    found = list(walk)
    for frame, height in zip(range(20, 23), (6, 8, 6), strict=True):
        found[frame] = faceless(moved(walk[frame], 0, -height))
    poses = follow(found, smooth=0, max_gap_s=0.2)
    for frame, height in zip(range(20, 23), (6, 8, 6), strict=True):
        at = poses[frame].face_mesh[OWN, :2]
        np.testing.assert_allclose(at, poses[frame].face, atol=1e-3)
        np.testing.assert_allclose(at[:, 1], walk[frame].face[:, 1] - height, atol=1)


def test_who_is_held_keeps_the_mesh_of_the_frame_held(walk):
    found = [EMPTY, *walk[1:20], *[EMPTY] * 20, *walk[40:]]
    poses = follow(found, smooth=0, max_gap_s=0.2)
    assert np.array_equal(poses[0].face_mesh, walk[1].face_mesh)
    for pose in poses[20:40]:
        assert np.array_equal(pose.face_mesh, walk[19].face_mesh)
        assert np.array_equal(pose.face, walk[19].face)


def test_exchanged_sides_leave_it_alone(walk):
    mirror = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    found = list(walk)
    found[20] = replace(
        walk[20], body=walk[20].body[mirror],
        left_hand=walk[20].right_hand, right_hand=walk[20].left_hand,
    )  # fmt: skip
    poses = follow(found, smooth=0)
    np.testing.assert_allclose(poses[20].body, walk[20].body, atol=1e-3)
    assert np.array_equal(poses[20].face_mesh, walk[20].face_mesh)


def test_where_none_has_a_mesh_none_comes(walk):
    poses = follow([replace(pose, face_mesh=None) for pose in walk])
    assert all(pose.face_mesh is None for pose in poses)
    half = [pose if i < 30 else replace(pose, face_mesh=None) for i, pose in enumerate(walk)]
    assert [p.face_mesh is None for p in follow(half)] == [False] * 30 + [True] * 30
    apart = [replace(p, face_mesh=None) if 15 <= i < 25 else p for i, p in enumerate(walk)]
    apart[20] = faceless(apart[20])  # its face is filled in, from faces without a mesh
    poses = follow(apart, max_gap_s=0.2)
    assert [i for i, pose in enumerate(poses) if pose.face_mesh is None] == [*range(15, 25)]
    assert poses[20].face_score.all()
