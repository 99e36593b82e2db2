"""A person's body at rest and where its limbs, hips and neck are: what garments are cut by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.rendered.surfaces import Cloth, layer_cloth

WAIST_M = 0.1  # of trousers and skirts, above the hip joints
ARM_PREFIXES = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")  # of joints' names
_LIMBS = (  # of the fields of a figure's cloth
    ARM_PREFIXES,
    ("upperleg", "lowerleg", "foot", "toe"),
    ("head", "neck03", "neck02", "eye"),
)
_LIMB_ENDS = {"arm": ("upperarm01", "wrist"), "leg": ("upperleg01", "foot")}


@dataclass(frozen=True, eq=False)
class Figure:
    """A body at rest: V vertices.

    Attributes:
        body: with all layers.
        rest: (V, 3) meters.
        joints: (J, 3) meters.
        fields: (V, 3) shares of the arms', the legs' and the head's joints in the skinning.
    """

    body: Body
    rest: Tensor
    joints: Tensor
    fields: Tensor

    @staticmethod
    def of(body: Body, rest: Tensor, joints: Tensor) -> Figure:
        """Rest (V, 3), joints (J, 3)."""
        own = torch.tensor(
            [[name.startswith(limb) for limb in _LIMBS] for name in body.joint_names]
        )
        return Figure(body, rest, joints, body.weights @ own.float())

    def joint(self, name: str) -> Tensor:
        """(3,) where a joint is at rest."""
        return self.joints[self.body.joint(name)]

    @property
    def hip_m(self) -> float:
        """Height of the hip joints."""
        return float(self.joint("upperleg01.L")[1])

    @property
    def waist_m(self) -> float:
        """Height where trousers and skirts begin."""
        return self.hip_m + WAIST_M

    @property
    def neck(self) -> Tensor:
        """(3,) the neck's lower end."""
        return self.joint("neck01")

    def cloth(self, layer: str, rounds: int = 0) -> Cloth:
        """A layer of the body as cloth to be cut, with the figure's fields, smoothed."""
        return layer_cloth(self.body, self.rest, layer, self.fields, rounds)

    def skin(self) -> Cloth:
        """All V vertices, no faces: to tell which of them a garment covers."""
        none = torch.zeros(0, 3, dtype=torch.long)
        return Cloth(self.rest, self.body.weights, none, self.fields)

    def along(self, limb: str, place: Tensor) -> Tensor:
        """(n,) where along the "arm" or "leg" of their own side points (n, 3) lie.

        0 at the shoulder or hip, 1 at the wrist or ankle.
        """
        first, last = _LIMB_ENDS[limb]
        found = []
        for side in ("L", "R"):
            start, end = self.joint(f"{first}.{side}"), self.joint(f"{last}.{side}")
            axis = end - start
            found.append((place - start) @ axis / (axis @ axis))
        return torch.where(place[:, 0] > 0, found[0], found[1])
