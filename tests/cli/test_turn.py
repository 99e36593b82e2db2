import json

import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.app import app


def run(*arguments):
    return CliRunner().invoke(app, ["turn", *map(str, arguments)])


@pytest.mark.slow
def test_the_summary_for_people_and_for_scripts(media, tmp_path):
    options = ["--views", "2", "--pitch", "0", "-o"]
    said = run(media / "ref.png", *options, tmp_path / "a.gif")
    assert said.exit_code == 0, said.output
    assert "2 views of 256x256" in said.stderr
    told = run(media / "ref.png", *options, tmp_path / "b", "--json", "--yaw", "-10..10")
    assert told.exit_code == 0, told.output
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["event"] == "result" and "transforms.json" in last["files"]
    assert last["angles"][0] == {"yaw_deg": 0.0, "pitch_deg": 0.0}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--yaw", "-100..0"], "error: yaw -100..0: expected angles between -90 and 90 degrees"),
        (["--views", "0"], "error: views is 0; expected a number from 1 to 10000"),
    ],
)
def test_a_mistake_is_one_line(media, tmp_path, options, line):
    failed = run(media / "ref.png", "-o", tmp_path / "out.mp4", *options)
    assert failed.exit_code == 1 and failed.stderr.splitlines() == [line]
    assert list(tmp_path.iterdir()) == []
