"""A machine on which no temporary folder can be written."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="limits as POSIX has them"),
    pytest.mark.slow,
]
SAID = "no folder for temporary files can be written (/nowhere, "


def without_room(*arguments, cwd):
    """Run a command that can write no byte into any file; pipes are none."""
    return subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-m", "magicpose_cli",
         *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "TMPDIR": "/nowhere", "COLUMNS": "300"},
    )  # fmt: skip


def test_a_run_says_so_in_one_line_before_any_work(media, tmp_path):
    run = without_room("animate", media / "ref.png", media / "dance.mp4", "-o", "o.mp4",
                       cwd=tmp_path)  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {SAID}") and run.stderr.count("\n") == 1
    assert run.stderr.endswith("; set TMPDIR to one that can, with room in it\n")
    assert not list(tmp_path.iterdir())


def test_doctor_does_not_say_that_it_can_run(tmp_path):
    run = without_room("doctor", cwd=tmp_path)
    assert run.returncode == 1
    assert f"cannot run: {SAID}" in run.stdout + run.stderr
    assert "\ncan run" not in run.stdout + run.stderr


@pytest.mark.parametrize("command", [["presets"], ["models", "list"], ["--help"]])
def test_what_writes_nothing_needs_none(tmp_path, command):
    run = without_room(*command, cwd=tmp_path)
    assert run.returncode == 0 and not run.stderr
