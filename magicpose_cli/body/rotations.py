"""Rotation matrices in torch, with gradients; numpy callers have scipy's `Rotation`.

Matrices are (..., 3, 3) and act on columns: y = R x. An axis-angle vector's length is the angle in
radians, counterclockwise as seen from the tip of the axis (right-handed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def cross_matrix(vectors: Tensor) -> Tensor:
    """(..., 3) to the (..., 3, 3) matrices K with K x = vector cross x."""
    import torch

    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    rows = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return rows.view(*rows.shape[:-1], 3, 3)


def matrix_from_axis_angle(vectors: Tensor) -> Tensor:
    """(..., 3) radians to rotation matrices (Rodrigues' formula), smooth at zero."""
    import torch

    squared = (vectors * vectors).sum(-1)[..., None, None]
    small = squared < 1e-6
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    k = cross_matrix(vectors)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity + sine * k + cosine * (k @ k)


def axis_angle_from_matrix(matrices: Tensor) -> Tensor:
    """Rotation matrices to (..., 3) radians, the angle within 0..pi."""
    return _axis_angle_from_quaternion(quaternion_from_matrix(matrices))


def quaternion_from_matrix(matrices: Tensor) -> Tensor:
    """Rotation matrices to unit quaternions (..., 4) as w, x, y, z with w >= 0.

    Of the four ways to divide, the one with the largest divisor is taken (Shepperd, 1978).
    """
    import torch

    m = matrices.flatten(-2)
    a, b, c, d, e, f, g, h, i = m.unbind(-1)
    candidates = torch.stack(
        [
            torch.stack([1 + a + e + i, h - f, c - g, d - b], dim=-1),
            torch.stack([h - f, 1 + a - e - i, b + d, c + g], dim=-1),
            torch.stack([c - g, b + d, 1 - a + e - i, f + h], dim=-1),
            torch.stack([d - b, c + g, f + h, 1 - a - e + i], dim=-1),
        ],
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)
    picked = torch.take_along_dim(candidates, best[..., None, None], dim=-2).squeeze(-2)
    unit = picked / picked.norm(dim=-1, keepdim=True)
    return torch.where(unit[..., :1] < 0, -unit, unit)


def _axis_angle_from_quaternion(quaternions: Tensor) -> Tensor:
    """Unit quaternions with w >= 0 to (..., 3) radians."""
    import torch

    w, vector = quaternions[..., :1], quaternions[..., 1:]
    sine = vector.norm(dim=-1, keepdim=True)
    safe = sine.clamp_min(1e-12)
    scale = torch.where(sine < 1e-6, 2 / w.clamp_min(0.5), 2 * torch.atan2(sine, w) / safe)
    return vector * scale
