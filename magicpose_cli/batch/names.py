"""Settings by name, as job lists and `--set` write them: sampling.steps, or steps alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from magicpose_cli.config.option import Setting, settings_of
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError

FILES = ("reference", "driver", "out")
FIELDS = (*FILES, "preset")
SURPLUS = "\0surplus"
"""Where the csv module puts the cells beyond the last column."""

Row = dict[str, Any]


@cache
def _settings() -> dict[str, Setting]:
    """Every setting of a preset by its dotted name."""
    return {setting.name: setting for setting in settings_of(Preset)}


@cache
def _known() -> dict[str, str]:
    """Dotted names, and last names that only one section has, to dotted names."""
    dotted = list(_settings())
    last = [name.split(".")[1] for name in dotted]
    short = {name: full for name, full in zip(last, dotted, strict=True) if last.count(name) == 1}
    return {**short, **{name: name for name in dotted}}


def setting_name(text: str, also: Iterable[str] = ()) -> str:
    """The dotted name of a setting, or the text itself where it is one of `also`.

    Dashes may stand for underscores. Raises ConfigError with the nearest name.
    """
    text = text.strip()
    name = text.replace("-", "_")
    if name in (others := list(also)):
        return name
    known = _known()
    if name in known:
        return known[name]
    near = get_close_matches(name, [*known, *others], n=1)
    meant = f"did you mean {near[0]!r}?" if near else "`magicpose presets --json` lists them"
    raise ConfigError(f"{text!r}: no such setting; {meant}")


def setting_value(name: str, value: Any) -> Any:
    """Text as the type that a setting has ("7" as 7); what does not fit stays, to be refused."""
    if not isinstance(value, str):
        return value
    try:
        return _reader(name).validate_python(value)
    except ValidationError:
        return value


@cache
def _reader(name: str) -> TypeAdapter[Any]:
    annotation: Any = _settings()[name].field.annotation
    return TypeAdapter(annotation)


def with_settings(preset: Preset, settings: Mapping[str, Any]) -> Preset:
    """The preset with settings by dotted name laid over it. Raises ConfigError."""
    return preset.with_options(
        **{name.replace(".", "__"): setting_value(name, value) for name, value in settings.items()}
    )


def read_assignments(texts: Iterable[str]) -> dict[str, str]:
    """`--set` options, KEY=VALUE each, by dotted name. Raises ConfigError that lists every mistake.

    Values are checked, too: each for itself, against a preset of defaults.
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
    with_settings(Preset(), settings)
    return settings


def named_row(row: Row) -> Row:
    """A job's line with dotted names, without what is not given; tables are laid flat.

    Raises ConfigError that lists every mistake.
    """
    named: Row = {}
    mistakes = []
    for key, value in _flat(row):
        if key == SURPLUS:
            if any(value):
                mistakes.append("more values than columns; quote those that hold commas")
            continue
        try:
            name = setting_name(key, also=FIELDS)
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


def _flat(row: Row) -> Iterable[tuple[str, Any]]:
    """`{"sampling": {"steps": 4}}` as `sampling.steps`."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value
