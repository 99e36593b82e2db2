"""The command line: thin commands over the library; the only place that knows typer and rich."""

import sys


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
    from magicpose_cli.run.threads import share_the_machine

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
