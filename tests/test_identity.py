"""The reference's face from end to end: it counts where it is asked for and seen."""

import numpy as np
import pytest

from magicpose_cli import Resources, animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.run.resources import WorkerConfig
from magicpose_cli.video import read_picture, write_picture
from tests.ip_adapter import SEEN, attention_state, plus_projection, put, save_encoder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    unet = load_pipeline(tiny_model).unet
    state = plus_projection(SEEN, width=8, hidden=32, tokens=4, heads=1)
    encoder = save_encoder(tmp_path_factory.mktemp("encoder") / "image_encoder")
    return put(state | attention_state(unet, 8), encoder, folder)


@pytest.fixture
def run(media, tiny_model, adapter, tmp_path):
    def go(name, scale, reference=media / "ref.png", resources=None, driver=media / "dance.mp4"):
        settings = Preset().with_options(
            model__name=str(tiny_model), model__device="cpu", model__identity=scale,
            model__identity_model=str(adapter), sampling__steps="1", motion__retarget="none",
            motion__end_s=0.4,
        )  # fmt: skip
        out = tmp_path / name
        record = animate(reference, driver, out, settings, resources=resources)
        return np.stack([read_picture(path) for path in sorted(out.glob("*.png"))]), record

    return go


def test_a_face_that_is_asked_for_counts(run, media):
    off, record = run("off", 0.0)
    assert not record.files_sha256
    on, record = run("on", 1.0)
    assert record.files_sha256
    assert (on != off).any()
    with Resources(WorkerConfig(count=1)) as workers:
        spread, _ = run("spread", 1.0, resources=workers)
    np.testing.assert_array_equal(spread, on)


def test_a_reference_without_a_face_says_so(run, tmp_path):
    blank = tmp_path / "blank.png"
    write_picture(blank, np.full((256, 256, 3), 90, np.uint8))
    off, _ = run("off", 0.0, blank)
    on, record = run("on", 1.0, blank)
    np.testing.assert_array_equal(on, off)
    assert any("no face is seen" in note for note in record.notes)
