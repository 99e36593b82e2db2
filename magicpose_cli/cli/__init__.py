"""The command line: thin commands over the library; the only place that knows typer and rich."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def main() -> None:
    """Entry point of the `magicpose` script."""
    from magicpose_cli.cli.signals import (
        end_in_order,
        exit_code,
        leave,
        no_more_patience,
        said_of,
    )
    from magicpose_cli.cli.streams import enduring_streams

    share_the_machine()
    with enduring_streams():
        end_in_order()
        try:
            from magicpose_cli.cli.app import app

            app(prog_name="magicpose")
        except KeyboardInterrupt as error:  # outside a command, which says it itself
            no_more_patience()
            sys.stderr.write(f"{said_of(error)}\n")
            leave(exit_code(error))
            sys.exit(exit_code(error))


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
