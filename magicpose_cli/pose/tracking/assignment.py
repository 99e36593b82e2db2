"""Who is who between two frames: the cheapest pairs of rows and columns."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats


def assign(cost: Floats, refusal: float) -> list[tuple[int, int]]:
    """Pairs (row, column) that make the sum of costs least, where leaving both alone costs
    `refusal`; rows and columns are used once.

    cost: (rows, columns); infinite or NaN where a pair cannot be. The Hungarian method with
    potentials (Kuhn 1955, Jonker and Volgenant 1987), for the few people of a picture.
    """
    rows, columns = cost.shape
    usable = np.where(cost < refusal, cost, np.inf)
    if rows == 1 or columns == 1:  # one against some: simply the least
        best = int(np.argmin(usable)) if usable.size else 0
        fits = usable.size and np.isfinite(usable.flat[best])
        return [divmod(best, columns)] if fits else []
    # Every row may stay alone: a column of its own for it, at the price of a refusal.
    table = np.full((rows, columns + rows), refusal)
    table[:, :columns] = np.where(np.isfinite(usable), usable, 4 * refusal)
    chosen = _hungarian(table.tolist())
    return [(r, c) for r, c in enumerate(chosen) if c < columns and np.isfinite(usable[r, c])]


def _hungarian(cost: list[list[float]]) -> list[int]:
    """The column of each row; no more rows than columns."""
    rows, columns = len(cost), len(cost[0])
    of_row, of_column = [0.0] * (rows + 1), [0.0] * (columns + 1)  # potentials
    owner, previous = [0] * (columns + 1), [0] * (columns + 1)  # 1-based, 0 is nobody
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, done = [float("inf")] * (columns + 1), [False] * (columns + 1)
        while owner[column]:  # until a free column is reached
            done[column] = True
            here, delta, following = owner[column], float("inf"), 0
            for j in range(1, columns + 1):
                if done[j]:
                    continue
                reduced = cost[here - 1][j - 1] - of_row[here] - of_column[j]
                if reduced < least[j]:
                    least[j], previous[j] = reduced, column
                if least[j] < delta:
                    delta, following = least[j], j
            for j in range(columns + 1):
                if done[j]:
                    of_row[owner[j]] += delta
                    of_column[j] -= delta
                else:
                    least[j] -= delta
            column = following
        while column:
            owner[column], column = owner[previous[column]], previous[column]
    chosen = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            chosen[owner[column] - 1] = column - 1
    return chosen
