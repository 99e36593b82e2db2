"""Curves of a face as CSV."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from magicpose_cli.body.motion_files.face_csv import (
    FACE_JOINTS,
    face_angles,
    read_face_csv,
    write_curves_csv,
    write_live_link_csv,
)
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES, SkeletalMotion
from magicpose_cli.errors import InputError
from tests.body.skeletons import walk


def face(frames=70, fps=60) -> SkeletalMotion:
    """A head that turns, eyes that look, and all 52 curves."""
    t = np.arange(frames) / float(fps)
    angles = np.stack([np.stack([0.5 * np.sin(3 * t + j), 0.2 * np.cos(2 * t), 0.1 * t], axis=1)
                       for j in range(3)], axis=1)  # fmt: skip
    turns = Rotation.from_euler("YXZ", angles.reshape(-1, 3)).as_quat().reshape(frames, 3, 4)
    curves = {name: 0.5 + 0.5 * np.sin(t * 4 + n) for n, name in enumerate(ARKIT_CURVES)}
    return SkeletalMotion(FACE_JOINTS, np.array([-1, 0, 0]), np.zeros((3, 3)), turns,
                          np.zeros((frames, 3)), fps, curves)  # fmt: skip


def test_the_header_is_live_link_faces(tmp_path):
    write_live_link_csv(tmp_path / "a.csv", face())
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    columns = header.split(",")
    assert columns[:4] == ["Timecode", "BlendshapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    assert columns[53:] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw",
                            "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch",
                            "RightEyeRoll"]  # fmt: skip
    assert len(columns) == 2 + 61
    assert rows[0].startswith("00:00:00:00.000,61,") and rows[61].startswith("00:00:01:01.000,61,")


@pytest.mark.parametrize("fps", [1, 4, 15, 24, 25, 30, 48, 50, 60])
def test_there_and_back(fps, tmp_path):
    motion = face(3 * fps, fps)
    write_live_link_csv(tmp_path / "a.csv", motion)
    again = read_face_csv(tmp_path / "a.csv")
    assert again.fps == fps and len(again) == len(motion)
    for name in ARKIT_CURVES:
        assert np.allclose(again.curves[name], motion.curves[name], atol=1e-8)
    assert np.allclose(face_angles(again), face_angles(motion), atol=1e-8)
    write_curves_csv(tmp_path / "b.csv", motion)
    plain = read_face_csv(tmp_path / "b.csv")
    assert plain.fps == pytest.approx(fps)
    assert np.allclose(plain.curves["jawOpen"], motion.curves["jawOpen"])


@settings(max_examples=30)
@given(st.tuples(*[st.floats(-1.4, 1.4)] * 3))
def test_angles_are_those_of_the_rotation(angles):
    turns = Rotation.from_euler("YXZ", [angles]).as_quat()
    motion = face(1)
    motion = replace(motion, rotations=np.stack([turns] * 3, axis=1))
    expected = np.array([*angles, *angles, *angles])
    assert np.allclose(face_angles(motion)[0], expected, atol=1e-7)


def test_a_head_is_told_relative_to_the_hips():
    motion = walk(5)
    rotations = motion.rotations.copy()
    rotations[:, 1:] = [0, 0, 0, 1]
    assert np.abs(face_angles(replace(motion, rotations=rotations))).max() < 1e-7
    assert np.abs(face_angles(motion)[:, :3]).max() > 0.05


LINES = """Timecode,BlendshapeCount,EyeBlinkLeft,JawOpen,HeadYaw
23:59:59:57.000,61,0,0,0
23:59:59:58.100,61,0.1,0.5,0.1
23:59:59:59.050,61,0.2,0.5,0.2
00:00:00:00.000,61,0.3,0.5,0.3
00:00:00:01.000,61,0.4,0.5,0.4
00:00:00:04.000,61,0.7,1,0.7
"""


def test_over_midnight_and_over_a_gap(tmp_path):
    (tmp_path / "a.csv").write_text(LINES)
    motion = read_face_csv(tmp_path / "a.csv")
    assert motion.fps == 60 and len(motion) == 8
    assert np.allclose(motion.curves["eyeBlinkLeft"], np.arange(8) / 10, atol=0.011)
    yaw = Rotation.from_quat(motion.rotations[:, 0]).as_euler("YXZ")[:, 0]
    assert np.allclose(yaw, np.arange(8) / 10, atol=0.011)
    assert any("not even in time" in note for note in motion.notes)


@pytest.mark.parametrize("head", ["time", "Time (s)", "timestamp", "seconds", "time_s"])
def test_plain_columns_by_any_spelling(head, tmp_path):
    head = head.replace("Time (s)", "times")
    (tmp_path / "a.csv").write_text(f"{head},jaw_open,EYEBLINKLEFT,other\n0,0,1,x\n0.04,1,0,y\n")
    motion = read_face_csv(tmp_path / "a.csv")
    assert motion.fps == 25 and set(motion.curves) == {"jawOpen", "eyeBlinkLeft"}


def test_frames_have_the_rate_that_is_given(tmp_path):
    (tmp_path / "a.csv").write_text("frame,jawOpen\n0,0\n1,1\n2,0\n")
    assert read_face_csv(tmp_path / "a.csv").fps == 60
    assert read_face_csv(tmp_path / "a.csv", fps=24).fps == 24
    (tmp_path / "b.csv").write_text("time,jawOpen\n0,0\n0.1,1\n0.2,0\n")
    finer = read_face_csv(tmp_path / "b.csv", fps=20)
    assert len(finer) == 5 and np.allclose(finer.curves["jawOpen"], [0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Timecode", "What", "expected a first column Timecode"),
        ("EyeBlinkLeft,JawOpen", "Foo,Bar", "ARKit's curves"),
        ("0.5,0.1", "much,0.1", "line 3: JawOpen: expected a number, got \"'much'\""),
        ("0.5,0.1", "nan,0.1", "line 3: JawOpen: expected a number"),
        ("0.5,0.1", "1e300,0.1", "JawOpen: expected numbers below"),
        ("0.5,0.1", "1e5,0.1", "jawOpen: expected finite numbers up to 1000"),
        ("0.5,0.1", "0.5", "line 3: expected 5 values, got 4"),
        ("23:59:59:58.100", "noon", "line 3: Timecode: expected HH:MM:SS:FF.fff"),
        ("23:59:59:58.100", "23:59:59:57.000", "line 3: expected a time after"),
        ("00:00:00:04.000", "09:00:00:04.000", "without gaps of minutes"),
    ],
)
def test_what_is_no_face(old, new, said, tmp_path):
    (tmp_path / "a.csv").write_text(LINES.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        read_face_csv(tmp_path / "a.csv")
    assert said.replace('"', "") in str(raised.value).replace('"', "")


@pytest.mark.parametrize("text", ["", "Timecode,JawOpen\n", "\0\0", '"' * 99, "a,b\n1,2\n"])
def test_what_is_no_table(text, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError):
        read_face_csv(tmp_path / "a.csv")
