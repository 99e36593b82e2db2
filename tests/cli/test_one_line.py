"""Whatever stands on the command line: it works, or one line says what is wrong.

1 is for what can be mended, 2 for wrong usage; nothing is a traceback.
"""

import os
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from magicpose_cli.cli.app import app
from magicpose_cli.pose.files.openpose_json import write_poses

LONG, RAW = "n" * 300, os.fsdecode(b"na\xffme")
NUMBERS = ("inf", "nan", "-1", "1e308", "9" * 20, "")
WORDS = ("", "~nobody/x", LONG, RAW, "folder", "file", "/", "a\nb\x1b[31m", ":", "{}", "file:nan")
PLACES = ("", "~nobody/x", LONG, RAW, "folder", "file", "file/x", "loop", "/dev/full", "/proc/x",
          "/", ".", "..", "a\nb", "empty")  # fmt: skip
MOST = 2
COMMANDS = typer.main.get_command(app).commands


@pytest.fixture
def call(media, people, tiny_model, tmp_path, monkeypatch):
    """call(*arguments) -> Result; in a folder of odd things, of which nothing goes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    for name in ("file", "empty", "folder/file"):
        Path(name).write_text("" if name == "empty" else "text")
    write_poses(tmp_path / "dance.json", people.poses()[:2], 8.0)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        named = list(map(str, arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{named}: {result.exception!r}") from result.exception
        assert result.exit_code in (0, 1, 2), named
        if result.exit_code == 1:
            lines = result.stderr.splitlines()
            errors = sum(line.startswith("error: ") for line in lines)
            assert errors == 1 or "1 jobs: 1 failed" in lines[-1], (named, lines)
        assert "\x1b" not in result.output, named
        assert [Path(name).read_text() for name in ("file", "folder/file")] == ["text"] * 2, named
        return result

    return run


def options_of(name):
    """(option, odd value) of a command, but for flags."""
    for at, option in enumerate(COMMANDS[name].params):
        kind = str(option.bare_type()).lower()
        if option.param_type_name != "option" or option.is_flag or option.name == "help":
            continue
        is_number = "int" in kind or "float" in kind
        values = NUMBERS if is_number else PLACES if "path" in kind else WORDS
        for step in range(MOST):  # of many options a few each, others of the next one
            yield option.opts[0], values[(at + 5 * step) % len(values)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["animate", "batch", "poses"])
def test_odd_values_of_every_option(call, media, tiny_model, name):
    base = {
        "animate": (media / "ref.png", "dance.json", "-m", tiny_model, "--device", "cpu",
                    "--dry-run"),
        "batch": ("--refs", media / "ref.png", "--drivers", "dance.json", "--dry-run",
                  "--set", f"model.name={tiny_model}"),
        "poses": ("dance.json",),
    }  # fmt: skip
    assert call(name, *base[name]).exit_code == 0
    for option, value in options_of(name):
        if name != "batch" or option not in ("--refs", "--drivers"):  # which add to the base's
            call(name, *base[name], f"{option}={value}")


@pytest.mark.slow
@pytest.mark.parametrize("place", [place for place in PLACES if place.strip("./")])
def test_odd_places_as_inputs(call, media, tiny_model, place):
    for arguments in (
        ("animate", place, "dance.json", "--dry-run"),
        ("animate", media / "ref.png", place, "--dry-run"),
        ("batch", place, "--dry-run"),
        ("batch", "--refs", place, "--drivers", "dance.json", "--dry-run"),
        ("poses", place),
        ("report", place),
        ("evaluate", place, "dance.json", "--detector", "none"),
        ("models", "convert", place, "made"),
        ("models", "path", place),
        ("models", "remove", place, "--yes"),
        ("models", "verify", place),
        ("models", "fetch", place, "--yes"),
        ("doctor", "--preset", place),
        ("train", place, "--out", "run"),
        ("dataset", place, "--out", "data"),
        ("bench", "--driver", place, "--random-weights", "tiny", "--frames", "1"),
        ("bench", "timeline", place, "dance.json", "--plot", "plot.png"),
    ):
        call(*map(str, arguments))
