"""Options are made from the fields of a preset, one for each."""

import pytest
import typer

from magicpose_cli.cli.app import app
from magicpose_cli.cli.options import OPTIONS_BY_NAME, setting_options
from magicpose_cli.config.preset import Preset

ANIMATE = typer.main.get_command(app).commands["animate"]
BY_KEY = {option.name: option for option in ANIMATE.params}


@pytest.mark.parametrize("name", OPTIONS_BY_NAME)
def test_a_setting_is_an_option(name):
    setting = OPTIONS_BY_NAME[name]
    option = BY_KEY[setting.key]
    assert setting.option is not None and option.opts[0] == setting.option.names.split("/")[0]
    assert option.help == setting.help and len(setting.help) > 10
    assert option.default is None  # which stands in the preset


@pytest.mark.parametrize(
    ("line", "section", "value"),
    [
        ("--crf 3", "output", {"crf": 3}),
        ("--guidance-from 0.2", "sampling", {"guidance_from": 0.2}),
        ("--no-audio", "output", {"audio": False}),
        ("--lora a.safetensors --lora b:0.5", "model", {"lora": ["a.safetensors", "b:0.5"]}),
        ("--steps 40%", "sampling", {"steps": "40%"}),
        ("--warp off", "frame", {"warp": "off"}),
        ("--no-follow", "motion", {"follow": False}),
    ],
)
def test_what_is_typed_is_set(line, section, value):
    reached = []

    @setting_options("model", "sampling", "frame", "motion", "output")
    def command(typed):
        reached.append(Preset().with_options(**typed))

    own = typer.Typer()
    own.command()(command)
    typer.main.get_command(own).main(line.split(), standalone_mode=False)
    untouched = getattr(Preset(), section).model_dump()
    assert getattr(reached[0], section).model_dump() == {**untouched, **value}


def test_what_is_not_asked_for_is_no_option():
    @setting_options("motion", without=["motion.driver_kind"])
    def command(typed):
        """Does nothing."""

    own = typer.Typer()
    own.command()(command)
    names = {option.name for option in typer.main.get_command(own).params}
    assert "motion__smooth" in names and "motion__driver_kind" not in names
    assert not any(name.startswith("model__") for name in names)


def test_few_values_are_offered_to_the_shell():
    offered = BY_KEY["motion__retarget"].shell_complete
    words = [item.value for item in offered(typer.Context(ANIMATE), "a")]
    assert words == ["align", "auto"]
