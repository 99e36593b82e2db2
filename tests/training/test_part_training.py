"""Examples for the part segmentation, and a training that goes on where it was cut off."""

import numpy as np
import pytest
import torch

from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.training.part_examples import (
    CLASSES,
    FRAMES,
    MIRRORED_CLASSES,
    PartExample,
    disturbed,
    exact,
    read_examples,
    render_examples,
)
from magicpose_cli.training.part_training import PartTraining
from magicpose_cli.warping.part_features import (
    FEATURE_CHANNELS,
    FEATURE_SIDE_PX,
    SEGMENTED_PARTS,
    TRACES,
)

ORDER = ("body", "face", "right_hand", "left_hand")


@pytest.fixture(scope="module")
def examples():
    clip = render_clip(900_002, 2, 160, style="gesture", shot="half")
    pictures = (clip.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    return [
        PartExample(
            picture, CLASSES[parts], np.concatenate([points[POSE_SLICES[part]] for part in ORDER])
        )
        for picture, parts, points in zip(
            pictures, clip.parts.numpy(), clip.points.numpy(), strict=True
        )
    ]


def nearest(features, part):
    """Where the trace of a part is clear, (s, s) bool."""
    return features[4 + TRACES.index(part)] > 0.8


def test_features_and_classes_lie_on_each_other(examples):
    features, classes = exact(examples[0])
    assert features.shape == (FEATURE_CHANNELS, FEATURE_SIDE_PX, FEATURE_SIDE_PX)
    for part in ("right_forearm", "left_upper_arm"):
        on_bone = classes[nearest(features, part)]
        assert (on_bone == SEGMENTED_PARTS.index(part)).mean() > 0.6


def test_disturbed_examples_keep_sides_when_they_are_mirrored(examples):
    on_bone = []
    for seed in range(8):  # half of them are mirrored
        features, classes = disturbed(examples[0], np.random.default_rng(seed))
        on_bone.append(classes[nearest(features, "right_forearm")])
    own, other = (SEGMENTED_PARTS.index(f"{side}_forearm") for side in ("right", "left"))
    assert MIRRORED_CLASSES[own] == other
    found = np.concatenate(on_bone)
    assert (found == own).sum() > 10 * (found == other).sum()


@pytest.mark.slow
def test_a_resumed_training_comes_to_the_same_weights(examples, tmp_path):
    whole = PartTraining(examples, steps=4)
    for _ in range(2):
        whole.advance()
    torch.save(whole.state(), tmp_path / "half.pt")
    for _ in range(2):
        whole.advance()
    resumed = PartTraining(examples, steps=4)
    resumed.resume(torch.load(tmp_path / "half.pt", weights_only=True))
    while resumed.step < 4:
        resumed.advance()
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name])


@pytest.mark.slow
def test_people_are_rendered_once_and_detected(tmp_path):
    files = render_examples(tmp_path, 900_100, 1)
    made = files[0].stat().st_mtime_ns
    found = read_examples(render_examples(tmp_path, 900_100, 1))
    assert files[0].stat().st_mtime_ns == made
    assert 0 < len(found) <= FRAMES
    assert all(np.isfinite(example.points).any() for example in found)
