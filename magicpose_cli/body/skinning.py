"""Linear blend skinning: vertices follow the joints by their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def skinning_matrices(
    rest_joints: Tensor, world: Tensor, placed: Tensor, root: Tensor | None = None
) -> Tensor:
    """What each joint does to what hangs on it, (B, J, 12): rows of a rotation and a shift.

    Args:
        rest_joints: (B or 1, J, 3) meters.
        world: (B, J, 3, 3) rotations, of Body.transforms().
        placed: (B, J, 3) posed joints, of Body.transforms().
        root: (B, 3) meters, added to everything; None for nothing.
    """
    import torch

    shift = placed - (world @ rest_joints[..., None]).squeeze(-1)
    if root is not None:
        shift = shift + root[:, None]
    return torch.cat([world, shift[..., None]], dim=-1).flatten(2)


def blended_matrices(weights: Tensor, matrices: Tensor) -> Tensor:
    """(B, n, 3, 4): what the joints together do to each of n vertices with weights (n, J)."""
    return (weights @ matrices).view(len(matrices), -1, 3, 4)


def skinned(weights: Tensor, matrices: Tensor, rest: Tensor) -> Tensor:
    """(B, n, 3) posed vertices.

    Args:
        weights: (n, J), rows sum to one.
        matrices: (B, J, 12) of skinning_matrices().
        rest: (B or 1, n, 3) meters.
    """
    blended = blended_matrices(weights, matrices)
    return (blended[..., :3] @ rest[..., None]).squeeze(-1) + blended[..., 3]
