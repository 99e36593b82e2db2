"""Runs of frames, and columns of points that are seen in the same frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from magicpose_cli.arrays import Integers, Mask


def columns_seen_alike(seen: Mask) -> Iterator[tuple[Integers, Integers]]:
    """Groups of columns that are seen in the same frames: (frames, columns), both indices.

    A face or hand is found as a whole, so that a person is some twenty groups, not 128 columns.
    seen: (frames, n) bool. Columns that are never seen are left out.
    """
    groups: dict[bytes, list[int]] = {}
    for column, pattern in enumerate(np.packbits(seen, axis=0).T):
        groups.setdefault(pattern.tobytes(), []).append(column)
    for columns in groups.values():
        frames = np.flatnonzero(seen[:, columns[0]])
        if len(frames):
            yield frames, np.array(columns)


def runs(chosen: Mask) -> Iterator[tuple[int, int]]:
    """(start, end) of each run of True in (n,) bool; the end is the first frame after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
