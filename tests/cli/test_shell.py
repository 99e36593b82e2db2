"""What scripts and shells rely on: standard input, events, exit codes, colors, completion, help."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.app import app
from magicpose_cli.video import probe

RUN = [sys.executable, "-c", "from magicpose_cli.cli import main; main()"]


@pytest.mark.slow
def test_the_reference_comes_from_standard_input(shell, media, tiny_model, tmp_path):
    run = shell(
        "animate", "-", media / "dance.mp4", "-m", tiny_model, "--steps", 1, "--end", 0.3,
        cwd=tmp_path, stdin=(media / "ref.png").read_bytes(),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert probe(tmp_path / "stdin_dance.mp4").frame_count == 2
    assert run.stderr.startswith(f"model {tiny_model} (64x64, 1 step)\n")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".json", ".npz", ".npy"])
def test_the_driver_comes_from_standard_input(shell, media, tiny_model, tmp_path, suffix):
    from magicpose_cli.config.preset import MotionSettings
    from magicpose_cli.motion.extract import extract_poses
    from magicpose_cli.video import read_frames, write_video

    driver = tmp_path / f"dance{suffix}"
    if suffix == ".mp4":
        driver = media / "dance.mp4"
    elif suffix == ".gif":
        write_video(driver, read_frames(probe(media / "dance.mp4")), 8)
    else:
        extract_poses(media / "dance.mp4", driver, MotionSettings())
    run = shell(
        "animate", media / "ref.png", "-", "-m", tiny_model, "--canvas", "256x256", "--fps", 8,
        "--dry-run", "--json", cwd=tmp_path, stdin=driver.read_bytes(),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["frames"] == 8


@pytest.mark.slow
def test_two_inputs_from_one_pipe_are_wrong_usage(shell, tmp_path):
    run = shell("animate", "-", "-", cwd=tmp_path)
    assert run.returncode == 2 and "only one input" in run.stderr


@pytest.mark.slow
def test_an_error_is_an_event_as_well(shell, media, tmp_path):
    run = shell("animate", "none.png", media / "dance.mp4", "--json", cwd=tmp_path)
    (event,) = map(json.loads, run.stdout.splitlines())
    assert run.returncode == event["exit_code"] == 1
    assert (event["event"], event["kind"]) == ("error", "InputError")
    assert run.stderr == f"error: {event['message']}\n"


def on_a_terminal(*arguments, **environment):
    """What a terminal of 80 columns is sent."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals of this kind")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*RUN, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
    )  # fmt: skip
    os.close(theirs)
    sent = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other side is closed
            break
        if not part:
            break
        sent += part
    process.wait()
    os.close(ours)
    return sent


@pytest.mark.slow
def test_no_color_where_none_is_wanted():
    colors = (b"\x1b[3", b"\x1b[1;3", b"\x1b[9")
    assert any(color in on_a_terminal("--help") for color in colors)
    assert not any(color in on_a_terminal("--help", NO_COLOR="1") for color in colors)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("magicpose animate a b --preset f", {"fast"}),
        ("magicpose animate a b --model m", {"mini"}),
        ("magicpose ba", {"batch"}),
    ],
)
def test_the_shell_completes(shell, line, expected, tmp_path):
    words = line.split()
    run = shell(
        cwd=tmp_path, MAGICPOSE_HOME=str(tmp_path), _MAGICPOSE_COMPLETE="complete_bash",
        COMP_WORDS=line, COMP_CWORD=str(len(words) - 1),
    )  # fmt: skip
    assert set(run.stdout.split()) == expected, run.stderr


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_shows_how_it_is_used():
    import typer.main

    for path, command in commands(typer.main.get_command(app)):
        assert f"`magicpose {' '.join(path)}" in command.help, path


def test_the_help_tells_exit_codes_and_variables():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for word in ("130 Ctrl-C", "MAGICPOSE_HOME", "HF_HUB_OFFLINE", "NO_COLOR"):
        assert word in text


@pytest.mark.slow
def test_nothing_on_standard_input(shell, media, tmp_path):
    run = shell("animate", "-", media / "dance.mp4", cwd=tmp_path, stdin=b"")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith("pipe a picture or a film into it")
    assert not list(tmp_path.iterdir())
