"""What is said of how long it takes."""

import pytest

from magicpose_cli.cli.progress_bars import Pace
from magicpose_cli.progress import Progress


def told(times, total, begin=0):
    """What is said at each of these moments, in seconds, at each of which a piece more is done."""
    pace = Pace()
    pace(Progress("render", begin, total), 0.0)
    return [pace(Progress("render", begin + n, total), at) for n, at in enumerate(times, 1)]


def left(said):
    return float(said.split(", ")[1].removesuffix(" s left"))


def test_getting_ready_is_not_counted():
    """The first frame takes 8 s, all others a tenth."""
    said = told([8 + n / 10 for n in range(100)], 100)
    assert said[:10] == [""] * 10
    assert all(left(line) == pytest.approx(10 - n / 10, abs=0.6) for n, line in
               enumerate(said[21:98], 22))  # fmt: skip
    assert said[-1] == "10.0 frames/s"


def test_frames_that_come_in_batches():
    """16 at once, every 20 s, after 30 s of loading."""
    said = told([30 + 20 * (n // 16) + n % 16 / 100 for n in range(160)], 160)
    assert set(said[:16]) == {""}
    for n in range(16, 144):
        assert left(said[n]) == pytest.approx((159 - n) / 16 * 20, rel=0.1)


def test_kept_frames_of_a_former_run_are_soon_forgotten():
    """400 frames are read in 2 s, the others take a second each."""
    said = told([n / 200 for n in range(400)] + [2 + n for n in range(1, 61)], 500)
    assert left(said[-1]) == pytest.approx(500 - 460, rel=0.1)


def test_a_stage_may_have_its_own_words():
    assert Pace()(Progress("train", 3, 9, note="loss 0.1"), 0.0) == "loss 0.1"
