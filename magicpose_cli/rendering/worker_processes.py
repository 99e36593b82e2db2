"""Workers as processes of this machine, each with a pipe to the parent."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from magicpose_cli.rendering.worker import Reply, Worker

_TERMINATION_S = 5.0  # a worker that is told to end has this long


class Processes:
    """`size` processes that can be sent one task each at a time. threads: of each on the CPU.

    A process that dies answers "lost"; `restart` puts a new one in its place. All of them end when
    the parent does, however it ends: their pipes close.
    """

    def __init__(self, size: int, threads: int):
        self.size = size
        self._threads = threads
        self._context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self._workers: list[tuple[Any, Connection]] = [self._start() for _ in range(size)]

    def _start(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._threads), name="magicpose-worker", daemon=True
        )
        process.start()
        theirs.close()  # or the end of the process would not be seen
        return process, ours

    def restart(self, number: int) -> None:
        """A new process in place of one that has died."""
        process, pipe = self._workers[number]
        pipe.close()
        process.kill()
        process.join()
        self._workers[number] = self._start()

    def send(self, number: int, task: str, *arguments: Any) -> None:
        """Give a worker without a task one; a dead one says so in `wait`."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._workers[number][1].send((task, arguments))

    def wait(self, numbers: Sequence[int], *, block: bool = True) -> list[tuple[int, Reply]]:
        """The replies of those of these workers that have ended their tasks, see `WorkerGroup`."""
        pipes = {self._workers[number][1]: number for number in numbers}
        ended = wait(list(pipes), timeout=None if block else 0)
        return [(pipes[pipe], _received(pipe)) for pipe in ended]  # type: ignore

    def close(self) -> None:
        """End all workers, those at work as well."""
        for _, pipe in self._workers:
            pipe.close()
        for process, _ in self._workers:
            process.terminate()
        for process, _ in self._workers:
            process.join(_TERMINATION_S)
            if process.is_alive():
                process.kill()
                process.join()


def _received(pipe: Any) -> Reply:
    try:
        reply: Reply = pipe.recv()
        return reply
    except (EOFError, OSError):
        return Reply("lost")


def _serve(pipe: Connection, threads: int) -> None:
    """The life of a worker. Ctrl-C reaches it too, but the parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(threads)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent has gone
        while True:
            task, arguments = pipe.recv()
            pipe.send(worker.do(task, *arguments))
