"""Pose files of every kind, made up and damaged."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.clip import MAX_SIDE
from magicpose_cli.pose.files.read_write import read_clip, write_people
from magicpose_cli.pose.keypoints import PARTS, Pose
from tests.fuzz.conftest import anything, changed, damaged, fuzzed, read_or_refused, words

KINDS = ("clip.json", "clip.npz", "clip.dwpose.npz", "clip.npy")
EDITORS = {"keypoints": [[[10, 20], [-1, -1], None] * 6], "width": 512, "height": 512}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> dict[str, bytes]:
    """A clip of one and two people as each kind of file has it."""
    folder = tmp_path_factory.mktemp("shipped")
    rng = np.random.default_rng(0)
    parts = {part: np.hstack([rng.uniform(5, 250, (n, 2)), np.full((n, 1), 0.9)])
             for part, n in PARTS.items()}  # fmt: skip
    space = {"body_3d": rng.normal(size=(18, 3)).astype(np.float32)}
    pose, body = Pose.of(256, 256, **parts, **space), Pose.of(256, 256, body=parts["body"])
    for kind in KINDS:
        write_people(folder / kind, PeopleClip([[pose, body], [], [body]], 256, 256, 25.0))
    return {kind: (folder / kind).read_bytes() for kind in KINDS}


def check(path) -> None:
    """With and without a canvas of the user's."""
    for canvas in (None, (640, 480)):
        clip = read_or_refused(lambda canvas=canvas: read_clip(path, canvas=canvas))
        if clip is None:
            continue
        assert 1 <= clip.width <= MAX_SIDE and 1 <= clip.height <= MAX_SIDE and clip.people
        assert clip.fps is None or 0.001 <= clip.fps <= 1000
        for pose in [pose for people in clip.people for pose in people]:
            assert not pose.is_empty
            for part, count in PARTS.items():
                points, score = getattr(pose, part), getattr(pose, f"{part}_score")
                assert points.shape == (count, 2) and score.shape == (count,)
                assert np.isfinite(points[score > 0]).all() and (score <= 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_read_or_refused(shipped, kind, tmp_path):
    @fuzzed
    @given(content=damaged(shipped[kind]))
    def holds(content: bytes) -> None:
        (tmp_path / kind).write_bytes(content)
        check(tmp_path / kind)

    holds()


COUNTS = st.sampled_from([17, 18, 21, 25, 68, 70]).map(lambda n: n * 3)
POINTS = st.builds(
    lambda n, fill, odd, place: [*[fill] * place, *odd, *[fill] * (n - place - len(odd))],
    COUNTS, st.sampled_from([0, 0.5, 1, 100.0]), st.lists(anything, max_size=1), st.integers(0, 50),
)  # fmt: skip
NAMES = [f"{p}_keypoints_{d}" for p in ("pose", "face", "hand_left", "hand_right")
         for d in ("2d", "3d")]  # fmt: skip
PEOPLE = st.dictionaries(st.sampled_from(NAMES) | words, POINTS | anything, max_size=4)
FRAMES = st.fixed_dictionaries(
    {"people": st.lists(PEOPLE, max_size=3) | anything},
    optional={
        "canvas_width": st.just(512) | anything,
        "canvas_height": st.just(768) | anything,
        "width": anything,
        "timestamp": st.floats(0, 9) | anything,
        "animals": anything,
    },
) | changed(EDITORS)


@pytest.mark.slow
@fuzzed
@given(entries=st.lists(FRAMES, min_size=1, max_size=3) | anything)
def test_any_openpose_json_is_read_or_refused(tmp_path_factory, entries):
    path = tmp_path_factory.getbasetemp() / "openpose.json"
    path.write_text(json.dumps(entries))
    check(path)


def test_any_change_of_our_json_is_read_or_refused(shipped, tmp_path):
    whole = json.loads(shipped["clip.json"])

    @fuzzed
    @given(entries=changed(whole))
    def holds(entries) -> None:
        (tmp_path / "clip.json").write_text(json.dumps(entries))
        check(tmp_path / "clip.json")

    holds()


@pytest.mark.slow
@fuzzed
@given(
    contents=st.lists(FRAMES.map(json.dumps).map(str.encode) | st.binary(max_size=20), max_size=3),
    names=st.lists(
        st.sampled_from(["a_000000000000_keypoints", "a_000000000001_keypoints",
                         "b_000000000000_keypoints", "a9", "a¹", "²", ".a"]),
        unique=True, min_size=3, max_size=3,
    ),
)  # fmt: skip
def test_any_folder_is_read_or_refused(tmp_path_factory, contents, names):
    folder = tmp_path_factory.mktemp("folder", numbered=True)
    for name, content in zip(names, contents, strict=False):
        (folder / f"{name}.json").write_bytes(content)
    check(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def others() -> dict[str, object]:
    """A file of each layout of others, sound."""
    flat, points = [10.0, 20.0, 0.9] * 17, [[10.0, 20.0]] * 17
    names = ["nose", *(f"{side}_{joint}" for joint in ("eye", "ear", "shoulder", "elbow", "wrist",
                                                      "hip", "knee", "ankle")
                       for side in ("left", "right"))]  # fmt: skip
    result = {"image_id": "2.jpg", "category_id": 1, "keypoints": flat, "face_kpts": [1.0] * 204}
    instance = {"keypoints": points, "keypoint_scores": [0.9] * 17}
    image = {"id": 1, "file_name": "1.jpg", "width": 64, "height": 48, "frame_id": 3, "vid_id": "1"}
    landmark = {"x": 0.5, "y": 0.4, "z": -0.1, "visibility": 0.9}
    hand = [[10, 20]] * 21
    return {
        "results": [result, result | {"image_id": "9.jpg"}],
        "annotations": {"images": [image], "annotations": [result | {"image_id": 1}],
                        "categories": [{"id": 1, "keypoints": names}]},
        "alphapose": {"1.jpg": {"bodies": [{"joints": flat}]}, "5.jpg": {"people": []}},
        "mmpose": {"meta_info": {"keypoint_id2name": {str(n): k for n, k in enumerate(names)}},
                   "instance_info": [{"frame_id": 1, "instances": [instance]}]},
        "people": [[instance], []],
        "columns": [{"keypoints": {"x": [1.0] * 17, "y": [2.0] * 17, "visible": [1.0] * 17}}],
        "named": [[{"keypoints": [{"x": 1, "y": 2, "score": 0.9, "name": n} for n in names]}]],
        "mediapipe": {"width": 64, "height": 48, "fps": 25, "frames": [
            {"frame": 0, "pose_landmarks": [landmark] * 33, "face_landmarks": [[0.5, 0.5, 0]] * 468,
             "pose_world_landmarks": [landmark] * 33, "left_hand_landmarks": [landmark] * 21}]},
        "bare": [[[0.5, 0.5, 0.0, 0.9]] * 33, None],
        "hands": {"people": [{"pose_keypoints_2d": flat + [1.0] * 3}], "canvas_width": 9,
                  "canvas_height": 9, "hands": {"left": hand}, "faces": [[[1, 2]] * 68]},
        "editor": {"width": 9, "height": 9, "keypoints": [[[1, 2]] * 18, hand]},
    }  # fmt: skip


OTHERS = others()


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_any_change_of_others_json_is_read_or_refused(kind, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(OTHERS[kind]))
    assert read_clip(path, canvas=(640, 480)).people[0]

    @fuzzed
    @given(content=changed(OTHERS[kind]))
    def holds(content) -> None:
        path.write_text(json.dumps(content))
        check(path)

    holds()


HOSTILE = ["1e999", "NaN", "9" * 5000, "1" + "0" * 400, "-1e300", "[" * 5000, "[[]]", "{}", "null",
           "[" * 900 + "]" * 900, '{"people":' * 450 + "1" + "}" * 450]  # fmt: skip


@fuzzed
@given(
    kind=st.sampled_from(sorted(OTHERS)),
    value=st.sampled_from(HOSTILE),
    place=st.sampled_from(["0.9", "20.0", "0.5", " 2,", "1.0", "17", "64", "25", '"nose"']),
)
def test_any_hostile_value_is_refused(tmp_path_factory, kind, value, place):
    path = tmp_path_factory.getbasetemp() / "hostile.json"
    path.write_text(json.dumps(OTHERS[kind]).replace(place, value, 1))
    check(path)


SHAPES = st.tuples(
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([[], [17], [18], [25], [26], [33], [36], [68], [133], [136], [21], [1662]]),
    st.lists(st.integers(0, 5), max_size=2),
).map(lambda sides: [side for some in sides for side in some])
DTYPES = st.sampled_from(["f4", "f8", "f2", ">f4", "i4", "i8", "u8", "i1", "?", "c8", "U3", "f16"])
ARRAYS = st.builds(
    lambda shape, kind, value: np.full(shape, value).astype(kind),
    SHAPES, DTYPES, st.sampled_from([0, 1, 0.5, 100, -1, np.nan, np.inf, 1e300]),
)  # fmt: skip
ARRAY_NAMES = st.sampled_from(
    ["keypoints", "scores", "candidate", "subset", "faces", "hands", "score", "faces_score", "size",
     "fps", "width", "height", "magicpose_poses", "people", "body", "face", "left_hand",
     "body_3d", "body_3d_of", "arr_0", "coco", "human36m", "reconstruction", "a/../b", "\x1b[31m"]
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(arrays=st.dictionaries(ARRAY_NAMES, ARRAYS, max_size=5), whole=st.booleans())
def test_any_arrays_are_read_or_refused(tmp_path_factory, arrays, whole):
    path = tmp_path_factory.getbasetemp() / "any.npz"
    sound = {"magicpose_poses": np.array(1), "size": np.array([64, 64]), "fps": np.array(0.0)}
    sound |= {part: np.ones((1, count, 3)) for part, count in PARTS.items()}
    sound["people"] = np.array([1])
    np.savez(path, **(sound | arrays if whole else arrays))
    check(path)


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(arrays=st.lists(ARRAYS, min_size=1, max_size=3))
def test_any_folder_of_arrays_is_read_or_refused(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("arrays", numbered=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    check(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


HEADERS = st.one_of(
    st.builds(
        lambda descr, shape, order: f"{{'descr': {descr}, 'fortran_order': {order}, "
        f"'shape': {shape}, }}",
        st.sampled_from(["'<f4'", "'|O'", "'<f8'", "[('a', '<f4')]", "'<V99999999999'", "'x'", "[]",
                         "'<U999999999'", "('<f4', (9999, 9999, 9999))", "1", "[('a', '|O')]"]),
        st.sampled_from(["(2, 18, 3)", "()", "(-1,)", "(99999999999, 18, 3)", "(2.0,)", "(0,)",
                         "(2**9,)", "[2]", "(True,)", "(" * 90, f"({'9' * 5000},)", "(0, 10**30)"]),
        st.sampled_from(["False", "True", "None", "1"]),
    ),
    st.text(max_size=40),
)  # fmt: skip


@fuzzed
@given(
    header=HEADERS,
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
    data=st.sampled_from([b"", b"\0" * 432, b"\x80\x04."]),
    member=st.sampled_from(["keypoints.npy", "../../a.npy", "a.npy/", "a.pkl", " "]),
)
def test_any_array_header_is_read_or_refused(tmp_path_factory, header, version, data, member):
    text = header.encode("utf-8", "replace") + b"\n"
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    array = b"\x93NUMPY" + bytes(version) + size + text + data
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(member, array)
    folder = tmp_path_factory.getbasetemp()
    for name, content in (("header.npy", array), ("header.npz", archive.getvalue())):
        (folder / name).write_bytes(content)
        check(folder / name)
