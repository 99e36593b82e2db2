"""Settings by name, as job lists and `--set` write them: sampling.steps, or steps alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from magicpose_cli.config.option import Setting, settings_of
from magicpose_cli.config.preset import Preset
from magicpose_cli.config.sections import no_such_setting
from magicpose_cli.errors import ConfigError

JOB_FILES = ("reference", "driver", "out")
JOB_FIELDS = (*JOB_FILES, "preset")
SURPLUS_CELLS = "\0surplus"
"""The key under which the csv module puts the cells beyond the last column."""

JobRow = dict[str, Any]


@cache
def _settings() -> dict[str, Setting]:
    """Return every setting of a preset by its dotted name."""
    return {setting.name: setting for setting in settings_of(Preset)}


@cache
def _known() -> dict[str, str]:
    """Return dotted names, last parts of them that only one section has, and names of options."""
    dotted = list(_settings())
    last = [name.split(".")[1] for name in dotted]
    short = {name: full for name, full in zip(last, dotted, strict=True) if last.count(name) == 1}
    options = {
        setting.option.name.strip("-").replace("-", "_"): name
        for name, setting in _settings().items()
        if setting.option is not None
    }
    return {**options, **short, **{name: name for name in dotted}}


def setting_name(text: str, also: Iterable[str] = ()) -> str:
    """Return the dotted name of a setting; a text that is one of `also` is returned itself.

    Dashes count as underscores.

    Raises:
        ConfigError: There is no such setting; the message has the nearest name.
    """
    text = text.strip()
    name = text.replace("-", "_")
    if name in (others := list(also)):
        return name
    known = _known()
    if name in known:
        return known[name]
    shown = {each: each for each in (*known, *others)}
    said = no_such_setting(name, shown, "`magicpose presets --json` lists them")
    raise ConfigError(f"{text!r}: {said}")


def setting_value(name: str, value: Any) -> Any:
    """Convert text to a setting's type ("7" to 7); text that does not fit is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return _reader(name).validate_python(value.strip())
    except ValidationError:
        return value


@cache
def _reader(name: str) -> TypeAdapter[Any]:
    annotation: Any = _settings()[name].field.annotation
    return TypeAdapter(annotation)


def preset_with_settings(preset: Preset, settings: Mapping[str, Any]) -> Preset:
    """Lay settings by dotted name over a preset.

    Raises:
        ConfigError: A setting does not fit.
    """
    return preset.with_options(
        **{name.replace(".", "__"): setting_value(name, value) for name, value in settings.items()}
    )


def read_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Read `--set` options, KEY=VALUE each, by dotted name.

    Each value is checked by itself, against a preset of defaults.

    Raises:
        ConfigError: Options are wrong; the message lists every mistake.
    """
    settings: dict[str, str] = {}
    mistakes = []
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            if not equals or not value:
                raise ConfigError(f"{text!r}; expected KEY=VALUE such as steps=20")
            settings[setting_name(key)] = value
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError(f"--set: {'; '.join(mistakes)}")
    preset_with_settings(Preset(), settings)
    return settings


def named_row(row: JobRow) -> JobRow:
    """Return a job's row with dotted names and without empty values; tables are flattened.

    Raises:
        ConfigError: Names are wrong; the message lists every mistake.
    """
    named: JobRow = {}
    mistakes = []
    for key, value in _flat(row):
        if key == SURPLUS_CELLS:
            if any(value):
                mistakes.append("more values than columns; quote those that hold commas")
            continue
        try:
            name = setting_name(key, also=JOB_FIELDS)
        except ConfigError as error:
            mistakes.append(str(error))
            continue
        if value is None or value == "":
            continue
        if name in named:
            mistakes.append(f"{name}: given twice")
        named[name] = value
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return named


def _flat(row: JobRow) -> Iterable[tuple[str, Any]]:
    """Flatten `{"sampling": {"steps": 4}}` to `sampling.steps`."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value
