"""Key points as moments of bones, and how they move with the fit's joints and shape.

A key point is a weighted mean of vertices, and each vertex follows bones by linear blend skinning;
so the point is a sum over bones of (rotation of the bone) x (a moment that is linear in the shape).
That is exact and needs no vertices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from magicpose_cli.body.joint_groups import BODY_GROUPS, JOINT_GROUPS, limit_axes
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import cross_matrix, matrix_from_axis_angle

if TYPE_CHECKING:
    from torch import Tensor

SHAPE_COMPONENTS = 10  # the fit's, of the body's first ones
SMALLEST_SHARE = 1e-3  # of a bone in a key point


@dataclass(frozen=True, eq=False)
class FitRig:
    """P key points that hang on J bones by n pairs, moved by A joints of G groups.

    The groups are the first ones of joint_groups.JOINT_GROUPS.

    Attributes:
        pair_points: (n,) point of each pair.
        pair_bones: (n,) bone of each pair.
        pair_shares: (n,) its share.
        moments: (1 + S, n, 3) of the mean and of every shape component.
        joints: (1 + S, J, 3) likewise.
        joint_index: (A,), as joint_group, joint_share and joint_parent.
        carried: (A, P) how much of a point hangs below a joint.
        hanging_pairs: (m,) by which pairs.
        hanging_rows: (m,) of the rows of A * P.
        axes: (G, 3, 3) whose columns are the axes of each group's limits.
    """

    body: Body
    groups: tuple[str, ...]
    pair_points: Tensor
    pair_bones: Tensor
    pair_shares: Tensor
    moments: Tensor
    joints: Tensor
    joint_index: Tensor
    joint_group: Tensor
    joint_share: Tensor
    joint_parent: Tensor
    carried: Tensor
    hanging_rows: Tensor
    hanging_pairs: Tensor
    axes: Tensor

    @property
    def point_count(self) -> int:
        """Key points, P."""
        return self.carried.shape[1]

    def rotations(self, root: Tensor, angles: Tensor) -> Tensor:
        """(F, J, 3, 3) local rotations from the root's (F, 3, 3) and the groups' (F, >= G, 3)."""
        turned = self.body.identity(len(angles))
        own = matrix_from_axis_angle(angles[:, self.joint_group] * self.joint_share[:, None])
        turned[:, self.joint_index] = own
        turned[:, 0] = root
        return turned

    def shaped(self, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Moments (n, 3) and rest joints (J, 3) of a shape (S,)."""
        moments = self.moments[0] + (shape @ self.moments[1:].flatten(1)).view(-1, 3)
        joints = self.joints[0] + (shape @ self.joints[1:].flatten(1)).view(-1, 3)
        return moments, joints

    def points(self, parts: Tensor) -> Tensor:
        """(F, P, 3) key points without the root's shift: the sums of their parts."""
        found = parts.new_zeros(len(parts), self.point_count, 3)
        return found.index_add(1, self.pair_points, parts)

    def parts(self, moments: Tensor, joints: Tensor, world: Tensor, placed: Tensor) -> Tensor:
        """(F, n, 3): what every bone adds to every key point.

        world (F, J, 3, 3) and placed (F, J, 3) are of Body.transforms() for these joints.
        """
        arms = moments - self.pair_shares[:, None] * joints[self.pair_bones]
        parts = (world[:, self.pair_bones] @ arms[..., None]).squeeze(-1)
        return parts + placed[:, self.pair_bones] * self.pair_shares[:, None]

    def shape_slopes(self, world: Tensor, rotations: Tensor) -> Tensor:
        """(F, S, P, 3): how the key points move with each component of the shape."""
        import torch

        slopes = []
        for moments, joints in zip(self.moments[1:], self.joints[1:], strict=True):
            _, placed = self.body.transforms(joints[None], rotations)
            slopes.append(self.points(self.parts(moments, joints, world, placed)))
        return torch.stack(slopes, dim=1)

    def slopes(self, parts: Tensor, world: Tensor, placed: Tensor, angles: Tensor) -> Tensor:
        """(F, G, 3, P, 3): how the key points move with the groups' angles.

        parts (F, n, 3) are of parts(). The root's angles are those of a further turn, about the
        world's axes.
        """
        import torch

        above = world[:, self.joint_parent]
        above[:, 0] = torch.eye(3, dtype=parts.dtype, device=parts.device)
        turn = angles[:, self.joint_group] * self.joint_share[:, None]
        turn[:, 0] = 0
        axes = (above @ _left_jacobian(turn) * self.joint_share[:, None, None]).mT
        hanging = parts.new_zeros(len(parts), self.carried.numel(), 3)
        hanging = hanging.index_add(1, self.hanging_rows, parts[:, self.hanging_pairs])
        pivots = placed[:, self.joint_index][:, :, None] * self.carried[..., None]
        arms = hanging.view(len(parts), *self.carried.shape, 3) - pivots
        moved = torch.linalg.cross(axes[:, :, :, None], arms[:, :, None], dim=-1)
        found: Tensor = moved.new_zeros(len(parts), len(self.groups), *moved.shape[2:])
        return found.index_add(1, self.joint_group, moved)


def _left_jacobian(vectors: Tensor) -> Tensor:
    """(..., 3, 3): by how much a rotation turns, in front of it, as its vector grows."""
    import torch

    squared = (vectors * vectors).sum(-1)[..., None, None]
    small = squared < 1e-4
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    k = cross_matrix(vectors)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    jacobian: Tensor = identity + first * k + second * (k @ k)
    return jacobian


def make_rig(
    body: Body,
    rows: list[int],
    groups: tuple[str, ...] = BODY_GROUPS,
    offsets_m: Mapping[int, tuple[float, float, float]] | None = None,
) -> FitRig:
    """Make the rig of some of the body's key points.

    Args:
        body: On the CPU.
        rows: Of the key points: 0..127 the pose, from 128 on COCO's.
        groups: The first ones of joint_groups.JOINT_GROUPS.
        offsets_m: By the row, how far a point lies from the body's, in the rest pose's axes.
    """
    import torch

    basis = body.shape_basis[:SHAPE_COMPONENTS].view(SHAPE_COMPONENTS, -1, 3)
    rest = torch.cat([body.mean[None], basis])
    pairs = _pairs_of(body, rows, rest, offsets_m or {})
    own_groups = [JOINT_GROUPS[name] for name in groups]
    own_joints = [
        (body.joint(name), number, group.share)
        for number, group in enumerate(own_groups)
        for name in group.joints
    ]
    index = torch.tensor([joint for joint, _, _ in own_joints])
    hangs = _descendants(body.parents)[index][:, pairs.bones]
    carried = torch.zeros(len(index), len(rows)).index_add(1, pairs.points, hangs * pairs.shares)
    owners, hanging_pairs = hangs.nonzero().T
    return FitRig(
        body=body,
        groups=groups,
        pair_points=pairs.points,
        pair_bones=pairs.bones,
        pair_shares=pairs.shares,
        moments=pairs.moments,
        joints=rest[:, body.vertex_count :],
        joint_index=index,
        joint_group=torch.tensor([group for _, group, _ in own_joints]),
        joint_share=torch.tensor([share for _, _, share in own_joints]),
        joint_parent=torch.tensor(body.parents).clamp_min(0)[index],
        carried=carried,
        hanging_rows=owners * len(rows) + pairs.points[hanging_pairs],
        hanging_pairs=hanging_pairs,
        axes=torch.stack([limit_axes(body, group) for group in own_groups]),
    )


class _Pairs(NamedTuple):
    """Key points (rows of the rig), the bones that carry them, and by how much; see FitRig."""

    points: Tensor
    bones: Tensor
    shares: Tensor
    moments: Tensor


def _pairs_of(
    body: Body,
    rows: list[int],
    rest: Tensor,
    offsets_m: Mapping[int, tuple[float, float, float]],
) -> _Pairs:
    import torch

    vertices, joint_count = body.vertex_count, body.joint_count
    # A joint is carried by its parent, a vertex by its bones.
    carriers = torch.zeros(vertices + joint_count, joint_count)
    carriers[:vertices] = body.weights
    parents = torch.tensor(body.parents).clamp_min(0)
    carriers[vertices + torch.arange(joint_count), parents] = 1
    points, bones, shares, moments = [], [], [], []
    for number, row in enumerate(rows):
        own = body.point_rows == row
        columns, weights = body.point_columns[own], body.point_weights[own]
        spread = carriers[columns] * weights[:, None]
        total = spread.sum(0)
        kept = (total > SMALLEST_SHARE).nonzero()[:, 0]
        rescale = 1 / total[kept].sum()
        points += [number] * len(kept)
        bones.append(kept)
        shares.append(total[kept] * rescale)
        moments.append(torch.einsum("ck,scd->skd", spread[:, kept] * rescale, rest[:, columns]))
        if row in offsets_m:
            moments[-1][0] += shares[-1][:, None] * torch.tensor(offsets_m[row])
    return _Pairs(
        torch.tensor(points), torch.cat(bones), torch.cat(shares), torch.cat(moments, dim=1)
    )


def _descendants(parents: tuple[int, ...]) -> Tensor:
    """(J, J): 1 where the column's joint is the row's or hangs below it."""
    import torch

    below = torch.eye(len(parents))
    for joint in range(len(parents) - 1, 0, -1):
        below[parents[joint]] += below[joint]
    return below
