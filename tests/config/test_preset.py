import re

import pytest

from magicpose_cli.config.preset import Preset, list_presets, load_preset
from magicpose_cli.errors import ConfigError


def test_shipped_presets_are_valid_and_described():
    presets = list_presets()
    assert {"mini", "magicpose", "fast", "lowvram"} <= presets.keys()
    assert all(preset.description for preset in presets.values())
    released = presets["magicpose"]
    assert released.steps_for(1) == 50 and released.sampling.guidance == 7.0
    assert released.size_for(1) == (512, 512)


def test_hyper_sd_gets_trailing_timesteps_and_keeps_its_guidance():
    preset = load_preset("hyper")
    assert list(preset.model.lora) == ["hyper-sd-8"]
    sampling = preset.sampling
    assert (preset.steps_for(50), sampling.guidance) == (8, 7.0)
    assert sampling.timestep_spacing == "trailing"


def test_every_mistake_is_named_with_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'description = 3\nspeed = 1\n[sampling]\nsteps = "x"\ngudance = 3\nguidance = 0.2\n'
        '[frame]\nsize = 513\nfit = "squeeze"\n[motion]\nevery = 0\n[output]\naudio = "yes"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_preset(str(path))
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for place in (
        "description", "speed: no such setting", "sampling.steps", "sampling.gudance: no such",
        "sampling.guidance: 0.2", "frame.size: 513", "frame.fit: 'squeeze'", "motion.every: 0",
        "output.audio",
    ):  # fmt: skip
        assert place in message


@pytest.mark.parametrize(("key", "named"), [(r"si\u001b[2Kze", r"si\x1b[2Kze"), ("a[b]", "a[b]")])
def test_an_unknown_key_is_named_whatever_is_in_it(tmp_path, key, named):
    path = tmp_path / "mine.toml"
    path.write_text(f'[frame]\n"{key}" = 3\n')
    with pytest.raises(ConfigError) as caught:
        load_preset(str(path))
    assert f"frame.{named}: no such setting" in str(caught.value)


@pytest.mark.parametrize("text", [b"[sampling\n", b"\xff\xfe", b"steps = 1 = 2"])
def test_what_is_no_toml_is_refused(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_preset(str(path))


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match="fast, hyper, lowvram, magicpose, mini"):
        load_preset("quick")
    with pytest.raises(ConfigError, match="there is no such file; expected one of fast"):
        load_preset("quick.toml")


def test_a_path_is_a_name_too_and_editors_may_mark_their_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[sampling]\nseed = 7\n", encoding="utf-8-sig")
    assert load_preset(path).sampling.seed == load_preset(str(path)).sampling.seed == 7


def test_options_lie_over_the_preset_and_none_is_not_typed():
    preset = load_preset("magicpose").with_options(sampling__steps="8", sampling__seed=None)
    assert preset.steps_for(50) == 8
    assert preset.sampling.seed == Preset().sampling.seed
    assert preset.sampling.guidance == 7.0
    with pytest.raises(ConfigError, match=r"options: motion\.fps \(--fps\): -1"):
        preset.with_options(motion__fps=-1.0)
    for wrong in ("seed", "foo__seed", "sampler__seed"):
        with pytest.raises(ConfigError, match=f"{wrong}: .* did you mean 'sampling__seed'"):
            preset.with_options(**{wrong: 7})


def test_steps_may_be_a_share_of_the_models_own():
    share = Preset().with_options(sampling__steps="40%")
    assert [share.steps_for(n) for n in (50, 10, 1)] == [20, 4, 1]
    assert Preset().steps_for(50) == 50


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sampling]\nstep = 3\n", "sampling.step: no such setting; did you mean 'steps'?"),
        ("[sampler]\nsteps = 3\n", "sampler: no such setting; did you mean 'sampling'?"),
        ("sampling = 3\n", "sampling: 3: expected a table of settings"),
    ],
)
def test_a_mistyped_setting_has_its_nearest_name(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_preset(str(path))


@pytest.mark.parametrize("device", ["banana", "cuda:", "CPU", ""])
def test_a_device_of_no_known_kind_is_refused(device):
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda, cuda:N or mps"):
        Preset().with_options(model__device=device)


@pytest.mark.parametrize(("text", "size"), [("512x768", (512, 768)), (256, (256, 256))])
def test_sizes(text, size):
    assert Preset().with_options(frame__size=text).size_for(64) == size
    assert Preset().size_for(64) == (64, 64)


@pytest.mark.parametrize(
    ("size", "picture", "expected"),
    [
        (None, (614, 922), (512, 768)),  # a person from head to foot
        (None, (1080, 1920), (512, 912)),
        (None, (1920, 1080), (912, 512)),
        (None, (700, 700), (512, 512)),
        (None, (514, 512), (512, 512)),
        (None, (100, 900), (512, 1536)),  # a strip is cropped
        (256, (614, 922), (256, 384)),
        ("256x256", (614, 922), (256, 256)),
        ("512x768", (700, 700), (512, 768)),
    ],
)
def test_one_number_is_the_short_side_in_the_shape_of_the_reference(size, picture, expected):
    preset = Preset().with_options(frame__size=size)
    assert preset.size_for(512, picture) == expected


@pytest.mark.parametrize(
    ("size", "picture", "expected"),
    [
        (None, (614, 922), (256, 384)),
        (720, (1920, 1080), (456, 256)),
        ("512x768", (614, 922), (256, 256)),
        (None, (700, 700), (256, 256)),
    ],
)
def test_the_network_keeps_its_own_side_beneath_a_warped_result(size, picture, expected):
    preset = Preset().with_options(frame__size=size)
    assert preset.network_size_for(picture, 256) == expected


@pytest.mark.parametrize(
    ("size", "picture", "expected"),
    [
        (None, (1920, 1080), (910, 512)),  # the reference's aspect at 512
        (None, (1080, 1920), (512, 910)),
        (None, (333, 256), (332, 256)),  # no larger than the reference, even sides
        (None, (200, 100), (512, 256)),  # but at least the network's own
        (None, (1001, 501), (1000, 500)),
        (None, (4000, 2), (768, 256)),  # a strip is cropped
        (720, (1920, 1080), (1280, 720)),
        ("128", (333, 256), (166, 128)),
        ("512x768", (1920, 1080), (512, 768)),
    ],
)
def test_sizes_of_a_warped_result(size, picture, expected):
    assert Preset().with_options(frame__size=size).warped_size_for(picture, 256) == expected


def test_the_warp_is_left_to_the_model_unless_it_is_asked_for():
    frame = Preset().frame
    assert (frame.warp, frame.warp_strength, frame.secondary_motion) == ("auto", 1.0, True)
    assert Preset().sampling.start_from_warp is None


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"frame__warp": "maybe"}, "frame.warp (--warp): 'maybe'"),
        ({"frame__warp_strength": 1.5}, "frame.warp_strength (--warp-strength): 1.5"),
        ({"sampling__start_from_warp": 0.0}, "sampling.start_from_warp (--start-from-warp): 0.0"),
        ({"sampling__start_from_warp": 1.1}, "sampling.start_from_warp (--start-from-warp): 1.1"),
    ],
)
def test_a_wrong_setting_of_the_warp_is_named(options, place):
    with pytest.raises(ConfigError) as caught:
        Preset().with_options(**options)
    assert place in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_what_json_cannot_hold_is_refused(value: float) -> None:
    for name in ("end_s", "max_gap_s"):
        with pytest.raises(ConfigError, match=rf"motion\.{name} \(--\S+\): (inf|nan): .*finite"):
            Preset().with_options(**{f"motion__{name}": value})
