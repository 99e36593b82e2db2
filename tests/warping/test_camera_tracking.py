"""A camera that is followed by the background around a person."""

import cv2
import numpy as np
import pytest

from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.camera_tracking import CameraTracker, PlacedPicture, camera_size
from magicpose_cli.warping.moved_plate import MovablePlate
from tests.warping.moving_camera import camera_matrix, error_px, seen_by, textured_wall

STILL = camera_matrix()


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    return textured_wall()


@pytest.fixture
def tracker(wall, standing) -> CameraTracker:
    return CameraTracker(seen_by(wall, STILL, standing), standing.pose)


@pytest.mark.parametrize(
    "way",
    [
        {"x": 11.3, "y": -6.7},
        {"zoom": 1.08, "x": 3},
        {"zoom": 0.93, "turn_deg": 2.5},
        {"x": -9, "tilt": 2e-4},
    ],
)
def test_a_moving_camera_is_followed(tracker, wall, standing, way):
    matrix = camera_matrix(**way)
    motion, found = tracker.follow(seen_by(wall, matrix, standing), standing.pose)
    assert found and error_px(CameraMotion.none((256, 256)), matrix, standing.shown) > 3
    assert error_px(motion, matrix, standing.shown) < 0.5


def test_noise_before_a_camera_that_stands_still_moves_nothing(tracker, wall, standing):
    rng = np.random.default_rng(1)
    plate = MovablePlate(standing.wall.astype(np.float32))
    for _ in range(4):
        noisy = seen_by(wall, STILL, standing) + rng.normal(0, 4, (256, 256, 3))
        motion, found = tracker.follow(noisy.clip(0, 255).astype(np.uint8), standing.pose)
        assert found and plate.moved(motion) is None


def test_the_person_does_not_move_the_camera(tracker, wall, standing, raised):
    motion, _ = tracker.follow(seen_by(wall, STILL, raised), raised.pose)
    assert error_px(motion, STILL, raised.shown) < 0.05


@pytest.mark.parametrize("way", [{}, {"x": 9, "zoom": 1.05}, {"turn_deg": 2}])
def test_a_picture_of_the_same_place_is_known(tracker, wall, raised, way):
    picture = seen_by(wall, camera_matrix(**way), raised)
    darker = (0.6 * picture + 20).astype(np.uint8)
    assert tracker.shows_place_of(PlacedPicture(darker, raised.pose, 1.0, 0j))


@pytest.mark.parametrize("scale", [2.0, 0.5])
def test_a_picture_of_the_same_place_is_known_in_another_size(tracker, wall, raised, scale):
    side = round(256 * scale)
    picture = cv2.resize(seen_by(wall, STILL, raised), (side, side), interpolation=cv2.INTER_AREA)
    wide = np.pad(picture, ((40, 0), (60, 0), (0, 0)))
    pose = raised.pose.map_points(lambda points: scale * points + (60, 40), side + 60, side + 40)
    assert tracker.shows_place_of(PlacedPicture(wide, pose, scale, 60 + 40j))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_picture_of_another_place_is_not_taken_for_it(tracker, standing, seed):
    picture = seen_by(textured_wall(seed), STILL, standing)
    assert not tracker.shows_place_of(PlacedPicture(picture, standing.pose, 1.0, 0j))


def test_of_an_even_wall_nothing_is_known(tracker, standing):
    picture = np.where(standing.shown[..., None], standing.picture, np.uint8(120))
    assert not tracker.shows_place_of(PlacedPicture(picture, standing.pose, 1.0, 0j))


@pytest.mark.slow
def test_errors_do_not_add_up_where_the_camera_goes_far_and_comes_back(tracker, wall, standing):
    away = [*range(0, 181, 12), *range(168, -1, -12)]
    for x in away:
        matrix = camera_matrix(x=float(x), zoom=1 + x / 3000)
        motion, found = tracker.follow(seen_by(wall, matrix, standing), standing.pose)
        assert found
        assert error_px(motion, matrix, standing.shown) < 1.5, x
    assert error_px(motion, STILL, standing.shown) < 0.1


def test_after_a_cut_the_camera_stays_where_it_was(tracker, wall, standing):
    pan = camera_matrix(x=9)
    tracker.follow(seen_by(wall, pan, standing), standing.pose)
    other = textured_wall(seed=9)
    motion, found = tracker.follow(seen_by(other, STILL, standing), standing.pose)
    assert not found and error_px(motion, pan, standing.shown) < 0.5
    on, found = tracker.follow(seen_by(other, camera_matrix(x=4), standing), standing.pose)
    assert found and error_px(on, camera_matrix(x=13), standing.shown) < 0.5


def test_a_plain_wall_shows_no_camera(standing):
    plain = np.where(standing.shown[..., None], standing.picture, 90).astype(np.uint8)
    tracker = CameraTracker(plain, standing.pose)
    motion, found = tracker.follow(plain, standing.pose)
    assert not found and not motion.mesh.any()
    assert motion.turn == 1 and motion.shift == 0


def test_a_large_film_is_followed_at_a_smaller_size():
    assert camera_size((1920, 1080)) == (683, 384)
    assert camera_size((200, 300)) == (200, 300)
