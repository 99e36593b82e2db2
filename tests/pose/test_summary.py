"""Numbers and a picture of a clip, held against clips whose numbers are known."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magicpose_cli.errors import ConfigError, OutputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.pose.plot import check_plot, write_plot
from magicpose_cli.pose.summary import runs, summarize


def shifted(pose, x, y=0.0):
    return pose.map_points(lambda points: points + np.array([x, y]), pose.width, pose.height)


def test_shares_and_gaps_are_counted(full_body, half_body):
    frames = [[full_body], [], [], [full_body, half_body], [half_body], []]
    told = summarize(PeopleClip(frames, 256, 256, 12.0))
    assert (told.frames, told.fps, told.duration_s) == (6, 12.0, 0.5)
    assert (told.seen, told.gaps, told.longest_gap, told.longest_gap_s) == (0.5, 2, 2, 2 / 12)
    assert (told.people_mean, told.people_most) == (pytest.approx(4 / 6), 2)
    # the half body shows 9 of 18 joints and 64 of 68 face points
    joints = int((half_body.body_score > 0).sum())
    assert told.parts["body"].seen == pytest.approx((18 + 18 + joints) / (6 * 18))
    assert told.parts["face"].seen == pytest.approx((68 + 68 + 64) / (6 * 68))
    assert told.parts["left_hand"].seen == pytest.approx(2 / 6)
    assert (told.parts["left_hand"].gaps, told.parts["left_hand"].longest_gap) == (2, 2)
    assert told.parts["body"].jitter is None  # never three frames in a row
    assert json.loads(json.dumps(asdict(told)))["parts"]["face"]["gaps"] == 2


def test_even_motion_does_not_shake_and_shaking_is_measured(full_body):
    even = PeopleClip.of([shifted(full_body, 3.0 * k, 2.0 * k) for k in range(20)], 25)
    for part in summarize(even).parts.values():
        assert part.jitter == pytest.approx(0, abs=1e-3)
    # one pixel to and fro: a second difference of 4 in every frame
    shaking = PeopleClip.of([shifted(full_body, (-1.0) ** k) for k in range(20)], 25)
    points = full_body.body
    diagonal = np.hypot(*np.ptp(points, axis=0))
    for part in summarize(shaking).parts.values():
        assert part.jitter == pytest.approx(100 * 4 / diagonal, rel=1e-3)


def test_without_a_rate_there_are_no_seconds(full_body):
    told = summarize(PeopleClip([[full_body], []], 256, 256))
    assert (told.fps, told.duration_s, told.longest_gap_s, told.longest_gap) == (
        None,
        None,
        None,
        1,
    )


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [([], []), ([0, 0], []), ([1], [(0, 1)]), ([1, 1, 0, 1], [(0, 2), (3, 4)])],
)
def test_runs(chosen, wanted):
    assert list(runs(np.array(chosen, dtype=bool))) == wanted


number = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(
        st.lists(st.tuples(number, number, st.floats(0, 1, width=32)), max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_any_clip_has_finite_numbers(frames):
    poses = []
    for points in frames:
        parts = {part: np.zeros((count, 3)) for part, count in PARTS.items()}
        for k, point in enumerate(points):
            parts[list(PARTS)[k]][k] = point
        poses.append(Pose.of(640, 480, **parts))
    told = summarize(PeopleClip.of(poses, 25))
    text = json.dumps(asdict(told), allow_nan=False)
    assert 0 <= told.seen <= 1 and text
    for part in told.parts.values():
        assert 0 <= part.seen <= 1 and (part.jitter is None or part.jitter >= 0)


@pytest.mark.slow
def test_the_plot_shows_what_is_seen_and_shades_the_gap(tmp_path, full_body):
    frames = [[shifted(full_body, k)] if not 8 <= k < 12 else [] for k in range(20)]
    write_plot(tmp_path / "plot.png", PeopleClip(frames, 256, 256, 10), "a clip of $weird_ name")
    picture = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB"))
    assert picture.shape[1] > 1000

    def share(color):
        return (picture == np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])).all(2).mean()

    shaded = share("#DDDDDD")
    assert shaded > 0.03 and share("#0072B2") > 0.01 and share("#009E73") > 0.01
    whole = PeopleClip([[full_body]] * 20, 256, 256, 10)
    write_plot(tmp_path / "plot.png", whole, "no gap", overwrite=True)
    picture = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB"))
    assert share("#DDDDDD") < 0.1 * shaded
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


@pytest.mark.slow
@pytest.mark.parametrize("frames", [[[]], [[], []]], ids=["one", "two"])
def test_nobody_can_be_plotted(tmp_path, frames):
    write_plot(tmp_path / "plot.png", PeopleClip(frames, 64, 48), "nobody")
    assert Image.open(tmp_path / "plot.png").size[0] > 1000


def test_what_hinders_a_plot_is_said_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"\.png"):
        check_plot(tmp_path / "plot.pdf")
    (tmp_path / "plot.png").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        check_plot(tmp_path / "plot.png")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'magicpose\[train\]'"):
        check_plot(tmp_path / "other.png")
