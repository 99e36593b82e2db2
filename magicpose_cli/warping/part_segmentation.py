"""Which pixels of a picture show a person's arms, and which of their legs.

A network tells it that has learned from rendered people; see `training/part_training.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.warping.hand_outline import hand_room
from magicpose_cli.warping.part_features import (
    MIRRORED_CHANNELS,
    SEGMENTED_PARTS,
    FeatureSquare,
    part_features,
)
from magicpose_cli.warping.parts import ARM_PARTS_BY_SIDE, mirrored_part
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints

if TYPE_CHECKING:
    from magicpose_cli.warping.part_network import PartNetwork

PART_WEIGHTS = Path(__file__).with_name("part_network.safetensors")
EDGE_SMOOTH = 1e-2 * 255**2  # of the filter that lays an arm's edge along the picture's
EDGE_RADIUS = 0.012  # body heights, in which the picture's edge is looked for
MIN_PERSON = 1e-3  # below which a pixel is of no part


@dataclass(frozen=True)
class PartShares:
    """What the network tells of a picture's pixels.

    Attributes:
        arms: By side, (H, W) float32, 0 to 1, how much of a pixel is the arm, its sleeve and its
            hand.
        right_leg: (H, W) float32, 0 to 1, how much of what is leg or foot is of the right one:
            a sharp edge between trouser legs, a soft one in a skirt, which goes with both.
        legs: (H, W) float32, 0 to 1, how surely a pixel is leg or foot at all. Where it is not,
            `right_leg` says nothing.
    """

    arms: dict[str, Floats]
    right_leg: Floats
    legs: Floats


def find_part_shares(
    picture: Picture, alpha: Floats, reference: WarpPoints, height: float
) -> PartShares | None:
    """Find how much each pixel shows of each arm and leg; None where nobody is.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32, 0 to 1, the person's matte.
        reference: The person's points.
        height: Of the whole body, in pixels.
    """
    square = FeatureSquare.around(alpha)
    if square is None:
        return None
    found = _found(picture, alpha, reference, height, square)
    person = _along_edges(square.back(1 - found["background"], picture), picture, height)
    arms = {}
    for side, names in ARM_PARTS_BY_SIDE.items():
        upper_arm, forearm, hand = (square.back(found[name], picture) for name in names)
        room = hand_room(picture, reference, side, height)
        if room is not None:
            hand *= room
        own = _along_edges(upper_arm + forearm + hand, picture, height)
        # Of what is person: the arm's rim would else be left behind as an outline.
        arms[side] = np.asarray((own / np.maximum(person, MIN_PERSON)).clip(0, 1), np.float32)
    right, left = (found[f"{side}_thigh"] + found[f"{side}_shin"] for side in BODY_SIDES)
    of_right = np.asarray(right / np.maximum(right + left, MIN_PERSON), np.float32)
    right_leg, legs = (square.back(share, picture) for share in (of_right, right + left))
    return PartShares(arms, right_leg, legs)


def find_person_share(
    picture: Picture, alpha: Floats, reference: WarpPoints, height: float
) -> Floats | None:
    """Find how much each pixel shows of the person, (H, W) float32, 0 to 1; None where nobody is.

    Unlike the network that segments pictures of anybody, this one knows where the limbs are.

    Args:
        picture: As of `find_part_shares`.
        alpha: As of `find_part_shares`; a rough segmentation will do.
        reference: As of `find_part_shares`.
        height: As of `find_part_shares`.
    """
    square = FeatureSquare.around(alpha)
    if square is None:
        return None
    return square.back(1 - _found(picture, alpha, reference, height, square)["background"], picture)


def _found(
    picture: Picture, alpha: Floats, reference: WarpPoints, height: float, square: FeatureSquare
) -> dict[str, Floats]:
    """Each class's probabilities in the square, (s, s)."""
    features = part_features(picture, alpha, reference, height, square)
    return dict(zip(SEGMENTED_PARTS, _probabilities(features), strict=True))


def _probabilities(features: Floats) -> Floats:
    """Return the classes' probabilities, (classes, s, s).

    The mean over the picture and its mirror image, so that a mirrored picture has them mirrored.
    """
    import torch

    mirrored_classes = [SEGMENTED_PARTS.index(mirrored_part(part)) for part in SEGMENTED_PARTS]
    both = np.stack([features, features[MIRRORED_CHANNELS][..., ::-1]])
    with torch.inference_mode():
        one, other = _network()(torch.from_numpy(both)).softmax(1).numpy()
    mean: Floats = (one + other[mirrored_classes][..., ::-1]) / 2
    return mean


def _along_edges(share: Floats, picture: Picture, height: float) -> Floats:
    radius = max(2, round(EDGE_RADIUS * height))
    return np.asarray(cv2.ximgproc.guidedFilter(picture, share, radius, EDGE_SMOOTH), np.float32)


@lru_cache(maxsize=1)
def _network() -> PartNetwork:
    from safetensors.torch import load_file

    from magicpose_cli.warping.part_network import PartNetwork

    network = PartNetwork()
    network.load_state_dict(
        {name: value.float() for name, value in load_file(PART_WEIGHTS).items()}
    )
    return network.eval()
