"""A pool of drawn clips in memory that is renewed while the training runs.

Drawing costs more than reading, so a clip is used several times before a new one takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from magicpose_cli.pose.keypoints import PARTS, Pose

Clips = tuple[np.ndarray, np.ndarray]
"""images and pose maps, each (n, frames, S, S, 3) uint8 RGB."""


def draw_clips(seed: int, count: int, frames: int, size: int, canvas: int) -> Clips:
    """`count` clips of one drawn person each, with the pose maps a detector might have given."""
    import torch

    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.training.people import draw_people

    people = draw_people(seed, count, frames, size)
    images = (people.images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    rng = np.random.default_rng(seed)
    maps = np.stack([pose_map(imperfect(pose, rng), canvas) for pose in people.poses()])
    shape = (count, frames, size, size, 3)
    return images.reshape(shape), maps.reshape(shape)


def imperfect(pose: Pose, rng: np.random.Generator) -> Pose:
    """The pose as a detector gives it: hands or face missing at times, joints a little off."""
    for part, chance in (("left_hand", 0.3), ("right_hand", 0.3), ("face", 0.08)):
        if rng.random() < chance:
            lost: dict[str, Any] = {
                part: np.full((PARTS[part], 2), np.nan, np.float32),
                f"{part}_score": np.zeros(PARTS[part], np.float32),
            }
            pose = replace(pose, **lost)
    noise = rng.normal(0, 0.006 * pose.height, pose.body.shape).astype(np.float32)
    noise[14:] *= 0.3  # eyes and ears are found well
    noise[0] *= 0.3
    return replace(pose, body=pose.body + noise)


class Pool:
    """`clips` drawn clips of `frames` pictures; `renew` replaces some by new people.

    images, maps: (clips, frames, S, S, 3) uint8. Seeds count up from first_seed, never reused.
    """

    CHUNK = 8  # clips drawn by one task

    def __init__(
        self, clips: int, frames: int, size: int, canvas: int, first_seed: int, workers: int = 2
    ):
        self.images = np.zeros((clips, frames, size, size, 3), np.uint8)
        self.maps = np.zeros_like(self.images)
        self._shape = (self.CHUNK, frames, size, canvas)
        self._next_seed = first_seed
        self._cursor = 0
        self._pending: deque[Future[Clips]] = deque()
        context = multiprocessing.get_context("spawn")
        self._workers = ProcessPoolExecutor(workers, context, initializer=_calm_worker)
        for _ in range(-(-clips // self.CHUNK)):
            self._order()
        while self._pending:
            self._take(self._pending.popleft())

    def renew(self) -> np.ndarray:
        """Take in the clips that are ready, order new ones; the indices that changed."""
        if not self._pending:
            self._order()
        if not self._pending[0].done():
            return np.zeros(0, np.int64)
        changed = self._take(self._pending.popleft())
        self._order()
        return changed

    def close(self) -> None:
        """Stop drawing."""
        self._workers.shutdown(cancel_futures=True)

    def _order(self) -> None:
        self._pending.append(self._workers.submit(draw_clips, self._next_seed, *self._shape))
        self._next_seed += 1

    def _take(self, future: Future[Clips]) -> np.ndarray:
        images, maps = future.result()
        index = (self._cursor + np.arange(len(images))) % len(self.images)
        self.images[index], self.maps[index] = images, maps
        self._cursor = int(index[-1] + 1) % len(self.images)
        return index


def _calm_worker() -> None:
    """One thread a worker, and the training goes first."""
    import torch

    torch.set_num_threads(1)
    os.nice(10)
