"""Worker processes that draw or look at films: one thread each, and no life of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def worker_processes(count: int | None) -> ProcessPoolExecutor:
    """So many workers, one a core by default; they start when there is work for them."""
    context = multiprocessing.get_context("spawn")  # fork and threads do not go together
    return ProcessPoolExecutor(count or cores(), context, initializer=_start)


def cores() -> int:
    """Cores that this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start() -> None:
    """One thread; ended by Ctrl-C without a word, and with the process that started it."""
    import sys

    import cv2

    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # read when torch is imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    cv2.setNumThreads(1)
    if hasattr(os, "nice"):
        os.nice(10)  # what waits for the data goes first
    signal.signal(signal.SIGINT, _leave)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave(*_: Any) -> None:
    os._exit(130)


def _leave_with_parent() -> None:
    """A killed parent ends nobody; its workers would wait for ever, or write into the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
