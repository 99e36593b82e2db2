"""Pictures with a known truth."""

import numpy as np
import pytest
import torch

from magicpose_cli.evaluation.samples import MadeSample, Sample


@pytest.fixture
def texture() -> np.ndarray:
    """(96, 96, 3) uint8 with something to see everywhere, in 20..230."""
    from magicpose_cli.synthetic.canvas import photo_noise

    noise = photo_noise(1, 96, 3, torch.Generator().manual_seed(0), "cpu")[0]
    return (125 + 40 * noise.permute(1, 2, 0)).clamp(20, 230).byte().numpy()


@pytest.fixture
def made_sample(texture):
    """A function that makes a MadeSample of a truth and a picture."""

    def make(picture=None, truth=texture, **sample) -> MadeSample:
        picture = truth if picture is None else picture
        named = {"name": "a", "clip": "a", "reference": truth, "truth": truth}
        return MadeSample(Sample(**(named | sample)), picture, sample.get("labels"))

    return make


@pytest.fixture
def pose(people):
    return people.poses()[0]
