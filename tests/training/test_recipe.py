"""Recipes: strict, told in one line, and all that ship are valid."""

import pytest

from magicpose_cli.config.sections import presets_folder
from magicpose_cli.errors import ConfigError
from magicpose_cli.training.recipe import load_recipe

SHIPPED = (
    "ablation",
    "distill",
    "distill-small",
    "magicpose",
    "magicpose-geometry",
    "magicpose-identity",
    "magicpose-motion",
    "mini",
    "mini-cpu",
    "mini-geometry",
    "mini-half",
    "mini-identity",
    "mini-motion",
    "mini-reference-pose",
    "mini-reference-start",
    "mini-rendered",
    "mini-small-motions",
    "mini-compositor",
    "mini-compositor-small-motions",
    "mini-steps",
    "toy",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_valid(name):
    recipe = load_recipe(name)
    assert recipe.models() and recipe.description


def test_all_that_ships_is_listed_here():
    names = {path.stem for path in (presets_folder() / "training").glob("*.toml")}
    assert names - {"dataset"} == set(SHIPPED)


def test_the_defaults_are_the_papers():
    recipe = load_recipe("magicpose")
    appearance, pose = recipe.stages.values()
    assert (recipe.model.size, appearance.learning_rate, pose.learning_rate) == (512, 1e-4, 1e-4)
    assert (appearance.batch * appearance.accumulate, appearance.steps) == (192, 10_000)
    assert (pose.batch * pose.accumulate, pose.steps) == (16, 20_000)
    assert appearance.parts == ("appearance_unet",)
    assert pose.parts == ("appearance_unet", "pose_controlnet")


def test_variants_share_their_beginning():
    models = load_recipe("ablation").models()
    assert models["full"].order == models["without-image-cfg"].order
    assert models["full"].order[:3] == models["without-disentangling"].order[:3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stages.a]\nkind = 'joint'\n", "expected either steps or minutes"),
        ("[stages.a]\nkind = 'joint'\nsteps = 1\nminutes = 1.0\n", "either steps or minutes"),
        ("[stages.a]\nkind = 'dance'\nsteps = 1\n", "stages.a.kind: 'dance'"),
        ("order = ['b']\n[stages.a]\nkind = 'pose'\nsteps = 1\n", "'b', which is no stage"),
        ("[stages]\n", "expected at least one table"),
        ("[stages.a]\nkind = 'pose'\nsteps = 1\nspeed = 3\n", "stages.a.speed: no such setting"),
        ("[model]\nsize = 100\n[stages.a]\nkind = 'pose'\nsteps = 1\n", "model.size: 100"),
        (
            "[model.network]\nwidths = [10, 20]\n[stages.a]\nkind = 'pose'\nsteps = 1\n",
            "as many values in attention as in widths",
        ),
    ],
)
def test_mistakes_are_named(tmp_path, text, said):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_recipe(str(tmp_path / "r.toml"))
    assert "\n" not in str(caught.value)


def test_typed_options_win():
    recipe = load_recipe("magicpose", data__source="films", model__start=None)
    assert (recipe.data.source, recipe.model.start) == ("films", "sd15")


FORMER = """
[data]
renew_every = 3
[stages.a]
kind = "pose"
steps = 5
rate = 2e-3
drop = 0.25
noise_bias = 2.0
"""


def test_former_keys_are_read_and_mean_the_same_recipe(tmp_path):
    now = FORMER
    for former, name in (
        ("renew_every", "resample_every"),
        ("rate", "learning_rate"),
        ("drop", "cond_dropout"),
        ("noise_bias", "timestep_bias"),
    ):
        now = now.replace(f"\n{former} =", f"\n{name} =")
    (tmp_path / "former.toml").write_text(FORMER)
    (tmp_path / "now.toml").write_text(now)
    former, recipe = (load_recipe(str(tmp_path / f"{name}.toml")) for name in ("former", "now"))
    stage = recipe.stages["a"]
    assert (stage.learning_rate, stage.cond_dropout, stage.timestep_bias) == (2e-3, 0.25, 2.0)
    assert recipe.data.resample_every == 3
    assert former == recipe and former.fingerprint() == recipe.fingerprint()
    # of the version that knew the former keys alone: a training begun with it goes on
    assert recipe.fingerprint() == "528fa1c13fb9dd5a"


def test_a_key_is_given_once(tmp_path):
    (tmp_path / "both.toml").write_text(FORMER + "learning_rate = 1e-3\n")
    with pytest.raises(ConfigError, match=r"stages\.a\.rate: no such setting"):
        load_recipe(str(tmp_path / "both.toml"))


def test_a_wrong_value_is_named_by_the_key_that_was_written(tmp_path):
    (tmp_path / "wrong.toml").write_text(FORMER.replace("rate = 2e-3", "learning_rate = -1.0"))
    with pytest.raises(ConfigError, match=r"stages\.a\.learning_rate: -1\.0"):
        load_recipe(str(tmp_path / "wrong.toml"))


def test_only_what_decides_on_the_numbers_identifies_a_recipe():
    recipe = load_recipe("toy")
    assert recipe.model_copy(update={"keep": 5}).fingerprint() == recipe.fingerprint()
    assert recipe.model_copy(update={"seed": 5}).fingerprint() != recipe.fingerprint()
