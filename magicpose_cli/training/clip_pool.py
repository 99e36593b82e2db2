"""A pool of drawn or rendered clips in memory that is renewed while the training runs.

Drawing costs more than reading, so a clip serves several steps before a new one takes its place.
What the pool holds at a step depends on the step alone, however fast the drawing was: a resumed
training sees what the uninterrupted one would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Pictures, to_pictures
from magicpose_cli.dataset.processes import cores, worker_processes
from magicpose_cli.errors import TrainingError
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.synthetic.sources import SyntheticKind, synthetic_people

CHUNK_CLIPS = 8  # made by one task
MAX_WORKER_DEATHS = 3  # of drawing workers, before the run is given up

Clips = tuple[Pictures, Pictures, Pictures]
"""Images (n, frames, S, S, 3), maps (n, frames, S, S, 3 * maps) and faces (n, frames, s, s, 3).

All are uint8 RGB. The first map is the pose's; maps of the body lie behind it, where they were
asked for. Faces stand upright, a black one is not seen; without faces s is 0.
"""


def make_clips(
    kind: SyntheticKind,
    seed: int,
    count: int,
    frames: int,
    size: int,
    pose_draw_size: int,
    wardrobe: Path | None = None,
    rate: float | None = None,
    body_maps: tuple[str, ...] = (),
    face_size: int = 0,
) -> Clips:
    """Make clips of one person each, with the pose maps a detector might have given.

    Args:
        kind: One of SYNTHETIC_KINDS.
        seed: Of the people and of the mistakes in their poses.
        count: How many clips.
        frames: Pictures of a clip.
        size: Side of the pictures in pixels.
        pose_draw_size: Short side in pixels that poses are drawn at.
        wardrobe: As of `synthetic_people`.
        rate: As of `synthetic_people`.
        body_maps: As of `synthetic_people`.
        face_size: Side of the faces in pixels, 0 for none.
    """
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.warping.face_crop import face_or_black

    people = synthetic_people(kind, seed, count, frames, size, wardrobe, rate, body_maps)
    images = to_pictures(people.images)
    rng = np.random.default_rng(seed)
    poses = people.poses()
    maps = np.stack([pose_map(imperfect(pose, rng), pose_draw_size) for pose in poses])
    faces = np.stack([face_or_black(*seen, face_size) for seen in zip(images, poses, strict=True)])
    if people.body_maps is not None:
        maps = np.concatenate([maps, people.body_maps], axis=3)
    shape = (count, frames, size, size, -1)
    of_faces = (count, frames, face_size, face_size, 3)
    return images.reshape(shape), maps.reshape(shape), faces.reshape(of_faces)


def imperfect(pose: Pose, rng: np.random.Generator) -> Pose:
    """The pose as a detector gives it: hands or face missing at times, joints a little off."""
    for part, chance in (("left_hand", 0.3), ("right_hand", 0.3), ("face", 0.08)):
        if rng.random() < chance:
            lost: dict[str, Any] = {
                part: np.full((PARTS[part], 2), np.nan, np.float32),
                f"{part}_score": np.zeros(PARTS[part], np.float32),
            }
            pose = replace(pose, **lost)
    noise = rng.normal(0, 0.003 * pose.height, pose.body.shape).astype(np.float32)
    noise[14:] *= 0.3  # eyes and ears are found well
    noise[0] *= 0.3
    return replace(pose, body=pose.body + noise)


class ClipPool:
    """The clips of `slots` chunks; after every `resample_every` steps the oldest chunk is renewed.

    Chunk c is made from the seed first_seed + c, which no other chunk has.

    Attributes:
        slots: Chunks that are held at a time.
        images: Pictures (clips, frames, S, S, 3) uint8 RGB.
        maps: Pose maps of the same shape, maps of the body behind them in further channels.
        faces: Upright faces (clips, frames, s, s, 3) uint8 RGB, black where none is seen.
        renewed: Is called with the indices of clips that have changed.
    """

    def __init__(
        self,
        clips: int,
        frames: int,
        size: int,
        pose_draw_size: int,
        first_seed: int,
        *,
        resample_every: int,
        kind: SyntheticKind = "drawn",
        wardrobe: Path | None = None,
        rate: float | None = None,
        body_maps: tuple[str, ...] = (),
        face_size: int = 0,
        workers: int = 0,
        device: torch.device | str = "cpu",
    ):
        self.slots = -(-clips // CHUNK_CLIPS)
        shape = (self.slots * CHUNK_CLIPS, frames, size, size, 3)
        self.images = torch.zeros(shape, dtype=torch.uint8, device=device)
        channels = 3 + 3 * len(body_maps)
        self.maps = torch.zeros((*shape[:-1], channels), dtype=torch.uint8, device=device)
        of_faces = (*shape[:2], face_size, face_size, 3)
        self.faces = torch.zeros(of_faces, dtype=torch.uint8, device=device)
        self.renewed: Callable[[Tensor], None] = _nobody
        self._kind = kind
        self._task = (
            CHUNK_CLIPS, frames, size, pose_draw_size, wardrobe, rate, body_maps, face_size
        )  # fmt: skip
        self._first_seed = first_seed
        self._resample_every = resample_every
        self._count = workers or cores()
        self._pending: deque[tuple[int, Future[Clips]]] = deque()
        self._next = 0  # chunk to be ordered
        self._oldest = -1  # chunk that is held
        self._deaths = 0
        self._start_workers()

    def seek(self, step: int, on_progress: OnProgress = silent) -> None:
        """Hold what belongs to this step; what is held already is not drawn again."""
        self.renewed = _nobody
        oldest = step // self._resample_every
        missing = oldest - self._oldest
        if not (self._oldest >= 0 and 0 <= missing < self.slots):
            for _, future in self._pending:
                future.cancel()
            self._pending.clear()
            self._next, missing = oldest, self.slots
        for done in range(missing):
            self._take()
            if done % 8 == 7 or done + 1 == missing:
                on_progress(
                    Progress("people", (done + 1) * CHUNK_CLIPS, missing * CHUNK_CLIPS, "clips")
                )
        self._oldest = oldest

    def advance(self, step: int) -> None:
        """Go on to this step, one further than the last."""
        if step // self._resample_every > self._oldest:
            self._take()
            self._oldest += 1

    def close(self) -> None:
        """Stop drawing."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _start_workers(self) -> None:
        self._workers = worker_processes(self._count)

    def _take(self) -> None:
        """Put the oldest ordered chunk into its slot and keep the workers busy."""
        chunk = self._pending[0][0] if self._pending else self._next
        while True:
            try:
                self._order()
                made = self._pending[0][1].result()
                break
            except BrokenProcessPool as error:
                self._revive(error)
                self._next = chunk
        self._pending.popleft()
        slot = chunk % self.slots
        index = torch.arange(
            slot * CHUNK_CLIPS, (slot + 1) * CHUNK_CLIPS, device=self.images.device
        )
        for kept, pictures in zip((self.images, self.maps, self.faces), made, strict=True):
            kept[index] = torch.from_numpy(pictures).to(kept.device)
        self.renewed(index)

    def _order(self) -> None:
        while len(self._pending) < 2 * self._count:
            seed = self._first_seed + self._next
            future = self._workers.submit(make_clips, self._kind, seed, *self._task)
            self._pending.append((self._next, future))
            self._next += 1

    def _revive(self, error: BrokenProcessPool) -> None:
        """A killed worker takes all of them along; what they drew is drawn again."""
        self._deaths += 1
        if self._deaths > MAX_WORKER_DEATHS:
            raise TrainingError(
                f"the processes that draw people were killed {self._deaths} times (for lack of "
                "memory?); set data.workers or data.clips lower and run the same command again"
            ) from error
        self._pending.clear()
        self.close()
        self._start_workers()


def _nobody(index: Tensor) -> None:
    """Waits for no change."""
