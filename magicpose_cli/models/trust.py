"""What came first is what must come again: revision, size and hash of files without a known hash.

The record outlives the files, so that one that is fetched anew is compared with the first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from magicpose_cli.errors import ModelError
from magicpose_cli.files import write_json

RECORD = "trusted.json"  # in the folder of models


@dataclass(frozen=True)
class Trusted:
    """What is known of a file from the first time it came."""

    size: int
    sha256: str
    revision: str = ""


def trusted(home: Path) -> dict[str, Trusted]:
    """Everything on record, by `RemoteFile.identity`. Raises ModelError for a damaged record."""
    path = home / RECORD
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Trusted(**row) for name, row in rows.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: the record of trusted files cannot be read; mend it, or delete it to trust "
            "anew what comes next"
        ) from error


def trust(home: Path, identity: str, file: Trusted) -> None:
    """Put a file on record, in one step."""
    rows = {**trusted(home), identity: file}
    write_json(home / RECORD, {name: asdict(row) for name, row in sorted(rows.items())})
