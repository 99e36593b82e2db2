import pytest
import torch

from magicpose_cli.body.cameras import Camera, camera_around
from magicpose_cli.errors import InputError

POINTS = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2
KINDS = [{"focal_px": 300.0}, {"pixels_per_m": 100.0}]


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_come_back(kind):
    camera = Camera(200, 100, 35, -20, 3, (0.1, 0.2, 0.3), **kind)
    back = camera.unproject(*camera.project(POINTS))
    torch.testing.assert_close(back, POINTS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_in_the_middle(kind):
    camera = Camera(200, 100, 35, -20, 3, (0.1, 0.2, 0.3), **kind)
    pixels, depth = camera.project(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(pixels, torch.tensor([100.0, 50]), atol=1e-4, rtol=0)
    assert depth.item() == pytest.approx(3)


def test_from_before_the_persons_left_is_at_the_right_of_the_picture():
    camera = Camera(100, 100, focal_px=100)
    middle = torch.tensor([50.0, 50])
    left, up, before = camera.project(torch.eye(3)).pixels - middle
    assert left[0] > 0 and up[1] < 0
    torch.testing.assert_close(before, torch.zeros(2), atol=1e-4, rtol=0)


def test_azimuth_and_elevation_say_where_the_camera_stands():
    origin = torch.zeros(3)
    left = Camera(9, 9, azimuth_deg=90, distance_m=2, focal_px=9).to_world(origin)
    torch.testing.assert_close(left, torch.tensor([2.0, 0, 0]), atol=1e-6, rtol=0)
    above = Camera(9, 9, elevation_deg=90, distance_m=2, focal_px=9).to_world(origin)
    torch.testing.assert_close(above, torch.tensor([0.0, 2, 0]), atol=1e-6, rtol=0)


def test_a_scaled_camera_sees_the_same():
    camera = Camera(64, 32, 10, 5, 3, focal_px=40)
    torch.testing.assert_close(
        camera.scaled(3).project(POINTS).pixels, 3 * camera.project(POINTS).pixels
    )


def test_a_camera_around_points_has_them_all():
    camera = camera_around(POINTS, 120, 80, 0.1, azimuth_deg=70, elevation_deg=20)
    pixels = camera.project(POINTS).pixels
    low, high = pixels.amin(0), pixels.amax(0)
    size = torch.tensor([120.0, 80], dtype=torch.float64)
    assert (low > 0.1 * size - 1e-6).all() and (high < 0.9 * size + 1e-6).all()
    free = torch.minimum(low, size - high) / size
    assert free.min().item() == pytest.approx(0.1)


@pytest.mark.parametrize("values", [{}, {"focal_px": 1.0, "pixels_per_m": 1.0}, {"focal_px": 0.0}])
def test_a_camera_is_of_one_kind(values):
    with pytest.raises(InputError, match="expected one of them"):
        Camera(10, 10, **values)
    with pytest.raises(InputError, match="0 x 10"):
        Camera(0, 10, focal_px=1.0)
