"""`magicpose distill` as a shell meets it."""

import json

import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.app import app
from tests.training.test_distillation import TOY


@pytest.fixture
def magicpose(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(TOY)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.slow
def test_it_stops_in_time_goes_on_and_measures(magicpose, tiny_model, tmp_path):
    base = ("distill", tiny_model, "-o", "out", "--recipe", "few.toml", "--steps", 2)
    base = (*base, "--device", "cpu", "--detector", "none")
    stopped = magicpose(*base, "--minutes", "0.01", "--evaluate", 1)
    assert stopped.exit_code == 0, stopped.output
    said = "not finished yet; the same command goes on from out.part"
    assert stopped.stderr.splitlines()[-1] == said and not (tmp_path / "out").exists()
    measured = magicpose(*base, "--evaluate", 2, "--json", "rows.json", "-q")
    assert measured.exit_code == 0, measured.output
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["steps"], row["guidance"]) for row in rows] == [
        (4, 1.5), (2, 1.0), (2, 1.0), (2, 1.0), (1, 1.0),
    ]  # fmt: skip
    assert rows[0]["psnr_teacher"] == 100.0 and rows[0]["faster"] == 1.0
    assert rows[-1]["frame_flops"] < rows[-2]["frame_flops"] < rows[0]["frame_flops"]
    again = magicpose(*base)
    assert again.exit_code == 1 and "out exists" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mini", "-o", "out"), "takes 1 steps by itself, and 4 are to be left"),
        (("nobody", "-o", "out"), "model 'nobody': no folder"),
        (("mini", "-o", "out", "--recipe", "toy"), "no stage of kind guidance or consistency"),
        (("mini", "-o", "out", "--recipe", "none"), "recipe 'none': expected one of"),
    ],
)
def test_a_mistake_is_one_line(magicpose, arguments, said):
    result = magicpose("distill", *arguments)
    assert result.exit_code == 1 and said in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_rows_go_with_measuring(magicpose):
    result = magicpose("distill", "mini", "-o", "out", "--json", "rows.json")
    assert result.exit_code == 2 and "--json goes with --evaluate" in result.output
