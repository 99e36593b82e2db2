"""The normal equations of a clip: a block a frame, and blocks between a frame and the next two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

DAMPING = 1e-3  # of the diagonal (Levenberg, Marquardt)


class NormalEquations:
    """Sums up slopes^T weights slopes and slopes^T weights errors of F frames with U unknowns."""

    def __init__(self, frames: int, unknowns: int):
        import torch

        self.diagonal = torch.zeros(frames, unknowns, unknowns, dtype=torch.float64)
        self.next = torch.zeros(frames, unknowns, unknowns, dtype=torch.float64)  # rows: f + 1
        self.after_next = torch.zeros(frames, unknowns, dtype=torch.float64)  # diagonals: f + 2
        self.right = torch.zeros(frames, unknowns, dtype=torch.float64)

    def add(self, slopes: Tensor, errors: Tensor, weights: Tensor) -> None:
        """Errors within a frame: slopes (F, U, R), errors and weights (F, R)."""
        weighted = slopes * weights[:, None]
        self.diagonal += weighted @ slopes.mT
        self.right += (weighted @ errors[..., None])[..., 0]

    def add_blocks(self, start: int, curvature: Tensor, pull: Tensor) -> None:
        """Curvatures (F, G, n, n) of groups of n unknowns from `start` on, and slopes (F, G, n)."""
        groups, size = curvature.shape[1:3]
        for group in range(groups):
            own = slice(start + group * size, start + (group + 1) * size)
            self.diagonal[:, own, own] += curvature[:, group]
            self.right[:, own] += pull[:, group]

    def add_between(self, first: Tensor, second: Tensor, gap: Tensor, weights: Tensor) -> None:
        """What should stay from a frame to the next.

        first, second: (F - 1, U, R) slopes in the frame and the next; gap and weights (F - 1, R).
        """
        own, other = first * weights[:, None], second * weights[:, None]
        self.diagonal[:-1] += own @ first.mT
        self.diagonal[1:] += other @ second.mT
        self.next[:-1] -= other @ first.mT
        self.right[:-1] -= (own @ gap[..., None])[..., 0]
        self.right[1:] += (other @ gap[..., None])[..., 0]

    def add_acceleration(self, bend: Tensor, weights: Tensor) -> None:
        """Second differences (F - 2, U) of the unknowns, with weights (U,)."""
        parts = (1.0, -2.0, 1.0)
        frames = len(bend)
        for i, first in enumerate(parts):
            self.right[i : i + frames] += first * weights * bend
            for j, second in enumerate(parts[: i + 1]):
                product = first * second * weights
                if i == j:
                    self.diagonal.diagonal(dim1=1, dim2=2)[i : i + frames] += product
                elif i == j + 1:
                    self.next.diagonal(dim1=1, dim2=2)[j : j + frames] += product
                else:
                    self.after_next[j : j + frames] += product

    def of(self, unknowns: Tensor) -> NormalEquations:
        """The equations of these (n,) unknowns alone; the others are held as they are."""
        part = NormalEquations(len(self.right), len(unknowns))
        part.diagonal = self.diagonal[:, unknowns[:, None], unknowns]
        part.next = self.next[:, unknowns[:, None], unknowns]
        part.after_next = self.after_next[:, unknowns]
        part.right = self.right[:, unknowns]
        return part

    def solve(self) -> Tensor:
        """(F, U): the step that brings the errors down."""
        import torch
        from scipy.linalg import solveh_banded

        frames, unknowns = self.right.shape
        diagonal = self.diagonal.numpy()
        places = np.arange(unknowns)
        diagonal[:, places, places] *= 1 + DAMPING
        diagonal[:, places, places] += 1e-6
        width = 2 * unknowns if frames > 2 else (frames * unknowns - 1)
        banded = np.zeros((width + 1, frames, unknowns))
        row, column = np.tril_indices(unknowns)
        banded[row - column, :, column] = diagonal[:, row, column].T
        if frames > 1:
            row, column = (index.ravel() for index in np.indices((unknowns, unknowns)))
            below = self.next.numpy()[:, row, column].T
            banded[unknowns + row - column, :, column] = below
        if frames > 2:
            banded[2 * unknowns] = self.after_next.numpy()
        flat = banded.reshape(width + 1, -1)
        found = solveh_banded(flat, -self.right.numpy().ravel(), lower=True, overwrite_ab=True)
        return torch.from_numpy(found.reshape(frames, unknowns))
