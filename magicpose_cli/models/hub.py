"""What the table leaves open, asked from the hub before anything is fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPException
from pathlib import PurePosixPath
from typing import Any

from magicpose_cli.errors import ModelError
from magicpose_cli.models.catalog import CATALOG, Entry, RemoteFile
from magicpose_cli.models.installed import entry_of, is_hub_id, models_home
from magicpose_cli.models.trust import Trusted, trusted

_PLAIN = (".json", ".txt", ".safetensors")  # data alone: neither code nor pickles
VARIANTS = (".fp16.", ".bf16.", ".non_ema.")  # of a file that is there without the mark, too


def asked(name: str) -> Entry:
    """An entry of the catalog, or a repository ORG/NAME, with sizes, revisions and known hashes.

    What has been here before is asked for in the revision that it had then. Raises ConfigError for
    an unknown name, ModelError where the hub cannot be asked.
    """
    known = trusted(models_home())
    if name not in CATALOG and is_hub_id(name):
        return _repository(name, known)
    entry = entry_of(name)
    files = [_as_known(file, known) for file in entry.files]
    listings: dict[tuple[str, str], Any] = {}
    for at, file in enumerate(files):
        if file.repository and (file.size is None or not file.revision):
            place = (file.repository, file.revision)
            if place not in listings:
                listings[place] = _listing(*place)
            files[at] = _as_listed(file, listings[place])
    return replace(entry, files=tuple(files))


def _repository(name: str, known: dict[str, Trusted]) -> Entry:
    """All data of a repository that diffusers would read."""
    pinned = {row.revision for key, row in known.items() if key.startswith(f"{name}/")}
    listing = _listing(name, pinned.pop() if len(pinned) == 1 else "")
    names = {row.rfilename for row in listing.siblings or ()}
    has_index = "model_index.json" in names
    wanted = sorted(path for path in names if _is_wanted(path, names, has_index))
    if not any(path.endswith(".safetensors") for path in wanted):
        raise ModelError(
            f"{name}: holds no .safetensors; expected a model as diffusers saves it (pickled "
            "weights are not fetched)"
        )
    told = getattr(listing, "card_data", None)
    license = (told.get("license") if told is not None else None) or "not told"
    files = (_as_listed(RemoteFile(path, repository=name), listing) for path in wanted)
    files = (_as_known(file, known) for file in files)
    return Entry(f"{name} on the hub", str(license), tuple(files), kind="repository")


def _is_wanted(path: str, names: set[str], has_index: bool) -> bool:
    is_hidden = path.startswith(".") and not path.startswith("..")  # a way up is refused, and told
    if PurePosixPath(path).suffix not in _PLAIN or is_hidden:
        return False
    if any(mark in path and path.replace(mark, ".") in names for mark in VARIANTS):
        return False
    # Beside a whole pipeline, weights at the top are the same once more in a single file.
    return not (has_index and "/" not in path and path.endswith(".safetensors"))


def _as_known(file: RemoteFile, known: dict[str, Trusted]) -> RemoteFile:
    """The file as it came first; what the table itself says stands above that."""
    row = known.get(file.identity)
    if row is None:
        return file
    return replace(
        file,
        size=row.size if file.size is None else file.size,
        sha256=file.sha256 or row.sha256,
        revision=file.revision or row.revision,
    )


def _as_listed(file: RemoteFile, listing: Any) -> RemoteFile:
    """With size, commit and, of large files, the hash that the hub keeps itself."""
    path = file.path or file.name
    row = next((row for row in listing.siblings or () if row.rfilename == path), None)
    if row is None:
        raise ModelError(
            f"{path}: {file.repository} does not hold it any more; the catalog of a newer "
            "magicpose may know where it is"
        )
    return replace(
        file,
        size=row.size if file.size is None else file.size,
        sha256=file.sha256 or (row.lfs.sha256 if row.lfs else ""),
        revision=file.revision or listing.sha or "",
    )


def _listing(repository: str, revision: str) -> Any:
    """What the hub says of a repository. Raises ModelError, also for what is no such answer."""
    import huggingface_hub

    try:
        with told(repository):
            listing = huggingface_hub.HfApi().model_info(
                repository, revision=revision or None, files_metadata=True, timeout=30
            )
        sizes = [row.size for row in listing.siblings or ()]
        hashes = [row.lfs.sha256 for row in listing.siblings or () if row.lfs]
        texts = [*(row.rfilename for row in listing.siblings or ()), *hashes, listing.sha or ""]
        if all(isinstance(text, str) for text in texts) and all(
            size is None or (isinstance(size, int) and size >= 0) for size in sizes
        ):
            return listing
        reason = "it lists no files as a hub does"
    except (TypeError, ValueError, LookupError, AttributeError) as error:  # the client trusts it
        reason = " ".join(str(error).split())[:200]
    raise ModelError(
        f"{repository} cannot be fetched ({reason}); expected the ORG/NAME of a model and a hub's "
        "address in HF_ENDPOINT"
    )


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """What goes wrong on the way here, in one line; what came so far is kept."""
    from huggingface_hub import errors
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    http_error: Any = vars(errors)["HTTPError"]  # of the client that the hub's library uses
    try:
        yield
    except (OSError, HTTPException, http_error) as error:
        cause = error.__cause__ or error  # the hub's client guesses what it means
        reason = str(cause).partition("For more information")[0]
        reason = " ".join(reason.split())[:200] or type(cause).__name__
        status = getattr(getattr(cause, "response", None), "status_code", None)
        way = "run the command again to go on, or put the file there by hand"
        if status in (401, 403):
            way = "accept its terms on its page and set HF_TOKEN, or run `hf auth login`"
        elif isinstance(error, (OfflineModeIsEnabled, LocalEntryNotFoundError)) and _offline():
            reason, way = "HF_HUB_OFFLINE is set", "unset it to fetch"
        raise ModelError(f"{what} cannot be fetched ({reason}); {way}") from error


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
