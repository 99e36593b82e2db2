"""Colors: does a picture show the truth's colors where the truth has them."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Picture
from magicpose_cli.config.extras import needed
from magicpose_cli.evaluation.samples import MadeSample

MIN_SHARE = 0.001  # of the picture that a region must cover to have a color


def color_error(made: MadeSample) -> float | None:
    """CIEDE2000 between picture and truth, mean over the person's regions; None without any."""
    errors = region_errors(made)
    return float(np.mean(list(errors.values()))) if errors else None


def region_errors(made: MadeSample) -> dict[str, float]:
    """CIEDE2000 of each region that both the truth and the picture show enough of.

    The truth's colors are taken under the truth's labels, the picture's under `made.labels`.
    """
    if made.sample.labels is None or made.labels is None:
        return {}
    from magicpose_cli.synthetic.canvas import LABELS

    truth = region_colors(made.sample.truth, made.sample.labels)
    shown = region_colors(made.picture, made.labels)
    common = [label for label in truth if label in shown]
    if not common:
        return {}
    difference = needed("skimage.color").deltaE_ciede2000(
        np.stack([truth[label] for label in common]), np.stack([shown[label] for label in common])
    )
    return {LABELS[label]: float(d) for label, d in zip(common, difference, strict=True)}


def region_colors(picture: Picture, labels: Integers) -> dict[int, Floats]:
    """Compute the mean CIELAB color (D65) of each of the person's regions that is large enough.

    Args:
        picture: That shows the person.
        labels: (H, W) index into synthetic.canvas.LABELS.
    """
    lab = needed("skimage.color").rgb2lab(picture)
    enough = max(4, MIN_SHARE * labels.size)
    return {
        int(label): lab[labels == label].mean(0)
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True)
        if label > 0 and count >= enough
    }
