"""`magicpose train` as a shell meets it."""

import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.app import app
from magicpose_cli.config.sections import presets_folder

RECIPE = """
sheet_every = 100
[model]
size = 64
pose_canvas = 96
default_steps = 2
[model.network]
widths = [8, 8]
attention = [true, true]
heads = 2
text_width = 4
norm_groups = 4
hint_widths = [2, 2, 4, 4]
[model.autoencoder]
width = 4
blocks = [1, 1, 1, 1]
[data]
clips = 8
workers = 1
[stages.pose]
kind = "pose"
steps = 3
batch = 2
[stages.long]
kind = "joint"
minutes = 60.0
batch = 2
"""


@pytest.fixture
def magicpose(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.slow
def test_it_trains_stops_in_time_and_says_how_to_go_on(magicpose, tmp_path):
    (tmp_path / "mine.toml").write_text(RECIPE)
    run = magicpose("train", "mine.toml", "-o", "run", "--device", "cpu", "--minutes", "0.05")
    assert run.exit_code == 0, run.output
    assert run.stderr.splitlines()[-1] == "not finished yet; the same command goes on from run"
    assert not run.stdout
    (tmp_path / "mine.toml").write_text(RECIPE.replace("minutes = 60.0", "steps = 1"))
    other = magicpose("train", "mine.toml", "-o", "run", "--device", "cpu")
    assert other.exit_code == 1 and "another recipe" in other.stderr
    done = magicpose("train", "mine.toml", "-o", "run", "--device", "cpu", "--overwrite", "-q")
    assert (done.exit_code, done.stdout.strip()) == (0, "run/model")
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "recipe 'none': expected one of"),
        (["toy", "--data", "nowhere"], "nowhere"),
        (["toy", "--start", "nowhere"], "model.start 'nowhere'"),
        (["toy", "--device", "tpu"], "model.device: 'tpu'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(magicpose, tmp_path, arguments, said):
    run = magicpose("train", *arguments, "-o", "run", "-q")
    assert run.exit_code == 1
    assert run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    assert said in run.stderr


def test_an_empty_folder_of_data_is_said_in_one_line(magicpose, tmp_path):
    (tmp_path / "data").mkdir()
    run = magicpose("train", "toy", "--data", "data", "-o", "run", "-q")
    assert run.exit_code == 1 and run.stderr.count("\n") == 1 and "data" in run.stderr


def test_help_names_the_recipes(magicpose):
    text = magicpose("train", "--help").output  # those of `distill` are told in its docs
    for path in (presets_folder() / "training").glob("*.toml"):
        if path.stem != "dataset" and not path.stem.startswith("distill"):
            assert path.stem in text
