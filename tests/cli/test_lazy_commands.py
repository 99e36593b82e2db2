import subprocess
import sys

from magicpose_cli.cli.lazy_commands import COMMANDS, LazyCommands


def test_the_table_says_what_each_command_says_itself():
    for name, command in LazyCommands().items():
        first = " ".join(command.help.split("\n\n")[0].split())
        assert first == COMMANDS[name], name


def test_the_root_help_imports_no_command():
    code = """
import sys
from typer.testing import CliRunner
from magicpose_cli.cli.app import app
assert "animate" in CliRunner().invoke(app, ["--help"]).stdout
print([name for name in sys.modules if name.startswith("magicpose_cli.") or name == "pydantic"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pydantic" not in run.stdout
    assert "magicpose_cli.cli.animate" not in run.stdout
