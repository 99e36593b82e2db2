"""Stages that run at the same time: bounded queues between threads, errors where they belong.

Nothing here imports NumPy or torch, see `share_the_machine`.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_END = object()
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def share_the_machine() -> None:
    """Keep threads and memory of one stage from costing the others time.

    To be called before NumPy and torch are imported. Threads that wait, of NumPy's BLAS, whose
    products are small here, and of torch's OpenMP, would spin on cores that others need. And glibc
    gives a picture's or a tensor's memory back to the system and asks for it again, page by page,
    frame after frame: a fifth of a frame's time.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 28)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def prefetch(source: Iterable[Item], depth: int = 2) -> Generator[Item]:
    """The same items, made by a thread that is up to `depth` of them ahead.

    What `source` raises is raised here, in its place in the order. When the consumer stops, the
    thread stops after the item it is at.
    """
    ready: queue.Queue[tuple[object, BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: object, error: BaseException | None = None) -> bool:
        while not stop.is_set():
            try:
                ready.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised again in the consumer
            put(_END, error)
        else:
            put(_END)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()  # an interpreter that ends under a thread in a library's code aborts


class BackgroundWriter(Generic[Item]):
    """Hands items to a thread that works them off in order: `with BackgroundWriter(work) as sink`.

    `put` waits where `depth` items lie unworked, so memory is bounded. What the work raises comes
    out of the next `put` or of the end of the block. Leaving the block, by an exception too, waits
    until everything put so far is worked off: nothing that is finished gets lost.
    """

    def __init__(self, work: Callable[[Item], None], depth: int = 2):
        self._work = work
        self._items: queue.Queue[Item | object] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)

    def __enter__(self) -> BackgroundWriter[Item]:
        self._thread.start()
        return self

    def put(self, item: Item) -> None:
        """Leave an item to the thread; raises what its work on a former one has raised."""
        self._items.put(item)
        self._raise()

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        self._items.put(_END)
        self._thread.join()
        if raised is None:
            self._raise()

    def _run(self) -> None:
        while (item := self._items.get()) is not _END:
            if self._error is None:  # after an error the rest is taken, so that nobody waits
                try:
                    self._work(item)  # type: ignore[arg-type]
                except BaseException as error:  # noqa: BLE001 - it is raised again in `put`
                    self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, RuntimeError("the work has failed before")
            raise error
