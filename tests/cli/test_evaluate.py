"""`magicpose evaluate` as a shell meets it."""

import json
from functools import partial

import pytest


@pytest.fixture
def evaluate(shell):
    return partial(shell, "evaluate")


@pytest.mark.slow
def test_a_model_end_to_end(evaluate, tiny_model, tmp_path):
    run = evaluate(
        "--model", tiny_model, "--drawn", 2, "--steps", 2, "--detector", "none", "-o", "report",
        "--json", "all.json", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "PSNR" in run.stdout and tiny_model.name in run.stdout
    assert "copying the reference" in run.stdout
    assert "fid not measured: no file" in run.stderr
    assert (tmp_path / "report/report.html").exists()
    numbers = json.loads((tmp_path / "all.json").read_text())
    assert numbers["command"].startswith("magicpose evaluate --model")
    assert numbers["models"][0]["steps"] == 2 and numbers["versions"]["torch"]
    again = evaluate("--model", tiny_model, "--drawn", 2, "-o", "report", cwd=tmp_path)
    assert again.returncode == 1 and again.stderr.count("\n") == 1
    assert "--overwrite" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "nowhere"], 1, "model 'nowhere'"),
        (["--detector", "psychic", "--drawn", "2"], 1, "detector: 'psychic'"),
        (["--size", "100"], 1, "frame.size"),
        (["a.mp4", "b.mp4"], 1, "a.mp4"),
        (["--drawn", "2", "--grid", "grid.gif"], 1, "grid.gif: a picture is written as"),
        (["--drawn", "2", "-o", "/proc/report"], 1, "/proc/report"),
        (["a.mp4"], 2, "TRUTH"),
        (["a.mp4", "b.mp4", "--model", "mini"], 2, "either"),
        (["--drawn", "2", "--data", "x"], 2, "give one of"),
        (["--drawn", "2", "--rendered", "2"], 2, "give one of"),
        (["--films", "nowhere"], 1, "nowhere"),
        (["--films", ".", "-o", "report"], 1, "neither videos nor pictures"),
        (["--films", ".", "--model", "nowhere"], 1, "model 'nowhere'"),
        (["--films", ".", "--drawn", "2"], 2, "either"),
        (["--films", ".", "-m", "mini", "-m", "mini"], 2, "one --model"),
        (["--drawn", "2", "--every", "5"], 2, "--films"),
        (["--drawn", "2", "--at", "0"], 2, "--films"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(evaluate, tmp_path, arguments, code, said):
    run = evaluate(*arguments, cwd=tmp_path)
    assert run.returncode == code and said in run.stderr, run.stderr
    if code == 1:
        assert run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_films_end_to_end(evaluate, media, tiny_model, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    run = evaluate(
        "--films", media / "dance.mp4", "--films", "broken.mp4", "--every", 2, "-m", tiny_model,
        "--steps", 1, "--detector", "none", "-o", "report", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr  # of the broken one
    assert run.stderr.splitlines()[0].startswith("broken.mp4"), run.stderr
    assert "Traceback" not in run.stderr and "copying it" in run.stdout
    numbers = json.loads((tmp_path / "report/metrics.json").read_text())
    assert numbers["kind"] == "films" and len(numbers["pictures"]) == 3
    assert list(numbers["models"][0]["clips"]) == ["dance"] and "broken" in numbers["failed"]
