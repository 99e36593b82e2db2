"""The matte of a drawn person, with the real segmentation or by the pose alone."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping import matte as module
from magicpose_cli.warping.matte import find_matte, person_mask
from tests.warping.people import shifted


@pytest.fixture(params=["network", "pose"])
def way(request, monkeypatch):
    """By the network where the wheel has one, and where there is none."""
    if request.param == "pose":
        monkeypatch.setattr(module, "segment", lambda picture, pose: None)
    return request.param


def test_it_covers_the_person_and_nothing_far_away(standing, way):
    found = find_matte(standing.picture, standing.pose)
    assert found is not None
    assert found.alpha.dtype == np.float32 and found.foreground.shape == (256, 256, 3)
    assert found.alpha.min() >= 0 and found.alpha.max() <= 1
    assert np.isfinite(found.foreground).all()
    is_shown = found.alpha > 0.5
    both, either = is_shown & standing.shown, is_shown | standing.shown
    assert both.sum() > (0.85 if way == "network" else 0.7) * either.sum()
    points = np.rint(standing.pose.body).astype(int)
    assert (found.alpha[points[:, 1], points[:, 0]] > 0.9).mean() > 0.85
    y, x = np.mgrid[:256, :256]
    columns, rows = np.flatnonzero(standing.shown.any(0)), np.flatnonzero(standing.shown.any(1))
    far = (x < columns[0] - 25) | (x > columns[-1] + 25) | (y > rows[-1] + 25)
    assert far.mean() > 0.2
    assert (found.alpha[far] == 0).all()


@pytest.mark.slow
def test_it_is_the_same_every_time(standing, way):
    one, other = (find_matte(standing.picture, standing.pose) for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one.alpha, other.alpha)


def test_a_large_picture_is_looked_at_in_small_and_keeps_its_size(standing, monkeypatch):
    monkeypatch.setattr(module, "MATTING_SIDE_PX", 128)
    found = find_matte(standing.picture, standing.pose)
    assert found is not None and found.alpha.shape == (256, 256)
    is_shown = found.alpha > 0.5
    both, either = is_shown & standing.shown, is_shown | standing.shown
    assert both.sum() > 0.85 * either.sum()


def test_of_two_people_only_one_is_taken(standing):
    """Somebody else beside them belongs to what is behind."""
    picture = np.concatenate([standing.picture, standing.picture], axis=1)
    pose = standing.pose.map_points(lambda points: points, 512, 256)
    found = find_matte(picture, pose)
    assert found is not None
    assert (found.alpha[:, :256] > 0.5).sum() > 0.8 * standing.shown.sum()
    assert not (found.alpha[:, 320:] > 0.1).any()


def test_nothing_is_told_from_a_plain_picture(standing):
    assert find_matte(np.full((256, 256, 3), 128, np.uint8), standing.pose) is None


def test_nothing_is_told_of_a_pose_outside_of_the_picture(standing, monkeypatch):
    monkeypatch.setattr(module, "segment", lambda picture, pose: None)
    assert find_matte(standing.picture, shifted(standing.pose, 900)) is None


def test_the_network_looks_for_no_pose_outside_of_the_picture(standing):
    assert find_matte(standing.picture, shifted(standing.pose, 900)) is None


def test_nothing_is_told_of_nobody(standing):
    assert find_matte(standing.picture, Pose.of(256, 256)) is None


def test_somebody_beside_is_not_the_person(standing):
    """Two stand so near that one could wear what the other does."""
    columns = np.flatnonzero(standing.shown.any(0))
    first, end = int(columns[0]), int(columns[-1]) + 1
    picture = np.concatenate([standing.picture[:, first:end]] * 2, axis=1)
    size, width = (picture.shape[1], picture.shape[0]), end - first
    one, other = (
        standing.pose.map_points(lambda p, x=x: p + np.float32([x, 0]), *size)
        for x in (-first, width - first)
    )
    alone, beside = find_matte(picture, one), find_matte(picture, one, [other])
    assert alone.alpha[:, width + 4 :].max() > 0.5
    assert beside.alpha[:, width + 4 :].max() < 0.2
    assert beside.alpha[:, :width].sum() > 0.95 * alone.alpha[:, :width].sum()
    assert find_matte(picture, other, [one]).alpha[:, : width - 4].max() < 0.2


def test_a_films_mask_holds_the_person(standing, way):
    mask = person_mask(standing.picture, standing.pose)
    assert mask.dtype == np.bool_ and mask.shape == standing.shown.shape
    both, either = mask & standing.shown, mask | standing.shown
    assert both.sum() > 0.6 * either.sum() and both.sum() > 0.85 * standing.shown.sum()


def test_a_films_mask_of_nobody_is_empty(standing):
    height, width = standing.shown.shape
    assert not person_mask(standing.picture, Pose.of(width, height)).any()


def test_the_part_network_is_asked_where_the_segmentation_doubts(standing):
    """Of clothes that are like the wall; not of heads and feet, which it sees roughly."""
    seen = standing.shown.astype(np.float32)
    sure = module._sure_by_parts(seen, np.full_like(seen, 0.4), standing.pose)
    assert standing.shown[sure].all() and sure.sum() > 0.1 * standing.shown.sum()
    height = standing.pose.height
    joints = np.rint(standing.pose.body).astype(int)
    of_trunk = joints[[8, 11]].mean(0).astype(int) - (0, 20)
    assert sure[of_trunk[1], of_trunk[0]]
    head, feet = joints[0, 1], joints[[10, 13], 1].min()
    assert not sure[: head + 10].any() and not sure[feet:height].any()
    assert not module._sure_by_parts(seen, np.full_like(seen, 0.1), standing.pose).any()
