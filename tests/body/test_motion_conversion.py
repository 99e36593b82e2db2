"""From file to file, and what a motion is like."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_conversion import MotionEdits, convert_motion, edited_motion
from magicpose_cli.body.motion_editing import mirrored_motion
from magicpose_cli.body.motion_files.bvh_reader import read_bvh
from magicpose_cli.body.motion_files.files import read_motion_file, write_motion_file
from magicpose_cli.body.motion_plot import write_motion_plot
from magicpose_cli.body.motion_summary import (
    foot_contacts,
    joint_angles,
    summarize_motion,
    turned_angles,
)
from magicpose_cli.body.skeletal_motion import forward_kinematics
from magicpose_cli.errors import ConfigError, InputError, OutputError
from tests.body.skeletons import LAFAN1, MIXAMO, bvh_text, walk


@pytest.fixture
def source(tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(45), MIXAMO))
    return tmp_path / "walk.bvh"


def test_a_file_becomes_another_with_all_edits(source, tmp_path):
    (tmp_path / "next.bvh").write_text(bvh_text(walk(30), LAFAN1))
    edits = MotionEdits(start_s=0.2, end_s=1.2, mirror=True, speed=2, smooth=1, fps=60, loop=True,
                        blend=(tmp_path / "next.bvh", 0.2))  # fmt: skip
    result = convert_motion(source, tmp_path / "out.glb", edits, plot_to=tmp_path / "out.png")
    again = read_motion_file(tmp_path / "out.glb")
    # 30 frames become 15; 6 of them go over into 30 others; 15 of the 39 close the loop
    assert len(again) == len(result.motion) == (15 + 30 - 6 - 15 - 1) * 2 + 1
    assert float(again.fps) == 60 and again.index("leftUpperArm") > 0
    assert result.summary.bones == len(again.names) == 22
    assert any("unit" in note for note in result.notes)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width == 1400


def test_edits_come_in_their_order(source):
    motion = read_bvh(source)
    cut = edited_motion(motion, MotionEdits(start_s=0.5, speed=0.5))
    assert np.allclose(cut.root_m[0], motion.root_m[15])
    assert len(cut) == 59
    mirrored = edited_motion(motion, MotionEdits(mirror=True))
    assert np.array_equal(mirrored.root_m, mirrored_motion(motion).root_m)
    assert edited_motion(motion, MotionEdits()) is motion


def test_nothing_is_written_where_something_is_wrong(source, tmp_path):
    before = sorted(tmp_path.iterdir())
    for out, edits, kind in (
        ("a.fbx", MotionEdits(), OutputError),
        ("a.bvh", MotionEdits(start_s=9), ConfigError),
        ("a.bvh", MotionEdits(speed=0), ConfigError),
        ("a.bvh", MotionEdits(blend=(tmp_path / "none.bvh", 1)), InputError),
        ("walk.bvh", MotionEdits(), OutputError),
    ):
        with pytest.raises(kind):
            convert_motion(source, tmp_path / out, edits)
    with pytest.raises(OutputError, match=r"written as \.png"):
        convert_motion(source, None, MotionEdits(), plot_to=tmp_path / "a.jpg")
    assert sorted(tmp_path.iterdir()) == before


def test_other_joints_do_not_blend(source, tmp_path):
    (tmp_path / "face.csv").write_text("time,jawOpen\n0,0\n0.1,1\n")
    with pytest.raises(ConfigError, match="other joints"):
        convert_motion(source, None, MotionEdits(blend=(tmp_path / "face.csv", 0.5)))


def test_figures_of_a_walk():
    told = summarize_motion(walk(61))
    assert (told.joints, told.frames, told.fps, told.bones) == (22, 61, 30, 22)
    assert 1.3 < told.height_m < 1.7
    assert told.speed[0] == pytest.approx(1.2, abs=0.03)
    assert told.traveled_m == pytest.approx(2.4, abs=0.02)


def test_who_stands_has_contact_and_who_jumps_has_none():
    still = walk(60)
    still = replace(still, rotations=still.rotations[[7] * 60], root_m=still.root_m[[7] * 60])
    assert summarize_motion(still).contact == {"left": 1.0, "right": 1.0}
    root = still.root_m.copy()
    root[20:40, 1] += 0.5
    bones = humanoid_joints(still.names, still.parents)
    jump = replace(still, root_m=root)
    stands = foot_contacts(jump, forward_kinematics(jump), bones)["left"]
    assert not stands[19:41].any() and stands[:15].all() and stands[45:].all()


def test_angles_of_knees_and_elbows():
    motion = walk(31)
    bones = humanoid_joints(motion.names, motion.parents)
    angles = joint_angles(forward_kinematics(motion), bones)
    assert set(angles) == {f"{side} {joint}" for side in ("left", "right")
                           for joint in ("hip", "knee", "elbow")}  # fmt: skip
    swing = np.sin(2 * np.pi * np.arange(31) / 30)
    assert np.allclose(angles["left knee"], 25 + 20 * swing, atol=0.01)
    assert np.allclose(angles["right elbow"], 30 - 20 * swing, atol=0.01)
    assert next(iter(turned_angles(motion))).endswith(("Leg", "Arm"))


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_a_plot_shows_the_body_and_its_lines(frames, tmp_path):
    motion = replace(walk(frames), curves={"jawOpen": np.linspace(0, 1, frames)})
    write_motion_plot(tmp_path / "a.png", motion, "a walk\x1b[31m")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    green, orange = (np.abs(pixels - color).sum(axis=-1) < 30 for color in
                     ([0, 158, 115], [213, 94, 0]))  # fmt: skip
    assert green[70:250].sum() > 50 and orange[70:250].sum() > 50  # bodies
    assert green[440:].sum() > 50 and orange[440:].sum() > 50  # lines
    assert (pixels[:, -5:] == 255).all()


def test_a_plot_of_a_face_or_of_boxes(tmp_path):
    (tmp_path / "a.csv").write_text("time,jawOpen\n0,0\n0.1,1\n0.2,0\n")
    write_motion_plot(tmp_path / "a.png", read_motion_file(tmp_path / "a.csv"), "a face")
    boxes = replace(walk(9), names=tuple(f"box{number}" for number in range(22)))
    write_motion_plot(tmp_path / "b.png", boxes, "boxes")
    assert summarize_motion(boxes).bones == 0
    with Image.open(tmp_path / "a.png") as face, Image.open(tmp_path / "b.png") as other:
        assert face.height < other.height
    with pytest.raises(OutputError, match="exists"):
        write_motion_plot(tmp_path / "a.png", boxes, "again")


def test_a_glb_in_another_place_is_not_touched(source, tmp_path):
    write_motion_file(tmp_path / "a.glb", walk(3))
    content = (tmp_path / "a.glb").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        convert_motion(source, tmp_path / "a.glb", MotionEdits())
    assert (tmp_path / "a.glb").read_bytes() == content
