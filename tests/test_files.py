"""What killed processes leave under hidden names goes with the next one; nothing else does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from magicpose_cli.files import hidden_beside, remove_leftovers, whole_file, whole_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
LONG = "n" * 240 + ".mp4"
WAIT = """
import sys
from pathlib import Path
from magicpose_cli.files import whole_file, whole_folder
way = whole_file(Path(sys.argv[1]), False) if "." in sys.argv[1] else whole_folder(
    Path(sys.argv[1]), False, "x")
with way as hidden:
    (hidden if "." in sys.argv[1] else hidden / "x").write_text("half")
    print(hidden.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writing(tmp_path):
    """writing(name) -> (process that is half through with a file, its hidden name)"""
    started = []

    def start(name):
        process = subprocess.Popen(
            [sys.executable, "-c", WAIT, name], cwd=tmp_path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("name", ["out.mp4", "out", LONG])
def test_leftovers_of_a_killed_process_go_with_the_next_one(tmp_path, writing, name):
    process, hidden = writing(name)
    with_it = tmp_path / name
    remove_leftovers(with_it)  # while it is at work
    assert (tmp_path / hidden).exists()
    kill(process)
    remove_leftovers(tmp_path / f"other{with_it.suffix}")
    assert (tmp_path / hidden).exists()
    if with_it.suffix:
        with whole_file(with_it, False) as new:
            new.write_text("whole")
    else:
        with whole_folder(with_it, False, "x") as new:
            (new / "x").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_nothing_of_others_goes(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    pid, target = f"{int(ended.stdout):x}", tmp_path / "out.mp4"
    mine = hidden_beside(target).name
    others = [
        ".out.partial-12345678.mp4",
        f".out.partial-{pid}-12345678-123456789abc.mp4",
        mine.replace(f"{os.getpid():x}-", f"{pid}-", 1),  # the mark is of another process
        mine,
        ".out.partial.mp4",
        "out.partial.mp4",
    ]
    for name in others:
        Path(tmp_path / name).write_text("kept")
    with whole_file(target, False) as new:
        new.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "out.mp4"])
