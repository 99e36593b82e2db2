"""What a preset, a model and a reference come to."""

from dataclasses import asdict

import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
from magicpose_cli.errors import ConfigError

OWN = ModelDefaults(sample_size=256, default_steps=10, default_guidance=1.5, keep_background=True)


def resolved(defaults=OWN, reference_size=None, driver_kind="video", finds_person=True, **options):
    return resolve_settings(
        Preset().with_options(**options),
        defaults,
        reference_size=reference_size,
        driver_kind=driver_kind,
        finds_person=finds_person,
    )


def test_defaults_are_picked_out_of_an_index():
    index = {"_class_name": "MagicPosePipeline", "unet": ["diffusers", "X"], **asdict(OWN)}
    assert ModelDefaults.of(index) == OWN
    assert ModelDefaults.of({}) == ModelDefaults()


def test_the_model_decides_what_the_preset_leaves_open():
    found = resolved()
    assert (found.steps, found.guidance, found.size) == (10, 1.5, (256, 256))
    assert found.network_size == found.size and not found.warp and found.trusts_network
    asked = resolved(sampling__steps="40%", sampling__guidance=3.0, frame__size="128x64")
    assert (asked.steps, asked.guidance, asked.size) == (4, 3.0, (128, 64))


def test_a_warped_result_is_larger_than_the_networks_frames():
    found = resolved(reference_size=(600, 1200), frame__warp="on")
    assert found.warp and found.size == (512, 1024) and found.network_size == (256, 512)
    off = resolved(ModelDefaults(warp=True), frame__warp="off")
    assert not off.warp and off.size == off.network_size and not off.trusts_network


def test_a_default_alone_is_no_reason_to_look_for_the_person():
    assert resolved().keep_background and not resolved(finds_person=False).keep_background
    assert resolved(finds_person=False, frame__keep_background=True).keep_background
    assert not resolved(frame__keep_background=False).keep_background


@pytest.mark.parametrize(
    ("driver_kind", "options", "message"),
    [
        ("pose-maps", {"frame__warp": "on"}, "pose maps are pictures"),
        ("pose-maps", {"sampling__start_from_warp": 0.5}, "pose maps are pictures"),
        ("video", {"sampling__start_from_warp": 0.5, "frame__warp": "off"}, "leave out one"),
        ("video", {"frame__camera_motion": "on"}, "this result is not warped"),
        ("video", {"frame__camera_motion": "on", "frame__warp": "on"}, "draws the background"),
    ],
)
def test_what_contradicts_itself_is_one_line(driver_kind, options, message):
    with pytest.raises(ConfigError, match=message):
        resolved(driver_kind=driver_kind, **options)
    moving = {"frame__camera_motion": "on"}
    assert resolved(ModelDefaults(warp=True), **moving).warp
    with pytest.raises(ConfigError, match="paste-back keeps"):
        resolved(ModelDefaults(warp=True), frame__paste_back=True, **moving)
    by_itself = resolved(ModelDefaults(warp=True), driver_kind="pose-maps")
    assert not by_itself.warp
