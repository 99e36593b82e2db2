"""`magicpose report` as a shell meets it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from magicpose_cli.animation import animate
from magicpose_cli.cli import report
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.config.preset import Preset


@pytest.fixture(scope="module")
def output(media, tiny_model, tmp_path_factory):
    """A run, with its real model."""
    path = tmp_path_factory.mktemp("run") / "out.mp4"
    preset = Preset().with_options(
        model__name=str(tiny_model), sampling__steps=1, motion__end_s=0.5, output__save_poses=True
    )
    animate(media / "ref.png", media / "dance.mp4", path, preset)
    return path


def run(*arguments):
    app = typer.Typer()
    app.command()(with_exit_code(report.command))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_a_page_beside_the_video(output):
    done = run(output)
    page = output.with_name("out.mp4.html")
    assert done.exit_code == 0 and done.stdout == ""
    assert f"{page}: 4 frames, " in done.stderr and page.read_text("utf-8").count("<video") == 3
    again = run(output)
    assert again.exit_code == 1 and "--overwrite" in again.stderr
    assert run(output, "--overwrite", "--quiet").stderr == ""


def test_events_for_scripts(output, tmp_path):
    done = run(output, "-o", tmp_path / "page.html", "--max-seconds", 0.25, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "progress" and events[0]["stage"] == "page"
    assert events[-1]["event"] == "result" and events[-1]["frames"] == 2
    assert events[-1]["size"] == (tmp_path / "page.html").stat().st_size


def test_what_is_no_run_ends_with_1(media, tmp_path):
    done = run(media / "dance.mp4", "-o", tmp_path / "page.html")
    assert done.exit_code == 1 and done.stderr.startswith("error: ")
    assert "dance.mp4.json" in done.stderr and not list(tmp_path.iterdir())
    assert run(media / "dance.mp4", "--max-seconds", 0).exit_code == 2
