"""Standard streams that end no run: closed ones, full disks, readers that have gone."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

STREAMS = ("stdin", "stdout", "stderr")
LIKE = {"•": "*", "–": "-", "×": "x", "±": "+-", "↑": "^", "↓": "v"}
"""What stands for a letter of ours where the encoding lacks it."""


class Enduring(io.FileIO):
    """A descriptor to write to. error: the first that writing met; what follows it is lost."""

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        """Write all of a buffer, or lose it once an error has been met."""
        while self.error is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.error = error
                break
            if written is not None:
                return written
            select.select([], [self], [])  # somebody has told this descriptor not to wait
        return memoryview(data).nbytes


@contextmanager
def enduring_streams() -> Iterator[None]:
    """Put such streams in the place of the standard ones.

    The program ends with 1 where its output could not be written; a reader that has closed the pipe
    wants no more of it, and is no error.
    """
    codecs.register_error("magicpose", _as_far_as_it_goes)
    for descriptor, name in enumerate(STREAMS):
        _open_closed(descriptor)
        _replace(descriptor, name)
    try:
        yield
    except SystemExit as end:
        if (lost := _lost(sys.stdout)) and not end.code:
            sys.stderr.write(f"error: standard output cannot be written: {lost.strerror}\n")
            end.code = 1
        raise


def _open_closed(descriptor: int) -> None:
    """Let a closed one lead nowhere: else the next file that is opened would be taken for it."""
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        os.set_inheritable(descriptor, True)


def _replace(descriptor: int, name: str) -> None:
    former = getattr(sys, name)
    if former is None and descriptor == 0:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    elif descriptor == 0 or (former is not None and not _is_plain(former, descriptor)):
        return
    else:
        if former is not None:
            former.flush()
        stream = io.TextIOWrapper(
            io.BufferedWriter(Enduring(descriptor, "wb", closefd=False)),
            encoding=former.encoding if former else "utf-8",
            errors="magicpose",
            line_buffering=descriptor == 2 or os.isatty(descriptor),
        )
        setattr(sys, name, stream)


def _is_plain(stream: object, descriptor: int) -> bool:
    """Whether it writes to this descriptor, and not to Windows' console, which has its own way."""
    if not isinstance(stream, io.TextIOWrapper):
        return False
    try:
        return stream.fileno() == descriptor and not (sys.platform == "win32" and stream.isatty())
    except (OSError, ValueError):
        return False


def _lost(stream: object) -> OSError | None:
    """What writing to a stream of ours has met, but for a reader that has gone."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    stream.flush()
    error = getattr(getattr(stream.buffer, "raw", None), "error", None)
    return None if error is None or error.errno == errno.EPIPE else error


def _as_far_as_it_goes(error: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a name that is no text as itself; of another letter its like, or its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter, after = error.object[error.start], error.start + 1
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), after
    return LIKE.get(letter, ascii(letter)[1:-1]), after
