"""The script as a shell meets it."""

import json
import subprocess
import sys

import pytest

from magicpose_cli.video import probe


def magicpose(*arguments, cwd):
    code = "from magicpose_cli.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_animate_end_to_end(media, tiny_model, tmp_path):
    run = magicpose(
        "animate", media / "ref.png", media / "dance.mp4", "--model", tiny_model, "--steps", 2,
        "--end", 0.5, "--seed", 7, "--json", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    *events, result = map(json.loads, run.stdout.splitlines())
    assert result["event"] == "result"
    assert [e["event"] for e in events] == ["progress"] * len(events)
    assert {"plan", "poses", "model", "render"} <= {e["stage"] for e in events}
    assert (events[-1]["stage"], events[-1]["done"], events[-1]["total"]) == ("render", 4, 4)
    assert result["output"] == "ref_dance.mp4" and result["plan"]["seed"] == 7
    assert probe(tmp_path / "ref_dance.mp4").frame_count == 4
    lines = run.stderr.splitlines()
    assert any(line.startswith("ref_dance.mp4: 4 frames at 8 fps (poses ") for line in lines)


@pytest.mark.slow
def test_a_name_steers_no_terminal(shell, media, tiny_model, tmp_path):
    name = "red\x1b[31m.mp4"
    run = shell(
        "animate", media / "ref.png", media / "dance.mp4", "--model", tiny_model, "--steps", 1,
        "--end", 0.25, "-o", name, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0 and (tmp_path / name).exists()
    assert "\x1b" not in run.stderr and "red\\x1b[31m.mp4: 2 frames" in run.stderr


@pytest.mark.slow
def test_a_second_run_does_not_overwrite(shell, media, tiny_model, tmp_path):
    (tmp_path / "ref_dance.mp4").write_text("mine")
    run = shell("animate", media / "ref.png", media / "dance.mp4", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    assert "--overwrite" in run.stderr
    assert (tmp_path / "ref_dance.mp4").read_text() == "mine"


@pytest.mark.slow
def test_dry_run_writes_nothing(shell, media, tiny_model, tmp_path):
    run = shell(
        "animate", media / "ref.png", media / "dance.mp4", "--model", tiny_model, "--dry-run",
        "--json", cwd=tmp_path,
    )  # fmt: skip
    plan = json.loads(run.stdout)
    assert (plan["frames"], plan["fps"], plan["steps"], plan["width"]) == (8, 8.0, 4, 64)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fit", "squeeze"], "frame.fit (--fit): 'squeeze'"),
        (["--steps", "0"], "sampling.steps (--steps): '0'"),
        (["--size", "100"], "frame.size (--size): '100'"),
        (["--device", "banana"], "model.device (--device): 'banana'"),
        (["--lora", "none.safetensors"], "none.safetensors is not there"),
        (["--face", "none.csv"], "none.csv: no such file"),
        (["--body-map", "none"], "body-map none: no such folder"),
        (["--preset", "none.toml"], "preset 'none.toml'"),
        (["-o", "out.avi"], ".avi cannot be written"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_1(shell, media, tmp_path, options, said):
    run = shell("animate", media / "ref.png", media / "dance.mp4", *options, cwd=tmp_path)
    assert run.returncode == 1 and said in run.stderr and run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_wrong_usage_is_exit_2(shell, tmp_path):
    assert shell("animate", cwd=tmp_path).returncode == 2
    assert shell("animate", "a", "b", "--nonsense", cwd=tmp_path).returncode == 2


@pytest.mark.slow
def test_presets_are_listed_with_the_default_marked(shell, tmp_path):
    run = shell("presets", cwd=tmp_path)
    assert run.returncode == 0
    assert "(default)" in run.stdout and "lowvram" in run.stdout
    listed = json.loads(shell("presets", "--json", cwd=tmp_path).stdout)
    assert listed["magicpose"]["sampling"]["guidance"] == 7.0


@pytest.mark.slow
def test_poses_and_models(shell, media, tmp_path):
    run = shell("poses", media / "dance.mp4", "-o", "p.json", "--end", 0.25, cwd=tmp_path)
    assert run.returncode == 0 and "a person found in 2" in run.stderr
    assert len(json.loads((tmp_path / "p.json").read_text())) == 2
    (tmp_path / "bad.th").write_text("no checkpoint")
    run = shell("models", "convert", "bad.th", tmp_path / "model", cwd=tmp_path)
    assert run.returncode == 1 and run.stderr.startswith("error: ")
    assert not (tmp_path / "model").exists()
    assert "mini" in shell("models", "list", cwd=tmp_path).stdout
