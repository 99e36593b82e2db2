"""What a process of its own keeps from the others: errors, crashes, hangs."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from magicpose_cli.benchmarks.own_process import call_in_process

posix = pytest.mark.skipif(os.name != "posix", reason="needs process groups")


@pytest.mark.slow
def test_the_value_comes_back():
    outcome = call_in_process("json:dumps", {"obj": {"frames": 3}}, 60)
    assert (outcome.value, outcome.reason) == ('{"frames": 3}', "") and outcome.seconds > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        ("magicpose_cli.config.preset:load_preset", {"name": "nonsense"}, "'nonsense'"),
        ("json:loads", {"s": "{"}, "exit code 1 (json.decoder.JSONDecodeError"),
        ("os:abort", {}, "ended by SIGABRT"),
    ],
)
def test_a_failure_is_a_reason_in_one_line(function, arguments, reason):
    outcome = call_in_process(function, arguments, 60)
    assert outcome.value is None and reason in outcome.reason
    assert len(outcome.reason.splitlines()) == 1


@posix
@pytest.mark.slow
def test_a_hang_ends_at_its_limit_with_all_its_children():
    before = set(psutil.Process().children(recursive=True))
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    outcome = call_in_process("subprocess:call", {"args": command}, 3)
    assert outcome.reason == "took longer than its limit of 3 s"
    assert set(psutil.Process().children(recursive=True)) <= before


@posix
@pytest.mark.slow
def test_it_ends_with_a_parent_that_is_killed():
    code = (
        "from magicpose_cli.benchmarks.own_process import call_in_process\n"
        "call_in_process('signal:pause', {}, 60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        own = psutil.Process(parent.pid)
        while not (children := own.children()):
            time.sleep(0.05)
        time.sleep(2)
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
