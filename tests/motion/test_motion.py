"""The motion between detection and drawing: kept exactly, and frames that need not be made."""

import json
from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.motion.detections import find_people
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.motion import Motion
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.detection import detect
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.pose.tracking.track import TrackReport


def pose(shift=0.0, lacking=(), space=None):
    parts = {}
    for part, count in PARTS.items():
        points = np.ones((count, 3)) * (10 + shift, 20 + np.pi, 0.7)
        points[list(lacking)] = 0
        parts[part] = points
    return Pose.of(64, 48, **parts, body_3d=space)


def test_what_is_kept_comes_back_to_the_last_bit():
    space = np.random.default_rng(0).normal(size=(18, 3)).astype(np.float32)
    report = TrackReport(2, (1,), ((0, 1),), 2, 3, 4, 0.1, 1 / 3)
    motion = Motion(
        PoseClip.of([pose(space=space), pose(1 / 3, (2, 5), space)]),
        Framing((0.1, -0.2, 1 / 3, 99.5), 64, 48), "mediapipe", "skeleton", 7, report, ("a note",),
        pose(3),
    )  # fmt: skip
    told = json.loads(json.dumps(motion.report()))
    again = Motion.restored(motion.arrays(), told, (64, 48))
    assert all(a.equals(b) for a, b in zip(motion.poses, again.poses, strict=True))
    assert again.reference_pose.equals(motion.reference_pose)
    assert again.framing == motion.framing and again.track == report
    assert again.report() == motion.report()


def test_meshes_come_back_and_so_do_all_points_of_the_reference():
    rng = np.random.default_rng(0)
    body, face, guess, mesh = (
        rng.normal(size=(n, 3)).astype(np.float32) for n in (18, 68, 18, 478)
    )
    guess[3] = np.nan
    poses = [pose(), replace(pose(), face_mesh=mesh), pose(1), replace(pose(), face_mesh=-mesh)]
    still = replace(pose(3), body_3d=body, face_3d=face, face_mesh=2 * mesh, body_guess=guess)
    motion = Motion(PoseClip.of(poses), Framing((0, 0, 64, 48), 64, 48), reference_pose=still)
    arrays = motion.arrays()
    assert arrays["face_mesh"].shape == (4, 478, 3)
    told = json.loads(json.dumps(motion.report()))
    again = Motion.restored(arrays, told, (64, 48))
    assert all(a.equals(b) for a, b in zip(poses, again.poses, strict=True))
    assert again.reference_pose.equals(still)
    bare = Motion(PoseClip.of([pose()]), Framing((0, 0, 64, 48), 64, 48), reference_pose=pose())
    assert not {"face_mesh", "reference_face_mesh", "reference_body_guess"} & set(bare.arrays())


def test_ready_drawn_maps_have_no_poses_to_keep():
    motion = Motion(PoseClip.empty(64, 48), Framing((0, 0, 64, 48), 64, 48))
    again = Motion.restored(motion.arrays(), json.loads(json.dumps(motion.report())), (64, 48))
    assert len(again.poses) == 0 and again.track is None and again.reference_pose is None
    assert again.sources(3, 5.0) == [0, 1, 2]


@pytest.mark.parametrize(
    ("shifts", "threshold", "expected"),
    [
        ([0, 0, 1, 1, 0], 0, [0, 0, 2, 2, 4]),
        ([0, 0.4, 0.8, 1.2, 1.6], 0, [0, 1, 2, 3, 4]),
        ([0, 0.4, 0.8, 1.2, 1.6], 1, [0, 0, 0, 3, 3]),  # measured from the frame that is shown
    ],
)
def test_still_frames_follow_the_last_one_made(shifts, threshold, expected):
    motion = Motion(PoseClip.of([pose(shift) for shift in shifts]), Framing((0, 0, 64, 48), 64, 48))
    assert motion.sources(len(shifts), threshold) == expected


def test_a_point_that_comes_or_goes_is_motion():
    poses = [pose(), pose(lacking=[3]), pose(lacking=[3]), pose()]
    motion = Motion(PoseClip.of(poses), Framing((0, 0, 64, 48), 64, 48))
    assert motion.sources(4, 100.0) == [0, 1, 1, 3]


def test_a_mesh_that_moves_comes_or_goes_is_motion():
    meshes = [np.full((478, 3), x, np.float32) for x in (5, 5, 5.4, 5.8)]
    meshes[3][7, 0] = 6.2
    poses = [replace(pose(), face_mesh=mesh) for mesh in [*meshes, None, None]]
    motion = Motion(PoseClip.of(poses), Framing((0, 0, 64, 48), 64, 48))
    assert motion.sources(6, 0) == [0, 0, 2, 3, 4, 4]
    assert motion.sources(6, 1.2) == [0, 0, 0, 3, 4, 4]
    assert motion.sources(6, 5.0) == [0, 0, 0, 0, 4, 4]


def test_the_reference_is_looked_at_until_it_has_settled(monkeypatch, tmp_path):
    class Detector:
        calls = 0

        def detect(self, frame):
            self.calls += 1
            return [pose(self.calls)]

        def close(self):
            pass

    monkeypatch.setattr(detect, "load_detector", lambda name, still: Detector())
    target = find_people(tmp_path / "a.png", np.zeros((48, 64, 3), np.uint8), "mediapipe")[0]
    assert target.equals(pose(3))
