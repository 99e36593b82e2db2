"""Curves of a face on the face of a picture, alone and beside a driver that moves the body."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.face_model import IRIS_ROWS
from magicpose_cli.body.motion_files.face_csv import FACE_JOINTS, FACE_OFFSETS_M, FACE_PARENTS
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.motion.face_driver import lay_curves, lay_face_file, read_face_file, with_curves
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.retarget import Retargeted
from tests.body.faces import face_pose, meshes

REFERENCE = face_pose(meshes(np.zeros((1, 52)), seed=3)[0])
SETTINGS = MotionSettings()
UPPER_LID, LOWER_LID, UPPER_LIP, LOWER_LIP = 159, 145, 13, 14


def face_motion_of(frames=3, head_deg=(0.0, 0.0), eyes_deg=(0.0, 0.0), **curves) -> SkeletalMotion:
    """A face whose curves, head and eyes (yaw to the left, pitch down) go up from 0."""
    share = np.linspace(0, 1, frames)
    rotations = np.zeros((frames, 3, 4))
    for joint, angles in enumerate((head_deg, eyes_deg, eyes_deg)):
        radians = np.radians(angles) * share[:, None]
        rotations[:, joint] = Rotation.from_euler("YX", radians).as_quat()
    return SkeletalMotion(
        FACE_JOINTS, np.array(FACE_PARENTS), np.array(FACE_OFFSETS_M), rotations,
        np.zeros((frames, 3)), 30.0, {name: value * share for name, value in curves.items()},
    )  # fmt: skip


def test_neutral_curves_leave_every_point_in_its_place():
    moved = lay_curves(face_motion_of(jawOpen=0.0), REFERENCE, SETTINGS)
    for pose in moved.poses:
        assert np.allclose(pose.face, REFERENCE.face, atol=1e-3)
        assert np.allclose(pose.face_mesh, REFERENCE.face_mesh, atol=1e-3)
    assert moved.poses.fps == 30


def test_a_blink_shuts_the_lids_and_the_jaw_opens_the_mouth():
    motion = face_motion_of(eyeBlinkRight=1.0, jawOpen=1.0)
    first, _, last = lay_curves(motion, REFERENCE, SETTINGS).poses
    gaps = [
        pose.face_mesh[[LOWER_LID, LOWER_LIP], 1] - pose.face_mesh[[UPPER_LID, UPPER_LIP], 1]
        for pose in (first, last)
    ]
    assert gaps[1][0] < 0.15 * gaps[0][0]
    assert gaps[1][1] > gaps[0][1] + 20
    assert last.face[8, 1] > first.face[8, 1] + 10  # the chin of the 68 goes along


@pytest.mark.slow
def test_scales_of_0_keep_the_reference_s_own():
    motion = face_motion_of(
        head_deg=(20, 0), eyes_deg=(15, 0), mouthSmileLeft=1.0, eyeLookOutLeft=0.5
    )
    still = SETTINGS.model_copy(update={"expression": 0.0, "head": 0.0, "gaze": 0.0})
    last = lay_curves(motion, REFERENCE, still).poses[-1]
    assert np.allclose(last.face_mesh, REFERENCE.face_mesh, atol=1e-3)
    looks = lay_curves(motion, REFERENCE, still.model_copy(update={"gaze": 1.0})).poses[-1]
    iris = IRIS_ROWS["left"]
    assert looks.face_mesh[iris, 0] > REFERENCE.face_mesh[iris, 0] + 2
    assert np.allclose(looks.face_mesh[61], REFERENCE.face_mesh[61], atol=1e-3)
    smiles = lay_curves(motion, REFERENCE, still.model_copy(update={"expression": 1.0})).poses[-1]
    assert smiles.face_mesh[291, 1] < REFERENCE.face_mesh[291, 1] - 5
    assert np.allclose(smiles.face_mesh[iris], REFERENCE.face_mesh[iris], atol=1e-3)


def test_the_head_turns_to_the_person_s_left():
    last = lay_curves(face_motion_of(head_deg=(20, 0), jawOpen=0.0), REFERENCE, SETTINGS).poses[-1]
    nose, ear = 4, 234
    assert last.face_mesh[nose, 0] > REFERENCE.face_mesh[nose, 0] + 20
    assert last.face[30, 0] > REFERENCE.face[30, 0] + 20
    assert last.face_mesh[ear, 2] < REFERENCE.face_mesh[ear, 2]  # the right ear comes nearer


def test_68_points_move_without_a_dense_face():
    flat = replace(REFERENCE, face_mesh=None)
    moved = lay_curves(face_motion_of(jawOpen=1.0), flat, SETTINGS).poses
    assert moved.face_mesh is None
    assert np.allclose(moved[0].face, flat.face, atol=1e-3)
    assert moved[-1].face[8, 1] > flat.face[8, 1] + 10


def test_curves_go_over_another_motion_in_its_own_turn():
    turned = meshes(
        np.zeros((3, 52)), None, Rotation.from_euler("Z", [[0.0], [0.3], [0.6]]), seed=3
    )
    clip = PoseClip.of([face_pose(mesh) for mesh in turned], 30)
    body = Retargeted(clip, "skeleton", 0)
    motion = face_motion_of(head_deg=(40, 0), jawOpen=1.0)
    moved = with_curves(body, REFERENCE, motion, SETTINGS)
    assert np.allclose(moved.poses[0].face_mesh, turned[0], atol=1e-2)
    step = moved.poses[-1].face_mesh[152] - turned[-1][152]
    straight = lay_curves(face_motion_of(jawOpen=1.0), REFERENCE, SETTINGS).poses[-1]
    own = straight.face_mesh[152] - REFERENCE.face_mesh[152]
    assert np.allclose(step, Rotation.from_euler("Z", 0.6).apply(own), atol=0.5)
    assert np.allclose(clip.face_mesh, turned)  # what was given stays as it is


def test_who_has_no_face_and_what_has_no_curves_is_refused_in_a_line(tmp_path):
    motion = face_motion_of(jawOpen=1.0)
    body = Pose.of(64, 64, body=np.full((18, 3), 20.0))
    with pytest.raises(InputError, match="shows no face that curves could move"):
        lay_curves(motion, body, SETTINGS)
    with pytest.raises(ConfigError, match="--retarget none: curves of a face"):
        lay_curves(motion, REFERENCE, SETTINGS.model_copy(update={"retarget": "none"}))
    with pytest.raises(InputError, match="is no file of curves"):
        read_face_file(tmp_path / "film.mp4", 25.0, 3, None)
    with pytest.raises(InputError, match=r"t\.csv: no such file"):
        read_face_file(tmp_path / "t.csv", 25.0, 3, None)
    (tmp_path / "t.csv").write_text("time,other\n0,1\n1,2\n")
    with pytest.raises(InputError, match="ARKit's curves such as jawOpen, got time, other"):
        read_face_file(tmp_path / "t.csv", 25.0, 3, None)
    (tmp_path / "t.csv").write_text("time,jawOpen\n0,1\n1,much\n")
    with pytest.raises(InputError, match="line 3: jawOpen: expected a number, got 'much'"):
        read_face_file(tmp_path / "t.csv", 25.0, 3, None)
    (tmp_path / "t.csv").write_text("time,jawOpen\n")
    with pytest.raises(InputError, match="a header and rows of numbers, got 1 lines"):
        read_face_file(tmp_path / "t.csv", 25.0, 3, None)
    clip = Retargeted(PoseClip.of([REFERENCE] * 3, 30), "face", 0)
    named = SETTINGS.model_copy(update={"face": str(tmp_path / "t.csv")})
    with pytest.raises(ConfigError, match="choose one"):
        lay_face_file(clip, REFERENCE, 30.0, named, is_face=True)


def test_a_second_file_takes_the_clip_s_rate_and_its_end_is_held(tmp_path):
    (tmp_path / "t.csv").write_text("time,jawOpen\n0,0\n0.5,0.5\n1,1\n")
    motion, notes = read_face_file(tmp_path / "t.csv", 4.0, 9, None)
    expected = [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert np.allclose(motion.curves["jawOpen"], expected)
    assert "t.csv ends before the driver: its last frame is held" in notes
