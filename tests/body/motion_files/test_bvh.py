"""BVH of several programs, read and written."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.motion_files.bvh_reader import read_bvh
from magicpose_cli.body.motion_files.bvh_writer import euler_angles, write_bvh
from magicpose_cli.body.skeletal_motion import SkeletalMotion, forward_kinematics, world_rotations
from magicpose_cli.errors import InputError, OutputError
from tests.body.skeletons import (
    LAFAN1,
    LIMBS,
    MIXAMO,
    MOCAPNET,
    ROKOKO,
    STYLES,
    TRUNK,
    bvh_text,
    directions,
    lafan_frames,
    reframed,
    walk,
)

TAKES = sorted(Path(os.environ.get("MAGICPOSE_TEST_MOTIONS", "/nonexistent")).glob("*.bvh"))
"""Takes of others, which are not in the repository: a folder named by the environment."""


def saved(tmp_path, text: str) -> Path:
    path = tmp_path / "take.bvh"
    path.write_text(text)
    return path


def apart_deg(first: SkeletalMotion, second: SkeletalMotion) -> float:
    order = [second.names.index(name) for name in first.names]
    turns = Rotation.from_quat(first.rotations.reshape(-1, 4)).inv() * Rotation.from_quat(
        second.rotations[:, order].reshape(-1, 4)
    )
    return float(np.degrees(turns.magnitude().max()))


@pytest.mark.parametrize("name", STYLES)
def test_files_of(name, tmp_path):
    """Unit, up, names, orders and channels as that program writes them."""
    style = STYLES[name]
    truth = walk(12, bones=list(style.names))
    motion = read_bvh(saved(tmp_path, bvh_text(truth, style)))
    assert motion.fps == 30 and len(motion) == 12
    kept = [motion.index(style.names[bone]) for bone in truth.names]
    places, expected = forward_kinematics(motion)[:, kept], forward_kinematics(truth)
    if style.z_up:
        assert any("z is taken for up" in note for note in motion.notes)
    assert np.abs(places - expected).max() < 2e-5
    assert motion.euler_orders[0] == style.orders[0]
    assert motion.euler_orders[1] == style.orders[1]
    human = humanoid(motion)
    bones = [pair for pair in (*LIMBS, *TRUNK) if set(pair) <= set(human.names)]
    assert np.abs(directions(human, bones) - directions(truth, bones)).max() < 1e-4
    hips = Rotation.from_quat(world_rotations(human)[:, 0]).apply([0, 1, 0])
    assert (hips[:, 1] > 0.98).all()


def test_mixamo_names_units_and_constant_places(tmp_path):
    text = bvh_text(walk(3), MIXAMO)
    assert "JOINT mixamorig:LeftUpLeg" in text
    assert text.count("CHANNELS 6 Xposition Yposition Zposition Yrotation") == 22
    motion = read_bvh(saved(tmp_path, text))
    assert motion.notes == ("the unit is taken for centimeters: hips to head and a leg are 1.43 m",)
    assert motion.names[0] == "mixamorig:Hips" and "mixamorig:Head_end" in motion.names


def test_lafan1_whose_bones_lead_along_x(tmp_path):
    """LAFAN1's rest is no pose: every OFFSET leads along x, the root's is somewhere in the room."""
    truth = walk(30)
    source = reframed(truth, lafan_frames(truth.names))
    source = replace(source, rest_offsets_m=source.rest_offsets_m + np.eye(22)[0][:, None] * 2.3)
    text = bvh_text(source, LAFAN1)
    assert "OFFSET 41.0000000 0.0000000 0.0000000" in text.replace("-0.0000000", "0.0000000")
    motion = read_bvh(saved(tmp_path, text))
    assert not any("for up" in note for note in motion.notes)
    human = humanoid(motion)
    bones = [*LIMBS, *TRUNK]
    assert np.abs(directions(human, bones) - directions(truth, bones)).max() < 1e-4
    trunk = [truth.index(name) for name in ("hips", "spine", "chest", "neck", "head")]
    own, true = world_rotations(human), world_rotations(truth)
    for joint in trunk:
        name = truth.names[joint]
        turn = Rotation.from_quat(own[:, human.index(name)]).inv() * Rotation.from_quat(
            true[:, joint]
        )
        assert np.degrees(turn.magnitude()).max() < 0.01  # no pelvis that is turned by 90 degrees


def test_rokoko_in_meters_below_another_root(tmp_path):
    """A root that stays where it is, above hips that travel."""
    lines = bvh_text(walk(8), ROKOKO).split("\n")
    place = lines.index("MOTION")
    inner = [line.replace("ROOT Hips", "JOINT Hips") for line in lines[1:place]]
    head = ["HIERARCHY", "ROOT Reference", "{", "OFFSET 0 0 0",
            "CHANNELS 3 Zrotation Xrotation Yrotation", *inner, "}"]  # fmt: skip
    rows = [f"0 0 90 {line}" for line in lines[place + 3 :] if line]
    motion = read_bvh(saved(tmp_path, "\n".join([*head, *lines[place : place + 3], *rows])))
    assert motion.names[0] == "Hips" and "Hips travels" in motion.notes[0]
    truth = forward_kinematics(walk(8))
    turned = truth @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])  # by 90 degrees about y
    kept = [motion.index(ROKOKO.names[bone]) for bone in walk(1).names]
    assert np.abs(forward_kinematics(motion)[:, kept] - turned).max() < 2e-5
    assert "taken for meters" in motion.notes[1]


def test_mocapnet_in_inches_and_what_may_be_given_instead(tmp_path):
    path = saved(tmp_path, bvh_text(walk(3, bones=list(MOCAPNET.names)), MOCAPNET))
    assert "inches" in read_bvh(path).notes[0]
    given_unit = read_bvh(path, unit_m=0.01, up="z", fps=25)
    assert given_unit.fps == 25 and given_unit.notes == ()
    ratio = given_unit.rest_offsets_m / np.where(
        read_bvh(path, up="z").rest_offsets_m, read_bvh(path, up="z").rest_offsets_m, np.nan
    )
    assert np.allclose(ratio[~np.isnan(ratio)], 0.01 / 0.0254)


@pytest.mark.parametrize("name", STYLES)
def test_there_and_back(name, tmp_path):
    motion = read_bvh(saved(tmp_path, bvh_text(walk(20, bones=list(STYLES[name].names)),
                                               STYLES[name])))  # fmt: skip
    write_bvh(tmp_path / "again.bvh", motion)
    again = read_bvh(tmp_path / "again.bvh")
    assert sorted(again.names) == sorted(motion.names)
    assert apart_deg(motion, again) < 0.01
    order = [again.names.index(joint) for joint in motion.names]
    assert np.abs(forward_kinematics(again)[:, order] - forward_kinematics(motion)).max() < 1e-5
    assert tuple(again.euler_orders[n] for n in order) == motion.euler_orders
    assert again.fps == motion.fps


@settings(max_examples=40)
@given(
    st.sampled_from(["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]),
    st.integers(0, 10**6),
    st.floats(0.5, 40),
)
def test_angles_make_the_rotations_and_never_jump(order, seed, speed):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis *= np.radians(speed) / np.linalg.norm(axis)
    steps = Rotation.from_rotvec(np.tile(axis, (60, 1)))
    turns = [Rotation.random(random_state=seed % 2**31)]
    for step in steps:
        turns.append(turns[-1] * step)
    turns = Rotation.concatenate(turns)
    angles = euler_angles(turns.as_quat(), order)
    back = Rotation.from_euler(order, angles, degrees=True)
    assert np.degrees((turns.inv() * back).magnitude()).max() < 1e-3
    jumps = np.abs(np.diff(angles, axis=0)).max(axis=1)
    lock = np.abs(np.cos(np.radians(angles[:, 1])))
    away = np.minimum(lock[1:], lock[:-1]) > 0.5
    assert (jumps[away] < 3 * speed + 1).all()


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_turn_through_gimbal_lock_goes_on(order, sign):
    middle = sign * np.linspace(60, 120, 61)  # 90 exactly among them
    given_angles = np.stack([np.full(61, 20.0), middle, np.full(61, -35.0)], axis=1)
    turns = Rotation.from_euler(order, given_angles, degrees=True)
    angles = euler_angles(turns.as_quat(), order)
    assert np.abs(np.diff(angles, axis=0)).max() < 1.1
    back = Rotation.from_euler(order, angles, degrees=True)
    assert np.degrees((turns.inv() * back).magnitude()).max() < 1e-3


def test_many_turns_are_counted_on(tmp_path):
    turns = Rotation.from_euler("Y", np.arange(0, 1000, 30)[:, None], degrees=True).as_quat()
    motion = SkeletalMotion(("root", "arm"), np.array([-1, 0]), np.array([[0, 0, 0], [0, 1.0, 0]]),
                            np.stack([turns, turns], axis=1), np.zeros((34, 3)), 30.0)  # fmt: skip
    write_bvh(tmp_path / "spin.bvh", motion)
    rows = np.loadtxt((tmp_path / "spin.bvh").read_text().split("Frame Time:")[1].split("\n")[1:])
    assert np.allclose(np.diff(rows[:, 5]), 30)
    with pytest.raises(OutputError, match="exists"):
        write_bvh(tmp_path / "spin.bvh", motion)


def test_places_of_joints_that_stretch_keep_their_median(tmp_path):
    lines = bvh_text(walk(9), MIXAMO).split("\n")
    joints = [line.split()[1] for line in lines if "JOINT" in line or "ROOT" in line]
    column = 6 * joints.index("mixamorig:LeftForeArm")
    for number in range(len(lines) - 10, len(lines) - 1):
        words = lines[number].split()
        words[column] = str(float(words[column]) + (20 if number == len(lines) - 2 else 0))
        lines[number] = " ".join(words)
    motion = read_bvh(saved(tmp_path, "\n".join(lines)))
    assert any("LeftForeArm by up to" in note for note in motion.notes)
    arm = motion.rest_offsets_m[motion.index("mixamorig:LeftForeArm")]
    assert np.allclose(arm, [0.27, 0, 0], atol=1e-6)


def test_places_near_zero_are_added_to_the_offset(tmp_path):
    style = replace(MIXAMO, all_places=True)
    lines = bvh_text(walk(2), style).split("\n")
    for number in (-3, -2):
        words = lines[number].split()
        for joint in range(1, 22):
            words[6 * joint : 6 * joint + 3] = ["0.0", "0.0", "0.0"]
        lines[number] = " ".join(words)
    motion = read_bvh(saved(tmp_path, "\n".join(lines)))
    kept = [motion.index(MIXAMO.names[bone]) for bone in walk(1).names]
    assert np.abs(forward_kinematics(motion)[:, kept] - forward_kinematics(walk(2))).max() < 2e-5


@pytest.mark.parametrize(
    ("time", "fps"),
    [("0.0333333", 30), ("0.033333", 30), ("0.03333", 30), ("0.0333667", 30000 / 1001),
     ("0.0083333", 120), (".04", 25), ("0,0166667", 60), ("0.016683", 60000 / 1001),
     ("0.07", 1 / 0.07)],
)  # fmt: skip
def test_rounded_frame_times_mean_rates(time, fps, tmp_path):
    text = bvh_text(walk(2), LAFAN1).replace("Frame Time: 0.033333", f"Frame Time: {time}")
    assert float(read_bvh(saved(tmp_path, text)).fps) == pytest.approx(fps, rel=1e-9)


SMALL = """HIERARCHY
ROOT a {{
  OFFSET 0 0 0
  CHANNELS {channels}
  JOINT b {{ OFFSET 0 10 0
    CHANNELS 1 Xrotation
    End Site {{ OFFSET 0 5 0 }}
  }}
}}
MOTION
Frames: {frames}
Frame Time: {time}
{rows}
"""


def small(
    channels="3 Xrotation Yrotation Zrotation", frames="2", time="0.1", rows="1 2 3 4\n5 6 7 8"
):
    return SMALL.format(channels=channels, frames=frames, time=time, rows=rows)


def test_braces_anywhere_and_joints_of_one_axis(tmp_path):
    motion = read_bvh(saved(tmp_path, small()))
    assert motion.names == ("a", "b", "b_end") and motion.euler_orders == ("XYZ", "", "")
    turn = Rotation.from_quat(motion.rotations[1, 1]).as_euler("XYZ", degrees=True)
    assert np.allclose(turn, [8, 0, 0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": "3"}, "tells 3 frames and holds 2"),
        ({"rows": "1 2 3 4\n5 6 7 8\n9 9", "frames": "3"}, "the last of 3 frames is cut off"),
    ],
)
def test_what_is_read_with_a_note(change, said, tmp_path):
    motion = read_bvh(saved(tmp_path, small(**change)))
    assert len(motion) == 2 and any(said in note for note in motion.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": "3 Xrotation Yrotation Wrotation"}, "line 4: expected CHANNELS"),
        ({"channels": "2 Xrotation Xrotation"}, "channels that differ"),
        ({"frames": "many"}, "line 11: expected Frames"),
        ({"frames": "99999999"}, "line 11: expected Frames"),
        ({"time": "0"}, "Frame Time: seconds above 0"),
        ({"time": "-1"}, "Frame Time: seconds above 0"),
        ({"time": "nan"}, "Frame Time: seconds above 0"),
        ({"time": "1e-9"}, "0.001 to 1000 frames a second"),
        ({"rows": "1 2 3 x"}, "line 13: expected numbers"),
        ({"rows": "1 2 nan 4"}, "numbers up to 1e+07 from here on, got 'nan'"),
        ({"rows": "1 2 3 1e300"}, "numbers up to 1e+07"),
        ({"rows": ""}, "frames: expected 1 to"),
    ],
)
def test_what_is_no_bvh(change, said, tmp_path):
    with pytest.raises(InputError) as raised:
        read_bvh(saved(tmp_path, small(**change)))
    assert said in str(raised.value) and str(raised.value).isprintable()


def test_a_file_that_is_cut_off(tmp_path):
    text = small()
    for end in range(0, text.index("MOTION"), 7):
        with pytest.raises(InputError):
            read_bvh(saved(tmp_path, text[:end]))
    with pytest.raises(InputError, match="cannot be read"):
        read_bvh(tmp_path / "none.bvh")


@pytest.mark.skipif(not TAKES, reason="no takes of others at hand: see MAGICPOSE_TEST_MOTIONS")
@pytest.mark.parametrize("take", TAKES, ids=lambda take: take.stem)
def test_real_takes_there_and_back_and_upright(take, tmp_path):
    motion = read_bvh(take)
    write_bvh(tmp_path / "again.bvh", motion)
    assert apart_deg(motion, read_bvh(tmp_path / "again.bvh")) < 0.01
    human = humanoid(motion)
    assert {"hips", "head", "leftFoot", "rightHand"} <= set(human.names)
    head = forward_kinematics(human)[:, human.index("head")]
    assert (head[:, 1] - human.root_m[:, 1] > 0.4).all()
    assert 0.3 < np.median(human.root_m[:, 1]) < 1.3
