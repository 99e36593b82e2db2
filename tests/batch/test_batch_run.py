"""Batches with the real detector and encoder, and a tiny model."""

import json
import os
from collections import Counter

import numpy as np
import pytest

from magicpose_cli.batch import BatchRun, read_jobs
from magicpose_cli.batch.jobs import ForAll
from magicpose_cli.errors import OutputError
from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.run.resources import Resources
from magicpose_cli.video import probe, read_picture, write_picture


@pytest.fixture
def folder(media, people, tmp_path):
    """ref.png, and drivers of one to three poses: d1.json, d2.json, d3.json."""
    write_picture(tmp_path / "ref.png", read_picture(media / "ref.png"))
    for count in (1, 2, 3):
        write_clip(tmp_path / f"d{count}.json", people.poses()[:count], 8)
    return tmp_path


@pytest.fixture
def for_all(tiny_model):
    return ForAll.typed(
        None, [f"model.name={tiny_model}", "device=cpu", "steps=1", "crf=40"], None, None
    )


@pytest.fixture
def batch_of(folder, for_all):
    """A batch of rows, which lie in a list in the folder."""

    def made(*rows, **options):
        path = folder / "jobs.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return BatchRun(read_jobs(str(path), for_all), **options)

    return made


def run(batch, **options):
    with Resources() as resources:
        batch.run(resources, **options)
    return [outcome.status for outcome in batch.outcomes]


def row(out, driver="d1.json", **more):
    return {"reference": "ref.png", "driver": driver, "out": out, **more}


@pytest.mark.slow
def test_thirty_jobs_with_ten_bad_ones(folder, batch_of, loads):
    (folder / "text.png").write_text("no picture")
    (folder / "text.mp4").write_text("no film")
    (folder / "taken.mp4").write_text("mine")
    write_clip(folder / "nobody.npz", [Pose.of(64, 64)] * 2, 8)
    bad = {
        2: ({"reference": "none.png"}, "none.png does not exist"),
        5: ({"driver": "none.mp4"}, "none.mp4 does not exist"),
        8: ({"reference": "text.png"}, "text.png is no picture"),
        11: ({"driver": "text.mp4"}, "text.mp4"),
        14: ({"driver": "nobody.npz"}, "no person was found"),
        17: ({"seed": "many"}, "sampling.seed (--seed): 'many': "),
        20: ({"stpes": 4}, "did you mean 'steps'?"),
        23: ({"out": "taken.mp4"}, "taken.mp4 exists"),
        26: ({"out": "film.avi"}, ".avi cannot be written"),
        29: ({"reference": None}, "has no reference"),
    }
    rows = []
    for number in range(1, 31):
        more, _ = bad.get(number, ({}, ""))
        rows.append({**row(f"made/{number}.mp4", f"d{number % 3 + 1}.json"), **more})
    batch = batch_of(*rows, report=folder / "report.json")
    told = []
    statuses = run(batch, on_outcome=lambda job, outcome: told.append((job, outcome)))
    assert Counter(statuses) == {"done": 20, "failed": 10}
    assert [job.number for job, _ in told] == list(range(1, 31))
    for job, outcome in told:
        if job.number in bad:
            assert bad[job.number][1] in outcome.error and "\n" not in outcome.error
        else:
            frames = job.number % 3 + 1
            assert (outcome.error, outcome.frames) == (None, frames)
            assert probe(folder / f"made/{job.number}.mp4").frame_count == frames
    assert len(loads) == 1
    assert (folder / "taken.mp4").read_text() == "mine"
    assert len(list((folder / "made").glob("*.mp4"))) == 20
    assert not list(folder.rglob("*.part")) and not list(folder.rglob(".*"))
    report = json.loads((folder / "report.json").read_text())
    assert report == json.loads(json.dumps(batch.as_dict()))
    totals = report["totals"]
    assert (totals["jobs"], totals["done"], totals["failed"], totals["waiting"]) == (30, 20, 10, 0)
    assert totals["frames"] == sum(n % 3 + 1 for n in range(1, 31) if n not in bad)
    assert report["jobs"][1]["error"].startswith(str(folder / "none.png"))


@pytest.mark.slow
def test_a_batch_gives_what_single_runs_give(folder, batch_of, media):
    """Also after jobs with other settings, a driver seen before among them."""
    from magicpose_cli.animation import animate

    film = str(media / "dance.mp4")
    jobs = [
        row("a", film, end_s=0.25), row("b", film, scheduler="heun", steps=2, end_s=0.25),
        row("c", "d2.json"), row("d", film, end_s=0.25, **{"retarget": "align"}),
    ]  # fmt: skip
    batch = batch_of(*jobs)
    assert run(batch) == ["done"] * 4
    for job in batch.jobs:
        alone = folder / f"{job.number}-alone"
        animate(job.reference, job.driver, alone, job.resolve())
        pictures = [
            [read_picture(path) for path in sorted(found.glob("*.png"))]
            for found in (alone, folder / job.output)
        ]
        assert len(pictures[0]) == len(pictures[1]) == 2
        assert all(np.array_equal(x, y) for x, y in zip(*pictures, strict=True))


@pytest.mark.slow
def test_the_report_is_true_at_any_moment(folder, batch_of):
    path = folder / "deep" / "report.json"
    batch = batch_of(row("a.mp4"), row("b.mp4", "none.mp4"), row("c.mp4"), report=path)
    seen = []

    def look(job, outcome):
        report = json.loads(path.read_text())
        seen.append([entry["status"] for entry in report["jobs"]])

    run(batch, on_outcome=look)
    assert seen == [
        ["done", "waiting", "waiting"],
        ["done", "failed", "waiting"],
        ["done", "failed", "done"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("raised", [KeyboardInterrupt, ZeroDivisionError])
def test_a_bug_and_an_interruption_end_the_batch_and_keep_what_is_done(folder, batch_of, raised):
    path = folder / "report.json"
    rows = [row("a.mp4"), row("b.mp4", "d3.json"), row("c.mp4")]

    def stop(progress):
        if progress.stage == "render" and progress.total == 3 and progress.done == 2:
            raise raised("here")

    batch = batch_of(*rows, report=path)
    with pytest.raises(raised):
        run(batch, on_progress=stop)
    report = json.loads(path.read_text())
    assert [job["status"] for job in report["jobs"]] == ["done", "stopped", "waiting"]
    assert report["jobs"][1]["error"] == f"{raised.__name__}: here"
    assert probe(folder / "a.mp4").frame_count == 1 and not (folder / "b.mp4").exists()
    assert run(batch_of(*rows, skip_done=True)) == ["skipped", "done", "done"]
    assert probe(folder / "b.mp4").frame_count == 3


@pytest.mark.slow
def test_what_is_done_is_skipped_where_it_is_what_is_asked(folder, batch_of, loads):
    first = [row("a.mp4"), row("b.mp4"), row("c.mp4"), row("d.mp4", "d2.json")]
    assert run(batch_of(*first)) == ["done"] * 4
    (folder / "c.mp4.json").unlink()
    again = [row("a.mp4", batch_size=1), row("b.mp4", seed=7), row("c.mp4"), row("d.mp4"),
             row("new.mp4")]  # fmt: skip
    before = (folder / "b.mp4").read_bytes()
    batch = batch_of(*again, skip_done=True)
    assert run(batch) == ["skipped", "failed", "failed", "failed", "done"]
    errors = [outcome.error for outcome in batch.outcomes]
    assert "b.mp4 stands, but not as asked (sampling.seed: 42, now 7)" in errors[1]
    assert "--overwrite" in errors[1] and (folder / "b.mp4").read_bytes() == before
    assert "no readable settings beside it" in errors[2]
    assert "d2.json, now " in errors[3]
    batch = batch_of(*again, skip_done=True, overwrite=True)
    assert run(batch) == ["skipped", "done", "done", "done", "skipped"]
    assert run(batch_of(*again, skip_done=True)) == ["skipped"] * 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [("ref.png", "reference: "), ("d1.json", "driver: "), ("a.mp4", "the video itself: ")],
)
def test_what_has_other_contents_now_is_not_done(folder, batch_of, media, name, said):
    """Of the same name, size and time."""
    jobs = [row("a.mp4")]
    assert run(batch_of(*jobs)) == ["done"]
    path, other = folder / name, (folder / name).read_bytes()
    state, at = path.stat(), len(other) // 2
    path.write_bytes(other[:at] + bytes([other[at] ^ 1]) + other[at + 1 :])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    batch = batch_of(*jobs, skip_done=True)
    assert run(batch) == ["failed"]
    assert said in batch.outcomes[0].error and "changed since" in batch.outcomes[0].error
    path.write_bytes(other)
    assert run(batch_of(*jobs, skip_done=True)) == ["skipped"]


@pytest.mark.slow
def test_where_the_files_lie_does_not_matter(folder, batch_of):
    assert run(batch_of(row("a.mp4"))) == ["done"]
    (folder / "moved").mkdir()
    (folder / "d1.json").rename(folder / "moved" / "other.json")
    assert run(batch_of(row("a.mp4", "moved/other.json"), skip_done=True)) == ["skipped"]


@pytest.mark.slow
def test_an_empty_video_is_made_again(folder, batch_of):
    jobs = [row("a.mp4")]
    assert run(batch_of(*jobs)) == ["done"]
    (folder / "a.mp4").write_bytes(b"")
    assert run(batch_of(*jobs, skip_done=True)) == ["failed"]
    assert run(batch_of(*jobs, skip_done=True, overwrite=True)) == ["done"]
    assert probe(folder / "a.mp4").frame_count == 1


def test_a_check_makes_nothing_and_finds_every_problem(folder, batch_of, loads):
    (folder / "taken.mp4").touch()
    rows = [row("a.mp4"), row("taken.mp4"), row("b.mp4", "none.mp4"), row("c.mp4", "d3.json")]
    before = sorted(folder.iterdir())
    batch = batch_of(*rows, report=folder / "report.json")
    batch.check()
    assert [outcome.status for outcome in batch.outcomes] == ["ready", "failed", "failed", "ready"]
    assert [outcome.frames for outcome in batch.outcomes] == [1, 0, 0, 3]
    assert batch.totals["ready"] == 2 and not loads
    assert sorted({*before, folder / "jobs.jsonl"}) == sorted(folder.iterdir())


def test_a_report_that_cannot_be_written_is_said_before_the_work(folder, batch_of):
    (folder / "file").touch()
    batch = batch_of(row("a.mp4"), report=folder / "file" / "report.json")
    with pytest.raises(OutputError, match=r"report\.json cannot be written"):
        run(batch)
    assert not (folder / "a.mp4").exists()


@pytest.mark.slow
def test_a_report_lost_on_the_way_is_said_after_the_work(folder, batch_of):
    report = folder / "deep" / "report.json"
    batch = batch_of(row("a.mp4"), row("b.mp4"), report=report)

    def take_away(job, outcome):
        report.unlink()
        report.parent.rmdir()
        report.parent.touch()

    with pytest.raises(OutputError, match="all jobs have been worked off"):
        run(
            batch,
            on_outcome=lambda job, outcome: take_away(job, outcome) if job.number == 1 else None,
        )
    assert [outcome.status for outcome in batch.outcomes] == ["done", "done"]
    assert (folder / "b.mp4").exists()
