"""The examples run as they stand."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from magicpose_cli.config.preset import load_preset
from magicpose_cli.video import probe, write_video

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def folder(media, tmp_path) -> Path:
    """me.jpg's like and dance.mp4, as the examples' page asks for them."""
    (tmp_path / "people").mkdir()
    for name in ("me.png", "people/you.png"):
        shutil.copy(media / "ref.png", tmp_path / name)
    shutil.copy(media / "dance.mp4", tmp_path / "dance.mp4")
    return tmp_path


def run(folder: Path, *command: object) -> None:
    """With nothing installed, so that the model is mini, and this package's own `magicpose`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"MAGICPOSE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=os.environ | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_all_are_named_on_their_page():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{file.name}]" in page for file in EXAMPLES.iterdir() if file.suffix != ".md")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_everybody_of_a_folder(folder):
    run(folder, EXAMPLES / "everybody.sh", "people", "dance.mp4", "--size", "128", "--end", "0.4")
    made = folder / "people" / "you_moving.mp4"
    assert probe(made).frame_count == 3
    before = made.stat().st_mtime_ns
    run(folder, EXAMPLES / "everybody.sh", "people", "dance.mp4")
    assert made.stat().st_mtime_ns == before


def test_the_preset_is_one():
    preset = load_preset(str(EXAMPLES / "portrait.toml"))
    assert preset.motion.smooth == 1.5 and preset.output.crf == 20


@pytest.mark.slow
def test_the_pipeline_makes_a_frame_for_each_of_the_film(folder, frames, monkeypatch):
    write_video(folder / "short.mp4", iter(frames[:3]), 8)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MAGICPOSE_HOME", str(folder / "home"))
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "me.png", "short.mp4", "frames"])
    runpy.run_path(str(EXAMPLES / "pipeline.py"), run_name="__main__")
    assert len(list((folder / "frames").glob("*.png"))) == 3


@pytest.mark.slow
def test_a_detector_of_ones_own_is_used_like_the_others(folder):
    command = ("animate", "me.png", "dance.mp4", "-o", "out.mp4", "--detector", "inside")
    run(folder, sys.executable, EXAMPLES / "detector.py", *command, "--size", "128", "--end", "0.4")
    assert probe(folder / "out.mp4").frame_count == 3
