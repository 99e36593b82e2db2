"""What a command's end means to the shell: a line and an exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.errors import MagicPoseError, printable


def with_exit_code(command: Callable[..., None]) -> Callable[..., None]:
    """0 done, 1 something the user can mend, 130 Ctrl-C; wrong usage is typer's 2.

    A bug keeps its traceback. Commands with `as_json` tell the end as an event, too.
    """

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except MagicPoseError as error:
            if options.get("as_json"):
                tell("error", kind=type(error).__name__, message=str(error), exit_code=1)
            _end(f"error: {error}", error, 1)
        except KeyboardInterrupt as error:
            if options.get("as_json"):
                tell("error", kind="Interrupted", message="interrupted", exit_code=130)
            _end("interrupted", error, 130)

    return run


def _end(line: str, error: BaseException, code: int) -> None:
    from magicpose_cli.video import partials_of

    sys.stderr.write(line + "\n")
    for partial in partials_of(error):
        line = printable(f"kept: {partial.frames} finished frames in {partial.path}")
        if partial.path.parent.suffix == ".part":  # a work folder, see work/folder.py
            line += "; the same command goes on from there"
        sys.stderr.write(line + "\n")
    raise typer.Exit(code) from None
