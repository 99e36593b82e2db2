import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, lab2rgb

from magicpose_cli.evaluation.colors import color_error, region_errors

# Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (2005), table 1.
PUBLISHED = (
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
)


@pytest.mark.parametrize(("one", "other", "wanted"), PUBLISHED)
def test_published_differences(one, other, wanted):
    assert deltaE_ciede2000(np.array(one), np.array(other)) == pytest.approx(wanted, abs=1e-4)


def painted(colors, labels):
    picture = np.zeros((*labels.shape, 3), np.uint8)
    for label, lab in colors.items():
        picture[labels == label] = np.round(255 * lab2rgb(np.array(lab)))
    return picture


def test_each_region_is_compared_with_its_own_color(made_sample):
    labels = np.zeros((40, 40), np.uint8)
    labels[:20], labels[20:, :20] = 1, 3
    one, other, wanted = PUBLISHED[2]
    truth = painted({1: one, 3: one}, labels)
    picture = painted({1: one, 3: other}, labels)
    errors = region_errors(made_sample(picture, truth, labels=labels))
    assert errors["skin"] == pytest.approx(0, abs=1e-6)
    assert errors["top"] == pytest.approx(wanted, abs=0.3)  # colors are rounded to 8 bits
    assert color_error(made_sample(picture, truth, labels=labels)) == pytest.approx(
        wanted / 2, abs=0.2
    )


def test_specks_have_no_color_and_the_background_is_nobody(made_sample):
    labels = np.zeros((100, 100), np.uint8)
    labels[0, :8] = 2
    black, white = np.zeros((100, 100, 3), np.uint8), np.full((100, 100, 3), 255, np.uint8)
    assert color_error(made_sample(black, white, labels=labels)) is None
    labels[0, :20] = 2
    assert color_error(made_sample(black, white, labels=labels)) == pytest.approx(100, abs=0.1)
    assert color_error(made_sample(black, white)) is None
