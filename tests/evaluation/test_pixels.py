import math

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from magicpose_cli.evaluation import pixels
from magicpose_cli.evaluation.metrics import FILM_METRICS, METRICS
from magicpose_cli.evaluation.table import ARROWS


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


@pytest.mark.parametrize("metrics", [METRICS, FILM_METRICS])
def test_every_metric_states_its_protocol(metrics):
    assert len({metric.key for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.better in ARROWS and metric.protocol


def test_gray_ssim_is_that_of_the_published_code_up_to_the_edge(made_sample, texture):
    assert pixels.ssim_gray(made_sample()) == pytest.approx(1)
    noise = np.random.default_rng(0).integers(-20, 20, texture.shape)
    noisy = (texture + noise).clip(0, 255).astype(np.uint8)
    one, other = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(float) for p in (noisy, texture))
    wanted = structural_similarity(
        one, other, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert pixels.ssim_gray(made_sample(noisy)) == pytest.approx(wanted, abs=0.01)
    flat, flatter = (np.full((32, 32, 3), value, np.uint8) for value in (80, 160))
    assert pixels.ssim_gray(made_sample(flat, flatter)) == pytest.approx(
        pixels.ssim(made_sample(flat, flatter))
    )


def test_what_moved_is_measured_alone(made_sample, texture):
    reference = texture.copy()
    reference[:10, :10] = 255 - reference[:10, :10] // 2  # far from 20..230, and so from the truth
    apart = np.abs(reference.astype(int) - texture).max(2) > 24
    assert 50 < apart.sum() <= 100
    picture = texture.copy()
    picture[50:, 50:] += np.uint8(10)
    assert pixels.psnr_moved(made_sample(picture, reference=reference)) == pixels.MOST_DB
    picture[apart] += np.uint8(5)
    assert pixels.psnr_moved(made_sample(picture, reference=reference)) == pytest.approx(
        20 * math.log10(255 / 5)
    )
    assert pixels.psnr_moved(made_sample(picture)) is None  # nothing did
    assert pixels.psnr_moved(made_sample(picture, reference=None)) is None


def test_blur_is_less_sharp_and_noise_is_sharper(made_sample, texture):
    assert pixels.sharpness(made_sample()) == pytest.approx(1)
    assert pixels.sharpness(made_sample(cv2.GaussianBlur(texture, (0, 0), 2))) < 0.8
    noise = np.random.default_rng(0).integers(0, 20, texture.shape).astype(np.uint8)
    assert pixels.sharpness(made_sample(texture + noise)) > 1.02
    assert pixels.sharpness(made_sample(texture, np.zeros_like(texture))) is None


def test_the_background_is_outside_of_both_people(made_sample, texture):
    person, reference_person = np.zeros((2, 96, 96), bool)
    person[:48], reference_person[48:, :48] = True, True
    picture = texture.copy()
    picture[:48] += np.uint8(20)
    picture[48:, 48:] += np.uint8(4)
    made = made_sample(picture, person=person, reference_person=reference_person)
    assert pixels.background_error(made) == pytest.approx(4)
    assert pixels.background_error(made_sample(picture)) is None
    everywhere = made_sample(picture, person=~reference_person, reference_person=reference_person)
    assert pixels.background_error(everywhere) is None
