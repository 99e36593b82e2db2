"""The command-line option of a setting, written in the annotation of the setting's field.

A setting is one field of a preset. Its type, range and default are the field's; the first paragraph
of its docstring is its line in `--help`, the rest is for the documentation alone.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Option:
    """A field's option, to be written in its annotation.

    Attributes:
        names: Such as "--size", or "--follow/--no-follow" for yes and no.
        panel: Of `--help`.
        metavar: Stands for the value in `--help`; a field of few values lists them itself.
        short: Its one-letter form, such as "-m".
        completes: What the shell offers, "models" or nothing.
    """

    names: str
    panel: str
    metavar: str | None = None
    short: str | None = None
    completes: Literal["", "models"] = ""

    @property
    def name(self) -> str:
        """The one that says yes, such as "--follow"."""
        return self.names.split("/")[0]


@dataclass(frozen=True)
class Setting:
    """One field of a preset, read once for options, job lists and documentation.

    Attributes:
        name: Dotted, such as "frame.size".
        field: Of the preset's section.
        option: None for a setting that has no option.
        choices: All its values where they are few.
        kind: The type that a command line reads.
    """

    name: str
    field: FieldInfo
    option: Option | None
    choices: tuple[str, ...]
    kind: type[bool] | type[int] | type[float] | type[str] | type[list[str]]

    @property
    def key(self) -> str:
        """The name for `Tables.with_options`, such as "frame__size"."""
        return self.name.replace(".", "__")

    @property
    def help(self) -> str:
        """One paragraph, with the default where it is more than "no" or "the model's own"."""
        text = " ".join((self.field.description or "").split("\n\n")[0].split())
        default = self.field.default
        if default is None or default is False or default in ("", []):
            return text
        shown = {True: "on"}.get(default, default) if isinstance(default, bool) else default
        return f"{text.removesuffix('.')} (default: {shown})."

    @property
    def description(self) -> str:
        """All paragraphs, in one line."""
        return " ".join((self.field.description or "").split())

    @property
    def metavar(self) -> str | None:
        """The word that stands for the value in `--help`."""
        if self.kind is bool:
            return None
        return "|".join(self.choices) or (self.option.metavar if self.option else None)


def settings_of(tables: type[BaseModel]) -> Iterator[Setting]:
    """List all settings of the sections of a file, in their order."""
    for section, table in tables.model_fields.items():
        if isinstance(table.annotation, type) and issubclass(table.annotation, BaseModel):
            for name, field in table.annotation.model_fields.items():
                option = next((m for m in field.metadata if isinstance(m, Option)), None)
                yield Setting(
                    f"{section}.{name}", field, option, _choices(field.annotation),
                    _kind(field.annotation),
                )  # fmt: skip


def _choices(annotation: Any) -> tuple[str, ...]:
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _kind(annotation: Any) -> Any:
    """Return the type that a command line reads for a field; text where several are allowed."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = {_kind(arg) for arg in get_args(annotation) if arg is not types.NoneType}
        return kinds.pop() if len(kinds) == 1 else str
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    if get_origin(annotation) is list:
        return list[str]
    return annotation if annotation in (bool, int, float) else str
