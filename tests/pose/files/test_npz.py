"""Our own compact file, and what is done to it by accident or on purpose."""

import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files import arrays, npz
from magicpose_cli.pose.files.arrays import MAX_ARCHIVE_BYTES
from magicpose_cli.pose.files.read_write import read_clip, write_clip, write_people

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def spatial(full_body):
    rng = np.random.default_rng(0)
    body, face = (rng.normal(size=(n, 3)).astype(np.float32) for n in (18, 68))
    body[4] = np.nan
    return replace(full_body, body_3d=body, face_3d=face)


def test_everything_comes_back_bit_for_bit(tmp_path, spatial, half_body, full_body, mesh):
    meshed = replace(full_body, face_mesh=mesh)
    clip = PeopleClip([[half_body, spatial], [], [meshed], [spatial]], 256, 256, 24000 / 1001)
    write_people(tmp_path / "a.npz", clip)
    back = read_clip(tmp_path / "a.npz")
    assert (back.width, back.height, back.fps, back.notes) == (256, 256, 24000 / 1001, [])
    assert [[p.equals(q) for p, q in zip(a, b, strict=True)]
            for a, b in zip(clip.people, back.people, strict=True)] == [
        [True, True], [], [True], [True]]  # fmt: skip


def test_guesses_are_no_poses_and_stay_behind(tmp_path, full_body):
    write_clip(tmp_path / "a.npz", [replace(full_body, body_guess=np.ones((18, 3)))], 25)
    assert read_clip(tmp_path / "a.npz").largest[0].equals(full_body)


def test_other_files_keep_the_points_without_the_mesh(tmp_path, full_body, mesh):
    for pose, name in ((full_body, "a.json"), (replace(full_body, face_mesh=mesh), "b.json")):
        write_clip(tmp_path / name, [pose], 25)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_would_be_too_large_with_meshes_is_written_without(
    tmp_path, spatial, mesh, monkeypatch
):
    clip = [replace(spatial, face_mesh=mesh)] * 4
    write_clip(tmp_path / "a.npz", clip, 25)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        size = sum(member.file_size for member in archive.infolist())
    monkeypatch.setattr(npz, "MAX_ARCHIVE_BYTES", size - 1)
    monkeypatch.setattr(arrays, "MAX_ARCHIVE_BYTES", size - 1)
    write_clip(tmp_path / "b.npz", clip, 25)
    assert read_clip(tmp_path / "b.npz").largest[0].equals(spatial)
    with pytest.raises(InputError, match="MB of arrays"):
        read_clip(tmp_path / "a.npz")


def test_it_is_smaller_than_json(tmp_path, full_body):
    rng = np.random.default_rng(0)
    poses = [full_body.map_points(lambda p: p + rng.normal(size=p.shape), 256, 256)] * 1
    for _ in range(49):
        poses.append(full_body.map_points(lambda p: p + rng.normal(size=p.shape), 256, 256))
    for name in ("a.npz", "a.json"):
        write_clip(tmp_path / name, poses, 25)
    npz, json = ((tmp_path / name).stat().st_size for name in ("a.npz", "a.json"))
    assert npz < 0.5 * json


def changed(path, **others):
    with np.load(path) as former:
        np.savez(path, **{**former, **others})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"magicpose_poses": np.array(2)}, "version 2"),
        ({"magicpose_poses": np.array([1])}, "magicpose_poses: expected whole numbers"),
        ({"size": np.array([0, 256])}, "size: expected pixels"),
        ({"size": np.array([256.0, 256.0])}, "size: expected whole numbers"),
        ({"fps": np.array(np.nan)}, "fps"),
        ({"people": np.array([1, 1, 1])}, "body: expected float numbers of shape (3, 18, 3)"),
        ({"people": np.array([3, -1])}, "people: expected numbers of people"),
        ({"people": np.zeros(0, int)}, "people: expected 1 to"),
        ({"people": np.array([2**62, 2**62])}, "people"),
        ({"body": np.zeros((2, 17, 3))}, "body: expected float numbers"),
        ({"face": np.full((2, 68, 3), np.nan)}, "face: expected pixels"),
        ({"left_hand": np.full((2, 21, 3), 5.0)}, "left_hand: expected pixels"),
        ({"body_3d_of": np.array([0, 0])}, "body_3d_of: expected ascending"),
        ({"body_3d_of": np.array([0, 9])}, "body_3d_of: expected ascending"),
        ({"face_3d": np.full((2, 68, 3), np.inf)}, "face_3d: expected finite"),
        ({"face_mesh_of": np.array([1, 0])}, "face_mesh_of: expected ascending"),
        ({"face_mesh": np.zeros((2, 468, 3))}, "face_mesh: expected float numbers of shape"),
        ({"face_mesh": np.full((2, 478, 3), np.nan)}, "face_mesh: expected pixels"),
        ({"face_mesh": np.full((2, 478, 3), -2e6)}, "face_mesh: expected pixels"),
    ],
)
def test_what_does_not_fit_is_one_line_naming_the_array(tmp_path, spatial, mesh, wrong, named):
    path = tmp_path / "a.npz"
    write_clip(path, [replace(spatial, face_mesh=mesh)] * 2, 25)
    changed(path, **wrong)
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        read_clip(path)
    assert str(caught.value).startswith(str(path)) and named in str(caught.value)


def header_of(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "shape",
    ["(10000000000000, 18, 3)", "(-1, 18, 3)", "(2, 18", "'x'", "(" * 3000, "(4.0, 2)"],
)
def test_a_header_that_lies_takes_no_memory(tmp_path, shape):
    import tracemalloc

    (tmp_path / "a.npy").write_bytes(header_of(shape) + b"\0" * 96)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("body.npy", header_of(shape) + b"\0" * 96)
    for name in ("a.npy", "a.npz"):
        tracemalloc.start()
        with pytest.raises(InputError, match=r"^[^\n]*$"):
            read_clip(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    import tracemalloc

    path = tmp_path / "bomb.npz"
    block = b"\0" * (1 << 24)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("body.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(MAX_ARCHIVE_BYTES // len(block) + 1):
            member.write(block)
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    with pytest.raises(InputError, match="holds 528 MB of arrays"):
        read_clip(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_file_that_is_really_too_large_is_refused_by_its_size(tmp_path):
    path = tmp_path / "large.npy"
    path.write_bytes(header_of("(2, 18, 3)"))
    os.truncate(path, MAX_ARCHIVE_BYTES + 1)  # sparse: no disk is taken
    with pytest.raises(InputError, match="MB of arrays"):
        read_clip(path)


@settings(RELAXED, max_examples=60)
@given(cut=st.integers(0, 4000), place=st.integers(0, 4000), byte=st.integers(0, 255))
def test_any_damage_is_read_or_refused_in_one_line(tmp_path, half_body, cut, place, byte):
    path = tmp_path / "a.npz"
    if not path.exists():
        write_clip(path, [half_body], 25)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    damaged = tmp_path / "b.npz"
    damaged.write_bytes(content[: len(content) - cut % 3 * (cut % len(content))])
    try:
        clip = read_clip(damaged)
    except InputError as error:
        assert str(error).isprintable()
    else:
        assert len(clip.people) == 1


def test_an_array_beside_ours_is_no_harm(tmp_path, half_body):
    write_clip(tmp_path / "a.npz", [half_body], 25)
    changed(tmp_path / "a.npz", comment=np.array([1.0]))
    assert read_clip(tmp_path / "a.npz").largest[0].equals(half_body)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="no array of NumPy's"):
        read_clip(tmp_path / "a.npz")
