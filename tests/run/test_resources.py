"""What one run leaves for the next, with the real detector and a tiny model."""

import numpy as np
import pytest

from magicpose_cli.animation import animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ModelError
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.run.resources import Resources
from magicpose_cli.video import probe, read_frames, read_picture, write_picture


@pytest.fixture
def preset(tiny_model) -> Preset:
    return Preset().with_options(
        model__name=str(tiny_model), model__device="cpu", sampling__steps=2, motion__end_s=0.25
    )


def pictures(folder):
    return np.stack(list(read_frames(probe(folder))))


@pytest.mark.slow
def test_two_runs_share_model_and_poses(media, preset, tmp_path, loads):
    reference, driver = media / "ref.png", media / "dance.mp4"
    with Resources() as resources:
        first = animate(reference, driver, tmp_path / "a", preset, resources=resources)
        again = animate(reference, driver, tmp_path / "b", preset, resources=resources)
    assert len(loads) == 1
    assert again.seconds["poses"] < 0.5 * first.seconds["poses"]
    assert np.array_equal(pictures(tmp_path / "a"), pictures(tmp_path / "b"))
    alone = animate(reference, driver, tmp_path / "c", preset)
    assert len(loads) == 2 and alone.motion == first.motion
    assert np.array_equal(pictures(tmp_path / "a"), pictures(tmp_path / "c"))


@pytest.mark.slow
def test_a_scheduler_of_one_run_is_not_the_next_ones(media, preset, tmp_path):
    reference, driver = media / "ref.png", media / "dance.mp4"
    preset = preset.with_options(sampling__steps=4)
    heun = preset.with_options(sampling__scheduler="heun")
    with Resources() as resources:
        animate(reference, driver, tmp_path / "plain", preset, resources=resources)
        animate(reference, driver, tmp_path / "heun", heun, resources=resources)
        animate(reference, driver, tmp_path / "again", preset, resources=resources)
    assert np.array_equal(pictures(tmp_path / "plain"), pictures(tmp_path / "again"))
    assert not np.array_equal(pictures(tmp_path / "plain"), pictures(tmp_path / "heun"))


def test_other_model_settings_load_anew(preset, loads):
    with Resources() as resources:
        one = resources.renderer(preset)
        one.result()
        assert resources.renderer(preset) is one
        other = resources.renderer(preset.with_options(model__batch_size=2))
        assert other is not one and other.result() is not one.result()
        broken = resources.renderer(preset.with_options(model__name="nowhere"))
        with pytest.raises(ModelError, match="nowhere"):
            broken.result()
        assert resources.renderer(preset.with_options(model__name="nowhere")) is not broken


@pytest.mark.slow
def test_a_changed_file_is_looked_at_again(media, preset, tmp_path):
    folder = tmp_path / "driver.png"
    write_picture(folder, read_picture(media / "ref.png"))
    with Resources() as resources:
        first = resources.people(folder, read_picture(folder), preset.motion)
        assert resources.people(folder, read_picture(folder), preset.motion) is first
        write_picture(folder, read_picture(media / "ref.png")[:, ::-1].copy(), overwrite=True)
        mirrored = resources.people(folder, read_picture(folder), preset.motion)
        assert not mirrored[0].equals(first[0])
        driver = open_driver(media / "dance.mp4", preset.motion)
        seen = resources.detections(driver, preset.motion)
        assert resources.detections(driver, preset.motion) is seen
        every = preset.motion.model_copy(update={"every": 2})
        assert len(resources.detections(open_driver(media / "dance.mp4", every), every).people) == 1
