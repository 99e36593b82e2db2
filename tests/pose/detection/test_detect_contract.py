"""What every detector must do, on drawn people whose joints are known."""

import importlib.util
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from magicpose_cli import models as catalog
from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.detection.detect import DETECTORS, detect_one, detect_settled, load_detector
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS
from magicpose_cli.synthetic.casting import animate_motions, sample_identities, sample_motions
from magicpose_cli.synthetic.people import TEST_SEEDS, render

SIZE = 512
MIRRORED = [
    BODY_JOINTS.index(name.replace("left", "*").replace("right", "left").replace("*", "right"))
    for name in BODY_JOINTS
]


@pytest.fixture(scope="module")
def drawn():
    """Six people in full: pictures (6, 512, 512, 3) uint8, poses, pixels of a body height."""
    generator = torch.Generator().manual_seed(TEST_SEEDS + 5)
    identity = sample_identities(6, SIZE, generator, framing="full")
    people = render(identity, sample_motions(6, generator))
    pictures = (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    return pictures, people.poses(), identity.camera[:, 0].numpy()


@pytest.fixture(scope="module")
def task_files(tmp_path_factory):
    """A home with MediaPipe's tasks, put together from the wheel's own networks."""
    pytest.importorskip("mediapipe.python.solutions")
    home = tmp_path_factory.mktemp("home")
    folder = home / "models/mediapipe-tasks"
    folder.mkdir(parents=True)
    path = Path(__file__).with_name("task_files.py")
    spec = importlib.util.spec_from_file_location("task_files", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.assemble(folder)
    return home


@pytest.fixture(params=DETECTORS)
def load(request, monkeypatch):
    """Loads the detector, or skips where its packages or weights are not here."""
    name = request.param
    if name == "mediapipe-tasks" and catalog.missing_files(name):
        home = request.getfixturevalue("task_files")
        monkeypatch.setenv("MAGICPOSE_HOME", str(home))
        files = tuple(
            catalog.RemoteFile(path.name, path.stat().st_size, "")
            for path in (home / "models" / name).iterdir()
        )
        monkeypatch.setitem(catalog.CATALOG, name, catalog.Entry("", "", files))

    def load_it(still=False):
        try:
            return closing(load_detector(name, still=still))
        except ConfigError as error:
            pytest.skip(str(error))

    return load_it


def distances(found, truth, height):
    """In % of the body height, of the points that both have."""
    apart = np.hypot(*(found - truth).T) / height * 100
    return apart[np.isfinite(apart)]


def check_form(pose, width, height):
    assert (pose.width, pose.height) == (width, height)
    for part, count in PARTS.items():
        points, score = getattr(pose, part), getattr(pose, f"{part}_score")
        assert points.shape == (count, 2) and points.dtype == score.dtype == np.float32
        assert (np.isnan(points).any(axis=1) == (score == 0)).all()
        assert ((score >= 0) & (score <= 1)).all()
    for part in ("body", "face"):
        space = getattr(pose, f"{part}_3d")
        if space is not None:
            unseen = getattr(pose, f"{part}_score") == 0
            assert (np.isnan(space).any(axis=1) == unseen).all()
    if pose.face_mesh is not None:
        assert pose.face_mesh.dtype == np.float32 and np.isfinite(pose.face_mesh).all()
        assert pose.face_score.any()
    if pose.body_guess is not None:
        seen = pose.body_score > 0
        assert pose.body_guess.dtype == np.float32
        assert np.array_equal(pose.body_guess[seen, :2], pose.body[seen])


@pytest.mark.slow
@pytest.mark.parametrize("still", [True, False])
def test_drawn_people_are_found_where_they_are(load, drawn, still):
    """Also where the film cuts from one to the next."""
    found, mirrored, faces = [], [], []
    with load(still) as detector:
        for picture, truth, height in zip(*drawn, strict=True):
            (pose,) = detector.detect(picture)
            check_form(pose, SIZE, SIZE)
            found += [*distances(pose.body, truth.body, height)]
            mirrored += [*distances(pose.body[MIRRORED], truth.body, height)]
            faces += [*distances(pose.face, truth.face, height)]
    assert np.median(found) < 1.5 and np.percentile(found, 90) < 4
    assert np.median(mirrored) > 5 * np.median(found)
    assert len(faces) == 68 * len(drawn[0]) and np.median(faces) < 1


@pytest.mark.slow
def test_hands_are_on_their_own_arms(load, drawn):
    count = 0
    with load(still=True) as detector:
        for picture, truth, height in zip(*drawn, strict=True):
            pose = detect_one(detector, picture)
            for hand in ("left_hand", "right_hand"):
                found = distances(getattr(pose, hand), getattr(truth, hand), height)
                count += len(found) > 0
                assert len(found) == 0 or np.median(found) < 2.5
    assert count >= 6  # of 12; some are behind the body, some beyond the edge


def test_two_people_the_larger_first(load, drawn):
    pictures, truths, heights = drawn
    small = np.ascontiguousarray(pictures[1][::2, ::2])
    rest = np.full((SIZE - len(small), len(small), 3), small[-1].mean(axis=(0, 1)), np.uint8)
    wide = np.concatenate([np.concatenate([rest, small]), pictures[0]], axis=1)
    with load(still=True) as detector:
        larger, smaller = detector.detect(wide)
    for pose in (larger, smaller):
        check_form(pose, wide.shape[1], wide.shape[0])
    own = truths[0].body + np.array([small.shape[1], 0])
    assert np.median(distances(larger.body, own, heights[0])) < 2
    own = truths[1].body / 2 + np.array([0, len(rest)])
    assert np.median(distances(smaller.body, own, heights[1] / 2)) < 3


def test_points_in_space_fit_those_in_the_picture(load, drawn):
    """x and y are the picture's up to scale and shift; z grows away from the camera."""
    with load(still=True) as detector:
        pose = detect_one(detector, drawn[0][0])
    if pose.body_3d is None or pose.face_3d is None:
        pytest.skip("this detector knows no points in space")
    for part, least in (("body", 0.98), ("face", 0.98)):
        flat, space = getattr(pose, part), getattr(pose, f"{part}_3d")
        seen = np.isfinite(flat).all(axis=1)
        for axis in (0, 1):
            assert np.corrcoef(flat[seen, axis], space[seen, axis])[0, 1] > least
    tip, ears = pose.face_3d[30, 2], pose.face_3d[[0, 16], 2]
    assert (tip < ears).all()


def test_a_mesh_is_of_the_face_that_was_found(load, drawn):
    """In the picture's pixels: irises between the corners of the eyes, ears behind the nose."""
    with load(still=True) as detector:
        pose = detect_one(detector, drawn[0][0])
    if pose.face_mesh is None:
        pytest.skip("this detector knows no mesh")
    seen = pose.face_score > 0
    own = pose.face_mesh[list(FACE_FROM_478)]
    assert np.array_equal(own[seen, :2], pose.face[seen])
    for iris, corners in ((slice(468, 473), (33, 133)), (slice(473, 478), (362, 263))):
        left, right = pose.face_mesh[list(corners), 0]
        assert (pose.face_mesh[iris, 0] > left).all() and (pose.face_mesh[iris, 0] < right).all()
    depth = pose.face_mesh[[234, 454], 2].mean() - pose.face_mesh[4, 2]
    across = np.hypot(*(pose.face_mesh[454, :2] - pose.face_mesh[234, :2]))
    assert 0.3 * across < depth < 1.5 * across


@pytest.mark.slow
def test_a_first_picture_is_seen_as_the_later_ones(load, drawn, request):
    """And a still picture as a film's frame, by a detector that looks several times."""
    name = request.node.callspec.params["load"]
    picture = drawn[0][0]
    with load(still=True) as detector:
        (first,), *_, (later,) = [detector.detect(picture) for _ in range(8)]
    with load(still=True) as detector:
        (still,) = detect_settled(detector, name, picture)
    with load() as detector:
        (film,) = detect_settled(detector, name, picture)
    off, settled = (np.abs(pose.face - later.face).max() for pose in (first, still))
    if DETECTORS[name].looks == 1:
        assert off == settled == 0
    else:
        assert settled < 0.5 * off
        assert np.abs(still.face - film.face).max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("still", [True, False])
def test_where_nobody_is_nobody_is_found_in_silence(load, drawn, still, capfd):
    with load(still) as detector:
        for width, height in ((320, 240), (97, 161), (3, 2)):
            picture = np.full((height, width, 3), 127, np.uint8)
            assert detector.detect(picture) == []
            pose = detect_one(detector, picture)
            assert pose.is_empty
            assert (pose.width, pose.height) == (width, height)
        odd = drawn[0][0][:479, 60:417]  # a view into another array
        (pose,) = detector.detect(odd)
        check_form(pose, 357, 479)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_film_of_two_people_of_whom_one_leaves(load, drawn):
    pictures, truths, heights = drawn
    one, other = pictures[0], pictures[4]
    empty = np.broadcast_to(one[:, :1], one.shape)  # the wall behind, stretched
    with load() as detector:
        for shift in range(0, 24, 4):
            both = np.concatenate([np.roll(one, shift, axis=1), other], axis=1)
            people = detector.detect(both)
            assert len(people) == 2, shift
            left = min(people, key=lambda pose: np.nanmean(pose.body[:, 0]))
            own = truths[0].body + np.array([shift, 0])
            assert np.median(distances(left.body, own, heights[0])) < 2
        for _ in range(2):
            alone = np.concatenate([one, empty], axis=1)
            (pose,) = detector.detect(alone)
            assert np.median(distances(pose.body, truths[0].body, heights[0])) < 2
        assert detector.detect(np.concatenate([empty, empty], axis=1)) == []


@pytest.mark.slow
def test_a_film_is_read_without_lag(load):
    """After a sudden move the person is where they are, not on the way there."""
    generator = torch.Generator().manual_seed(TEST_SEEDS + 6)
    identity = sample_identities(1, 384, generator, framing="full")
    motion = animate_motions(1, 13, generator)
    people = render(identity.rows(torch.zeros(13, dtype=torch.long)), motion)
    pictures = (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    before, after = pictures[4], pictures[8]
    with load(still=True) as detector:
        alone = detect_one(detector, after)
    with load() as detector:
        for _ in range(4):
            start = detect_one(detector, before)
        pose = detect_one(detector, after)
    height = float(identity.camera[0, 0])
    moved = distances(alone.body, start.body, height)
    assert np.percentile(moved, 75) > 3
    assert np.percentile(distances(pose.body, alone.body, height), 90) < 0.5
