"""The pool: batches to whoever is free, frames back in order, what a lost worker had done again."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, DeviceError
from magicpose_cli.rendering.worker import Reply
from magicpose_cli.rendering.worker_processes import Processes

_MAX_LOST_WORKERS = 3  # workers that one batch may end
_BATCHES_AHEAD = 2  # batches a worker may be ahead of the oldest that is not ready


class WorkerGroup(Protocol):
    """Workers wherever they are; see `worker_processes.Processes` and `ray_actors.Actors`."""

    size: int

    def send(self, number: int, task: str, *arguments: Any) -> None:
        """Give a worker without a task one; a lost worker says so in `wait`."""

    def wait(self, numbers: Sequence[int], *, block: bool = True) -> list[tuple[int, Reply]]:
        """The replies of those of these workers that have ended their tasks.

        At least one where `block` is given, maybe none otherwise.
        """

    def restart(self, number: int) -> None:
        """Put a new worker in the place of a lost one."""

    def close(self) -> None:
        """End all workers, those at work as well."""


class WorkerPool:
    """`with WorkerPool(preset, count=2) as pool:` a `run.resources.FrameRenderer`.

    count: processes on this machine; on CUDA they are spread over its GPUs, on the CPU they share
    its cores. devices: one process for each of these instead. ray: a cluster instead, see
    `ray_actors`; count 0 is then one worker a GPU. group: these workers instead, wherever they are.

    Batches of one shape give the same frames whoever makes them, as long as the devices are alike.
    notes: what the user should know. Raises ConfigError, and DeviceError for a batch that ends
    every worker it is given to; a MagicPoseError of a worker is raised as it is.
    """

    def __init__(
        self,
        preset: Preset,
        *,
        count: int = 1,
        devices: Sequence[str] = (),
        ray: str | None = None,
        group: WorkerGroup | None = None,
    ):
        self.notes: list[str] = []
        if group is None:
            self._group, self._devices = _group(preset, count, devices, ray)
        else:
            self._group, self._devices = group, [preset.model.device] * group.size
        self._reference_tasks: list[tuple[Any, ...]] = []
        self._busy: dict[int, tuple[int, Pictures]] = {}

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *raised: object) -> None:
        self._group.close()

    def set_reference(
        self,
        reference: Picture,
        preset: Preset,
        frames: int,
        face: Picture | None = None,
        own_map: Picture | None = None,
    ) -> int:
        """Send the reference (H, W, 3) uint8 RGB to all; returns how many frames a batch has."""
        self._drain()
        self.notes = []
        self._reference_tasks = [
            (reference, preset.with_options(model__device=device), frames, face, own_map)
            for device in self._devices
        ]
        for number in range(self._group.size):
            self._group.send(number, "set_reference", *self._reference_tasks[number])
        sizes: dict[int, int] = {}
        deaths = 0
        while waiting := [n for n in range(self._group.size) if n not in sizes]:
            for number, reply in self._group.wait(waiting):
                if reply.kind == "lost":
                    deaths += 1
                    if deaths == _MAX_LOST_WORKERS:
                        raise DeviceError(
                            f"a worker on {self._devices[number]} ends while it loads the model "
                            "(out of memory?); try fewer --workers"
                        )
                    self._group.restart(number)
                    self._group.send(number, "set_reference", *self._reference_tasks[number])
                else:
                    sizes[number] = _value(reply)
        return preset.model.batch_size or min(sizes.values())

    def render(self, batches: Iterable[Pictures]) -> Iterator[Pictures]:
        """Draw batches as `Renderer.make` takes them, in order.

        However long the film is, AHEAD batches a worker are held.
        """
        source = enumerate(batches)
        again: deque[tuple[int, Pictures]] = deque()
        ready: dict[int, Pictures] = {}
        deaths: dict[int, int] = {}
        following = 0
        newest = -1
        # In turns, so that who draws ahead and who writes behind never wait for each other: one
        # batch is given away, one is taken.
        while True:
            if following in ready:
                yield ready.pop(following)
                following += 1
            free = next((n for n in range(self._group.size) if n not in self._busy), None)
            given = False
            if free is not None:
                if not again and newest + 1 < following + _BATCHES_AHEAD * self._group.size:
                    again.extend(_one(source))
                if again:
                    task = again.popleft()
                    newest = max(newest, task[0])
                    self._busy[free] = task
                    self._group.send(free, "make", task[1])
                    given = True
            if not self._busy:
                if following not in ready:
                    return
                continue
            block = not given and following not in ready
            for number, reply in self._group.wait(list(self._busy), block=block):
                index, maps = self._busy.pop(number)
                if reply.kind == "lost":
                    deaths[index] = deaths.get(index, 0) + 1
                    self._replace(number, index, deaths[index])
                    again.appendleft((index, maps))
                else:
                    ready[index], notes = _value(reply)
                    self.notes += [note for note in notes if note not in self.notes]

    def _replace(self, number: int, batch: int, deaths: int) -> None:
        """Put a new worker in the place of a lost one, with the same reference."""
        if deaths == _MAX_LOST_WORKERS:
            raise DeviceError(
                f"batch {batch} of the frames has ended {deaths} workers (killed, or out of "
                "memory?); the frames before it are kept: try --batch-size 1 or fewer --workers"
            )
        self.notes.append(f"worker {number} was lost; its batch {batch} was made again")
        self._group.restart(number)
        self._group.send(number, "set_reference", *self._reference_tasks[number])
        [(_, reply)] = self._group.wait([number])
        if reply.kind == "lost":
            self._replace(number, batch, deaths + 1)
        else:
            _value(reply)

    def _drain(self) -> None:
        """Take the replies that a run which was stopped has not waited for."""
        while self._busy:
            for number, reply in self._group.wait(list(self._busy)):
                del self._busy[number]
                if reply.kind == "lost":
                    self._group.restart(number)


def _group(
    preset: Preset, count: int, devices: Sequence[str], ray: str | None
) -> tuple[WorkerGroup, list[str]]:
    """The workers and the device of each."""
    from magicpose_cli.rendering.local import pick_device

    asked = preset.model.device
    if ray is not None:
        if devices:
            raise ConfigError("--ray and --devices exclude each other; a cluster has its own")
        from magicpose_cli.rendering.ray_actors import Actors

        actors = Actors(count, ray, None if asked == "auto" else asked.startswith("cuda"))
        return actors, ["cuda" if actors.on_gpu else "cpu"] * actors.size
    if not devices:
        import torch

        here = pick_device(asked)
        gpus = torch.cuda.device_count() if here == "cuda" else 0
        devices = [f"cuda:{i % gpus}" if gpus else here for i in range(max(1, count))]
    for device in set(devices):
        pick_device(device)
    on_cpu = sum(device == "cpu" for device in devices)
    threads = max(1, (os.cpu_count() or 1) // on_cpu) if on_cpu else 0
    return Processes(len(devices), threads), list(devices)


def _one(source: Iterator[tuple[int, Pictures]]) -> list[tuple[int, Pictures]]:
    return [task for task in [next(source, None)] if task is not None]


def _value(reply: Reply) -> Any:
    if reply.kind == "refused":
        raise reply.value
    if reply.kind == "failed":
        raise RuntimeError(f"a worker has failed:\n{reply.value}")
    return reply.value
