"""What a command's end means to the shell: a line and an exit code."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable

import typer

from magicpose_cli.cli import signals
from magicpose_cli.cli.events import tell
from magicpose_cli.cli.say import say
from magicpose_cli.errors import MagicPoseError, OutputError

OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO),
}
"""Errors of disks and of rights, which no program keeps from happening."""


def with_exit_code(command: Callable[..., None]) -> Callable[..., None]:
    """0 done, 1 something the user can mend, 130 Ctrl-C; wrong usage is typer's 2.

    A bug keeps its traceback. Commands with `as_json` tell the end as an event, too.
    """

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        as_json = bool(options.get("as_json"))
        try:
            command(*args, **options)
        except MagicPoseError as error:
            _fail(error, error, as_json)
        except OSError as error:
            if (told := _of_the_machine(error)) is None:
                raise
            _fail(told, error, as_json)
        except KeyboardInterrupt as error:
            signals.no_more_patience()
            said, code = signals.said_of(error), signals.exit_code(error)
            if as_json:
                tell("error", kind="Interrupted", message=said, exit_code=code)
            _tell_of(said, error)
            signals.leave(code)
            raise typer.Exit(code) from None

    return run


def _of_the_machine(error: OSError) -> OutputError | None:
    """The line for an error that is no bug, wherever it has come up."""
    from magicpose_cli.run.temporary import check_temporary

    try:
        check_temporary()  # torch and others look for that folder in their own time
    except OutputError as lacking:
        return lacking
    if error.errno not in OF_THE_MACHINE:
        return None
    where = f"{error.filename}: " if error.filename is not None else ""
    return OutputError(f"{where}{error.strerror}; make room, or mend its rights")


def _fail(told: MagicPoseError, error: BaseException, as_json: bool) -> None:
    if as_json:
        tell("error", kind=type(told).__name__, message=str(told), exit_code=1)
    _tell_of(f"error: {told}", error)
    raise typer.Exit(1) from None


def _tell_of(line: str, error: BaseException) -> None:
    from magicpose_cli.video import partials_of

    say(line)
    for partial in partials_of(error):
        line = f"kept: {partial.frames} finished frames in {partial.path}"
        if partial.path.parent.suffix == ".part":  # a resume folder, see run/resume_folder.py
            line += "; the same command goes on from there"
        say(line)
