"""Who is followed: drawn people who cross, hide, leave and come back."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.benchmarks.tracking_benchmark import drawn_motions
from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.tracking.appearance import (
    HISTOGRAM_SIZE,
    appearance_distance,
    appearance_histogram,
)
from magicpose_cli.pose.tracking.assignment import assign
from magicpose_cli.pose.tracking.crossings import undo_crossing_swaps
from magicpose_cli.pose.tracking.linking import Detection, Tracklet
from magicpose_cli.pose.tracking.person import parse_person, pick_person
from magicpose_cli.synthetic.casting import animate_motions, sample_identities
from magicpose_cli.synthetic.people import TEST_SEEDS, render

FPS = 25.0
WIDTH = 1280


def at(pose, x, y=0.0, scale=1.0):
    """The pose in a wide picture, moved so that the middle of its own picture comes to x."""
    shift = np.float32([x - 256 * scale, y])
    return pose.map_points(lambda points: points * np.float32(scale) + shift, WIDTH, 720)


def walkers(frames, ways, seed=0, noise=0.0):
    """(people, frames) poses of drawn people who go from ways[i][0] to ways[i][1]."""
    rng = np.random.default_rng(seed)
    people = []
    for (poses, height), (start, end) in zip(
        drawn_motions(len(ways), frames, TEST_SEEDS + seed), ways, strict=True
    ):
        xs = np.linspace(start, end, frames)
        people.append([
            at(p, x).map_points(
                lambda q, h=height: q + rng.normal(0, noise * h, q.shape), WIDTH, 720
            )
            for p, x in zip(poses, xs, strict=True)
        ])  # fmt: skip
    return people


def looks(seed, alike):
    """Two looks, one and the same where `alike`."""
    shares = np.random.default_rng(seed).dirichlet(np.full(HISTOGRAM_SIZE // 3, 0.1), (2, 3))
    two = (np.sqrt(shares) * 255).round().astype(np.uint8).reshape(2, HISTOGRAM_SIZE)
    return (two[0], two[0]) if alike else (two[0], two[1])


def detections(people, worn, unseen, seed=0):
    """Everybody in each frame in random order, and where person 0 is: -1 where unseen.

    unseen: {(person, frame)}.
    """
    rng = np.random.default_rng(seed)
    clip, truth = [], []
    for frame in range(len(people[0])):
        here = [i for i in range(len(people)) if (i, frame) not in unseen]
        here = [here[k] for k in rng.permutation(len(here))]
        clip.append([Detection(people[i][frame], worn[i]) for i in here])
        truth.append(here.index(0) if 0 in here else -1)
    return clip, np.array(truth)


@pytest.mark.parametrize("clothes", ["different", "equal", "unknown"])
@pytest.mark.parametrize("seed", range(6))
def test_two_who_cross_are_not_swapped(clothes, seed):
    people = walkers(50, [(200, 1000), (1000, 200)], seed, noise=0.01)
    worn = (None, None) if clothes == "unknown" else looks(seed, clothes == "equal")
    rng = np.random.default_rng(seed)
    unseen = {(1, frame) for frame in range(22, 28)}  # hidden behind the other
    unseen |= {(int(rng.integers(2)), int(rng.integers(5, 50))) for _ in range(8)}
    clip, truth = detections(people, worn, unseen, seed)
    picked = pick_person(clip, FPS, (200.0, 300.0))
    who, at_once = picked.detection_index, picked.at_once
    np.testing.assert_array_equal(who, truth)
    assert at_once == 2


def test_clothes_tell_who_comes_back_after_long():
    people = walkers(120, [(300, 300), (800, 800)], seed=3)
    unseen = {(i, frame) for i in (0, 1) for frame in range(30, 90)}
    swapped = [people[0][:90] + people[1][90:], people[1][:90] + people[0][90:]]
    clip, truth = detections(swapped, looks(1, alike=False), unseen)
    who = pick_person(
        clip, FPS, "left" if swapped[0][0].body[1, 0] < 500 else "right"
    ).detection_index
    seen = truth >= 0
    clothes_followed = {clip[f][who[f]].appearance.tobytes() for f in np.flatnonzero(who >= 0)}
    assert (who >= 0).sum() == seen.sum()
    assert len(clothes_followed) == 1


@pytest.mark.slow
def test_painted_people_are_told_apart_while_they_cross():
    frames, size = 24, 128
    generator = torch.Generator().manual_seed(TEST_SEEDS + 5)
    identities = sample_identities(2, size, generator, framing="full")
    motions = animate_motions(2, frames, generator)
    painted = render(identities.rows(torch.arange(2).repeat_interleave(frames)), motions)
    poses, labels = painted.poses(), painted.labels.numpy()
    pictures = (painted.images.permute(0, 2, 3, 1) * 255).byte().numpy()
    clip, truth = [], []
    for frame in range(frames):
        canvas = np.full((size, 3 * size, 3), 128, np.uint8)
        lefts = (int(2 * size * frame / frames), int(2 * size * (1 - frame / frames)))
        for row, left in ((frames + frame, lefts[1]), (frame, lefts[0])):  # the first in front
            window = canvas[:, left : left + size]
            window[labels[row] > 0] = pictures[row][labels[row] > 0]
        here = [
            poses[row].map_points(lambda p, x=left: p + np.float32([x, 0]), 3 * size, size)
            for row, left in ((frame, lefts[0]), (frames + frame, lefts[1]))
        ]
        order = [0, 1] if frame % 2 else [1, 0]
        if 10 <= frame <= 13:
            order = [0]
        clip.append([Detection(here[i], appearance_histogram(canvas, here[i])) for i in order])
        truth.append(order.index(0))
    apart = appearance_distance(clip[0][0].appearance, clip[0][1].appearance)
    same = appearance_distance(clip[0][1].appearance, clip[-2][1].appearance)
    assert same < 0.5 * apart
    who = pick_person(clip, FPS, (float(here[0].width / 6), 64.0)).detection_index
    np.testing.assert_array_equal(who, truth)


def test_the_choice_is_made_over_the_clip():
    small, large, passing = walkers(60, [(200, 220), (1000, 980), (600, 640)], seed=1)
    large = [
        pose.map_points(lambda p: p * 1.3 - np.float32([320, 0]), WIDTH, 720) for pose in large
    ]
    unseen = {(1, frame) for frame in range(20)}  # enters late
    unseen |= {(2, frame) for frame in range(60) if not 30 <= frame < 36}
    clip, _ = detections([small, large, passing], (None,) * 3, unseen)

    def picked(wanted):
        picked = pick_person(clip, FPS, parse_person(wanted))
        who, at_once = picked.detection_index, picked.at_once
        assert at_once == 2  # who passes by does not count
        pose = clip[-1][who[-1]].pose
        return "small" if pose is small[-1] else "large"

    assert picked("largest") == "large"
    assert picked("left") == picked("1") == "small"
    assert picked("right") == picked("2") == "large"
    x, y = large[-1].body[1]
    assert picked(f"{x:.0f},{y:.0f}") == "large"
    nearest = min((small, large), key=lambda poses: abs(np.nanmean(poses[40].body[:, 0]) - 640))
    assert picked("center") == ("small" if nearest is small else "large")
    with pytest.raises(DetectionError, match="3 was asked for, but 2 people are seen"):
        pick_person(clip, FPS, 3)


def test_a_film_cut_to_other_clothes_is_the_same_person():
    people = walkers(60, [(300, 300), (900, 900)], seed=2)
    unseen = {(0, f) for f in range(30, 60)} | {(1, f) for f in range(30)}
    clip, _ = detections(people, looks(0, alike=False), unseen)
    picked = pick_person(clip, FPS, "largest")
    who, at_once = picked.detection_index, picked.at_once
    assert (who == 0).all() and at_once == 1


def test_a_ghost_is_not_the_person():
    people = walkers(60, [(300, 300), (900, 900)], seed=2)
    unseen = {(0, f) for f in range(30, 33)} | {(1, f) for f in range(60) if not 30 <= f < 33}
    clip, truth = detections(people, (None, None), unseen)
    who = pick_person(clip, FPS, "largest").detection_index
    np.testing.assert_array_equal(who, truth)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("Largest", "largest"), ("2", 2), (3, 3), ("12.5, 40", (12.5, 40.0)), ("center", "center")],
)
def test_a_choice_is_read(text, wanted):
    assert parse_person(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "-1", "tallest", "1,2,3", "x,y", "1.5", "nan,nan"])
def test_a_bad_choice_is_one_line(text):
    with pytest.raises(
        ConfigError, match="expected largest, left, right, center, a number"
    ) as info:
        parse_person(text)
    assert "\n" not in str(info.value)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.9]))
def test_assignments_are_the_cheapest(rows, columns, seed, share):
    cost = np.random.default_rng(seed).random((rows, columns))
    cost[np.random.default_rng(seed + 1).random((rows, columns)) > share] = np.inf
    refusal = 0.6

    def total(pairs):
        return sum(cost[pair] for pair in pairs) + refusal * (rows - len(pairs))

    best = min(
        total([(r, c) for r, c in zip(chosen, range(columns), strict=False) if r is not None
               and cost[r, c] < refusal])
        for chosen in permutations([*range(rows), *[None] * columns], columns)
    )  # fmt: skip
    pairs = assign(cost, refusal)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert total(pairs) == pytest.approx(best)


def test_what_is_not_in_the_picture_has_no_look(full_body):
    away = full_body.map_points(lambda p: p + 1000, 256, 256)
    assert appearance_histogram(np.zeros((256, 256, 3), np.uint8), away) is None
    look = appearance_histogram(np.full((256, 256, 3), 200, np.uint8), full_body)
    assert look.shape == (HISTOGRAM_SIZE,) and look.dtype == np.uint8
    assert float(appearance_distance(look, look)) < 0.1


@pytest.mark.parametrize("clothes", ["equal", "unknown", "different"])
@pytest.mark.parametrize("swapped", [True, False])
def test_who_was_taken_for_another_in_a_crossing_is_put_right(full_body, clothes, swapped):
    """One stands, the other walks past; clothes that go on as they came are believed."""
    stands = [at(full_body, 640.0)] * 60
    walks = [at(full_body, x) for x in np.linspace(340, 940, 60)]
    worn = looks(3, alike=clothes == "equal") if clothes != "unknown" else (None, None)
    tail = (1, 0) if swapped else (0, 1)
    if clothes == "different" and swapped:  # the clothes go along with what is linked
        people = [stands[:30] + walks[30:], walks[:30] + stands[30:]]
        tail = (0, 1)
    else:
        people = [stands, walks]
    clip = [[Detection(people[i][f], worn[i]) for i in (0, 1)] for f in range(60)]
    tracklets = []
    for who in (0, 1):
        index = [who] * 30 + [tail[who]] * 30
        marks, center = np.zeros((21, 2)), np.zeros(2)
        tracklets.append(Tracklet(list(range(60)), index, marks, center, 220.0, center))
    undo_crossing_swaps(tracklets, clip, FPS)
    for who, tracklet in enumerate(tracklets):
        assert tracklet.frames == list(range(60))
        assert tracklet.detection_index == [who] * 60


def test_who_meets_and_turns_back_in_other_clothes_is_no_swap(full_body):
    come = np.linspace(340, 640, 30)
    left = [at(full_body, x) for x in [*come, *come[::-1]]]
    right = [at(full_body, 1280 - x) for x in [*come, *come[::-1]]]
    clip, truth = detections([left, right], looks(4, alike=False), set())
    who = pick_person(clip, FPS, "left").detection_index
    apart = [*range(20), *range(40, 60)]
    np.testing.assert_array_equal(who[apart], truth[apart])
