"""Which rows and columns belong together: the cheapest pairs."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from magicpose_cli.arrays import Floats


def assign(cost: Floats, refusal: float) -> list[tuple[int, int]]:
    """Pairs of rows and columns that make the sum of costs least.

    Args:
        cost: (rows, columns); infinite or NaN where a pair cannot be.
        refusal: what it costs to leave a row and a column alone; no pair costs as much.

    Returns:
        (row, column) of each pair; rows and columns are used once.
    """
    rows, columns = cost.shape
    usable = np.where(cost < refusal, cost, np.inf)
    # Every row may stay alone: a column of its own for it, at the price of a refusal.
    table = np.full((rows, columns + rows), refusal)
    table[:, :columns] = np.where(np.isfinite(usable), usable, 4 * refusal)
    pairs = zip(*linear_sum_assignment(table), strict=True)
    return [(int(r), int(c)) for r, c in pairs if c < columns and np.isfinite(usable[r, c])]
