"""A person's body at rest and where its limbs, hips and neck are: what garments are cut by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magicpose_cli.body.model import Body

_ARM_JOINTS = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
_LEG_JOINTS = ("upperleg", "lowerleg", "foot", "toe")


@dataclass(frozen=True, eq=False)
class Figure:
    """A body at rest with what tells its parts apart: V vertices.

    Attributes:
        body: with all layers.
        rest: (V, 3) meters.
        joints: (J, 3) meters.
        arm: (V,) share of the arms' joints in the skinning.
        leg: (V,) of the legs'.
        head: (V,) of the head's and the upper neck's.
        arm_along: (V,) 0 at the shoulder, 1 at the wrist of its own side.
        leg_along: (V,) 0 at the hip, 1 at the ankle.
    """

    body: Body
    rest: Tensor
    joints: Tensor
    arm: Tensor
    leg: Tensor
    head: Tensor
    arm_along: Tensor
    leg_along: Tensor

    @staticmethod
    def of(body: Body, rest: Tensor, joints: Tensor) -> Figure:
        """Rest (V, 3), joints (J, 3)."""

        def share(starts: tuple[str, ...]) -> Tensor:
            own = torch.tensor([name.startswith(starts) for name in body.joint_names])
            return body.weights[:, own].sum(1)

        return Figure(
            body,
            rest,
            joints,
            share(_ARM_JOINTS),
            share(_LEG_JOINTS),
            share(("head", "neck03", "neck02", "eye")),
            _along(body, rest, joints, "upperarm01", "wrist"),
            _along(body, rest, joints, "upperleg01", "foot"),
        )

    def joint(self, name: str) -> Tensor:
        """(3,) where a joint is at rest."""
        return self.joints[self.body.joint(name)]

    @property
    def hip_m(self) -> float:
        """Height of the hip joints."""
        return float(self.joint("upperleg01.L")[1])

    @property
    def neck(self) -> Tensor:
        """(3,) the neck's lower end."""
        return self.joint("neck01")


def _along(body: Body, rest: Tensor, joints: Tensor, first: str, last: str) -> Tensor:
    """(V,) where along the limb of its own side each vertex lies, 0..1 between its ends."""
    found = []
    for side in ("L", "R"):
        start, end = joints[body.joint(f"{first}.{side}")], joints[body.joint(f"{last}.{side}")]
        axis = end - start
        found.append((rest - start) @ axis / (axis @ axis))
    return torch.where(rest[:, 0] > 0, found[0], found[1])
