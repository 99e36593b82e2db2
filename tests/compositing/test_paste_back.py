import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magicpose_cli.compositing.paste_back import Paster
from magicpose_cli.motion.framing import Framing, frame

GRAY, WHITE = 100, 255


def photo(width, height, seed=0):
    """Something smooth with a few edges, as pictures are."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int))


def test_the_untouched_crop_comes_back_to_the_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (60, 101, 3), dtype=np.uint8)
    framing = Framing((17, 4, 57, 44), 40, 40)
    pasted = Paster(picture, framing).paste(framing.picture(picture))
    assert np.array_equal(pasted, picture)


@pytest.mark.parametrize(("target", "levels"), [((256, 256), 4), ((200, 200), 4), ((640, 640), 4)])
def test_a_crop_that_was_resized_comes_back_within_a_few_levels(target, levels):
    picture = photo(640, 360)
    framing = frame((640, 360), target, "crop", (400, 20, 500, 340))
    pasted = Paster(picture, framing).paste(framing.picture(picture))
    assert difference(pasted, picture).max() <= levels


@given(
    window=st.tuples(*[st.floats(-40, 90)] * 2, *[st.floats(6, 160)] * 2),
    target=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    feather=st.floats(0, 0.5),
)
def test_over_any_window_the_picture_stays_outside_and_what_is_made_stays_inside(
    window, target, feather
):
    """Fractions of pixels, windows beyond the picture, other shapes: white over gray."""
    x, y, across, down = window
    left, top, right, bottom = x, y, x + across, y + down
    width, height = 97, 64
    inside_x = (np.arange(width) + 1 > left) & (np.arange(width) < right)
    inside_y = (np.arange(height) + 1 > top) & (np.arange(height) < bottom)
    picture = np.full((height, width, 3), GRAY, np.uint8)
    if min(right, width) - max(left, 0) < 2 or min(bottom, height) - max(top, 0) < 2:
        return  # no whole pixel
    paster = Paster(picture, Framing((left, top, right, bottom), *target), feather)
    pasted = paster.paste(np.full((target[1], target[0], 3), WHITE, np.uint8))
    assert pasted.shape == picture.shape and pasted.dtype == np.uint8
    assert (pasted[~np.outer(inside_y, inside_x)] == GRAY).all()
    assert pasted.min() >= GRAY
    # Rows and columns rise to the middle and fall again: no seam inside, no ripple.
    for way in (pasted[..., 0].max(axis=0), pasted[..., 0].max(axis=1)):
        steps = np.sign(np.diff(way.astype(int)))
        assert (np.diff(steps[steps != 0]) <= 0).all()
    reach = feather * min(across, down)
    deep_x = (np.arange(width) >= left + reach) | (left <= 0)
    deep_x &= (np.arange(width) + 1 <= right - reach) | (right >= width)
    deep_y = (np.arange(height) >= top + reach) | (top <= 0)
    deep_y &= (np.arange(height) + 1 <= bottom - reach) | (bottom >= height)
    deep = np.outer(deep_y & inside_y, deep_x & inside_x)
    assert (pasted[deep] == WHITE).all()


def test_only_edges_inside_the_picture_fade():
    picture = np.full((100, 200, 3), GRAY, np.uint8)
    framing = frame((200, 100), (64, 64), "crop", (100, 0, 200, 100))  # at the right, full height
    pasted = Paster(picture, framing, 0.2).paste(np.full((64, 64, 3), WHITE, np.uint8))[..., 0]
    assert (pasted[:, 120:] == WHITE).all()
    ramp = pasted[50, 100:120].astype(int)
    assert (np.diff(ramp) >= 0).all() and ramp[0] < GRAY + 5 and ramp[-1] > WHITE - 5
    assert ramp[10] == pytest.approx((GRAY + WHITE) / 2, abs=8)
    assert (pasted[:, :100] == GRAY).all()


def test_padding_is_cut_off_again():
    picture = photo(200, 100)
    framing = frame((200, 100), (256, 256), "pad")
    pasted = Paster(picture, framing).paste(framing.picture(picture))
    assert difference(pasted, picture)[4:-4].max() <= 4  # black shines in from beyond the border


def test_what_moves_in_the_window_moves_in_the_picture():
    """A dot at a known place of the frame lands where the window says, to a fraction of a pixel."""
    picture = np.zeros((300, 500, 3), np.uint8)
    framing = Framing((133.4, 61.7, 333.4, 261.7), 128, 128)
    made = np.zeros((128, 128, 3), np.uint8)
    made[60:68, 80:88] = 255
    weight = Paster(picture, framing).paste(made)[..., 0].astype(float)
    ys, xs = np.mgrid[:300, :500] + 0.5
    center = (xs * weight).sum() / weight.sum(), (ys * weight).sum() / weight.sum()
    scale = 200 / 128
    assert center == pytest.approx((133.4 + 84 * scale, 61.7 + 64 * scale), abs=0.1)


def test_frames_do_not_run_into_one_another():
    picture = photo(120, 80)
    before = picture.copy()
    paster = Paster(picture, frame((120, 80), (64, 64), "crop"))
    one, other = np.zeros((64, 64, 3), np.uint8), photo(64, 64, 1)
    first = paster.paste(one).copy()
    paster.paste(other)
    assert np.array_equal(paster.paste(one), first) and np.array_equal(picture, before)


def test_a_frame_of_another_size_is_a_bug():
    paster = Paster(photo(120, 80), frame((120, 80), (64, 64), "crop"))
    with pytest.raises(ValueError, match=r"\(64, 64, 3\)"):
        paster.paste(np.zeros((64, 32, 3), np.uint8))
