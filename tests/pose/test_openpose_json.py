import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.pose.openpose_json import read_poses, write_poses


def entry(**changes):
    body = [0.0] * 54
    body[:3] = [100.0, 50.0, 1.0]
    person = {"pose_keypoints_2d": body, "face_keypoints_2d": None}
    person |= {key: changes.pop(key) for key in list(changes) if key.endswith("_2d")}
    return {"people": [person], "canvas_width": 200, "canvas_height": 100} | changes


def saved(tmp_path, content):
    path = tmp_path / "poses.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_written_reads_back_bit_for_bit(tmp_path, full_body, half_body, cut_off_close_up):
    poses = [full_body, Pose.of(256, 256), half_body, cut_off_close_up]
    write_poses(tmp_path / "poses.json", poses, fps=24000 / 1001)
    back, fps = read_poses(tmp_path / "poses.json")
    assert fps == pytest.approx(24000 / 1001, rel=1e-9)
    assert [a.equals(b) for a, b in zip(poses, back, strict=True)] == [True] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["poses.json"]


coordinate = st.floats(-1000, 5000, width=32)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(points=st.lists(st.tuples(coordinate, coordinate, st.floats(0, 1, width=32)), max_size=18))
def test_any_point_survives(tmp_path, points):
    body = np.zeros((18, 3))
    body[: len(points)] = np.array(points).reshape(-1, 3)
    pose = Pose.of(1920, 1080, body=body)
    write_poses(tmp_path / "any.json", [pose, pose], fps=25, overwrite=True)
    back, _ = read_poses(tmp_path / "any.json")
    assert back[0].equals(pose)


def test_the_file_is_what_controlnet_tools_read(tmp_path, half_body):
    write_poses(tmp_path / "poses.json", [half_body, Pose.of(256, 256)], fps=10)
    first, second = json.loads((tmp_path / "poses.json").read_text())
    assert (first["canvas_width"], first["canvas_height"]) == (256, 256)
    (person,) = first["people"]
    assert len(person["pose_keypoints_2d"]) == 54
    assert len(person["face_keypoints_2d"]) == 204
    assert person["hand_left_keypoints_2d"] is None
    assert person["pose_keypoints_2d"][24:27] == [0, 0, 0]  # the unseen right hip
    assert person["pose_keypoints_2d"][3:5] == pytest.approx([127.92, 101.53], abs=1e-3)
    assert second["people"] == []
    assert (first["timestamp"], second["timestamp"]) == (0, 0.1)


def test_a_single_frame_without_our_additions(tmp_path):
    poses, fps = read_poses(saved(tmp_path, entry()))
    assert fps is None
    assert (poses[0].width, poses[0].height) == (200, 100)
    np.testing.assert_array_equal(poses[0].body[0], (100, 50))
    assert np.isnan(poses[0].body[1:]).all()
    assert not poses[0].face_score.any()


def test_seventy_face_points_lose_the_pupils(tmp_path):
    face = np.column_stack([np.arange(70) + 1, np.full(70, 9), np.ones(70)])
    poses, _ = read_poses(saved(tmp_path, [entry(face_keypoints_2d=face.ravel().tolist())]))
    np.testing.assert_array_equal(poses[0].face[:, 0], np.arange(68) + 1)


def test_of_several_people_the_first(tmp_path):
    frame = entry()
    frame["people"].append({"pose_keypoints_2d": [9.0] * 54})
    poses, _ = read_poses(saved(tmp_path, [frame]))
    np.testing.assert_array_equal(poses[0].body[0], (100, 50))


def test_coordinates_from_zero_to_one_are_scaled(tmp_path):
    body = [0.5, 0.25, 1.0, 1.0, 1.0, 1.0] + [0.0] * 48
    poses, _ = read_poses(saved(tmp_path, [entry(pose_keypoints_2d=body)]))
    np.testing.assert_array_equal(poses[0].body[:2], [(100, 25), (200, 100)])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("a text", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "expected OpenPose JSON"),
        ("7", "expected OpenPose JSON"),
        ([7], "frame 0: expected an object"),
        ([entry(), entry(people=None)], "frame 1: people: expected a list, got nothing"),
        ([entry(people=["x"])], "frame 0: people"),
        ([entry(canvas_width=None)], "frame 0: canvas_width: expected whole pixels"),
        ([entry(canvas_width=0)], "frame 0: canvas_width"),
        ([entry(canvas_height=10**9)], "frame 0: canvas_height"),
        ([entry(canvas_height=True)], "frame 0: canvas_height"),
        ([entry(), entry(canvas_width=201)], "frame 1: canvas_width, canvas_height"),
        ([entry(pose_keypoints_2d=[1.0] * 75)], "pose_keypoints_2d: expected 54 numbers"),
        ([entry(face_keypoints_2d=[1.0] * 9)], "face_keypoints_2d: expected 204 numbers"),
        ([entry(hand_left_keypoints_2d={"a": 1})], "hand_left_keypoints_2d: expected 63"),
        ([entry(hand_right_keypoints_2d=["1"] * 63)], "hand_right_keypoints_2d: expected numbers"),
        ([entry(pose_keypoints_2d=[1e7] * 54)], "pose_keypoints_2d: expected numbers up to"),
        ([entry(pose_keypoints_2d=[10**400] * 54)], "pose_keypoints_2d: expected numbers up to"),
        ([entry(pose_keypoints_2d=[[1.0]] * 54)], "pose_keypoints_2d: expected numbers up to"),
        (json.dumps([entry(pose_keypoints_2d=[float("nan")] * 54)]), "NaN"),
        (json.dumps([entry()]).replace("100.0", "1e999"), "pose_keypoints_2d: expected numbers"),
        ([entry(timestamp="0")], "timestamp"),
        ([entry(timestamp=0), entry(timestamp=0)], "timestamp"),
    ],
)
def test_what_cannot_be_used_is_one_line_naming_the_place(tmp_path, content, named):
    path = saved(tmp_path, content)
    with pytest.raises(InputError, match=re.escape(named)) as caught:
        read_poses(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_poses(tmp_path / "absent.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_poses(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not JSON"):
        read_poses(tmp_path / "binary.json")


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, full_body):
    path = saved(tmp_path, "mine")
    with pytest.raises(OutputError, match="exists already"):
        write_poses(path, [full_body], fps=24)
    assert path.read_text() == "mine"
    write_poses(path, [full_body], fps=24, overwrite=True)
    assert read_poses(path)[0][0].equals(full_body)


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path, full_body):
    def breaks_off():
        yield full_body
        raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        write_poses(tmp_path / "poses.json", breaks_off(), fps=24)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot be written"):
        write_poses(tmp_path / "nowhere" / "poses.json", [full_body], fps=24)


def test_every_part_has_its_key(tmp_path):
    parts = {
        part: np.column_stack([np.full(n, 10.0 + i), np.full(n, 5.0), np.ones(n)])
        for i, (part, n) in enumerate(PARTS.items())
    }
    write_poses(tmp_path / "poses.json", [Pose.of(64, 64, **parts)], fps=1)
    (frame,) = json.loads((tmp_path / "poses.json").read_text())
    firsts = {key: numbers[0] for key, numbers in frame["people"][0].items()}
    assert firsts == {
        "pose_keypoints_2d": 10.0,
        "face_keypoints_2d": 11.0,
        "hand_left_keypoints_2d": 12.0,
        "hand_right_keypoints_2d": 13.0,
    }
