"""Ctrl-C and the signals that ask a process to end: in order, with a line and no traceback."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

ASKING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_is_ending = False
_count = 0


class Stopped(KeyboardInterrupt):
    """A signal has asked for the end; number: which one."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """What a shell tells of a process that this signal has ended: 130 for Ctrl-C."""
    return 128 + getattr(error, "number", signal.SIGINT)


def said_of(error: KeyboardInterrupt) -> str:
    """The word for people."""
    number = getattr(error, "number", signal.SIGINT)
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


def end_in_order() -> None:
    """Let these signals raise Stopped wherever the main thread is; ignored ones stay ignored."""
    global _is_ending, _count
    process, _is_ending, _count = os.getpid(), False, 0

    def stop(number: int, frame: FrameType | None) -> None:
        global _count
        if _is_ending or os.getpid() != process:  # a forked worker has nothing to put in order
            os._exit(128 + number)
        _count += 1
        raise Stopped(number)

    for name in ASKING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    sys.unraisablehook = _unraisable


def no_more_patience() -> None:
    """All is in order but for some words: from now on a signal ends the process at once."""
    global _is_ending
    _is_ending = True


def leave(code: int) -> None:
    """End at once where a second signal has broken into the order: its threads may be anywhere."""
    if _count > 1:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _unraisable(told: Any) -> None:
    """A signal that came where nothing can be raised, as in a finalizer, is sent again."""
    if isinstance(told.exc_value, Stopped):
        signal.raise_signal(told.exc_value.number)
    else:
        sys.__unraisablehook__(told)
