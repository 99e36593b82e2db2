"""What README and docs show is there, and runs as it stands."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image

from magicpose_cli.cli.app import app
from magicpose_cli.video import probe

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = {page: page.read_text(encoding="utf-8") for page in (README, *(ROOT / "docs").glob("*.md"))}
EVERYTHING = "\n".join(PAGES.values())
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", PAGES[ROOT / "docs" / "python.md"], flags=re.DOTALL | re.MULTILINE
)
LINES = re.sub(r" \\\n\s+", " ", EVERYTHING).splitlines()
COMMANDS = sorted(
    {
        re.split(r" \| | # |;", line.strip())[0].strip()
        for block in LINES
        if block.startswith("    ")
        for line in re.split(r" && ", re.sub(r"\s{2,}# .*", "", block.strip()))
        if re.match(r"(cat \S+ \| )?magicpose ", line.strip())
    }
)
OTHERS = {"--address", "--head", "--check"}  # of `ray start` and `ruff format`


@pytest.fixture(scope="module")
def folder(media, people, tmp_path_factory):
    """me.jpg, you.jpg, dance.mp4 and poses/, as the examples call them."""
    from magicpose_cli.pose.pose_map import pose_map

    folder = tmp_path_factory.mktemp("docs")
    with Image.open(media / "ref.png") as picture:
        for name in ("me.jpg", "you.jpg"):
            picture.save(folder / name)
    (folder / "dance.mp4").write_bytes((media / "dance.mp4").read_bytes())
    (folder / "poses").mkdir()
    for number, pose in enumerate(people.poses()[:2]):
        Image.fromarray(pose_map(pose, 384)).save(folder / "poses" / f"{number}.png")
    return folder


def options_of(command) -> set[str]:
    """Of a click command and of all below it."""
    found = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return found.union(*map(options_of, getattr(command, "commands", {}).values()))


def test_the_front_page_is_short():
    assert len(PAGES[README].splitlines()) <= 180


def test_every_option_that_is_named_is_there():
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", EVERYTHING))
    known = options_of(typer.main.get_command(app))
    assert len(named) > 80 and named - known <= OTHERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, target


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_one(line):
    """Its names and options are known and have values; nothing is run."""
    words = [word for word in shlex.split(line) if word not in ("<", ">", "...")][1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        words = words[1:]
    command.make_context(command.name, words)


def test_there_are_commands_and_examples():
    assert len(COMMANDS) > 30 and len(EXAMPLES) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "leaves"),
    [
        (0, ["out.mp4"]),
        (1, ["me_dancing.mp4", "you_dancing.mp4"]),
        (2, ["seen.mp4"]),
        (3, ["first.png"]),
    ],
)
def test_an_example_runs(folder, number, leaves, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))  # nothing installed: mini
    script = tmp_path / "example.py"
    script.write_text(EXAMPLES[number])
    runpy.run_path(str(script))
    for name in leaves:
        if name.endswith(".mp4"):
            assert probe(folder / name).frame_count == (4 if "dancing" in name else 8)
        else:
            with Image.open(folder / name) as picture:
                assert picture.size == (256, 256)


def test_the_reference_is_made_from_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    sys.modules.pop("make_reference", None)
    from make_reference import reference

    assert PAGES[ROOT / "docs" / "reference.md"] == reference(), "run docs/make_reference.py"
