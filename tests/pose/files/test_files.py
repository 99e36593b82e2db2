"""Every kind of pose file, ours and others', in and out."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.layouts import COCO_17
from magicpose_cli.pose.files.read_write import is_pose_file, read_clip, write_clip, write_people
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

KINDS = ("clip.json", "clip", "clip.npz", "clip.dwpose.npz", "clip.npy")

RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def same(one, other):
    """People as lists of Poses."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(p.equals(q) for p, q in zip(a, b, strict=True))
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_comes_back(tmp_path, name, full_body, half_body):
    clip = PeopleClip([[half_body, full_body], [], [full_body]], 256, 256, 30000 / 1001)
    write_people(tmp_path / name, clip)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert is_pose_file(tmp_path / name)
    back = read_clip(tmp_path / name, canvas=(256, 256))
    assert same(back.people, clip.people)
    assert (back.width, back.height) == (256, 256)
    if name == "clip.npy":
        assert back.fps is None
    else:
        assert back.fps == pytest.approx(30000 / 1001, rel=1e-9)
        assert not back.notes


@pytest.mark.parametrize("name", KINDS)
def test_a_clip_of_one_person_with_lost_frames(tmp_path, name, full_body):
    poses = [full_body, Pose.of(256, 256), full_body]
    write_clip(tmp_path / name, poses, 25)
    back = read_clip(tmp_path / name, canvas=(256, 256))
    assert [len(people) for people in back.people] == [1, 0, 1]
    assert all(a.equals(b) for a, b in zip(back.largest, poses, strict=True))
    with pytest.raises(OutputError, match="--overwrite"):
        write_clip(tmp_path / name, poses, 25)
    write_clip(tmp_path / name, poses[:1], None, overwrite=True)
    again = read_clip(tmp_path / name, canvas=(256, 256))
    assert len(again.people) == 1 and again.fps is None


number = st.floats(-1000, 5000, width=32)


@settings(RELAXED, max_examples=40)
@given(
    points=st.lists(st.tuples(number, number, st.floats(0.3125, 1, width=32)), max_size=18),
    frames=st.integers(1, 3),
    name=st.sampled_from(KINDS[2:]),
)
def test_any_points_survive_in_arrays(tmp_path, points, frames, name):
    body = np.zeros((18, 3))
    body[: len(points)] = np.array(points).reshape(-1, 3)
    poses = [Pose.of(1920, 1080, body=body)] * frames
    write_clip(tmp_path / name, poses, 25, overwrite=True)
    back = read_clip(tmp_path / name, canvas=(1920, 1080))
    # a clip of points about 0..1 alone cannot be told from one in parts of the canvas
    reach = body[body[:, 2] > 0, :2]
    if name == "clip.npz" or (len(reach) and np.abs(reach).max() > 2):
        assert same(back.people, [[p] if not p.is_empty else [] for p in poses])


def test_dwposes_points_with_scores_beside_them(tmp_path):
    """As rtmlib's users save them: everything is told, seen or not."""
    rng = np.random.default_rng(1)
    points = rng.uniform(20, 400, (4, 133, 2))
    scores = np.full((4, 133), 0.9)
    scores[:, COCO_17.index("left_ankle")] = 0.2
    scores[2] = 0.1
    scores[3, 112:] = 7.5  # simcc networks of rtmlib score beyond 1
    np.savez(tmp_path / "a.npz", keypoints=points, scores=scores, fps=30, width=640, height=480)
    clip = read_clip(tmp_path / "a.npz")
    assert (clip.width, clip.height, clip.fps, clip.notes) == (640, 480, 30, [])
    assert [len(people) for people in clip.people] == [1, 1, 0, 1]
    pose = clip.people[0][0]
    for joint, name in enumerate(BODY_JOINTS):
        if name == "neck":
            wanted = points[0, [COCO_17.index(f"{s}_shoulder") for s in ("left", "right")]].mean(0)
        else:
            wanted = points[0, COCO_17.index(name)]
        if name == "left_ankle":
            assert not pose.body_score[joint]
        else:
            np.testing.assert_allclose(pose.body[joint], wanted, rtol=1e-6)
    np.testing.assert_allclose(pose.face, points[0, 23:91], rtol=1e-6)
    np.testing.assert_allclose(pose.left_hand, points[0, 91:112], rtol=1e-6)
    np.testing.assert_allclose(pose.right_hand, points[0, 112:], rtol=1e-6)
    assert clip.people[3][0].right_hand_score.max() == 1.0


def test_points_in_parts_of_the_canvas_need_one(tmp_path):
    points = np.random.default_rng(2).uniform(0.1, 0.9, (3, 134, 3)).astype(np.float32)
    points[..., 2] = 1
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(InputError, match="--canvas"):
        read_clip(tmp_path / "a.npy")
    clip = read_clip(tmp_path / "a.npy", canvas=(200, 100))
    np.testing.assert_allclose(clip.people[1][0].face, points[1, 24:92, :2] * (200, 100), rtol=1e-6)


@pytest.mark.parametrize("count", [17, 18, 25, 26])
def test_bodies_alone_of_any_order(tmp_path, count):
    points = np.random.default_rng(3).uniform(50, 900, (2, 2, count, 2))
    points[1, 1] = -1  # nobody
    np.savez_compressed(tmp_path / "a.npz", body=points)
    clip = read_clip(tmp_path / "a.npz")
    assert [len(people) for people in clip.people] == [2, 1]
    assert not np.isnan(clip.people[0][0].body).any()
    assert "--canvas" in clip.notes[-1] and len(clip.notes) == (2 if count == 17 else 1)


def test_controlnet_auxs_dictionary_of_one_frame(tmp_path):
    rng = np.random.default_rng(4)
    body, faces, hands = (rng.uniform(0.1, 0.9, s) for s in ((36, 2), (2, 68, 2), (4, 21, 2)))
    subset = np.arange(36.0).reshape(2, 18)
    subset[1, 4], body[22] = -1, -1
    hands[2] = -1  # the first one's right hand
    np.savez(tmp_path / "d.npz", candidate=body, subset=subset, faces=faces, hands=hands)
    with pytest.raises(InputError, match="--canvas"):
        read_clip(tmp_path / "d.npz")
    (people,) = read_clip(tmp_path / "d.npz", canvas=(100, 200)).people
    first, second = sorted(people, key=lambda p: abs(p.body[0, 0] - 100 * body[0, 0]))
    np.testing.assert_allclose(first.body, body[:18] * (100, 200), rtol=1e-6)
    np.testing.assert_allclose(second.body[5:], body[23:] * (100, 200), rtol=1e-6)
    assert second.body_score.tolist() == [1] * 4 + [0] + [1] * 13
    np.testing.assert_allclose(second.face, faces[1] * (100, 200), rtol=1e-6)
    np.testing.assert_allclose(first.left_hand, hands[0] * (100, 200), rtol=1e-6)
    np.testing.assert_allclose(second.right_hand, hands[3] * (100, 200), rtol=1e-6)
    assert not first.right_hand_score.any()


def test_a_low_score_of_ours_stays_seen_in_arrays_of_others(tmp_path, full_body):
    dim = replace(full_body, body_score=full_body.body_score * 0.2)
    for name in ("clip.npy", "clip.dwpose.npz"):
        write_clip(tmp_path / name, [dim], 25)
        (back,) = read_clip(tmp_path / name, canvas=(256, 256)).largest
        np.testing.assert_array_equal(back.body, dim.body)
        assert back.body_score[0] == np.float32(0.31)


def wrong_arrays():
    good = np.ones((2, 133, 3))
    joints, subset = np.full((2, 18, 2), 0.5), np.zeros((2, 1, 18))
    return [
        ({"keypoints": good[..., :1]}, "expected an array (frames, points, 3)"),
        ({"keypoints": np.ones((2, 99, 3))}, "99 points a person are not known"),
        ({"keypoints": good, "scores": good[:1, :, 0]}, "scores: expected the shape (2, 133)"),
        ({"keypoints": good * 1e9}, "coordinates up to 1000000"),
        ({"keypoints": good[:0]}, "expected 1 to"),
        ({"a": good, "b": good}, "holds the arrays a, b"),
        ({"keypoints": good, "fps": np.zeros(3)}, "fps: expected one number"),
        ({"keypoints": good, "size": np.array([640, 0])}, "size: expected one number"),
        ({"candidate": joints}, "subset: expected the shape"),
        ({"candidate": joints, "subset": subset + 18}, "subset: expected 2 frames of rows"),
        ({"candidate": joints, "subset": subset * np.nan}, "subset: expected 2 frames"),
        ({"candidate": joints, "subset": subset, "faces": good}, "faces: expected the shape"),
        ({"keypoints": np.array(["text"])}, "expected numbers"),
        ({"keypoints": np.array([{"bodies": 1}], dtype=object)}, "a pickle"),
        ({}, "expected 1 to 64 arrays"),
    ]


@pytest.mark.parametrize(("arrays", "named"), wrong_arrays())
def test_wrong_arrays_are_one_line_naming_the_place(tmp_path, arrays, named):
    path = tmp_path / "wrong.npz"
    np.savez(path, **arrays)
    check_refused(path, named)


def check_refused(path, named=""):
    with pytest.raises(InputError) as caught:
        read_clip(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and named in said
    assert said.isprintable() and len(said) < len(str(path)) + 330


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))  # would leave a file behind

    for name in ("a.pkl", "a.npz", "a.npy", "a.json"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        check_refused(tmp_path / name)
    np.save(tmp_path / "b.npy", np.array([Trap()], dtype=object))
    check_refused(tmp_path / "b.npy", "could run any code")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.json", "a"])
def test_missing_folders_are_made(tmp_path, full_body, name):
    path = tmp_path / "new" / "deep" / name
    write_clip(path, [full_body], 25)
    assert len(read_clip(path).people) == 1


def test_names_of_no_pose_file_are_refused_before_work(tmp_path, full_body):
    with pytest.raises(OutputError, match=r"\.csv is no kind of pose file; choose \.json"):
        write_clip(tmp_path / "a.csv", [full_body], 25)
    assert not is_pose_file(tmp_path)
    (tmp_path / "a.json").touch()
    with pytest.raises(OutputError, match=r"a\.json is not a folder"):
        write_clip(tmp_path / "a.json" / "b.npz", [full_body], 25)
    assert is_pose_file(tmp_path)
    (tmp_path / "a.png").touch()  # a folder of pictures with something beside them
    assert not is_pose_file(tmp_path)


@settings(RELAXED, max_examples=60)
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00"]), rest=st.binary(max_size=90)
)
def test_any_bytes_are_refused_in_one_line(tmp_path, start, rest):
    for name in ("bytes.npz", "bytes.npy"):
        (tmp_path / name).write_bytes(start + rest)
        check_refused(tmp_path / name)


@settings(RELAXED, max_examples=40)
@given(
    shape=st.tuples(
        st.lists(st.integers(0, 3), max_size=2),
        st.sampled_from([[], [17], [18], [133]]),
        st.lists(st.integers(1, 3), max_size=1),
    ).map(lambda sides: [side for some in sides for side in some]),
    kind=st.sampled_from(["f4", "f8", "f2", "i4", "u1", "?", "c8", "M8[s]"]),
    name=st.sampled_from(["keypoints", "candidate", "magicpose_poses", "size"]),
    value=st.sampled_from([0, 1, 255]),
)
def test_any_array_is_read_or_refused(tmp_path, shape, kind, name, value):
    path = tmp_path / "any.npz"
    np.savez(path, **{name: np.full(shape, value).astype(kind)})
    try:
        clip = read_clip(path, canvas=(64, 64))
    except InputError as error:
        assert str(error).isprintable()
    else:
        assert {len(getattr(p, f"{part}_score")) for ps in clip.people for p in ps for part in PARTS
                } <= set(PARTS.values())  # fmt: skip
