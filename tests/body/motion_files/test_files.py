"""Motion files by their names, and our own archive."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from magicpose_cli.body.motion_files.files import (
    lost_in,
    read_motion_file,
    write_motion_file,
)
from magicpose_cli.body.motion_files.motion_npz import read_motion_npz, write_motion_npz
from magicpose_cli.body.skeletal_motion import forward_kinematics
from magicpose_cli.errors import InputError, OutputError
from tests.body.skeletons import LIMBS, directions, posed, walk


@pytest.fixture
def motion():
    curves = {"jawOpen": np.linspace(0, 1, 12), "tongueOut": np.zeros(12)}
    return replace(walk(12), curves=curves, euler_orders=("ZXY",) * 22, fps=Fraction(30000, 1001))


def test_our_own_is_exact(motion, tmp_path):
    write_motion_npz(tmp_path / "a.npz", motion)
    again = read_motion_npz(tmp_path / "a.npz")
    for name in ("parents", "rest_offsets_m", "root_m"):
        assert np.array_equal(getattr(again, name), getattr(motion, name))
    assert np.abs(again.rotations - motion.rotations).max() < 1e-15
    assert (again.names, again.fps, again.euler_orders) == (
        motion.names, motion.fps, motion.euler_orders)  # fmt: skip
    assert list(again.curves) == list(motion.curves)
    assert np.array_equal(again.curves["jawOpen"], motion.curves["jawOpen"])
    write_motion_npz(tmp_path / "b.npz", replace(motion, fps=29.9, curves={}, euler_orders=()))
    assert read_motion_npz(tmp_path / "b.npz").fps == 29.9


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fps", np.array([30, 0]), "frames a second, got 30/0"),
        ("fps", np.array(-1.0), "frames a second, got -1"),
        ("names", np.array(["a"] * 22), "names that differ"),
        ("names", np.array(["x" * 999] + ["a"] * 21), "texts of up to 200"),
        ("names", np.arange(22), "texts"),
        ("parents", np.zeros(22, int), "one root"),
        ("rotations", np.zeros((12, 22, 4)), "quaternions of length 1"),
        ("rotations", np.full((12, 22, 4), np.nan), "quaternions of length 1"),
        ("rotations", np.zeros((0, 22, 4)), "frames: expected 1 to"),
        ("rotations", np.zeros((12, 21, 4)), r"float numbers \(n, 22, 4\)"),
        ("root_m", np.full((12, 3), 1e9), "root: expected finite numbers up to 100000 m"),
        ("curves", np.full((12, 2), np.nan), "jawOpen: expected finite"),
        ("euler_orders", np.array(["XYZ"]), "22 texts"),
        ("magicpose_motion", np.array(2), "version 1"),
        ("rest_offsets_m", np.array([None]), "pickle"),
    ],
)
def test_what_does_not_fit(name, value, said, motion, tmp_path):
    write_motion_npz(tmp_path / "a.npz", motion)
    with np.load(tmp_path / "a.npz") as archive:
        arrays = dict(archive) | {name: value}
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(InputError, match=said):
        read_motion_file(tmp_path / "b.npz")


@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".npz"])
def test_bodies_there_and_back(suffix, motion, tmp_path):
    write_motion_file(tmp_path / f"a{suffix}", motion)
    again = read_motion_file(tmp_path / f"a{suffix}")
    order = [again.names.index(name) for name in motion.names]
    assert np.abs(forward_kinematics(again)[:, order] - forward_kinematics(motion)).max() < 1e-5
    assert float(again.fps) == pytest.approx(30000 / 1001)
    with pytest.raises(OutputError, match="exists"):
        write_motion_file(tmp_path / f"a{suffix}", motion)
    write_motion_file(tmp_path / f"a{suffix}", motion, overwrite=True)


@pytest.mark.parametrize("name", ["a.csv", "a.arkit.csv"])
def test_faces_there_and_back(name, motion, tmp_path):
    write_motion_file(tmp_path / name, motion)
    again = read_motion_file(tmp_path / name)
    assert np.allclose(again.curves["jawOpen"], motion.curves["jawOpen"], atol=1e-6)


def test_a_glb_has_vrms_bones_in_a_t_pose(tmp_path):
    source = posed(walk(6), {"leftUpperArm": (0, 0, -80), "rightUpperArm": (0, 0, 80)})
    source = replace(source, names=tuple(name.replace("UpperArm", "Arm") for name in source.names))
    write_motion_file(tmp_path / "a.glb", source)
    again = read_motion_file(tmp_path / "a.glb")
    assert "leftUpperArm" in again.names
    arm = again.rest_offsets_m[again.index("leftLowerArm")]
    assert np.allclose(arm[1:], 0, atol=1e-6) and arm[0] > 0.2
    assert np.allclose(directions(again, LIMBS), directions(walk(6), LIMBS), atol=1e-5)


def test_what_is_lost_is_said(motion, tmp_path):
    assert lost_in(tmp_path / "a.npz", motion) == ()
    assert "face curves are left out" in lost_in(tmp_path / "a.bvh", motion)[0]
    assert "head and eyes alone" in lost_in(tmp_path / "a.csv", motion)[0]
    assert "written as 0" in lost_in(tmp_path / "a.csv", replace(motion, curves={}))[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dance.mp4", "found in films and poses by"), ("poses.json", "found in films and poses by"),
        ("a.fbx", "Blender exports"), ("a.pkl", "is not opened"), ("a", "without suffix"),
        ("a.bvh", "cannot be read"), ("a.glb", "cannot be read"), ("a.csv", "cannot be read"),
        ("a.npz", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_read(name, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read_motion_file(tmp_path / name)


@pytest.mark.parametrize("name", ["a.json", "a.fbx", "a", "a.vrm"])
def test_what_is_not_written(name, motion, tmp_path):
    with pytest.raises(OutputError, match="choose"):
        write_motion_file(tmp_path / name, motion)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a.bvh").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_motion_file(tmp_path / "a.bvh")


def test_an_archive_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="holds no motion"):
        read_motion_file(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(InputError, match="no NumPy archive"):
        read_motion_file(tmp_path / "b.npz")
