"""Settings in TOML: strict sections, and every mistake said in one line with its path."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from magicpose_cli.config.option import Option
from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPTIONS = "options"  # the source of settings that were typed, as messages name it
MAX_TOML_BYTES = 1 << 20
DEEP_KEY = re.compile(r"""(([\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""")
"""A key of so many keys; tomllib takes hours for one of thousands."""


class Section(BaseModel):
    """A table of settings: unknown names are refused, values not converted, fields frozen."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,  # JSON knows neither
        use_attribute_docstrings=True,
        defer_build=True,  # `--help` needs the fields alone
    )


class Tables(Section):
    """A whole file: sections by name."""

    def with_options(self, **options: Any) -> Self:
        """Return a copy with options, `section__name=value`, laid over it; None is not given.

        Raises:
            ConfigError: Options are wrong; the message names all of them.
        """
        data = self.model_dump()
        for key, value in options.items():
            if value is not None:
                section, _, name = key.partition("__")
                if not isinstance(data.get(section), dict) or not name:
                    raise ConfigError(_no_such_option(key, data))
                data[section][name] = value
        return validated(type(self), data, OPTIONS)


AnySection = TypeVar("AnySection", bound=Section)


def _no_such_option(key: str, data: Mapping[str, Any]) -> str:
    """What to say of an option that names no section; data: the values of all sections."""
    sections = {section: values for section, values in data.items() if isinstance(values, dict)}
    known = {name: f"{section}__{name}" for section, values in sections.items() for name in values}
    said = no_such_setting(key.rpartition("__")[2], known, "expected section__name")
    return f"{OPTIONS}: {key}: {said}"


def no_such_setting(name: str, known: Mapping[str, str], otherwise: str = "") -> str:
    """What to say of a name that no setting has.

    Args:
        name: What was written.
        known: The names that may be meant, and how each is shown.
        otherwise: What to say where none is near.
    """
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {known[near[0]]!r}?" if near else otherwise
    return f"no such setting; {meant}" if meant else "no such setting"


def presets_folder() -> Path:
    """Return the folder of the presets that ship with the program; recipes lie in `training/`."""
    inside = Path(__file__).parent.parent / "presets"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "presets"


def find_toml(name: str, folder: Path, kind: str) -> Path:
    """Find a file that ships in this folder by its name, or any TOML file by its path.

    Raises:
        ConfigError: There is no such `kind` of file.
    """
    path = folder / f"{name}.toml"
    if name.endswith(".toml") or "/" in name or "\\" in name or not path.is_file():
        path = expanded(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        lacks = " there is no such file;" if name.endswith(".toml") else ""
        raise ConfigError(
            f"{kind} {name!r}:{lacks} expected one of {known}, or the path of a TOML file"
        )
    return path


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises:
        ConfigError: The file cannot be used; the message calls it a `kind`.
    """
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise ConfigError(f"{kind} {path}: larger than 1 MB; expected a short TOML file")
        text = path.read_text(encoding="utf-8-sig")
        if deep := DEEP_KEY.search(text):
            raise ConfigError(f"{kind} {path}: nested too deep: {deep[0][:30]}...")
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{kind} {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{kind} {path}: no UTF-8 text; expected TOML") from error
    except (ValueError, RecursionError) as error:  # also numbers and nesting without end
        raise ConfigError(f"{kind} {path}: no valid TOML: {error}") from error


def validated(kind: type[AnySection], data: dict[str, Any], origin: str) -> AnySection:
    """Check settings against their types.

    Args:
        kind: What the settings become.
        data: As TOML or options have them.
        origin: What the message names as their source.

    Raises:
        ConfigError: Settings are wrong; the message lists every mistake with its path.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{_name_of(kind, place, origin == OPTIONS)}: "
            f"{_said(e, list(_fields_beside(kind, place)))}"
            for place, e in _first_of_each(error).items()
        )
        raise ConfigError(f"{origin}: {mistakes}") from error


def _first_of_each(error: ValidationError) -> dict[tuple[str | int, ...], Any]:
    """One complaint a setting, by its path: a union complains once for each of its members."""
    seen: dict[tuple[str | int, ...], Any] = {}
    for e in error.errors():
        unknown = e["loc"][-1:] if e["type"] == "extra_forbidden" else ()  # a key of the user's own
        known = e["loc"][: len(e["loc"]) - len(unknown)]
        place = tuple(part for part in known if not _is_type_tag(part))
        seen.setdefault((*place, *unknown), e)
    return seen


def _is_type_tag(part: str | int) -> bool:
    """Pydantic names a union's member in the path (str, int, function-after[...])."""
    return isinstance(part, str) and (part in ("str", "int") or "[" in part)


def _name_of(kind: type[BaseModel], place: tuple[str | int, ...], typed: bool) -> str:
    """A setting's path, and the option with which it was typed: motion.start_s (--start)."""
    path = ".".join(map(str, place))
    if not typed:
        return path
    field = _fields_beside(kind, place).get(str(place[-1])) if place else None
    options = [each for each in (field.metadata if field else ()) if isinstance(each, Option)]
    return f"{path} ({options[0].name})" if options else path


def _fields_beside(kind: type[BaseModel], place: tuple[str | int, ...]) -> dict[str, FieldInfo]:
    """The settings beside one and itself, by its path; none below what is no section."""
    for part in place[:-1]:
        field = kind.model_fields.get(str(part))
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return {}
        kind = field.annotation
    return dict(kind.model_fields)


def _said(error: Any, known: list[str]) -> str:
    if error["type"] == "extra_forbidden":
        return no_such_setting(str(error["loc"][-1]), {name: name for name in known})
    if error["type"] == "model_type":
        return f"{error['input']!r}: expected a table of settings"
    if error["type"] == "value_error":
        return f"{error['input']!r}: {error['ctx']['error']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{error['input']!r}: {message}"
