"""A body's shape in words: gender, age, muscle, weight, height and so on to shape components.

The map is Anny's own (Brégier et al., ECCV 2026): every blend shape belongs to a product of
anchors such as "female, old, strong, light"; a phenotype between two anchors shares its weight
linearly among them. What the components lose of it is said in the bake's report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpose_cli.body.layout import ORIGINS, PHENOTYPES
from magicpose_cli.body.model import Body
from magicpose_cli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PHENOTYPE_ANCHORS = {  # how many there are, evenly over 0..1, in the order of the baked mask
    "gender": 2,
    "age": 2,
    "muscle": 3,
    "weight": 3,
    "height": 2,
    "proportions": 2,
    "cupsize": 3,
    "firmness": 3,
}
YOUNGER = 3  # anchors of the baked age that are no adults: their weights stay zero


def shape_from_phenotypes(body: Body, **phenotypes: float) -> Tensor:
    """The (1, K) shape of an adult.

    Args:
        body: whose components are meant.
        phenotypes: of gender (0 male, 1 female), age (0 a young adult, 1 old), muscle, weight,
            height, proportions (0 ideal), cupsize and firmness, 0..1, each 0.5 unless given;
            african, asian, caucasian, weights of a mean, equal unless any is given.

    Raises:
        InputError: for an unknown word or a value out of its range.
    """
    import torch

    values = {name: 0.5 for name in PHENOTYPES}
    origins = dict.fromkeys(ORIGINS, 0.0 if set(phenotypes) & set(ORIGINS) else 1.0)
    for name, value in phenotypes.items():
        if name not in values and name not in origins:
            known = ", ".join((*PHENOTYPES, *ORIGINS))
            raise InputError(f"no phenotype is called {name!r}; expected one of {known}")
        if not 0 <= value <= 1:
            raise InputError(f"phenotype {name} is {value}; expected a number from 0 to 1")
        (values if name in values else origins)[name] = value
    total = sum(origins.values())
    if total == 0:
        raise InputError(f"phenotypes {', '.join(ORIGINS)} are all 0; give one of them a weight")
    anchors = [origins[name] / total for name in ORIGINS]
    for name, count in PHENOTYPE_ANCHORS.items():
        anchors += [0.0] * (YOUNGER if name == "age" else 0) + _shares(values[name], count)
    mask = body.phenotypes["mask"]
    row = torch.tensor(anchors, dtype=mask.dtype, device=mask.device)
    weights = torch.where(mask > 0, row, torch.ones_like(row)).prod(dim=1)
    return (weights - body.phenotypes["center"])[None] @ body.phenotypes["map"]


def _shares(value: float, count: int) -> list[float]:
    """How an amount is shared by the two anchors beside it."""
    place = value * (count - 1)
    return [max(0.0, 1.0 - abs(anchor - place)) for anchor in range(count)]
