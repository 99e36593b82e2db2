import json
from functools import partial

import pytest

from magicpose_cli.dataset.clips import open_clips

QUICK = "[frames]\nsize = 64\nfps = 8.0\n[clips]\nmin_frames = 3\n[drawn]\nframes = 2\n"


@pytest.fixture
def dataset(shell):
    return partial(shell, "dataset")


@pytest.mark.slow
def test_videos_and_drawn_people_become_data(dataset, media, tmp_path):
    (tmp_path / "quick.toml").write_text(QUICK)
    arguments = (media, "-o", "data", "--config", "quick.toml", "--synthetic", 1, "--workers", 1)
    run = dataset(*arguments, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert not run.stdout
    clips = open_clips(tmp_path / "data")
    report = json.loads((tmp_path / "data" / "dataset.json").read_text())["report"]
    assert report["clips"] == len(clips) == 2 and report["drawn_clips"] == 1
    kept = str(report["kept"])
    last = run.stderr.splitlines()[-1]
    assert last == f"data: {kept} frames in 2 clips (2 new, 1 of drawn people)"
    assert any("dance.mp4" in line and " 8 " in line for line in run.stderr.splitlines())
    again = dataset(*arguments, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "data: all done already, 2 clips\n")
    other = dataset(*arguments, "--size", 128, cwd=tmp_path)
    assert other.returncode == 1 and other.stderr.count("\n") == 1
    assert "frames.size 64, now 128" in other.stderr and "--overwrite" in other.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to do"),
        (("none.mp4",), "none.mp4 does not exist"),
        ((".",), "holds no videos"),
        (("--synthetic", 1, "--size", 100), "frames.size: 100"),
        (("--synthetic", 1, "--detector", "x"), "frames.detector: 'x'"),
        (("--synthetic", 1, "--config", "none.toml"), "none.toml"),
    ],
)
def test_wrong_input_is_one_line_and_exit_1(dataset, tmp_path, arguments, said):
    run = dataset(*arguments, "-o", "data", cwd=tmp_path)
    assert run.returncode == 1 and run.stderr.count("\n") == 1
    assert run.stderr.startswith("error: ") and said in run.stderr
    assert not list(tmp_path.iterdir())
