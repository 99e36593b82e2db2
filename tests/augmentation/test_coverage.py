import numpy as np
import pytest

from magicpose_cli.augmentation.camera_ranges import CameraRanges
from magicpose_cli.augmentation.coverage import (
    Coverage,
    cluster_poses,
    filled_up,
    viewpoint_lack,
)


def test_what_lacks_is_filled_as_water_fills_a_ground():
    added = filled_up(np.array([4.0, 1.0, 0.0, 9.0]), np.array([1.0, 1, 1, 0]), 4)
    assert added == pytest.approx([0, 1.5, 2.5, 0])  # up to 2.5 in the lower two


def test_wanted_shares_count():
    added = filled_up(np.array([3.0, 0.0]), np.array([3.0, 1.0]), 9)
    assert added == pytest.approx([6, 3])


@pytest.mark.parametrize("made", [1, 7, 500])
def test_all_that_is_made_is_spread(made):
    counts = np.random.default_rng(0).integers(0, 20, (12, 3)).astype(float)
    added = filled_up(counts, np.ones((12, 3)), made)
    assert added.sum() == pytest.approx(made)
    assert (added >= 0).all()


def test_a_set_of_fronts_lacks_backs():
    rows = [("a", 0.0, 5.0, 0), ("a", 10.0, 5.0, 0), ("b", 350.0, 5.0, 1)]
    coverage = Coverage.of(CameraRanges(), 2, rows)
    lack = viewpoint_lack(coverage, CameraRanges(), 33)
    assert lack[6].sum() > lack[0].sum()
    assert coverage.diversity()["azimuths_per_person"] == 1
    more = coverage.joined(Coverage.of(CameraRanges(), 2, [("a", 180.0, 5.0, 1)]))
    assert more.diversity()["viewpoint_entropy"] > coverage.diversity()["viewpoint_entropy"]
    assert more.diversity()["cells_per_person"] == 1.5


def test_like_poses_are_one_cluster():
    rng = np.random.default_rng(0)
    described = np.concatenate([rng.normal(0, 0.01, (20, 39)), rng.normal(1, 0.01, (20, 39))])
    names = [f"{'sitting' if i < 20 else 'running'} {i}" for i in range(40)]
    clusters = cluster_poses(described, names)
    assert not set(clusters.members[:20]) & set(clusters.members[20:])
    assert {name.split()[0] for name in clusters.names} == {"sitting", "running"}
    assert (clusters.nearest(described) == clusters.members).all()
