"""Keeping native libraries quiet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_silent = 0  # how many blocks, in all threads, want silence now
_saved = -1  # the real standard error meanwhile


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """For C++ that writes to file descriptor 2 whatever its own log level is set to.

    Blocks of several threads may overlap: the last one to end gives the descriptor back.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    _silence()
    try:
        yield
    finally:
        _unsilence()


def _silence() -> None:
    global _silent, _saved
    with _lock:
        _silent += 1
        if _silent == 1:
            try:
                _saved = os.dup(2)
            except OSError:  # started without a standard error
                _saved = -1
                return
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)


def _unsilence() -> None:
    global _silent, _saved
    with _lock:
        _silent -= 1
        if _silent == 0 and _saved >= 0:
            os.dup2(_saved, 2)
            os.close(_saved)
            _saved = -1
