"""The reference's background in the made frames: exact where nobody is, untouched where somebody
is, and where the frame shows something else."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.compositing.background import AWAY_FROM_PERSON, BESIDE_LIMBS, Background
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.synthetic.people import TEST_SEEDS, draw_people


@pytest.fixture(scope="module")
def clip():
    """Two pictures of a whole person, (S, S, 3) uint8, with their poses."""
    people = draw_people(TEST_SEEDS + 910, 12, 2, 128)
    pictures = (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    poses = people.poses()
    covered = [np.maximum(person_region(poses[i]), person_region(poses[i + 1])).mean()
               for i in range(0, 24, 2)]  # fmt: skip
    first = 2 * int(np.argmin(covered))
    return pictures[first : first + 2], poses[first : first + 2]


def blurred(picture):
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), 2)


def regions(bounds, still, pose):
    """(S, S) bool: where either person is."""
    region = person_region(still, bounds.reference), person_region(pose, bounds.frame)
    return np.maximum(*region).astype(bool)


def test_detail_comes_back_where_nobody_is_and_only_there(clip):
    (reference, truth), (still, pose) = clip
    made = blurred(truth)
    kept = Background(reference, still).keep(made, pose)
    assert kept.shape == made.shape and kept.dtype == np.uint8
    people, limbs = (regions(bounds, still, pose) for bounds in (AWAY_FROM_PERSON, BESIDE_LIMBS))
    assert limbs.any() and np.array_equal(kept[limbs], made[limbs])
    exact = (kept == reference).all(2)
    assert exact[~people].mean() > 0.4 > (made == reference).all(2)[~people].mean()

    def error(picture):
        return np.square(picture.astype(float) - truth)[~people].mean()

    assert error(kept) < 0.7 * error(made)


def test_beside_the_limbs_the_colors_have_to_agree_more(clip):
    """A difference that is let pass far from the people is not beside them."""
    (reference, _), (still, pose) = clip
    people, limbs = (regions(bounds, still, pose) for bounds in (AWAY_FROM_PERSON, BESIDE_LIMBS))
    reference = np.minimum(reference, 200)
    assert BESIDE_LIMBS.same < BESIDE_LIMBS.other < 40 < AWAY_FROM_PERSON.other
    beside = people & ~limbs
    nearer = (
        person_region(pose, BESIDE_LIMBS.reference).astype(bool) & ~limbs
    )  # than to the reference's person
    for levels, some in ((4, True), (40, False)):
        made = reference + np.uint8(levels)
        kept = Background(reference, still).keep(made, pose)
        taken = (kept != made).any(2)
        assert taken[~people].mean() > 0.4
        assert (float(taken[beside].mean()) > 0.2) is some
        assert (float(taken[nearer].mean()) > 0.05) is some


def test_what_the_frame_shows_anew_stays(clip):
    (reference, _), (still, pose) = clip
    people = np.maximum(person_region(still), person_region(pose))
    rows, columns = np.nonzero(people == 0)
    corner = np.argmax(np.abs(rows - 64) + np.abs(columns - 64))
    y, x = (np.clip(v[corner], 12, 115) for v in (rows, columns))
    made = reference.copy()
    made[y - 12 : y + 12, x - 12 : x + 12] = 255 - reference[y, x] // 128 * 255
    kept = Background(reference, still).keep(made, pose)
    assert np.array_equal(kept[y, x], made[y, x])


def test_of_an_unknown_pose_the_frame_stays_as_it_is(clip):
    (reference, truth), (still, _) = clip
    nobody = Pose.of(128, 128)
    assert np.array_equal(Background(reference, still).keep(truth, nobody), truth)
    assert np.array_equal(Background(reference, nobody).keep(truth, still), truth)


def test_the_reference_itself_does_not_change(clip):
    (reference, _), (still, pose) = clip
    faceless = replace(still, face=np.full((68, 2), np.nan, np.float32),
                       face_score=np.zeros(68, np.float32))  # fmt: skip
    assert np.array_equal(Background(reference, faceless).keep(reference, pose), reference)
