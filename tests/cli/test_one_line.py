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
from tests.body.skeletons import MIXAMO, bvh_text, walk
from tests.cli.test_train import RECIPE
from tests.training.test_distillation import TOY

LONG, RAW = "n" * 300, os.fsdecode(b"na\xffme")
NUMBERS = ("inf", "nan", "-1", "1e308", "9" * 20, "", "0", "~x", RAW)
WORDS = ("", "~nobody/x", LONG, RAW, "folder", "file", "/", "a\nb\x1b[31m", ":", "{}", "file:nan")
PLACES = ("", "~nobody/x", LONG, RAW, "folder", "file", "file/x", "loop", "/dev/full", "/proc/x",
          "/", ".", "..", "a\nb", "empty")  # fmt: skip
ALL_VALUES = "MAGICPOSE_ODD_VALUES"  # in the environment: how many of an option; 99: all there are
MOST = int(os.environ.get(ALL_VALUES, "1"))
AT_WORK = (  # there is no dry run of them
    "train", "distill", "bench memory", "bench turn", "bench body", "bench augment",
    "bench workers", "demo", "dataset", "bench",
)  # fmt: skip


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
    Path("recipe.toml").write_text(RECIPE.replace("minutes = 60.0", "steps = 1"))
    Path("few.toml").write_text(TOY.replace("steps = 3", "steps = 1"))
    Path("walk.bvh").write_text(bvh_text(walk(3), MIXAMO))

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


def commands_of(group, path=()):
    """(words, command) of all that can be called."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield " ".join((*path, name)), command


ALL = {words: command for words, command in commands_of(typer.main.get_command(app))}


def options_of(command):
    """(option, odd value) of a command, but for flags."""
    for at, option in enumerate(command.params):
        if option.param_type_name != "option" or option.is_flag or option.name == "help":
            continue
        kind = str(option.bare_type()).lower()
        is_number = "int" in kind or "float" in kind
        values = NUMBERS if is_number else PLACES if "path" in kind else WORDS
        for step in range(min(MOST, len(values))):  # a few each, others of the next option
            yield option.opts[0], values[(at + 5 * step) % len(values)]


def base_of(media, tiny_model):
    """What stands before the odd option: each command on the least that it works on."""
    film, drawn = media / "dance.mp4", ("--device", "cpu")
    return {
        "animate": (media / "ref.png", "dance.json", "-m", tiny_model, *drawn, "--dry-run"),
        "batch": ("--refs", media / "ref.png", "--drivers", "dance.json", "--dry-run",
                  "--set", f"model.name={tiny_model}"),
        "demo": ("--frames", 1),
        "poses": ("dance.json",),
        "motion": ("walk.bvh",),
        "turn": (media / "ref.png", "--views", 1, "--out", "turned"),
        "augment": ("folder", "--out", "augmented", "--model", tiny_model, *drawn),
        "report": (film, "--overwrite", "--max-seconds", 0.1),
        "doctor": (),
        "presets": (),
        "dataset": ("--out", "data", "--synthetic", 1, "--size", 64, "--workers", 1, "--overwrite"),
        "train": ("recipe.toml", "--overwrite", *drawn),
        "distill": (tiny_model, "--out", "few", "--steps", 2, "--recipe", "few.toml",
                    "--overwrite", *drawn),
        "evaluate": (film, film, "--detector", "none", "--every", 8),
        "bench": ("--random-weights", "tiny", "--frames", 1, "--repeat", 1, "--steps", 1, *drawn),
        "bench shortcuts": ("--drawn", 1, "--frames", 1, "--repeat", 1, "--steps", 1, "--detector",
                            "none", "--model", tiny_model, *drawn),
        "bench gpu": ("--rehearse", "--minutes", 0.1, "--out", "lent"),  # too short for a part
        "bench memory": ("--frames", 1),
        "bench timeline": (media / "ref.png", "dance.json", "--plot", "plot.png", *drawn),
        "bench poses": ("-n", 1, "--films", 0),
        "bench turn": ("-n", 1),
        "bench body": ("-n", 1),
        "bench augment": ("--people", 2, "--test-people", 2, "--pictures", 2, "--made", 1,
                          "--steps", 2, "--seeds", 1, "--model", tiny_model, *drawn),
        "bench warp": ("--repeat", 1),
        "bench workers": ("--workers", 1, "--frames", 1, "--batch-size", 1, "--seeds", 1,
                          "--model", tiny_model),
        "models list": (),
        "models fetch": ("none", "--yes"),
        "models verify": (),
        "models path": ("mini",),
        "models remove": ("none", "--yes"),
        "models convert": ("file", "made"),
    }  # fmt: skip


def test_every_command_is_tried(media, tiny_model):
    assert base_of(media, tiny_model).keys() == ALL.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_odd_values_of_every_option(call, media, tiny_model, name):
    if name in AT_WORK and ALL_VALUES not in os.environ:
        pytest.skip(f"works for half a minute and more; set {ALL_VALUES} to try it")
    base = base_of(media, tiny_model)[name]
    for option, value in options_of(ALL[name]):
        if name != "batch" or option not in ("--refs", "--drivers"):  # which add to the base's
            call(*name.split(), *base, f"{option}={value}")


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
