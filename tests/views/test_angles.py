from itertools import pairwise

import pytest

from magicpose_cli.errors import InputError
from magicpose_cli.views.angles import (
    ViewRange,
    check_view_count,
    looped_views,
    read_range,
    spread_views,
)


@pytest.mark.parametrize(
    ("text", "low", "high"), [("-60..60", -60, 60), ("30", 30, 30), (" -5.5 .. 0 ", -5.5, 0)]
)
def test_a_range_is_read(text, low, high):
    assert read_range(text, "yaw", 90) == ViewRange(low, high)


@pytest.mark.parametrize("text", ["", "x", "60..-60", "-91..0", "0..91", "1..2..3", "nan", "1e2"])
def test_other_ranges_are_refused_with_their_text(text):
    with pytest.raises(InputError, match=r"^yaw .*expected"):
        read_range(text, "yaw", 90)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_so_many_views_are_refused(count):
    with pytest.raises(InputError, match=f"views is {count}"):
        check_view_count(count)


@pytest.mark.parametrize("path", [looped_views, spread_views])
@pytest.mark.parametrize("yaw", [ViewRange(-60, 40), ViewRange(0, 30), ViewRange(10, 30)])
def test_views_begin_nearest_to_the_picture_and_stay_within(path, yaw):
    pitch = ViewRange(-20, 10)
    views = path(yaw, pitch, 33)
    assert len(views) == 33 and views[0] == (yaw.start, 0)
    assert all(yaw.low <= view.yaw_deg <= yaw.high for view in views)
    assert all(pitch.low <= view.pitch_deg <= pitch.high for view in views)
    assert max(view.yaw_deg for view in views) == pytest.approx(yaw.high, abs=0.3)
    assert min(view.yaw_deg for view in views) == pytest.approx(yaw.low, abs=0.3)


def test_a_loop_has_no_view_twice_and_no_jump():
    views = looped_views(ViewRange(-60, 60), ViewRange(-20, 20), 48)
    assert len({(round(v.yaw_deg, 6), round(v.pitch_deg, 6)) for v in views}) >= 47
    yaws = [view.yaw_deg for view in (*views, views[0])]
    assert max(abs(b - a) for a, b in pairwise(yaws)) < 9


@pytest.mark.parametrize("count", [1, 2])
def test_few_views(count):
    assert len(spread_views(ViewRange(-60, 60), ViewRange(0, 0), count)) == count
