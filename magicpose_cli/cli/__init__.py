"""The command line: thin commands over the library; the only place that knows typer and rich."""


def main() -> None:
    """Entry point of the `magicpose` script."""
    from magicpose_cli.cli.app import app

    app(prog_name="magicpose")
