"""Poses of AMASS and SMPL-X."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.motion_files.amass import (
    AMASS_BODY,
    AMASS_HANDS,
    JOINTS,
    amass_skeleton,
    read_amass,
)
from magicpose_cli.body.motion_files.files import read_motion_file
from magicpose_cli.body.skeletal_motion import forward_kinematics, rest_positions
from magicpose_cli.errors import InputError


def standing(width: int, frames: int = 4) -> dict[str, np.ndarray]:
    """Somebody who stands with z up, faces -y, and lifts the left arm to the front."""
    poses = np.zeros((frames, width), np.float32)
    poses[:, :3] = [np.pi / 2, 0, 0]
    left_shoulder = AMASS_BODY.index("left_shoulder")
    poses[:, 3 * left_shoulder + 1] = -np.pi / 2 * np.arange(frames) / (frames - 1)
    trans = np.stack([np.zeros(frames), -np.arange(frames) / 10, np.full(frames, 0.94)], axis=1)
    return {"poses": poses, "trans": trans, "mocap_framerate": np.array(119.9999),
            "gender": np.array("neutral"), "betas": np.zeros(16)}  # fmt: skip


@pytest.mark.parametrize("width", JOINTS)
def test_z_up_becomes_y_up(width, tmp_path):
    np.savez(tmp_path / "a.npz", **standing(width))
    motion = read_motion_file(tmp_path / "a.npz")
    assert motion.names == JOINTS[width] and motion.fps == 120
    places = forward_kinematics(motion)
    at = motion.index
    assert (places[:, at("head"), 1] > places[:, at("pelvis"), 1] + 0.5).all()
    assert np.allclose(places[:, 0, 2], np.arange(4) / 10)
    assert places[0, at("left_wrist"), 0] > 0.5  # to the left at first, then to the front
    assert places[-1, at("left_wrist"), 2] - places[-1, 0, 2] > 0.4
    assert np.allclose(places[:, at("left_foot"), 1], 0.02, atol=0.02)


def test_the_skeleton_is_an_adult_in_a_t_pose():
    names = JOINTS[165]
    assert len(names) == 55 and len(set(names)) == 55 and len(AMASS_HANDS) == 30
    parents, offsets = amass_skeleton(names)
    places = dict(zip(names, rest_positions(parents, offsets), strict=True))
    assert 1.4 < places["head"][1] < 1.7
    assert np.allclose(places["left_wrist"] * [-1, 1, 1], places["right_wrist"])
    assert places["left_middle3"][0] > places["left_middle1"][0] > places["left_wrist"][0] > 0.5
    assert places["left_eye_smplhf"][2] > 0.05 and places["left_ankle"][1] < 0.1


def test_it_goes_onto_the_humanoid(tmp_path):
    np.savez(tmp_path / "a.npz", **standing(165))
    human = humanoid(read_amass(tmp_path / "a.npz"))
    assert {"leftEye", "jaw", "leftThumbDistal", "rightToes"} <= set(human.names)
    hips = Rotation.from_quat(human.rotations[:, 0])
    assert hips.magnitude().max() < 1e-6  # upright


def test_pickles_beside_are_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", **standing(156), latents=np.array([{"a": 1}], dtype=object))
    assert len(read_amass(tmp_path / "a.npz")) == 4
    other = standing(156) | {"poses": np.array([None], dtype=object)}
    np.savez(tmp_path / "b.npz", **other)
    with pytest.raises(InputError, match="poses is a pickle"):
        read_amass(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"poses": np.zeros((4, 100))}, "rows of 66, 72, 156, 165 numbers, got 100"),
        ({"poses": np.full((4, 156), np.nan)}, "poses: expected finite"),
        ({"trans": np.zeros((5, 3))}, r"trans: expected float numbers \(4, 3\)"),
        ({"trans": np.full((4, 3), np.inf)}, "root: expected finite"),
        ({"mocap_framerate": np.array(0.0)}, "frames a second, got 0"),
        ({"mocap_framerate": np.array(np.nan)}, "frames a second"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "frames: expected 1 to"),
    ],
)
def test_what_does_not_fit(change, said, tmp_path):
    np.savez(tmp_path / "a.npz", **(standing(156) | change))
    with pytest.raises(InputError, match=said):
        read_motion_file(tmp_path / "a.npz")


def test_a_rate_that_is_not_told_is_a_note(tmp_path):
    arrays = standing(66)
    del arrays["mocap_framerate"]
    np.savez(tmp_path / "a.npz", **arrays)
    assert any("no frame rate" in note for note in read_amass(tmp_path / "a.npz").notes)
    assert read_amass(tmp_path / "a.npz", fps=50).fps == 50
