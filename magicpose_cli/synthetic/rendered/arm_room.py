"""How deep lower arms and hands would lie inside of a person's trunk, head, legs or other arm."""

from __future__ import annotations

import torch
from torch import Tensor

from magicpose_cli.body.model import Body, PosedBody
from magicpose_cli.body.renderer import vertex_normals
from magicpose_cli.body.skinning import blended_matrices, skinning_matrices
from magicpose_cli.synthetic.rendered.figure import ARM_PREFIXES

ARM_RADIUS_M = 0.045  # of a lower arm and a hand, with a sleeve and cloth on the trunk
NEAREST_OF = 5  # every so many vertices of the skin stand for all
ARM_JOINTS = ("lowerarm01", "lowerarm02", "wrist", "finger3-1", "finger3-3")


class ArmRoom:
    """One person's body as what is in the way of arms."""

    def __init__(self, body: Body, rest: PosedBody):
        self._body, self._joints = body, rest.joints
        own = body.faces[body.layers["skin"]]
        arm = torch.tensor([name.startswith(ARM_PREFIXES) for name in body.joint_names])
        used = torch.unique(own)
        used = used[(body.weights[used][:, arm].sum(1) < 0.02).nonzero()[:, 0]][::NEAREST_OF]
        self._rest = rest.vertices[0, used]
        self._weights = body.weights[used]
        self._normals = vertex_normals(rest.vertices[:1], own)[0, used]

    def depth_m(self, rotations: Tensor) -> float:
        """Meters by which arms reach into the body at worst, under (F, J, 3, 3); 0: nowhere."""
        world, placed = self._body.transforms(self._joints, rotations)
        matrices = skinning_matrices(self._joints, world, placed)
        blended = blended_matrices(self._weights, matrices)
        vertices = (blended[..., :3] @ self._rest[..., None]).squeeze(-1) + blended[..., 3]
        normals = (blended[..., :3] @ self._normals[..., None]).squeeze(-1)
        left, right = (self._samples(placed, side) for side in ("L", "R"))
        points = torch.cat([left, right], dim=1)
        apart = torch.cdist(points, vertices)
        nearest = apart.argmin(2)[..., None].expand(-1, -1, 3)
        away = points - vertices.gather(1, nearest)
        height = (away * normals.gather(1, nearest)).sum(2)
        # a place that is far off along the surface is not inside, whatever the normal says
        height = torch.where(apart.amin(2) > 0.12, torch.full_like(height, 1.0), height)
        deepest = float((ARM_RADIUS_M - height).amax())
        crossed = float((1.6 * ARM_RADIUS_M - torch.cdist(left, right)).amax())
        return max(deepest, crossed, 0.0)

    def _samples(self, placed: Tensor, side: str) -> Tensor:
        """(F, n, 3) points along a lower arm and its hand, the elbow left out."""
        joints = placed[:, [self._body.joint(f"{name}.{side}") for name in ARM_JOINTS]]
        middles = (joints[:, 1:] + joints[:, :-1]) / 2
        return torch.cat([joints[:, 1:], middles], dim=1)
