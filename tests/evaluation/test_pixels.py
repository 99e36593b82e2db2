import math

import numpy as np
import pytest

from magicpose_cli.evaluation import pixels
from magicpose_cli.evaluation.metrics import METRICS


def test_identical_pictures_are_perfect(made_sample):
    same = made_sample()
    assert (pixels.l1(same), pixels.psnr(same)) == (0, pixels.MOST_DB)
    assert pixels.ssim(same) == pytest.approx(1)
    assert pixels.psnr_inside(same) is None  # no masks


def test_a_constant_offset_has_a_known_psnr(made_sample, texture):
    off = made_sample(texture + np.uint8(10))
    assert pixels.l1(off) == pytest.approx(10)
    assert pixels.psnr(off) == pytest.approx(20 * math.log10(25.5))


def test_differences_are_taken_without_wrapping_except_where_it_says_so(made_sample, texture):
    below = made_sample(texture - np.uint8(20))
    assert pixels.psnr(below) == pytest.approx(20 * math.log10(255 / 20))
    assert pixels.psnr_wrapped(below) == pytest.approx(10 * math.log10(255**2 / (400 - 256)))


def test_ssim_of_flat_pictures_is_the_formula(made_sample):
    one, other = (np.full((32, 32, 3), value, np.uint8) for value in (80, 160))
    c1 = (0.01 * 255) ** 2
    wanted = (2 * 80 * 160 + c1) / (80**2 + 160**2 + c1)
    assert pixels.ssim(made_sample(one, other)) == pytest.approx(wanted)


def test_the_mask_is_the_union_of_both_people(made_sample, texture):
    labels, reference_labels = np.zeros((2, 96, 96), np.uint8)
    labels[10:30, 10:30], reference_labels[50:70, 50:70] = 1, 3
    picture = texture.copy()
    picture[10:30, 10:30] += np.uint8(8)
    masked = made_sample(picture, labels=labels, reference_labels=reference_labels)
    assert masked.sample.mask.sum() == 800
    assert pixels.l1_inside(masked) == pytest.approx(4)
    assert pixels.psnr_inside(masked) == pytest.approx(10 * math.log10(255**2 / 32))
    assert pixels.psnr(masked) > pixels.psnr_inside(masked)
    assert pixels.ssim_inside(masked) < pixels.ssim(masked)


def test_every_metric_states_its_protocol():
    assert len({metric.key for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.better in ("higher", "lower") and metric.protocol
