import json
import pickle
import shutil

import numpy as np
import pytest

from magicpose_cli.dataset.clips import mirrored, open_clips, sample_pair
from magicpose_cli.dataset.cut import draw_clip
from magicpose_cli.dataset.data_folder import begin, finish, open_folder
from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.errors import InputError
from magicpose_cli.pose.draw import draw
from magicpose_cli.pose.files.openpose_json import write_poses
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.pose_map import pose_map

SIZE = 96


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two drawn people in three poses each."""
    folder = tmp_path_factory.mktemp("data")
    settings = DatasetSettings().with_options(frames__size=SIZE, drawn__frames=3)
    open_folder(folder, settings, overwrite=False)
    begin(folder, settings)
    for number in range(2):
        draw_clip(number, folder, settings)
    finish(folder, settings)
    return folder


@pytest.fixture
def data(made, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(made, tmp_path / "data")


def test_a_clip_gives_frames_poses_and_masks(made):
    clips = open_clips(made)
    assert [clip.name for clip in clips] == ["drawn-00000000", "drawn-00000001"]
    clip = clips[1]
    assert len(clip) == 3 and clip.size == SIZE and clip.source == "drawn, seed 1"
    assert clip.frame(2).shape == (SIZE, SIZE, 3) and clip.frame(2).dtype == np.uint8
    labels = clip.labels(2)
    assert labels is not None and labels.shape == (SIZE, SIZE) and labels.max() > 1
    pose = clip.pose(2)
    x, y = pose.body[BODY_JOINTS.index("neck")].astype(int)
    assert labels[y, x] > 0  # somebody is there
    assert not np.array_equal(clip.frame(0), clip.frame(1))


def test_a_pair_is_fixed_by_the_generator_and_survives_pickling(made):
    clips = open_clips(made)
    options = {"flip": 0.5, "jitter": 1.0, "face_size": 64}
    one = sample_pair(clips, np.random.default_rng(5), 64, 128, **options)
    copied = pickle.loads(pickle.dumps(clips))
    again = sample_pair(copied, np.random.default_rng(5), 64, 128, **options)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(part.shape == (64, 64, 3) and part.dtype == np.uint8 for part in one)
    other = sample_pair(clips, np.random.default_rng(6), 64, 128, **options)
    assert not np.array_equal(one.target, other.target)


def test_a_pair_is_two_frames_of_one_clip_and_the_seconds_pose(made):
    clips = open_clips(made)
    pictures = {(c, k): clips[c].frame(k) for c in range(2) for k in range(3)}
    seen = set()
    for seed in range(12):
        pair = sample_pair(clips, np.random.default_rng(seed), SIZE, 2 * SIZE, min_crop=1.0)
        [reference] = [k for k, v in pictures.items() if np.array_equal(v, pair.reference)]
        [target] = [k for k, v in pictures.items() if np.array_equal(v, pair.target)]
        assert reference[0] == target[0] and reference[1] != target[1]
        pose = clips[target[0]].pose(target[1])
        assert np.array_equal(pair.target_map, pose_map(pose, 2 * SIZE))
        seen.add((reference, target))
    assert len(seen) > 6


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("size", [SIZE, 64, 160])
def test_all_are_under_the_same_crop(data, size, flip):
    """A bright dot is painted where the nose is: it must be found where the map has its nose."""
    import cv2

    from magicpose_cli.video import write_picture

    nose = np.array([40.0, 30.0])
    body = np.zeros((18, 3))
    body[0] = *nose, 1
    for path in sorted((data / "clips").iterdir()):
        write_poses(path / "poses.json", [Pose.of(SIZE, SIZE, body=body)] * 3, 6, overwrite=True)
        for k in range(3):
            picture = np.zeros((SIZE, SIZE, 3), np.uint8)
            cv2.circle(picture, (40, 30), 4, (255, 255, 255), -1)
            write_picture(path / f"{k:05d}.png", picture, overwrite=True)
    clips = open_clips(data)

    def center(picture):
        rows, columns = np.nonzero(picture.max(axis=2) > 100)
        return np.array([columns.mean(), rows.mean()])

    found = []
    for seed in range(8):
        pair = sample_pair(clips, np.random.default_rng(seed), size, size, flip=flip, min_crop=0.7)
        places = [center(part) for part in pair[:4]]
        assert np.abs(places[0] - places[2]).max() < 0.01
        assert max(np.abs(places[0] - places[k]).max() for k in (1, 3)) < 1.5
        found.append(places[0])
    assert np.ptp(found, axis=0).min() > 4  # the crops differ
    assert (np.mean(found, axis=0)[0] > size / 2) == bool(flip)


def test_colors_change_alike_in_both_pictures(made):
    clips = open_clips(made)

    def pair(jitter):
        return sample_pair(clips, np.random.default_rng(3), SIZE, SIZE, min_crop=1.0, jitter=jitter)

    plain, changed = pair(0.0), pair(0.8)
    assert np.array_equal(plain.target_map, changed.target_map)
    before = np.concatenate([plain.reference, plain.target]).reshape(-1, 3)
    after = np.concatenate([changed.reference, changed.target]).reshape(-1, 3)
    assert np.abs(before.astype(int) - after).mean() > 5
    fitting = ((after > 0) & (after < 255)).all(axis=1)  # what is not clipped is an affine map
    known = np.column_stack([before[fitting], np.ones(fitting.sum())]).astype(float)
    residual = after[fitting] - known @ np.linalg.lstsq(known, after[fitting], rcond=None)[0]
    assert np.abs(residual).max() < 1


def test_the_mirror_swaps_left_and_right(made):
    pose = open_clips(made)[0].pose(0)
    other = mirrored(pose)
    for name in BODY_JOINTS:
        twin = name.replace("left", "x").replace("right", "left").replace("x", "right")
        x, y = pose.body[BODY_JOINTS.index(name)]
        found = other.body[BODY_JOINTS.index(twin)]
        assert np.array_equal(found, np.float32([SIZE - x, y]), equal_nan=True)
    assert np.array_equal(other.left_hand_score, pose.right_hand_score)
    twice = mirrored(other)
    for part in PARTS:
        assert np.allclose(getattr(twice, part), getattr(pose, part), atol=1e-4, equal_nan=True)
        assert np.array_equal(getattr(twice, f"{part}_score"), getattr(pose, f"{part}_score"))


def test_a_mirrored_face_keeps_the_order_of_its_points(people):
    face = mirrored(people.poses()[0]).face
    x, y = face[:, 0], face[:, 1]
    assert x[0] < x[16] and y[8] == y[:17].max()  # jaw from the picture's left to its right
    assert (np.diff(x[17:27]) > 0).all() and (np.diff(y[27:31]) > 0).all()
    assert (np.diff(x[31:36]) > 0).all() and (np.diff(x[[36, 39, 42, 45]]) > 0).all()
    assert y[37] <= y[41] and y[44] <= y[46] and x[48] < x[54] and y[51] < y[57]
    assert x[60] < x[64] and y[62] <= y[66]


def test_the_picture_of_a_mirrored_pose_is_the_mirrored_picture_but_for_the_colors(made):
    pose = open_clips(made)[0].pose(1)
    one = draw(mirrored(pose), (384, 384)).any(axis=2)
    other = draw(pose, (384, 384)).any(axis=2)[:, ::-1]
    assert (one ^ other).sum() < 0.2 * one.sum()


def test_what_is_no_data_folder_is_refused(data, tmp_path):
    def refused(match, folder=data):
        with pytest.raises(InputError, match=match) as caught:
            open_clips(folder)
        assert "\n" not in str(caught.value)

    refused("is no data folder", tmp_path / "none")
    refused("is no data folder", tmp_path)
    index = data / "dataset.json"
    text = index.read_text()
    index.write_text(text.replace('"complete": true', '"complete": false'))
    refused("not finished")
    index.write_text(text.replace('"version": 1', '"version": 7'))
    refused("version 1")
    index.write_text(text[:50])
    refused("cannot be read")
    index.write_text(text)
    shutil.rmtree(data / "clips")
    refused("holds no clips")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("clip.json", None, "damaged clip"),
        ("clip.json", "{", "damaged clip"),
        ("clip.json", "[]", "damaged clip"),
        ("clip.json", '{"size": 96}', "KeyError"),
        ("poses.json", None, "poses.json"),
        ("poses.json", "[", "poses.json"),
        ("00001.png", None, "picture 1 of 3 is missing"),
        ("labels/00002.png", None, "picture 2 of 3 is missing"),
    ],
)
def test_a_damaged_clip_is_named(data, name, content, match):
    path = data / "clips" / "drawn-00000001" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=match) as caught:
        open_clips(data)
    assert "\n" not in str(caught.value) and "drawn-00000001" in str(caught.value)


def test_a_damaged_picture_is_named_when_it_is_read(data):
    path = data / "clips" / "drawn-00000000"
    path.joinpath("00000.png").write_bytes(path.joinpath("00000.png").read_bytes()[:500])
    [clip, _] = open_clips(data)
    with pytest.raises(InputError, match=r"00000\.png"):
        clip.frame(0)
    about = json.loads((path / "clip.json").read_text()) | {"size": 48}
    (path / "clip.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"pictures of 96x96, expected 48x48"):
        open_clips(data)
