"""What the README shows is run as it stands there."""

import re
import runpy
from pathlib import Path

import pytest
import typer
from PIL import Image

from magicpose_cli.cli.app import app
from magicpose_cli.video import probe

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(media, people, tmp_path_factory):
    """me.jpg, you.jpg, dance.mp4 and poses/, as the examples call them."""
    from magicpose_cli.pose.pose_map import pose_map

    folder = tmp_path_factory.mktemp("readme")
    with Image.open(media / "ref.png") as picture:
        for name in ("me.jpg", "you.jpg"):
            picture.save(folder / name)
    (folder / "dance.mp4").write_bytes((media / "dance.mp4").read_bytes())
    (folder / "poses").mkdir()
    for number, pose in enumerate(people.poses()[:2]):
        Image.fromarray(pose_map(pose, 384)).save(folder / "poses" / f"{number}.png")
    return folder


OTHERS = {"--address", "--check"}  # of `ray start` and `ruff format`


def options_of(command) -> set[str]:
    """Of a click command and of all below it."""
    found = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return found.union(*map(options_of, getattr(command, "commands", {}).values()))


def test_every_option_that_it_names_is_there():
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README))
    known = options_of(typer.main.get_command(app))
    assert len(named) > 50 and named - known == OTHERS


def test_there_are_three():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(
    ("number", "leaves"),
    [(0, ["out.mp4"]), (1, ["me_dancing.mp4", "you_dancing.mp4"]), (2, ["first.png"])],
)
def test_an_example_runs(folder, number, leaves, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))  # nothing installed: mini
    script = tmp_path / "example.py"
    script.write_text(EXAMPLES[number])
    runpy.run_path(str(script))
    for name in leaves:
        if name.endswith(".mp4"):
            assert probe(folder / name).frame_count == (8 if name == "out.mp4" else 4)
        else:
            with Image.open(folder / name) as picture:
                assert picture.size == (256, 256)
