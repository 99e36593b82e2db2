"""`magicpose batch` as a shell meets it."""

import json
import signal

import pytest
import typer
from typer.testing import CliRunner

from magicpose_cli.cli import batch
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.rendering.worker_pool import WorkerPool
from magicpose_cli.video import probe, read_picture, write_picture
from tests.nursery import Run, until


@pytest.fixture
def folder(media, people, tmp_path, monkeypatch):
    """people/a.png and people/b.png; moves/one.json and moves/two.json of 1 and 2 poses."""
    for name in ("a", "b"):
        write_picture(tmp_path / f"people/{name}.png", read_picture(media / "ref.png"))
    (tmp_path / "moves").mkdir()
    for name, count in (("one", 1), ("two", 2)):
        write_clip(tmp_path / f"moves/{name}.json", people.poses()[:count], 8)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, tiny_model):
    app = typer.Typer()
    app.command()(with_exit_code(batch.command))

    def command(*arguments, stdin=None):
        settings = [f"model.name={tiny_model}", "device=cpu", "steps=1"]
        typed = [word for setting in settings for word in ("--set", setting)]
        return CliRunner().invoke(app, [*map(str, arguments), *typed], input=stdin)

    return command


@pytest.mark.slow
def test_all_pairs(run, folder):
    drivers = ["--drivers", "moves/one.json", "--drivers", "moves/two.json"]
    name = ["--out-dir", "made", "--name", "{n}-{ref}-{driver}.mp4"]
    result = run("--refs", "people/*.png", *drivers, *name)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert {p.name: probe(p).frame_count for p in (folder / "made").glob("*.mp4")} == {
        "1-a-one.mp4": 1, "2-a-two.mp4": 2, "3-b-one.mp4": 1, "4-b-two.mp4": 2,
    }  # fmt: skip
    lines = result.stderr.splitlines()
    assert "jobs: 0/4 jobs" in lines and lines[-1].startswith("4 jobs: 4 done (")


@pytest.mark.slow
def test_workers_serve_all_jobs(run, folder, monkeypatch, own_interpreters):
    pools = []

    class Pool(WorkerPool):
        def __enter__(self):
            pools.append(self)
            return super().__enter__()

    monkeypatch.setattr("magicpose_cli.rendering.worker_pool.WorkerPool", Pool)
    alone = run("--refs", "people/a.png", "--drivers", "moves/*.json", "--out-dir", "alone", "-q")
    assert alone.exit_code == 0, alone.output
    together = ["--out-dir", "together", "--workers", "1"]  # of two see test_worker_pool.py
    result = run("--refs", "people/a.png", "--drivers", "moves/*.json", *together)
    assert result.exit_code == 0, result.output
    assert len(pools) == 1
    for path in (folder / "alone").glob("*.mp4"):
        assert path.read_bytes() == (folder / "together" / path.name).read_bytes()


@pytest.mark.slow
def test_one_line_for_a_failure_json_alone_on_stdout(run, folder):
    rows = [
        {"reference": "people/a.png", "driver": "moves/one.json", "out": "x.mp4"},
        {"reference": "people/none.png", "driver": "moves/one.json", "out": "y.mp4"},
    ]
    stdin = "\n".join(map(json.dumps, rows))
    result = run("-", "--json", "-q", "--jobs-report", "r.json", stdin=stdin)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told.pop("event") == "result"
    assert told == json.loads((folder / "r.json").read_text())
    assert [job["status"] for job in told["jobs"]] == ["done", "failed"]
    assert result.stderr.startswith(
        "job 2 (people/none.png + moves/one.json -> y.mp4): people/none"
    )
    assert result.stderr.count("\n") == 1
    again = run("-", "-q", "--skip-done", stdin=json.dumps(rows[0]))
    assert (again.exit_code, again.output) == (0, "")


def test_dry_run_lists_every_problem_and_makes_nothing(run, folder):
    (folder / "jobs.csv").write_text(
        "reference,driver,out,steps\n"
        "people/a.png,moves/one.json,x.mp4,\n"
        "people/a.png,moves/none.json,y.mp4,\n"
        "people/a.png,moves/two.json,z.mp4,none\n"
    )
    before = sorted(folder.rglob("*"))
    result = run("jobs.csv", "--dry-run", "--jobs-report", "r.json")
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("job ")]
    assert [line[:6] for line in lines] == ["job 2 "]  # --set steps=1 wins over the third's
    assert "3 jobs: 2 ready, 1 failed" in result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either one job list or both --refs and --drivers"),
        (["--refs", "people/*.png"], "either one job list or both"),
        (["jobs.csv", "--refs", "people/*.png", "--drivers", "moves/*"], "quote patterns"),
        (["none.csv"], "none.csv: cannot be read"),
        (["--refs", "people/*.png", "--drivers", "none/*"], "--drivers 'none/*': no file"),
        (["jobs.csv", "--set", "stpes=3"], "did you mean 'steps'?"),
        (["jobs.csv", "--preset", "nowhere"], "preset 'nowhere'"),
    ],
)
def test_wrong_use_is_one_line(run, folder, arguments, said):
    result = run(*arguments)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_report(nursery, folder, tiny_model):
    """A real signal, sent once the second job is at work."""
    rows = [
        {"reference": "people/a.png", "driver": f"moves/{name}.json", "out": f"{name}{i}.mp4",
         "model": {"name": str(tiny_model)}, "device": "cpu", "steps": steps}
        for i, (name, steps) in enumerate((("one", 1), ("two", 1000), ("one", 1)))
    ]  # fmt: skip
    (folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["batch", "jobs.jsonl", "--jobs-report", "r.json"]
    order = {"arguments": arguments, "folder": str(folder)}
    batch_run = Run(nursery, folder / "said.txt", order)
    until(lambda: "loading" in batch_run.said.partition("jobs: 1/3 jobs")[2])
    assert batch_run.end(signal.SIGINT) == 130
    lines = batch_run.said.splitlines()
    assert "interrupted" in lines and any("1 done, 1 stopped, 1 waiting" in at for at in lines)
    report = json.loads((folder / "r.json").read_text())
    assert [job["status"] for job in report["jobs"]] == ["done", "stopped", "waiting"]
    assert probe(folder / "one0.mp4").frame_count == 1
