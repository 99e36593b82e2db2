"""Boxes around what a mask holds."""

import numpy as np
import pytest

from magicpose_cli.warping.boxes import bounding_box


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_a_box_holds_all_that_is_set_and_its_margin_ends_at_the_edges(kind):
    mask = np.zeros((20, 30), kind)
    mask[4, 7] = mask[9, 25] = 1
    assert bounding_box(mask) == (slice(4, 10), slice(7, 26))
    assert bounding_box(mask, margin_px=5) == (slice(0, 15), slice(2, 30))


def test_an_empty_mask_has_no_box():
    assert bounding_box(np.zeros((4, 4), bool), margin_px=3) is None
