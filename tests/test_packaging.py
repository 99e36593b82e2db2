"""What the package promises to installers."""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_every_extra_that_is_named_exists():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "magicpose_cli").rglob("*.py")]
    texts.append((ROOT / "README.md").read_text(encoding="utf-8"))
    named = {
        extra.strip()
        for text in texts
        for names in re.findall(r"magicpose\[([a-z, ]+)\]", text)
        for extra in names.split(",")
    }
    assert named and named <= set(EXTRAS) | {"NAME"}


def test_types_are_shipped():
    assert (ROOT / "magicpose_cli" / "py.typed").is_file()
