import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.layouts import BODY_25, COCO_17
from magicpose_cli.pose.files.openpose_json import (
    read_openpose,
    read_poses,
    write_clip_folder,
    write_clip_list,
    write_poses,
)
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def entry(**changes):
    body = [0.0] * 54
    body[:3] = [100.0, 50.0, 1.0]
    person = {"pose_keypoints_2d": body, "face_keypoints_2d": None}
    person |= {key: changes.pop(key) for key in list(changes) if key.endswith("d")}
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


@settings(RELAXED, max_examples=50)
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


def person_at(x, y, size, count=18):
    """`count` points on a diagonal of this many pixels."""
    steps = np.linspace(0, size, count)
    return np.column_stack([x + steps, y + steps, np.ones(count)]).ravel().tolist()


def test_of_several_people_the_largest(tmp_path):
    frame = entry(pose_keypoints_2d=person_at(5, 5, 10))
    frame["people"] += [
        {"pose_keypoints_2d": person_at(20, 10, 60), "hand_left_keypoints_2d": None},
        {"pose_keypoints_2d": [0.0] * 54},
        {"pose_keypoints_2d": person_at(50, 20, 30)},
    ]
    path = saved(tmp_path, [frame, entry(people=[])])
    poses, _ = read_poses(path)
    np.testing.assert_array_equal(poses[0].body[0], (20, 10))
    assert poses[1].is_empty
    clip = read_openpose(path)
    assert [[p.body[0].tolist() for p in people] for people in clip.people] == [
        [[20, 10], [50, 20], [5, 5]],  # nobody is made of the one without points
        [],
    ]
    assert not clip.notes


def as_openpose_writes(folder, frames, name="dance"):
    folder.mkdir(exist_ok=True)
    for index, people in enumerate(frames):
        content = {"version": 1.3, "people": [{"person_id": [-1], **p} for p in people]}
        path = folder / f"{name}_{index:012d}_keypoints.json"
        path.write_text(json.dumps(content))
    return folder


def test_a_folder_of_openpose_with_25_points_and_no_canvas(tmp_path):
    body = np.zeros((25, 3))
    for row in range(25):
        body[row] = 100 + 20 * row, 50 + 5 * row, 0.8
    body[BODY_25.index("left_ear")] = 0
    people = [
        {
            "pose_keypoints_2d": body.ravel().tolist(),
            "face_keypoints_2d": [],
            "pose_keypoints_3d": [],
        }
    ]
    folder = as_openpose_writes(tmp_path / "out", [people, [], people])
    clip = read_openpose(folder)
    assert [len(p) for p in clip.people] == [1, 0, 1]
    assert clip.fps is None
    pose = clip.people[0][0]
    for joint, name in enumerate(BODY_JOINTS):
        if name == "left_ear":
            assert np.isnan(pose.body[joint]).all() and not pose.body_score[joint]
        else:
            np.testing.assert_array_equal(pose.body[joint], body[BODY_25.index(name), :2])
    assert (clip.width, clip.height) == (440, 136)  # the right ear, rounded up
    (note,) = clip.notes
    assert "440x136" in note and "--canvas" in note and "\n" not in note
    asked = read_openpose(folder, canvas=(1280, 720))
    assert (asked.people[0][0].width, asked.people[0][0].height) == (1280, 720)
    assert not asked.notes


def test_a_folder_is_read_in_natural_order_and_of_one_film(tmp_path):
    for number in (10, 9, 1):
        (tmp_path / f"f{number}.json").write_text(
            json.dumps(entry(pose_keypoints_2d=person_at(number, 1, 5)))
        )
    (tmp_path / ".hidden.json").write_text("no pose")
    poses, _ = read_poses(tmp_path)
    assert [pose.body[0, 0] for pose in poses] == [1, 9, 10]
    as_openpose_writes(tmp_path / "two", [[]], "a")
    as_openpose_writes(tmp_path / "two", [[]], "b")
    with pytest.raises(InputError, match=r"frames of 2 films \(a, b\)"):
        read_poses(tmp_path / "two")


def test_coco_gains_a_neck(tmp_path):
    body = np.column_stack([np.arange(17) * 10 + 5, np.arange(17) * 3 + 5, np.full(17, 0.9)])
    body[COCO_17.index("right_shoulder"), 2] = 0.6
    poses, _ = read_poses(saved(tmp_path, entry(pose_keypoints_2d=body.ravel().tolist())))
    assert poses[0].body[1].tolist() == [60, 21.5]  # between (55, 20) and (65, 23)
    assert poses[0].body_score[1] == np.float32(0.6)
    body[COCO_17.index("right_shoulder")] = 0
    poses, _ = read_poses(saved(tmp_path, entry(pose_keypoints_2d=body.ravel().tolist())))
    assert not poses[0].body_score[1]


def test_what_editors_write(tmp_path):
    points = [[10 * k + 10, 5 * k + 5] for k in range(18)]
    points[3], points[4] = [-1, -1], None
    old = {"width": 300, "height": 150, "keypoints": [points]}
    clip = read_openpose(saved(tmp_path, old))
    assert (clip.width, clip.height, len(clip.people[0])) == (300, 150, 1)
    assert np.flatnonzero(clip.people[0][0].body_score == 0).tolist() == [3, 4]
    animals = entry() | {"animals": [[1.0] * 51, [2.0] * 51]}
    clip = read_openpose(saved(tmp_path, animals))
    assert len(clip.people[0]) == 1 and "2 animals" in clip.notes[0]
    clip = read_openpose(saved(tmp_path, {"version": "ap10k", "animals": [], "canvas_width": 8,
                                          "canvas_height": 8}))  # fmt: skip
    assert clip.people == [[]]
    with_mark = "\ufeff" + json.dumps(entry())  # a byte order mark, as Windows editors add
    assert len(read_openpose(saved(tmp_path, with_mark)).people) == 1


def test_without_a_canvas_parts_of_it_say_nothing(tmp_path):
    body = [0.5, 0.25, 1.0, 1.02, 0.9, 1.0] + [0.0] * 48
    frame = entry(pose_keypoints_2d=body, canvas_width=None, canvas_height=None)
    with pytest.raises(InputError, match="--canvas WIDTHxHEIGHT"):
        read_openpose(saved(tmp_path, frame))
    clip = read_openpose(tmp_path / "poses.json", canvas=(200, 100))
    np.testing.assert_allclose(clip.people[0][0].body[:2], [(100, 25), (204, 90)])
    frame["people"][0]["pose_keypoints_2d"] = [-0.9, 0.25, 1.0, 1.0, 0.9, 1.0] + [0.0] * 48
    with pytest.raises(InputError, match="from -1 to 1"):
        read_openpose(saved(tmp_path, frame), canvas=(200, 100))
    with pytest.raises(InputError, match="do not give it away"):
        read_openpose(saved(tmp_path, {"people": []}))


def test_a_canvas_that_is_told_wins_over_the_asked_one(tmp_path):
    clip = read_openpose(saved(tmp_path, entry()), canvas=(640, 480))
    assert (clip.width, clip.height) == (200, 100)
    assert "200x100" in clip.notes[0]


def in_space(pose):
    rng = np.random.default_rng(0)
    body, face = (rng.normal(size=(n, 3)).astype(np.float32) for n in (18, 68))
    body[4] = np.nan
    return replace(pose, body_3d=body, face_3d=face)


@pytest.mark.parametrize("kind", ["list", "folder"])
def test_everybody_comes_back_bit_for_bit(tmp_path, full_body, half_body, kind):
    clip = PeopleClip([[half_body, in_space(full_body)], [], [half_body]], 256, 256, 30000 / 1001)
    if kind == "list":
        path = tmp_path / "poses.json"
        write_clip_list(path, clip)
    else:
        path = tmp_path / "poses"
        write_clip_folder(path, clip)
        assert sorted(p.name for p in path.iterdir()) == [
            f"poses_{n:012d}_keypoints.json" for n in range(3)
        ]
    back = read_openpose(path)
    assert [[a.equals(b) for a, b in zip(x, y, strict=True)] for x, y in
            zip(clip.people, back.people, strict=True)] == [[True, True], [], [True]]  # fmt: skip
    assert back.fps == pytest.approx(30000 / 1001, rel=1e-9)
    assert (back.width, back.height, back.notes) == (256, 256, [])


def test_the_folder_is_openposes_own_layout(tmp_path, full_body):
    write_clip_folder(tmp_path / "film", PeopleClip([[full_body]], 256, 256, 25))
    (file,) = (tmp_path / "film").iterdir()
    content = json.loads(file.read_text())
    (person,) = content["people"]
    assert content["version"] == 1.3 and person["person_id"] == [-1]
    lengths = {key: len(value) for key, value in person.items()}
    assert lengths == {
        "person_id": 1, "pose_keypoints_2d": 75, "face_keypoints_2d": 210,
        "hand_left_keypoints_2d": 63, "hand_right_keypoints_2d": 63,
        "pose_keypoints_3d": 0, "face_keypoints_3d": 0,
    }  # fmt: skip
    body = np.array(person["pose_keypoints_2d"]).reshape(25, 3)
    np.testing.assert_allclose(body[8, :2], (113.2 / 2 + 142.7 / 2, 130.4), rtol=1e-6)
    assert not body[19:].any()


def test_a_folder_of_other_things_is_never_replaced(tmp_path, full_body):
    clip, folder = PeopleClip([[full_body]], 256, 256, 25), tmp_path / "film"
    folder.mkdir()
    write_clip_folder(folder, clip)  # an empty folder is free
    with pytest.raises(OutputError, match="--overwrite"):
        write_clip_folder(folder, clip)
    write_clip_folder(folder, PeopleClip([[], [full_body]], 256, 256, 25), overwrite=True)
    assert len(list(folder.iterdir())) == 2
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        write_clip_folder(folder, clip, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["film"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


def places_in(value, path=()):
    """Where a JSON value holds something: a path of keys and indices for each."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places_in(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:4]):
            yield from places_in(inner, (*path, index))


@pytest.mark.slow
@settings(RELAXED, max_examples=120)
@given(data=st.data())
def test_any_change_to_a_file_is_read_or_refused_in_one_line(tmp_path, data):
    frame = entry(
        pose_keypoints_2d=person_at(3, 4, 50),
        face_keypoints_2d=person_at(3, 4, 9, 68),
        pose_keypoints_3d=person_at(1, 1, 1, 24),
    )
    content = [json.loads(json.dumps(frame)), frame | {"timestamp": 0.5}]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(list(places_in(content))))
        value = data.draw(json_values)
        if not place:
            content = value
            continue
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    check_read(path)


@settings(RELAXED, max_examples=100)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "bytes.json"
    path.write_bytes(content)
    check_read(path)


def check_read(path):
    try:
        clip = read_openpose(path)
    except InputError as error:
        said = str(error)
        assert said.startswith(str(path)) and said.isprintable()
        return
    assert clip.people
    for pose in (pose for people in clip.people for pose in people):
        assert not pose.is_empty
        assert (np.isfinite(pose.body).all(1) == (pose.body_score > 0)).all()


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
        ([entry(canvas_width=None)], "frame 0: canvas_width, canvas_height: expected both"),
        ([entry(canvas_width=0)], "frame 0: canvas_width"),
        ([entry(canvas_height=10**9)], "frame 0: canvas_height"),
        ([entry(canvas_height=True)], "frame 0: canvas_height"),
        ([entry(), entry(canvas_width=201)], "frame 1: canvas_width, canvas_height"),
        ([entry(pose_keypoints_2d=[1.0] * 57)], "person 0: pose_keypoints_2d: expected 54 numbers"),
        ([entry(pose_keypoints_3d=[1.0] * 54)], "pose_keypoints_3d: expected 72 numbers"),
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
    with pytest.raises(InputError, match="holds no JSON"):
        read_poses(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not JSON"):
        read_poses(tmp_path / "binary.json")


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, full_body):
    path = saved(tmp_path, "mine")
    with pytest.raises(OutputError, match="exists; choose"):
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
    saved(tmp_path, "a file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_poses(tmp_path / "poses.json" / "poses.json", [full_body], fps=24)


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
