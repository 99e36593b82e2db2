"""`magicpose doctor` as a shell meets it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from magicpose_cli.cli import doctor
from magicpose_cli.cli.outcome import with_exit_code


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Runs it with a home of its own; (exit code, stdout, stderr)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "magic"))
    app = typer.Typer()
    app.command()(with_exit_code(doctor.command))

    def run(*arguments):
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.stdout, done.stderr

    return run


def test_plain_text_to_paste(told, tmp_path):
    code, text, errors = told()
    assert (code, errors) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "program" and lines[-1] == "can run" and "preset mini" in lines
    assert "\x1b" not in text and str(tmp_path) not in text and "~/magic/models" in text
    assert any(line.startswith("  memory") and "fits, estimated" in line for line in lines)


def test_one_line_of_json(told):
    code, text, _ = told("--json", "--preset", "mini")
    [line] = text.splitlines()
    event = json.loads(line)
    assert code == 0 and event["event"] == "result" and event["can_run"] is True
    assert event["sections"]["preset"]["device, dtype"]["device"]


def test_what_cannot_run_ends_with_1_and_says_why(told):
    code, text, errors = told("--preset", "magicpose")
    assert code == 1 and "models fetch magicpose" in errors and errors.count("\n") == 1
    assert text.splitlines()[-1].startswith("cannot run: magicpose is not fetched")
    code, text, errors = told("--preset", "magicpose", "--json")
    event = json.loads(text)
    assert code == 1 and event["can_run"] is False and "magicpose" in event["obstacle"]


def test_warnings_are_marked(told, tmp_path):
    broken = tmp_path / "magic" / "models" / "mine"
    broken.mkdir(parents=True)
    (broken / "model_index.json").write_text("{}")
    code, text, _ = told("-p", "mini")
    assert code == 0
    [warning] = [line for line in text.splitlines() if line.startswith("!")]
    assert "not of a MagicPosePipeline" in warning
