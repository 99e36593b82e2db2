import numpy as np
import pytest

from magicpose_cli.augmentation.camera_ranges import (
    AZIMUTH_BINS,
    CameraRanges,
    allowed_bins,
    parse_camera_ranges,
    sample_viewpoint,
    viewpoint_bins,
)
from magicpose_cli.errors import ConfigError


def test_ranges_are_read():
    found = parse_camera_ranges("azimuth=-30..30, elevation=10, distance=1..1.5")
    assert found == CameraRanges((-30, 30), (10, 10), (1, 1.5))
    assert parse_camera_ranges("") == CameraRanges()


@pytest.mark.parametrize(
    "text",
    ["azimuth", "azimuth=30..10", "azimuth=0..400", "height=1..2", "azimuth=1,azimuth=2",
     "elevation=a..b", "distance=0..1"],
)  # fmt: skip
def test_wrong_ranges(text):
    with pytest.raises(ConfigError, match="--cameras"):
        parse_camera_ranges(text)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("text", ["", "azimuth=-20..20,elevation=5..12", "azimuth=170..190"])
def test_viewpoints_stay_in_their_ranges(text, weighted):
    ranges = parse_camera_ranges(text)
    weights = allowed_bins(ranges) if weighted else None
    rng = np.random.default_rng(0)
    low, high = ranges.azimuth_deg
    for _ in range(300):
        view = sample_viewpoint(ranges, rng, weights)
        turned = low + (view.azimuth_deg - low) % 360
        assert turned <= high + 1e-6 or abs(turned - 360 - low) < 1e-6
        assert ranges.elevation_deg[0] <= view.elevation_deg <= ranges.elevation_deg[1]


def test_only_weighted_bins_are_sampled():
    weights = np.zeros((AZIMUTH_BINS, 3))
    weights[6, 2] = 1
    view = sample_viewpoint(CameraRanges(), np.random.default_rng(1), weights)
    assert abs(view.azimuth_deg - 180) <= 15
    assert 20 <= view.elevation_deg <= 30


def test_bins_count_every_picture_once():
    counts = viewpoint_bins(CameraRanges(), np.array([0, 359, 90, 180]), np.array([-9, 5, 15, 80]))
    assert counts.sum() == 4
    assert counts[0].sum() == 2  # 359 degrees is the front, too
    assert counts[3, 1] == counts[6, 2] == 1
