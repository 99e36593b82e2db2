"""Weights to be had elsewhere: where they are, what they must be, and how they come here.

The table is data: another entry is a few lines. A file gets its name only once its size and hash
are right, so whatever lies in the models' folder under a name of the catalog can be trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.progress import OnProgress, Progress, silent

BLOCK = 1 << 20  # bytes read at a time
TIMEOUT_S = 30.0  # without a single byte
UNFINISHED = ".unfinished"  # folder beside the files, for what is still coming


@dataclass(frozen=True)
class RemoteFile:
    """One file: `repository` and `revision` on the model hub, or a plain `address`."""

    name: str
    size: int
    sha256: str
    repository: str = ""
    revision: str = ""
    address: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, to be shown."""
        return f"{self.repository} @ {self.revision[:8]}" if self.repository else self.address


@dataclass(frozen=True)
class Entry:
    """Files that belong together, in a folder of the entry's name."""

    title: str
    license: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


_DWPOSE = {
    "repository": "yzd-v/DWPose",
    "revision": "1a7144101628d69ee7a3768d1ee3a094070dc388",
}
_TASKS = "https://storage.googleapis.com/mediapipe-models/{0}/{1}/float16/1/{1}.task"
CATALOG: dict[str, Entry] = {
    "dwpose": Entry(
        "DWPose: YOLOX-L finds people, DW-LL reads 133 points of each",
        "Apache-2.0",
        (
            RemoteFile(
                "yolox_l.onnx",
                216_746_733,
                "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
                **_DWPOSE,
            ),
            RemoteFile(
                "dw-ll_ucoco_384.onnx",
                134_399_116,
                "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
                **_DWPOSE,
            ),
        ),
    ),
    "mediapipe-tasks": Entry(
        "MediaPipe Tasks: landmarks of bodies, faces and hands",
        "Apache-2.0",
        (
            RemoteFile(
                "pose_landmarker_full.task",
                9_398_198,
                "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
                address=_TASKS.format("pose_landmarker", "pose_landmarker_full"),
            ),
            RemoteFile(
                "face_landmarker.task",
                3_758_596,
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
                address=_TASKS.format("face_landmarker", "face_landmarker"),
            ),
            RemoteFile(
                "hand_landmarker.task",
                7_819_105,
                "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
                address=_TASKS.format("hand_landmarker", "hand_landmarker"),
            ),
        ),
    ),
}


def models_home() -> Path:
    """The folder of installed models: below $MAGICPOSE_HOME, or the platform's cache folder."""
    if home := os.environ.get("MAGICPOSE_HOME"):
        return Path(home).expanduser() / "models"
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        cache = Path.home() / "Library/Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "magicpose" / "models"


def entry_of(name: str) -> Entry:
    """The catalog's entry of this name. Raises ConfigError that lists the known."""
    if name not in CATALOG:
        raise ConfigError(f"weights {name!r}: expected one of {', '.join(CATALOG)}")
    return CATALOG[name]


def weights_folder(name: str) -> Path:
    """Where the files of an entry lie, or are to lie."""
    entry_of(name)
    return models_home() / name


def located(name: str) -> Path | None:
    """Where what `models fetch` has brought lies: an entry of the catalog or a hub's ORG/NAME.

    A single file of weights is named itself, else the folder. None where the name is neither.
    Raises ModelError for what is known but not there.
    """
    if name in CATALOG:
        if lacking(name):
            raise ModelError(f"{name} is not fetched; run: magicpose models fetch {name}")
        files = CATALOG[name].files
        folder = weights_folder(name)
        return folder / files[0].name if len(files) == 1 else folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return None
    folder = models_home() / name.replace("/", "--")
    return folder if folder.is_dir() else None


def lacking(name: str) -> list[Path]:
    """The files of an entry that are not there, or not of their size."""
    folder = weights_folder(name)
    return [
        folder / file.name
        for file in entry_of(name).files
        if not (folder / file.name).is_file() or (folder / file.name).stat().st_size != file.size
    ]


def fetch(name: str, on_progress: OnProgress = silent) -> Path:
    """Bring the files of an entry, as far as they are not there already; returns their folder.

    A file with a wrong hash is deleted, be it a new one or one that lay there; what an interrupted
    download left is taken up again. Progress is in megabytes. Raises ModelError.
    """
    entry, folder = entry_of(name), weights_folder(name)
    unfinished = folder / UNFINISHED
    before = 0  # bytes of the files that are done

    def on_bytes(count: int) -> None:
        megabytes = (before + count) // 1_000_000
        on_progress(Progress("weights", megabytes, entry.size // 1_000_000, "MB"))

    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        for file in entry.files:
            target = folder / file.name
            on_bytes(0)
            if not _is_right(target, file):
                with _told(file):
                    got = _from_hub if file.repository else _from_address
                    part = got(file, unfinished, on_bytes)
                if not _is_right(part, file):
                    found = f"{part.stat().st_size} bytes of other content"
                    shutil.rmtree(unfinished)
                    raise ModelError(
                        f"{file.name} from {file.source}: {found} than the catalog names "
                        f"(sha256 {file.sha256[:12]}...); deleted, nothing was installed"
                    )
                part.replace(target)
            before += file.size
        on_bytes(0)
        shutil.rmtree(unfinished)
    except OSError as error:
        raise ModelError(
            f"{folder}: the weights cannot be written ({error.strerror or error}); "
            "expected a folder with room (MAGICPOSE_HOME names another)"
        ) from error
    return folder


def _is_right(path: Path, file: RemoteFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as data:
        while block := data.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == file.sha256


def _from_hub(file: RemoteFile, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    import huggingface_hub
    from huggingface_hub.utils import logging

    class Bar(huggingface_hub.utils.tqdm):  # the hub's client tells its progress to a bar only
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
        path = huggingface_hub.hf_hub_download(
            file.repository, file.name, revision=file.revision, local_dir=folder, tqdm_class=Bar
        )
    finally:
        logging.set_verbosity(level)
    return Path(path)


def _from_address(file: RemoteFile, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Streamed; a part that is there already is continued where the server can do so."""
    part = folder / f"{file.name}.part"
    there = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={there}-"} if 0 < there < file.size else {}
    request = urllib.request.Request(file.address, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        goes_on = answer.status == 206
        with part.open("ab" if goes_on else "wb") as data:
            while data.tell() <= file.size and (block := answer.read(BLOCK)):
                data.write(block)
                on_bytes(data.tell())
            if data.tell() < file.size:
                raise HTTPException(f"ended after {data.tell()} of {file.size} bytes")
    return part


@contextlib.contextmanager
def _told(file: RemoteFile) -> Iterator[None]:
    """What goes wrong on the way here, in one line; what came so far is kept."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (OSError, HTTPException, HTTPError) as error:
        cause = error.__cause__ or error  # the hub's client guesses what it means
        reason = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise ModelError(
            f"{file.name} cannot be fetched from {file.source} ({reason}); run the command again "
            "to go on, or put the file there by hand"
        ) from error
