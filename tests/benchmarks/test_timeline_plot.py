"""The picture of who worked when."""

import numpy as np
import pytest

from magicpose_cli.benchmarks.timeline_plot import busy_share, plot_timeline
from magicpose_cli.video import read_picture

SPANS = [("poses", 0.0, 4.0), ("render", 4.0, 6.0), ("encode", 5.0, 5.5), ("render", 6.0, 10.0)]


def test_work_at_the_same_time_counts_once():
    assert busy_share([(0, 4), (2, 6), (3, 5), (8, 9)], 10) == pytest.approx(0.7)
    assert busy_share([], 10) == 0


def test_a_row_a_stage_and_a_bar_where_it_worked(tmp_path):
    plot_timeline(SPANS, tmp_path / "timeline.png")
    picture = read_picture(tmp_path / "timeline.png")
    # bars are colored, text and axes are gray
    colored = np.ptp(picture.astype(int), axis=2) > 40
    rows = np.flatnonzero(colored.any(axis=1))
    bands = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    assert len(bands) == 3
    starts = [np.flatnonzero(colored[band].any(axis=0)).min() for band in bands]
    assert starts == sorted(starts) and starts[0] < starts[1] < starts[2]
    widths = [colored[band].any(axis=0).sum() for band in bands]
    assert widths[0] / widths[1] == pytest.approx(4 / 6, rel=0.05)
    assert widths[2] / widths[1] == pytest.approx(0.5 / 6, rel=0.2)


def test_vector_formats_go_by_the_suffix(tmp_path):
    plot_timeline(SPANS, tmp_path / "timeline.svg")
    assert "<svg" in (tmp_path / "timeline.svg").read_text()
