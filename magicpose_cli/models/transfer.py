"""Bring files here and check them: a file gets its name only once its size and hash are right."""

from __future__ import annotations

import shutil
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from magicpose_cli.errors import ModelError
from magicpose_cli.files import content_hash
from magicpose_cli.models.catalog import Entry, RemoteFile
from magicpose_cli.models.hub import asked, told
from magicpose_cli.models.installed import (
    UNFINISHED_FOLDER,
    entry_of,
    is_hub_id,
    models_home,
    weights_folder,
)
from magicpose_cli.models.trust import Trusted, trust, trusted
from magicpose_cli.progress import OnProgress, Progress, silent

_READ_BYTES = 1 << 20  # bytes read at a time
TIMEOUT_S = 30.0  # without a single byte
SPARE_BYTES = 64 << 20  # bytes that a disk is to keep


def fetch(name: str, on_progress: OnProgress = silent, entry: Entry | None = None) -> Path:
    """Bring the files of an entry or of a hub's ORG/NAME, as far as they are not there already.

    entry: what `asked` has said of it. Returns the folder. A file with a wrong hash is deleted, be
    it a new one or one that lay there; what an interrupted download left is taken up again; the
    hash of a file that came for the first time is trusted from then on. Progress is in megabytes.
    Raises ModelError.
    """
    entry, folder = entry or asked(name), weights_folder(name)
    unfinished = folder / UNFINISHED_FOLDER
    before = 0  # bytes of the files that are done

    def on_bytes(count: int) -> None:
        megabytes = (before + count) // 1_000_000
        on_progress(Progress("weights", megabytes, (entry.size or 0) // 1_000_000, "MB"))

    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        _check_room(entry, folder)
        for file in entry.files:
            target = folder / file.name
            on_bytes(0)
            if not is_right(target, file):
                with told(f"{file.name} from {file.source}"):
                    got = _from_hub if file.repository else _from_address
                    part = got(file, unfinished, on_bytes)
                _take(part, file, target, unfinished)
            before += file.size or 0
        on_bytes(0)
        shutil.rmtree(unfinished)
    except OSError as error:
        raise ModelError(
            f"{folder}: the weights cannot be written ({error.strerror or error}); "
            "expected a folder with room (MAGICPOSE_HOME names another)"
        ) from error
    return folder


def verify(name: str, on_progress: OnProgress = silent) -> list[str]:
    """What is wrong with the files of an entry or of ORG/NAME, a line each; none where all is well.

    Every file is read and its hash compared with the catalog's, or with what came first.
    """
    known = trusted(models_home())
    folder = weights_folder(name)
    if is_hub_id(name):
        files = [
            RemoteFile(key.removeprefix(f"{name}/"), repository=name)
            for key in known
            if key.startswith(f"{name}/")
        ]
    else:
        files = list(entry_of(name).files)
    wrong = []
    for number, file in enumerate(files, 1):
        row = known.get(file.identity)
        if row is not None:
            file = replace(file, size=file.size or row.size, sha256=file.sha256 or row.sha256)
        path = folder / file.name
        if not path.is_file():
            wrong.append(f"{path} is not there")
        elif not file.sha256:
            wrong.append(f"{path} did not come by `models fetch`: there is no hash to compare")
        elif not is_right(path, file):
            wrong.append(f"{path} is not what it was (sha256 {file.sha256[:12]}... expected)")
        on_progress(Progress("verify", number, len(files), "files"))
    return wrong


def is_right(path: Path, file: RemoteFile) -> bool:
    """Whether this is the file; one without a known hash never is."""
    if not path.is_file() or file.size not in (None, path.stat().st_size) or not file.sha256:
        return False
    return content_hash(path) == file.sha256


def _take(part: Path, file: RemoteFile, target: Path, unfinished: Path) -> None:
    """Give a file that has come its name. ModelError, and it is deleted, where it is another."""
    digest, size = content_hash(part), part.stat().st_size
    if file.size not in (None, size) or (file.sha256 and file.sha256 != digest):
        shutil.rmtree(unfinished)
        raise ModelError(
            f"{file.name} from {file.source}: {size} bytes of other content than expected "
            f"(sha256 {file.sha256[:12]}...); deleted, nothing was installed"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    if file.repository:
        trust(models_home(), file.identity, Trusted(size, digest, file.revision))


def _check_room(entry: Entry, folder: Path) -> None:
    """Before the first byte, not after the last that fits."""
    needed = sum(
        file.size or 0 for file in entry.files if not (folder / file.name).is_file()
    ) - sum(
        part.stat().st_size for part in (folder / UNFINISHED_FOLDER).rglob("*") if part.is_file()
    )
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + SPARE_BYTES > free:
        raise ModelError(
            f"{folder}: {needed / 1e9:.1f} GB are to come and {free / 1e9:.1f} GB are free; make "
            "room, or name another disk with MAGICPOSE_HOME"
        )


def _from_hub(file: RemoteFile, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    import huggingface_hub
    import huggingface_hub.utils
    from huggingface_hub.utils.tqdm import tqdm as hub_bar

    logging: Any = huggingface_hub.utils.logging

    class Bar(hub_bar):  # the hub's client tells its progress to a bar only
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self.count = options.get("initial", 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.count += int(n or 0)
            on_bytes(self.count)
            return None

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it tells of every new try
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of too little room: `_check_room` has seen to it
            path = huggingface_hub.hf_hub_download(
                file.repository,
                file.path or file.name,
                revision=file.revision or None,
                local_dir=folder,
                tqdm_class=Bar,
            )
    finally:
        logging.set_verbosity(level)
    return Path(path)


def _from_address(file: RemoteFile, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Streamed; a part that is there already is continued where the server can do so."""
    assert file.size is not None  # the table tells it for all that does not come from the hub
    part = folder / f"{file.name}.part"
    there = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={there}-"} if 0 < there < file.size else {}
    request = urllib.request.Request(file.address, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        goes_on = answer.status == 206
        with part.open("ab" if goes_on else "wb") as data:
            while data.tell() <= file.size and (block := answer.read(_READ_BYTES)):
                data.write(block)
                on_bytes(data.tell())
            if data.tell() < file.size:
                raise HTTPException(f"ended after {data.tell()} of {file.size} bytes")
    return part
