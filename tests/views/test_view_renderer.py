from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.views.angles import ViewAngles
from magicpose_cli.views.camera_file import TO_WORLD_AXES, camera_record, camera_to_world
from magicpose_cli.views.sheets import mirrored_points, rotation, turned
from magicpose_cli.views.view_renderer import ViewRenderer, _DrawnSheet
from tests.views.conftest import SIDE

NOSE_TIP = 4  # of the 478


@pytest.fixture(scope="module")
def marked(subject, head_points):
    """The same person with a white spot on the tip of the nose."""
    picture = subject.picture.copy()
    x, y = np.rint(head_points[NOSE_TIP, :2]).astype(int)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    foreground = np.where((picture == 255).all(2)[..., None], 255.0, subject.matte.foreground)
    matte = replace(subject.matte, foreground=foreground.astype(np.float32))
    return replace(subject, picture=picture, matte=matte)


@pytest.fixture(scope="module")
def head(marked):
    return ViewRenderer(marked)


@pytest.fixture(scope="module")
def whole(marked):
    return ViewRenderer(marked, orbit=True)


def spot(picture):
    rows, columns = np.nonzero(picture.min(2) > 235)
    return np.array([columns.mean(), rows.mean()])


def flat_sheet(color, depth, softness=0.0):
    shape = (SIDE, SIDE)
    return _DrawnSheet(
        np.full((*shape, 3), color, np.float32), np.ones(shape, np.float32),
        np.full(shape, depth, np.float32), np.full(shape, softness, np.float32),
        np.zeros(shape, np.float32),
    )  # fmt: skip


def test_a_mirror_image_covers_nothing_that_the_picture_shows(head):
    front, back, mirror = flat_sheet(200, 10), flat_sheet(100, 50), flat_sheet(0, 5)
    near, far = head._filled(front, back, mirror)
    assert (near.alpha > 0.99).all() and (near.depth <= far.depth).all()
    assert (near.colors == 200).all()


def test_a_mirror_image_is_shown_where_the_picture_is_stretched(head):
    front, back, mirror = flat_sheet(200, 10, softness=1.0), flat_sheet(100, 50), flat_sheet(0, 12)
    near, far = head._filled(front, back, mirror)
    middle = np.s_[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    assert (near.alpha[middle] < 0.01).all() and (far.colors[middle] == 0).all()


@pytest.mark.parametrize("orbit", [False, True])
def test_the_first_view_is_the_picture(marked, head, whole, orbit):
    view = (whole if orbit else head)(ViewAngles(0, 0))
    assert np.array_equal(view.picture, marked.picture)
    assert np.abs(view.cover - marked.matte.alpha).mean() < 0.01


@pytest.mark.parametrize(("yaw", "pitch"), [(20, 0), (-20, 0), (0, 12), (0, -12), (25, -8)])
def test_the_nose_goes_where_the_turn_takes_it(marked, head, yaw, pitch):
    angles = ViewAngles(yaw, pitch)
    moved = spot(head(angles).picture) - spot(marked.picture)
    assert np.sign(moved[0]) == np.sign(yaw) or yaw == 0
    assert np.sign(moved[1]) == -np.sign(pitch) or pitch == 0
    solid = head.solid
    x, y = spot(marked.picture)
    depth = solid.front[round(y) + solid.grid.pad, round(x) + solid.grid.pad]
    flat = (np.array([x, y]) + 0.5 - SIDE / 2) * (1 + depth / solid.focal_px)
    place = rotation(angles) @ (np.array([*flat, depth]) - head.pivot) + head.pivot
    expected = place[:2] / (1 + place[2] / solid.focal_px) + SIDE / 2 - 0.5
    assert np.linalg.norm(spot(head(angles).picture) - expected) < 2.0


def test_a_head_turns_alone_and_an_orbit_takes_the_shoulders_along(marked, head, whole):
    angles = ViewAngles(30, 0)
    assert np.array_equal(head(angles).picture[-30:], marked.picture[-30:])
    assert not np.array_equal(whole(angles).picture[-30:], marked.picture[-30:])


def test_the_wall_stays_to_the_last_bit(marked, head):
    assert np.array_equal(head(ViewAngles(40, 0)).picture[:, :15], marked.picture[:, :15])


def test_the_outline_has_no_hole(head):
    for yaw in (-45, -20, 20, 45):
        cover = head(ViewAngles(yaw, 0)).cover
        inside = cover[60:110, SIDE // 2 - 12 : SIDE // 2 + 12]
        assert inside.min() > 0.95, yaw


def test_a_camera_sees_what_the_view_shows(marked, whole):
    angles, sheets = ViewAngles(25, -10), whole._sheets
    focal, scale = whole.solid.focal_px, 0.002
    matrix = camera_to_world(whole.pivot, focal, angles, scale)
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    world = scale * (sheets.points[::97] - whole.pivot) @ TO_WORLD_AXES
    seen = (world - matrix[:3, 3]) @ matrix[:3, :3]  # x right, y up, z backward
    x, y = focal * seen[:, 0] / -seen[:, 2], -focal * seen[:, 1] / -seen[:, 2]
    shown = turned(sheets, whole.pivot, angles)[::97]
    by_view = shown[:, :2] * focal / (focal + shown[:, 2:])
    assert np.abs(np.stack([x, y], 1) - by_view).max() < 1e-2


def test_the_record_of_cameras_is_what_other_tools_read(marked, whole):
    record = camera_record(marked, whole, [ViewAngles(0, 0), ViewAngles(90, 0)], ["a.png", "b.png"])
    assert (record["w"], record["h"], record["fl_x"]) == (SIDE, SIDE, whole.solid.focal_px)
    assert np.tan(record["camera_angle_x"] / 2) * record["fl_x"] == pytest.approx(SIDE / 2)
    first, second = (np.array(f["transform_matrix"]) for f in record["frames"])
    assert first.shape == (4, 4) and np.allclose(first[:3, :3], np.eye(3))
    assert first[2, 3] > 0  # before the person
    assert second[0, 3] < -0.9 * first[2, 3]  # who looks to the right: it stands at their right


def test_a_head_is_mirrored_at_its_own_plane(head_points, head):
    focal = head.solid.focal_px
    middle = head_points.mean(0)
    points = (head_points - middle) @ rotation(ViewAngles(25, 0)).T
    points[:, 2] -= points[[127, 356, 234, 454], 2].mean()
    flat = points[:, :2] / (1 + points[:, 2:] / focal) + SIDE / 2 - 0.5
    mesh = np.column_stack([flat, points[:, 2]])
    mirrored = mirrored_points(head.solid, mesh, points)
    assert np.linalg.norm(mirrored[234] - points[454]) < 5  # of a face some 85 pixels wide
    assert np.linalg.norm(mirrored[NOSE_TIP] - points[NOSE_TIP]) < 3
    assert mirrored_points(head.solid, head_points.astype(float), points) is None
