"""The second looks of MediaPipe's holistic detector, on drawn people whose joints are known."""

import math
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mediapipe.python.solutions")

from magicpose_cli.pose.detection.mediapipe_hands import forget_doubled_hand
from magicpose_cli.pose.detection.mediapipe_holistic import SURE_CONFIDENCE, Find, MediaPipeHolistic
from magicpose_cli.pose.detection.mediapipe_points import forget_misplaced_face
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.synthetic.casting import sample_identities, sample_motions
from magicpose_cli.synthetic.people import TEST_SEEDS, render

SIZE = 512


@pytest.fixture(scope="module")
def drawn():
    """Six people in full: pictures (6, 512, 512, 3) uint8, and their poses."""
    generator = torch.Generator().manual_seed(TEST_SEEDS + 5)
    identity = sample_identities(6, SIZE, generator, framing="full")
    people = render(identity, sample_motions(6, generator))
    return (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy(), people.poses()


@pytest.fixture(scope="module")
def detector():
    with closing(MediaPipeHolistic()) as detector:
        yield detector


def off(pose: Pose, truth: Pose) -> float:
    """Median distance of the joints in pixels."""
    return float(np.nanmedian(np.hypot(*(pose.body - truth.body).T)))


def test_a_doubtful_find_is_read_the_right_way_up(detector, drawn):
    pictures, truths = drawn
    (find,) = detector._find(pictures[0], 0.0)
    over = replace(find.region, turn=find.region.turn + math.pi)
    doubtful = Find(over, SURE_CONFIDENCE - 0.1)
    person = detector._read_find(pictures[0], doubtful, None)
    assert off(person.pose, truths[0]) < 8
    before = detector._read(pictures[0], find.region)
    assert off(detector._read_find(pictures[0], doubtful, before).pose, truths[0]) < 8


def test_a_person_on_their_head_is_read_so(detector, drawn):
    pictures, truths = drawn
    over = np.ascontiguousarray(pictures[0][::-1, ::-1])
    (pose,) = detector.detect(over)
    back = pose.map_points(lambda points: SIZE - 1 - points, SIZE, SIZE)
    assert off(back, truths[0]) < 8


@pytest.mark.slow
@pytest.mark.parametrize("share", [6, 8])
def test_small_people_of_a_film_are_found(drawn, share):
    """The finder sees nobody in the whole picture."""
    picture, truth = drawn[0][0], drawn[1][0]
    side = SIZE // share * 2
    small = np.array(Image.fromarray(picture).resize((side, side)))
    frame = np.full((SIZE, 2 * SIZE, 3), small[0, 0], np.uint8)
    frame[200 : 200 + side, 420 : 420 + side] = small
    with closing(MediaPipeHolistic()) as film:
        assert not film._find(frame, 0.0)
        found = [film.detect(frame) for _ in range(3)]
    expected = truth.map_points(lambda p: p * side / SIZE + (420, 200), 2 * SIZE, SIZE)
    for people in found:
        assert off(people[0], expected) < 5


@pytest.mark.slow
def test_hands_are_found_without_the_guess_of_the_body(detector, drawn):
    """Those that the holistic graph has found are forgotten, and looked for again."""
    pictures, truths = drawn
    found = 0
    for picture, truth in zip(pictures, truths, strict=True):
        (find,) = detector._find(picture, 0.6)[:1]
        person = detector._read(picture, find.region)
        bare = {part: person.landmarks[part] for part in ("body", "world")}
        parts = dict(bare)
        following = detector._hands.find(picture, person.region.side, parts, {}, None)
        assert following.keys() == parts.keys() - bare.keys()
        for hand in following:
            found += 1
            points = np.array([(p.x, p.y) for p in parts[hand]]) * SIZE
            assert np.median(np.hypot(*(points - getattr(truth, hand)).T)) < 12
        # In the next frame they are read where they were: no palm is looked for.
        again = dict(bare)
        tiny = detector._hands.find(picture, person.region.side, again, following, 1)
        assert following.keys() <= tiny.keys()
    assert found >= 4


@pytest.mark.slow
def test_hands_without_a_palm_are_read_along_their_forearm(detector, drawn, monkeypatch):
    pictures, truths = drawn
    monkeypatch.setattr(type(detector._hands), "_palms", lambda *_: iter(()))
    found = 0
    for picture, truth in zip(pictures, truths, strict=True):
        (find,) = detector._find(picture, 0.6)[:1]
        person = detector._read(picture, find.region)
        parts = {"body": person.landmarks["body"]}
        for hand in detector._hands.find(picture, person.region.side, parts, {}, None):
            found += 1
            points = np.array([(p.x, p.y) for p in parts[hand]]) * SIZE
            assert np.median(np.hypot(*(points - getattr(truth, hand)).T)) < 12
    assert found >= 4


@pytest.mark.slow
def test_a_forearm_without_a_hand_leads_to_none(detector, drawn):
    """The elbow is given as the wrist: what goes on from it is a forearm."""
    for picture in drawn[0]:
        (find,) = detector._find(picture, 0.6)[:1]
        person = detector._read(picture, find.region)
        body = list(person.landmarks["body"])
        for wrist, elbow, shoulder in ((15, 13, 11), (16, 14, 12)):
            body[wrist], body[elbow] = body[elbow], body[shoulder]
        assert not detector._hands.find(picture, person.region.side, {"body": body}, {}, None)


def test_two_hands_in_one_place_are_that_of_the_nearer_wrist():
    def at(x, y, count=21):
        return [SimpleNamespace(x=x / 100, y=y / 100) for _ in range(count)]

    parts = {"body": at(0, 0, 33), "left_hand": at(50, 50), "right_hand": at(51, 50)}
    parts["body"][15], parts["body"][16] = at(60, 50, 1)[0], at(48, 50, 1)[0]
    forget_doubled_hand(parts, 100, 100, 100)
    assert parts.keys() == {"body", "right_hand"}
    parts["left_hand"] = at(60, 50)
    forget_doubled_hand(parts, 100, 100, 100)
    assert parts.keys() == {"body", "left_hand", "right_hand"}


def test_a_face_away_from_nose_and_eyes_is_none():
    def at(points):
        return [SimpleNamespace(x=x / 100, y=y / 100, z=0.0) for x, y in points]

    rng = np.random.default_rng(0)
    mesh = rng.normal((50, 40), 5, (478, 2))
    mesh[[4, 362, 263, 33, 133]] = (50, 42), (53, 38), (57, 38), (43, 38), (47, 38)
    body = np.zeros((33, 2))
    body[[0, 2, 5]] = (50, 42), (55, 38), (45, 38)
    for shift, stays in ((0, True), (4, True), (6, False)):  # of an extent of 7
        parts = {"body": at(body + np.array([shift, 0])), "face": at(mesh)}
        forget_misplaced_face(parts, 100, 100)
        assert ("face" in parts) == stays
    parts = {"body": at(body)}
    forget_misplaced_face(parts, 100, 100)
    assert parts.keys() == {"body"}
    body[[11, 12]] = (20, 70), (80, 70)  # a face that is small beside the body
    parts = {"body": at(body + np.array([6, 0])), "face": at(mesh)}
    forget_misplaced_face(parts, 100, 100)
    assert "face" in parts
