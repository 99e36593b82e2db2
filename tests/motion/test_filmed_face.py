"""Curves of a face out of pose files, and the way back onto a face."""

import numpy as np
import pytest
from typer.testing import CliRunner

from magicpose_cli.body.motion_conversion import MotionEdits
from magicpose_cli.body.motion_files.files import read_motion_file
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES
from magicpose_cli.cli.app import app
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.motion.extract import extract_poses
from magicpose_cli.motion.filmed_face import convert_film_face
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import read_clip, write_people
from magicpose_cli.pose.keypoints import Pose
from tests.body.faces import actions_of_names, face_clip, meshes

MOTION = Preset().motion
FRAMES = 20
TIME = np.linspace(0, 2 * np.pi, FRAMES)
WAVES = {
    "jawOpen": 0.3 + 0.3 * np.sin(2 * TIME),
    "mouthSmileLeft": np.clip(np.sin(TIME), 0, 1),
    "mouthSmileRight": np.clip(np.sin(TIME), 0, 1),
    "browInnerUp": np.clip(-np.sin(TIME), 0, 1),
    "eyeBlinkLeft": (np.arange(FRAMES) % 5 == 2) * 0.9,
    "eyeBlinkRight": (np.arange(FRAMES) % 5 == 2) * 0.9,
}


@pytest.fixture
def talk(tmp_path):
    """A pose file of dense faces that speak."""
    path = tmp_path / "talk.npz"
    faces = meshes(actions_of_names(FRAMES, **WAVES), seed=2)
    write_people(path, PeopleClip.of(face_clip(faces), 25))
    return path


@pytest.fixture
def reference(tmp_path):
    """A pose file of another person's face at rest."""
    path = tmp_path / "reference.npz"
    write_people(path, PeopleClip.of(face_clip(meshes(np.zeros((1, 52)), seed=7)), 25))
    return path


@pytest.mark.slow
def test_curves_go_to_a_file_onto_another_face_and_back(talk, reference, tmp_path):
    first, again = tmp_path / "talk.csv", tmp_path / "again.arkit.csv"
    found = convert_film_face(talk, first, MOTION, MotionEdits())
    assert found.fit.is_dense and found.fit.unseen == 0 and found.fit.reprojection_px < 2
    assert found.converted.motion.fps == 25
    moved = tmp_path / "moved.npz"
    extract_poses(first, moved, MOTION, retarget_to=reference)
    convert_film_face(moved, again, MOTION, MotionEdits())
    curves = read_motion_file(again).curves
    for name, known in WAVES.items():
        assert np.corrcoef(known, curves[name])[0, 1] > 0.9, name


@pytest.mark.slow
def test_curves_go_beside_poses_of_another_person(talk, reference, tmp_path):
    convert_film_face(talk, tmp_path / "talk.arkit.csv", MOTION, MotionEdits())
    faces = meshes(actions_of_names(FRAMES, jawOpen=1.0), seed=4)
    write_people(tmp_path / "body.npz", PeopleClip.of(face_clip(faces), 25))
    beside = MOTION.model_copy(
        update={"face": str(tmp_path / "talk.arkit.csv"), "retarget": "align"}
    )
    extract_poses(
        tmp_path / "body.npz", tmp_path / "both.npz", beside, follow=True, retarget_to=reference
    )
    both = read_clip(tmp_path / "both.npz").largest
    lips = both.face_mesh[:, 14, 1] - both.face_mesh[:, 13, 1]
    assert np.corrcoef(lips, WAVES["jawOpen"])[0, 1] > 0.9
    with pytest.raises(ConfigError, match="name one with --retarget-to"):
        extract_poses(tmp_path / "body.npz", tmp_path / "no.npz", beside)


def test_what_has_no_face_or_needs_a_body_is_refused_in_a_line(talk, tmp_path):
    body = Pose.of(64, 64, body=np.full((18, 3), 20.0))
    write_people(tmp_path / "body.json", PeopleClip.of([body, body], 25))
    with pytest.raises(InputError, match=r"body.json: no frame shows a face"):
        convert_film_face(tmp_path / "body.json", tmp_path / "a.csv", MOTION, MotionEdits())
    with pytest.raises(ConfigError, match="leave out --humanoid and --onto"):
        convert_film_face(talk, tmp_path / "a.csv", MOTION, MotionEdits(onto="dog"))
    assert not (tmp_path / "a.csv").exists()
    (tmp_path / "a.csv").write_text("time,jawOpen\n0,1\n1,0\n")
    with pytest.raises(InputError, match="name a picture or poses that show one"):
        extract_poses(tmp_path / "a.csv", tmp_path / "a.json", MOTION)


def test_the_command_writes_curves_of_a_pose_file(talk, tmp_path):
    out = tmp_path / "talk.csv"
    told = CliRunner().invoke(app, ["motion", str(talk), "-o", str(out), "--mirror"])
    assert told.exit_code == 0, told.output
    motion = read_motion_file(out)
    assert set(motion.curves) == set(ARKIT_CURVES) and len(motion) == FRAMES
    told = CliRunner().invoke(
        app, ["motion", str(talk), "-o", str(out), "--overlay", "a.mp4", "-y"]
    )
    assert told.exit_code == 2
