"""Many workers in virtual time: the real `rendering.worker_pool` over workers that only wait.

The pool decides as it always does: who gets which batch, how far ahead it reads, what a lost worker
has made again. Only its clock is ours, which each piece of work moves by what that piece costs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.arrays import Pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DeviceError
from magicpose_cli.rendering.worker import Reply
from magicpose_cli.rendering.worker_pool import WorkerPool

QUEUE_DEPTH = 2  # batches between the threads of a run, see `run.threads`
_REFERENCE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class WorkerCosts:
    """What each part of a run with workers costs.

    Attributes:
        frame_s: Of a worker, for a frame in a whole batch.
        spread: Standard deviation of the logarithm of a batch's time.
        slow_share: Share of the batches that stragglers make.
        slow_factor: How much longer a straggler takes.
        lost_per_hour: How often an hour a worker is lost.
        start_s: From the start of a worker until it has its model and its reference.
        draw_s: Of drawing a pose map, in the thread ahead of the workers.
        send_s: Of the pool's thread, to give a worker one frame's pose map.
        receive_s: Of the pool's thread, to take one frame.
        keep_s: Of writing a frame into the resume folder, in the thread behind the workers.
        encode_s: Of giving a frame to the encoder, in that thread.
        frame_bytes: That travel to a worker for a frame, and as many back.
        link_bytes_per_s: Of the network between the pool's machine and the others, each way; none
            where all are one machine.
        one_at_a_time: Whether replies that are ready together are taken in turns, as from Ray.
    """

    frame_s: float
    spread: float = 0.0
    slow_share: float = 0.0
    slow_factor: float = 1.0
    lost_per_hour: float = 0.0
    start_s: float = 0.0
    draw_s: float = 0.0
    send_s: float = 0.0
    receive_s: float = 0.0
    keep_s: float = 0.0
    encode_s: float = 0.0
    frame_bytes: int = 0
    link_bytes_per_s: float | None = None
    one_at_a_time: bool = False


@dataclass(frozen=True)
class SimulatedRun:
    """What a run with workers takes in virtual time.

    Attributes:
        frames_per_s: From the moment all workers are ready to the last frame's end.
        seconds: Of that, starting the workers not included.
        first_frame_s: From the start of the workers until the first frame is made.
        lost: Workers that were lost.
        busy: Share 0..1 of the time in which each part was at work: drawing, the pool's thread, the
            network, writing, and the workers (a mean).
    """

    frames_per_s: float
    seconds: float
    first_frame_s: float
    lost: int
    busy: dict[str, float]


def simulate_workers(
    costs: WorkerCosts, workers: int, batch_size: int, frames: int, seed: int = 0
) -> SimulatedRun | None:
    """Make a film with so many workers in virtual time.

    Args:
        costs: Of each part.
        workers: How many.
        batch_size: Frames of a batch.
        frames: Of the film, rounded up to whole batches.
        seed: Of stragglers and lost workers.

    Returns:
        What it took; None where one batch has ended so many workers that the pool gave up.
    """
    clock = _Clock()
    group = SimulatedWorkers(costs, workers, clock, np.random.default_rng(seed))
    preset = Preset().with_options(model__device="cpu", model__batch_size=batch_size)
    batches = math.ceil(frames / batch_size)
    ahead, behind = _Ahead(costs, clock), _Behind(costs, clock)
    first_frame_s = 0.0
    with WorkerPool(preset, group=group) as pool:
        pool.set_reference(_REFERENCE, preset, frames)
        began = clock.now
        ahead.begin()
        try:
            for made in pool.render(ahead.batches(batches, batch_size)):
                behind.put(len(made))
                first_frame_s = first_frame_s or clock.now
        except DeviceError:
            return None
    seconds = max(clock.now, behind.ended) - began
    work = {
        "draw": ahead.worked_s,
        "pool": group.pool_s,
        "network": max(group.link_s),
        "write": behind.worked_s,
        "workers": group.worked_s / workers,
    }
    return SimulatedRun(
        frames_per_s=batches * batch_size / seconds,
        seconds=seconds,
        first_frame_s=first_frame_s,
        lost=group.lost,
        busy={name: worked / seconds for name, worked in work.items()},
    )


@dataclass
class _Clock:
    """The time of the pool's own thread, in seconds."""

    now: float = 0.0

    def wait_until(self, time: float) -> None:
        """Let the pool's thread wait."""
        self.now = max(self.now, time)


@dataclass
class _Task:
    """What a worker is at.

    Attributes:
        ends: When it has done the task, or is lost.
        reply: What it answers.
        frames: That travel with the answer.
        arrives: When the answer is there; None until it is on its way.
    """

    ends: float
    reply: Reply
    frames: int = 0
    arrives: float | None = None


class SimulatedWorkers:
    """A `WorkerGroup` in virtual time.

    Args:
        costs: Of each part.
        size: How many workers.
        clock: Of the pool's thread.
        random: Of stragglers and lost workers.
    """

    def __init__(self, costs: WorkerCosts, size: int, clock: _Clock, random: np.random.Generator):
        self.size = size
        self.lost = 0
        self.pool_s = self.worked_s = 0.0
        self.link_s = [0.0, 0.0]  # to the workers and back
        self._costs, self._clock, self._random = costs, clock, random
        self._tasks: dict[int, _Task] = {}
        self._link_free = [0.0, 0.0]

    def send(self, number: int, task: str, *arguments: Pictures) -> None:
        """Give a worker a task; the pool's thread is busy while it is sent."""
        if task == "set_reference":
            self._tasks[number] = _Task(self._clock.now + self._costs.start_s, Reply("done", 1))
            return
        frames = arguments[0]
        self._spend(len(frames) * self._costs.send_s)
        begins = self._moved(0, self._clock.now, len(frames))
        takes = self._batch_s(len(frames))
        lives = self._lifetime_s()
        self.worked_s += min(takes, lives)
        if lives < takes:
            self.lost += 1
            self._tasks[number] = _Task(begins + lives, Reply("lost"))
        else:
            reply = Reply("done", (frames, []))
            self._tasks[number] = _Task(begins + takes, reply, len(frames))

    def wait(self, numbers: Sequence[int], *, block: bool = True) -> list[tuple[int, Reply]]:
        """Wait for the first of these workers; its frames are taken by the pool's thread."""
        order = sorted(numbers, key=lambda number: self._tasks[number].ends)
        if block:
            self._clock.wait_until(self._arrival(self._tasks[order[0]]))
        ended = [number for number in order if self._is_there(self._tasks[number])]
        replies = []
        for number in ended[:1] if self._costs.one_at_a_time else ended:
            task = self._tasks.pop(number)
            self._spend(task.frames * self._costs.receive_s)
            replies.append((number, task.reply))
        return replies

    def restart(self, number: int) -> None:
        """Put a new worker in the place of a lost one; it starts while its reference is awaited."""

    def close(self) -> None:
        """End all workers."""

    def _arrival(self, task: _Task) -> float:
        """Put an answer on its way, after all that were ready before it."""
        if task.arrives is None:
            task.arrives = self._moved(1, task.ends, task.frames)
        return task.arrives

    def _is_there(self, task: _Task) -> bool:
        return task.ends <= self._clock.now and self._arrival(task) <= self._clock.now

    def _spend(self, seconds: float) -> None:
        self._clock.now += seconds
        self.pool_s += seconds

    def _moved(self, way: int, at: float, frames: int) -> float:
        """When frames that are sent at a time have come through the network, in their turn."""
        rate = self._costs.link_bytes_per_s
        if rate is None or not frames:
            return at
        takes = frames * self._costs.frame_bytes / rate
        self.link_s[way] += takes
        self._link_free[way] = max(self._link_free[way], at) + takes
        return self._link_free[way]

    def _batch_s(self, frames: int) -> float:
        """Draw a batch's time, whose mean is that of the costs but for stragglers."""
        costs = self._costs
        seconds = frames * costs.frame_s
        seconds *= self._random.lognormal(-(costs.spread**2) / 2, costs.spread)
        if self._random.random() < costs.slow_share:
            seconds *= costs.slow_factor
        return seconds

    def _lifetime_s(self) -> float:
        """Draw how long a worker lives from now on."""
        if not self._costs.lost_per_hour:
            return math.inf
        return float(self._random.exponential(3600 / self._costs.lost_per_hour))


@dataclass
class _Ahead:
    """The thread that draws pose maps, up to QUEUE_DEPTH batches ahead of the pool."""

    costs: WorkerCosts
    clock: _Clock
    worked_s: float = 0.0
    _free: float = 0.0
    _taken: deque[float] = field(default_factory=lambda: deque(maxlen=QUEUE_DEPTH + 1))

    def begin(self) -> None:
        """Start with the workers ready."""
        self._free = self.clock.now

    def batches(self, count: int, size: int) -> Iterator[Pictures]:
        """Give the pool its batches, each when it is drawn."""
        maps = np.zeros((size, 1, 1, 3), np.uint8)
        for _ in range(count):
            # there is room for another once an earlier one has been taken
            room = self._taken[0] if len(self._taken) > QUEUE_DEPTH else self._free
            takes = size * self.costs.draw_s
            self._free = max(self._free, room) + takes
            self.worked_s += takes
            self.clock.wait_until(self._free)
            self._taken.append(self.clock.now)
            yield maps


@dataclass
class _Behind:
    """The thread that keeps and encodes frames, up to QUEUE_DEPTH batches behind the pool."""

    costs: WorkerCosts
    clock: _Clock
    worked_s: float = 0.0
    ended: float = 0.0
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=QUEUE_DEPTH + 1))

    def put(self, frames: int) -> None:
        """Leave frames to the thread; the pool waits while too many lie unworked."""
        if len(self._ends) > QUEUE_DEPTH:
            self.clock.wait_until(self._ends[0])
        takes = frames * (self.costs.keep_s + self.costs.encode_s)
        self.ended = max(self.ended, self.clock.now) + takes
        self.worked_s += takes
        self._ends.append(self.ended)
