from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicpose_cli.motion.framing import (
    MAX_ENLARGEMENT,
    WINDOW_FADE,
    DrawnExtent,
    extent,
    frame,
    frame_clip,
    frame_figure,
    person_box,
)
from magicpose_cli.pose.keypoints import Pose


def spot(width, height, x, y):
    """A black picture with one white square around a point, and a pose with its nose there."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y - 6 : y + 6, x - 6 : x + 6] = 255
    body = np.zeros((18, 3))
    body[0] = x, y, 1
    return picture, Pose.of(width, height, body=body)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (96, 96)])
@pytest.mark.parametrize("target", [(64, 64), (64, 96), (128, 32)])
def test_picture_and_pose_stay_together(fit, width, height, target):
    picture, pose = spot(width, height, width // 2 + 4, height // 2 - 3)
    framing = frame((width, height), target, fit)
    framed, moved = framing.picture(picture), framing.pose(pose)
    assert framed.shape == (target[1], target[0], 3)
    assert (moved.width, moved.height) == target
    ys, xs = np.nonzero(framed[..., 0] > 127)
    center = np.array([xs.mean() + 0.5, ys.mean() + 0.5])
    assert np.abs(center - moved.body[0]).max() < 1.0


def test_crop_follows_the_person_and_keeps_the_head():
    tall = frame((100, 300), (64, 64), "crop", person=(10, 40, 90, 280))
    assert tall.window == (0, 40, 100, 140)
    side = frame((300, 100), (64, 64), "crop", person=(220, 10, 280, 90))
    assert side.window == (200, 0, 300, 100)
    assert frame((300, 100), (64, 64), "crop").window == (100, 0, 200, 100)


def test_pad_keeps_everything_and_is_black_outside():
    framing = frame((200, 100), (64, 64), "pad")
    framed = framing.picture(np.full((100, 200, 3), 255, np.uint8))
    assert framed[:12].max() == 0 and framed[20:44].min() == 255 and framed[-12:].max() == 0


def test_a_picture_of_the_right_size_is_untouched():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(frame((64, 64), (64, 64), "crop").picture(picture), picture)


def test_nobody_has_no_box():
    assert person_box([Pose.of(10, 10)]) is None


def standing(x, y, height, size=(1600, 900)):
    """A person of this height from brows to ankles, their brows at (x, y)."""
    rows = {0: 0.05, 1: 0.16, 2: 0.17, 5: 0.17, 3: 0.37, 6: 0.37, 4: 0.53, 7: 0.53}
    rows |= {8: 0.5, 11: 0.5, 9: 0.75, 12: 0.75, 10: 1.0, 13: 1.0, 14: 0.0, 15: 0.0}
    columns = {2: -1, 3: -1.2, 4: -1.2, 5: 1, 6: 1.2, 7: 1.2, 8: -0.6, 9: -0.6, 10: -0.6}
    columns |= {11: 0.6, 12: 0.6, 13: 0.6, 14: -0.2, 15: 0.2}
    body = np.zeros((18, 3))
    for joint, row in rows.items():
        body[joint] = x + 0.11 * height * columns.get(joint, 0), y + row * height, 1
    return Pose.of(*size, body=body)


def moved(pose, dx, dy=0.0):
    return pose.map_points(lambda p: p + np.float32((dx, dy)), pose.width, pose.height)


def holds(window, pose):
    points = pose.body[np.isfinite(pose.body).all(1)]
    return ((points >= window[:2]) & (points <= window[2:])).all()


def test_one_window_holds_the_whole_way():
    """The person stands at the left and walks to the middle: the window is not around the start."""
    start = standing(300, 200, 400)
    way = [moved(start, dx) for dx in np.linspace(0, 600, 60)]
    alone = frame_clip((1600, 900), (512, 512), "crop", start, [start])
    clip = frame_clip((1600, 900), (512, 512), "crop", start, way)
    assert not holds(alone.window, way[-1])
    assert holds(clip.window, start) and holds(clip.window, way[-1])
    left, top, right, bottom = clip.window
    assert (top, bottom, right - left) == (0, 900, 900)
    assert (left + right) / 2 == pytest.approx(600, abs=8)  # as much room on either side


def test_a_motion_wider_than_the_window_keeps_the_reference_inside():
    start = standing(200, 200, 500)
    way = [moved(start, dx) for dx in np.linspace(0, 1300, 60)]
    framing = frame_clip((1600, 900), (512, 512), "crop", start, way)
    assert holds(framing.window, start)
    assert framing.window[0] == pytest.approx(person_box([start])[0], abs=1)  # as far as may be


def test_who_leaves_the_picture_pulls_no_border_in():
    start = standing(1300, 200, 500)
    way = [moved(start, dx, dx / 3) for dx in np.linspace(0, 3000, 60)]
    for zoom in (False, True):
        left, top, right, bottom = frame_clip(
            (1600, 900), (512, 512), "crop", start, way, zoom=zoom
        ).window
        assert left >= 0 and top >= 0 and right <= 1600 and bottom <= 900
        assert holds((left, top, right, bottom), start)


def test_who_jumps_higher_than_the_window_keeps_the_head():
    """A picture of portrait format, a square window: it is the legs that are cut."""
    start = standing(250, 400, 620, (500, 1200))
    box = person_box([start])
    framing = frame_clip((500, 1200), (512, 512), "crop", start, [start, moved(start, 0, -150)])
    assert framing.window[1] == round(box[1])
    sitting = standing(250, 700, 300, (500, 1200))
    framing = frame_clip((500, 1200), (512, 512), "crop", sitting, [sitting, start])
    assert holds(framing.window, sitting)


def test_raised_hands_are_held_but_are_no_head():
    calm = standing(800, 300, 400)
    body = calm.body.copy()
    body[[4, 7], 1] = 150
    cheering = replace(calm, body=body)
    up, down = extent([cheering]), extent([calm])
    assert up.top < 150 and up.head == down.head < 300


@pytest.mark.parametrize("fade", [0.0, WINDOW_FADE, 0.12])
@pytest.mark.parametrize("target", [(512, 512), (512, 768), (768, 512)])
def test_zoom_is_the_smallest_window_of_the_targets_shape(target, fade):
    start = standing(700, 500, 240)
    way = [moved(start, dx) for dx in np.linspace(-60, 60, 40)]
    wide = frame_clip((1600, 900), target, "crop", start, way)
    near = frame_clip((1600, 900), target, "crop", start, way, zoom=True, fade=fade)
    left, top, right, bottom = near.window
    assert (right - left) / (bottom - top) == pytest.approx(target[0] / target[1])
    assert all(holds(near.window, pose) for pose in way)
    assert right - left < 0.7 * (wide.window[2] - wide.window[0])
    box = person_box([*way, start])
    shares = (box[2] - box[0]) / (right - left), (box[3] - box[1]) / (bottom - top)
    assert max(shares) == pytest.approx(1 - 2 * fade, abs=0.02)
    room = fade * min(right - left, bottom - top) - 1  # where the result fades when pasted back
    assert left + room <= box[0] and box[2] <= right - room
    assert top + room <= box[1] and box[3] <= bottom - room


def test_a_tiny_person_is_not_blown_up_to_a_blur():
    tiny = standing(800, 500, 30)
    window = frame_clip((1600, 900), (512, 512), "crop", tiny, [tiny], zoom=True).window
    assert window[2] - window[0] == 512 / MAX_ENLARGEMENT and holds(window, tiny)


def test_mistakes_do_not_move_the_window():
    """One wrong frame, and in others one wrong point each, never the same twice."""
    start = standing(800, 300, 400)
    way = [start] * 200
    true = extent(way)
    way[7] = moved(start, -700, 500)
    for joint in range(14):
        body = start.body.copy()
        body[joint] = 5000, -4000
        way[20 + 3 * joint] = replace(start, body=body)
    body = np.column_stack([np.full((18, 2), np.nan), np.zeros(18)])
    body[16] = 5, 5, 1  # an ear that is seen in one frame alone, far away
    way[100] = Pose.of(1600, 900, body=body)
    assert extent(way) == true


def test_without_anybody_it_is_the_middle():
    nobody = Pose.of(300, 100)
    for poses in ([], [nobody], [nobody] * 50):
        framing = frame_clip((300, 100), (64, 64), "crop", None, poses, zoom=True)
        assert framing == frame((300, 100), (64, 64), "crop")
    for fit in ("pad", "stretch"):
        framing = frame_clip((300, 100), (64, 64), fit, None, [standing(9, 9, 50)], zoom=True)
        assert framing == frame((300, 100), (64, 64), fit)


coordinates = st.floats(-(2.0**100), 2.0**100) | st.floats(-2000, 2000) | st.just(np.nan)
joints = st.lists(st.tuples(coordinates, coordinates), min_size=0, max_size=18)
sides = st.integers(8, 3000)


@pytest.mark.slow
@given(
    clip=st.lists(joints, max_size=4),
    source=st.tuples(sides, sides),
    target=st.tuples(st.integers(8, 64), st.integers(8, 64)),
    still=joints,
    zoom=st.booleans(),
)
def test_any_clip_has_a_window_inside_the_picture(clip, source, target, still, zoom):
    def pose(points):
        body = np.zeros((18, 3))
        for joint, (x, y) in enumerate(points):
            body[joint] = x, y, 1
        return Pose.of(*source, body=body)

    size = (8 * target[0], 8 * target[1])
    framing = frame_clip(source, size, "crop", pose(still), list(map(pose, clip)), zoom=zoom)
    left, top, right, bottom = framing.window
    assert 0 <= left < right <= source[0] and 0 <= top < bottom <= source[1]
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1])


def test_each_pose_of_a_long_film_is_looked_at_a_few_times():
    looks = 0

    class Counted(list[Pose]):
        def __iter__(self):
            nonlocal looks
            looks += len(self)
            return super().__iter__()

        def __getitem__(self, index):
            nonlocal looks
            looks += 1
            return super().__getitem__(index)

    start = standing(800, 300, 400)
    way = Counted(moved(start, dx) for dx in np.linspace(-50, 50, 500))
    frame_clip((1600, 900), (512, 512), "crop", start, way)
    assert len(way) <= looks <= 20 * len(way)  # not for each one at all of them


@pytest.mark.parametrize("target", [(64, 64), (64, 96), (96, 64)])
def test_the_figure_of_ready_drawn_maps_is_never_cut(target):
    """Upright maps with the head at the top, as other programs draw them, in any frame."""
    drawn = DrawnExtent()
    for step in range(5):
        picture = np.zeros((192, 128, 3), np.uint8)
        picture[4:180, 40 + step : 70 + step] = (255, 85, 0)
        drawn.add(picture)
    framing = frame_figure((128, 192), target, drawn.extent())
    shown = framing.picture(picture, Image.Resampling.BILINEAR)
    assert shown.shape[:2] == target[::-1]
    rows = np.flatnonzero(shown.any(axis=(1, 2)))
    assert rows[0] > 0 and rows[-1] < target[1] - 1
    assert len(rows) == pytest.approx(176 / 192 * target[1], abs=target[1] * 0.3)
