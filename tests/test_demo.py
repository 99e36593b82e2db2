"""The README's first command, at a few frames: with the embedded model, as a user gets it."""

import json

import pytest

from magicpose_cli.demo import run_demo
from magicpose_cli.diffusion.checkpoint.loading import MINI, load_pipeline
from magicpose_cli.video import probe, read_picture


@pytest.mark.slow
def test_demo_leaves_its_four_files(tmp_path):
    result = run_demo(tmp_path / "demo", "mini", frames=6)
    names = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert names == ["driver.mp4", "out.mp4", "out.mp4.json", "out.png", "ref.png"]
    assert result.frames == probe(tmp_path / "demo" / "out.mp4").frame_count == 6
    assert result.motion.track.missing == ()
    assert read_picture(tmp_path / "demo" / "out.png").shape[0] == 384


def test_mini_is_small_and_says_what_it_is():
    files = list(MINI.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) < 42e6
    assert max(file.stat().st_size for file in files) < 16 * 2**20
    index = json.loads((MINI / "model_index.json").read_text())
    assert index["sample_size"] == 256
    assert load_pipeline(MINI).text_encoder is None
