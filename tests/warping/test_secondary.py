"""What a driver's picture tells beyond its points, and how it is steadied."""

import cv2
import numpy as np
import pytest

from magicpose_cli.errors import DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping import secondary
from magicpose_cli.warping.secondary import DriverTracker, steadied, steady_reach
from magicpose_cli.warping.warp import TrackedFrame
from tests.warping.conftest import somebody_dotted
from tests.warping.people import shifted


@pytest.fixture(scope="module")
def dotted():
    return somebody_dotted()


@pytest.fixture(scope="module")
def tracker(dotted) -> DriverTracker:
    return DriverTracker(dotted.picture, [dotted.pose], 0, dotted.pose)


def belly(pose: Pose) -> np.ndarray:
    names = ("neck", "right_hip", "left_hip")
    neck, right, left = (pose.body[BODY_JOINTS.index(name)] for name in names)
    return (neck + (right + left) / 2) / 2


def swung(picture: np.ndarray, middle: np.ndarray, way: tuple[float, float]) -> np.ndarray:
    """The picture, pulled along around a place, fading over some 25 pixels."""
    x, y = np.meshgrid(np.arange(256, dtype=np.float32), np.arange(256, dtype=np.float32))
    bump = np.exp(-((((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * 25**2)) ** 2))
    moved = (x - way[0] * bump).astype(np.float32), (y - way[1] * bump).astype(np.float32)
    return cv2.remap(picture, *moved, cv2.INTER_CUBIC)


def drift_at(tracked: TrackedFrame, place: np.ndarray, reach: int = 5) -> np.ndarray:
    """The mean around a place of the driver's window."""
    around = np.mgrid[-reach : reach + 1, -reach : reach + 1][::-1]
    return tracked.drift_at(place + np.moveaxis(around, 0, 2)).mean((0, 1)) / tracked.scale


def test_the_anchor_itself_does_not_drift(tracker, dotted):
    tracked = tracker.track(dotted.picture, dotted.pose)
    assert tracked.drift.dtype == np.float32 and tracked.drift.shape[2] == 2
    length = np.linalg.norm(tracked.drift, axis=2)
    assert np.percentile(length, 99) < 0.3 and length.mean() < 0.05


@pytest.mark.parametrize("way", [(2, 0), (-2, 0), (0, 2), (0, -2)])
def test_a_shirt_that_sways_drifts_that_way(tracker, dotted, way):
    tracked = tracker.track(swung(dotted.picture, belly(dotted.pose), way), dotted.pose)
    found = drift_at(tracked, belly(tracked.pose))
    assert np.dot(found, way) / 2 == pytest.approx(2, abs=0.7)
    assert abs(found[0] * way[1] - found[1] * way[0]) / 2 < 0.5
    foot = tracked.pose.body[BODY_JOINTS.index("left_ankle")]
    assert np.linalg.norm(drift_at(tracked, foot, 2)) < 0.4


def test_where_nobody_is_nothing_drifts(tracker, dotted):
    changed = dotted.picture.copy()
    changed[:70, 145:180] = np.random.default_rng(0).integers(0, 256, (70, 35, 3))
    tracked, former = (tracker.track(p, dotted.pose) for p in (changed, dotted.picture))
    assert np.abs(tracked.drift - former.drift).max() < 0.3


def test_a_drift_is_never_large(tracker, dotted):
    """What goes further is mistaken: another picture."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    tracked = tracker.track(noise, dotted.pose)
    side = min(tracked.pose.width, tracked.pose.height)
    assert np.isfinite(tracked.drift).all()
    assert np.linalg.norm(tracked.drift, axis=2).max() <= secondary.MAX_DRIFT * side * 1.001


def test_a_face_hardly_drifts(dotted):
    """A dotted face, pulled along by more than its points may have missed."""
    pose, middle = dotted.pose, dotted.pose.face.mean(0)
    rng = np.random.default_rng(0)
    picture = dotted.picture.copy()
    x, y = (np.arange(n) for n in (256, 256))
    head = np.hypot(x - middle[0], y[:, None] - middle[1]) < 0.6 * np.ptp(pose.face[:, 1])
    dots = cv2.resize(rng.integers(60, 200, (86, 86, 3), np.uint8), (256, 256))
    picture[head] = dots[head]
    tracked = DriverTracker(picture, [pose], 0, pose).track(swung(picture, middle, (3, 0)), pose)
    size = np.ptp(tracked.pose.face, axis=0).max()
    drift = np.linalg.norm(drift_at(tracked, tracked.pose.face.mean(0), 2)) / size
    assert 0.9 * secondary.MAX_FACE_DRIFT < drift < 1.01 * secondary.MAX_FACE_DRIFT


def test_what_the_points_tell_is_no_drift(dotted):
    """Everything a few pixels further, and the points with it."""
    poses = [dotted.pose, shifted(dotted.pose, 5, 3)]
    tracker = DriverTracker(dotted.picture, poses, 0, dotted.pose)
    there = np.where(dotted.shown[..., None], dotted.picture, 0)
    mask = np.roll(dotted.shown, (3, 5), (0, 1))[..., None]
    picture = np.where(mask, np.roll(there, (3, 5), (0, 1)), dotted.wall)
    tracked = tracker.track(picture, poses[1])
    assert np.linalg.norm(drift_at(tracked, belly(tracked.pose))) < 0.4


def test_its_size_is_that_of_the_result(dotted):
    placed = dotted.pose.map_points(lambda points: 3 * points + 7, 800, 800)
    tracker = DriverTracker(dotted.picture, [dotted.pose], 0, placed)
    assert tracker.track(dotted.picture, dotted.pose).scale == pytest.approx(3, rel=0.01)


def test_a_driver_that_is_enlarged_is_believed_less(dotted):
    """A wrong pixel of a small driver would be many of the result's."""
    there = swung(dotted.picture, belly(dotted.pose), (2, 0))
    found = []
    for times in (1, 1.5, 6):
        placed = dotted.pose.map_points(lambda points, by=times: by * points, 1600, 1600)
        tracked = DriverTracker(dotted.picture, [dotted.pose], 0, placed).track(there, dotted.pose)
        found.append(float(np.linalg.norm(drift_at(tracked, belly(tracked.pose)))))
    assert found[1] == pytest.approx(found[0], rel=0.05)
    assert found[2] == pytest.approx(found[1] / 16, rel=0.05)


def test_a_large_driver_is_looked_at_in_small(dotted, monkeypatch):
    monkeypatch.setattr(secondary, "TRACKING_SIDE_PX", (60, 60))
    tracker = DriverTracker(dotted.picture, [dotted.pose], 0, dotted.pose)
    tracked = tracker.track(dotted.picture, dotted.pose)
    width, height = tracked.pose.width, tracked.pose.height
    assert min(width, height) == 60
    coarse = secondary.DRIFT_STRIDE_PX
    assert tracked.drift.shape[:2] == (-(-height // coarse), -(-width // coarse))
    assert tracked.scale > 1.5


def test_a_driver_that_cannot_be_told_from_the_rest_is_an_error(dotted, monkeypatch):
    monkeypatch.setattr(secondary, "find_matte", lambda picture, pose: None)
    with pytest.raises(DetectionError, match="cannot be told from the background"):
        DriverTracker(dotted.picture, [dotted.pose], 0, dotted.pose)


RATE = 60.0


def film(values, indices=None) -> list[tuple[int, TrackedFrame]]:
    pose = Pose.of(4, 4)
    frames = [
        TrackedFrame(pose, np.full((2, 3, 2), value, np.float32), float(number))
        for number, value in enumerate(values)
    ]
    return list(zip(indices or range(len(frames)), frames, strict=True))


def values_of(frames) -> list[float]:
    return [float(tracked.drift[0, 0, 0]) for _, tracked in frames]


def test_a_constant_drift_is_unchanged():
    frames = film([3.0] * 9)
    found = list(steadied(frames, RATE))
    assert [index for index, _ in found] == list(range(9))
    assert np.allclose(values_of(found), 3, atol=1e-5)  # at both ends as well
    assert [d.scale for _, d in found] == [d.scale for _, d in frames]
    assert all(d.drift.dtype == np.float32 for _, d in found)


def test_a_tremble_is_averaged():
    values = [1.0, -1.0] * 10
    found = values_of(steadied(film(values), RATE))
    assert np.abs(found).max() < 0.75 and np.abs(found[4:-4]).max() < 0.2


def test_one_frames_weight_falls_with_the_distance_and_sums_to_one():
    found = np.array(values_of(steadied(film([0.0] * 6 + [1.0] + [0.0] * 6), RATE)))
    reach = steady_reach(RATE)
    assert reach == 3
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(found, found[::-1], atol=1e-6)
    assert (np.diff(found[6:]) <= 0).all() and found[6 + reach] > 0
    assert not found[6 + reach + 1 :].any()


@pytest.mark.parametrize("asked", [[0], [7], [3, 4, 12], [0, 19]])
def test_a_part_is_the_same_as_of_the_whole(asked):
    values = np.random.default_rng(2).normal(size=20).tolist()
    whole = dict(zip(range(20), values_of(steadied(film(values), RATE)), strict=True))
    reach = steady_reach(RATE)
    needed = [i for i in range(20) if any(abs(i - a) <= reach for a in asked)]
    found = steadied(film([values[i] for i in needed], needed), RATE)
    part = {index: float(tracked.drift[0, 0, 0]) for index, tracked in found}
    assert [part[index] for index in asked] == [whole[index] for index in asked]


def test_frames_that_are_left_out_count_by_their_distance():
    """0, 1 and 40 are asked for: the last stands alone."""
    found = values_of(steadied(film([0.0, 1.0, 5.0], [0, 1, 40]), RATE))
    assert found[2] == 5 and 0 < found[0] < 0.5 < found[1] < 1


def test_few_frames_a_second_are_not_averaged():
    assert steady_reach(8) == 0
    values = [1.0, -1.0, 4.0]
    assert values_of(steadied(film(values), 8.0)) == values


def test_few_frames_are_held():
    taken = []

    def counted():
        for frame in film([1.0] * 30):
            taken.append(frame[0])
            yield frame

    for index, _ in steadied(counted(), RATE):
        assert taken[-1] <= index + steady_reach(RATE)


def test_no_frames_are_no_frames():
    assert list(steadied([], RATE)) == []
