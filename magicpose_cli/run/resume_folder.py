"""What a run has finished, kept beside its output until the output stands: OUT.mp4.part/.

    job.json            the journal: what decides the frames, and what the run wrote down
    motion.npz          the poses found
    frames/000000.png   the frames made, each under its final name only once it is whole
    so-far.mp4          of an interrupted run, to be looked at (see video.write)
    lock                held by the run that is at work, with its process id

The journal and the motion are on the disk before the work goes on. Frames are left to the system
to write: a power loss may cost those of the last half minute, and what it cut off or left empty is
found when it is loaded (every chunk of a PNG has a checksum) and made again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray, Picture, Pictures
from magicpose_cli.errors import OutputError
from magicpose_cli.files import write_bytes
from magicpose_cli.run.lock import Lock, Locked

JOURNAL, MOTION, FRAMES, LOCK = "job.json", "motion.npz", "frames", "lock"
# What a run leaves in the folder and among its frames, and what systems put into any folder;
# whatever else is there is somebody's.
_SYSTEM_FILES = r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs\w+"
_UNFINISHED = r"\.partial-[\w-]+\.tmp"  # as files.write_bytes names it
_OUR_FILES = re.compile(
    rf"lock|frames|job\.json|motion\.npz|\.(job|motion){_UNFINISHED}|\.?so-far.*|{_SYSTEM_FILES}"
)
_OUR_FRAMES = re.compile(rf"\d{{6,}}\.png|\.\d{{6,}}{_UNFINISHED}|{_SYSTEM_FILES}")
_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_METADATA = "told"  # the JSON that lies in motion.npz beside the arrays


def work_path(output: Path) -> Path:
    """The resume folder of an output: OUT.mp4.part, or OUT.part for a folder of frames."""
    named = by_name(output)
    return named.with_name(f"{named.name}.part")


def by_name(output: Path) -> Path:
    """The output under a name, which "." and ".." are none. Raises OutputError for the root."""
    named = output if output.name.strip(".") else output.resolve()
    if not named.name:
        raise OutputError(f"{output}: expected the name of a file or of a folder of frames")
    return named


class ResumeFolder:
    """`with ResumeFolder.open(output, fingerprint) as folder:` around a run that makes `output`.

    Leaving the block before `finish` keeps what is finished for the next run; where nothing is,
    nothing is left behind. Only `open` makes one.

    Attributes:
        path: The folder.
        metadata: What former runs of this job wrote down with `remember`.
        notes: What the user should know, a line each.
    """

    def __init__(self, output: Path, fingerprint: dict[str, Any], lock: Lock):
        self.path = work_path(output)
        self.metadata: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()
        self._output = output
        self._fingerprint = fingerprint
        self._lock: Lock | None = lock
        self._new_parents: list[Path] = []
        self._frames = self.path / FRAMES

    @classmethod
    def open(
        cls, output: Path, fingerprint: dict[str, Any], *, resume: bool = True
    ) -> ResumeFolder:
        """Take possession of the output's resume folder, which is made where it is missing.

        A folder of another fingerprint is begun anew, which a note says; so is any without
        `resume`.

        Args:
            output: What the run makes.
            fingerprint: Everything that decides the frames, as JSON.
            resume: Whether to go on with what a former run has left.

        Raises:
            OutputError: Another run is at work on this output, or the folder cannot be written or
                is not ours.
        """
        path = work_path(output)
        try:
            new = [parent for parent in path.parents if not parent.exists()]
            lock = _take(path)
        except Locked as error:
            raise OutputError(
                f"{output} is being made by another run (process {error.owner}); wait for it, stop "
                "it, or choose another name"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{output} cannot be written: {path}: {error.strerror}; choose another place"
            ) from error
        folder = cls(output, json.loads(json.dumps(fingerprint)), lock)
        folder._new_parents = new
        try:
            folder._begin(resume)
        except BaseException:
            folder._leave()
            raise
        return folder

    def _begin(self, resume: bool) -> None:
        former = self._read_journal()
        if resume and former is not None and former["key"] == self._fingerprint:
            self.metadata = former["facts"]
        else:
            if resume and former is not None:
                names = ", ".join(_differences(former["key"], self._fingerprint))
                self.notes = (f"{self.path} was of another job ({names}) and was begun anew",)
            with self._explained():
                _empty(self.path)
        with self._explained():
            self._frames.mkdir(exist_ok=True)
            self._write_journal()

    def __enter__(self) -> ResumeFolder:
        return self

    def __exit__(self, *raised: object) -> None:
        self._leave()

    def remember(self, **metadata: Any) -> None:
        """Write these values (JSON) into the journal, for the runs that resume this one."""
        if {**self.metadata, **metadata} != self.metadata:
            self.metadata.update(metadata)
            with self._explained():
                self._write_journal()

    def save_motion(self, arrays: dict[str, AnyArray], report: dict[str, Any]) -> None:
        """Keep the motion: its arrays of numbers, and its report as JSON."""
        file = BytesIO()
        np.savez(
            file, **{**arrays, _METADATA: np.frombuffer(json.dumps(report).encode(), np.uint8)}
        )
        with self._explained():
            write_bytes(self.path / MOTION, file.getbuffer(), lasting=True)

    def motion(self) -> tuple[dict[str, AnyArray], dict[str, Any]] | None:
        """What `save_motion` kept, tuples as lists; None where there is none or it is damaged."""
        try:
            with zipfile.ZipFile(self.path / MOTION) as archive:
                if archive.testzip() is not None:
                    return None
            with np.load(self.path / MOTION, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return arrays, json.loads(arrays.pop(_METADATA).tobytes())
        except _DAMAGED:
            return None

    def has(self, index: int) -> bool:
        """Whether this frame was kept; whether it is whole only loading it tells."""
        return self._frame(index).exists()

    def save(self, index: int, frame: Picture) -> None:
        """Keep a frame, uint8 RGB (H, W, 3), all of one size.

        Raises OutputError where the disk is full: one line that says what is safe.
        """
        from PIL import Image

        if "shape" not in self.metadata:
            self.remember(shape=list(frame.shape))
        # Measured at 512x512: level 1 takes 18 ms and 240 kB, level 0 10 ms and 787 kB, and OpenCV
        # 12 ms and 236 kB, but it does not say why a file could not be written.
        file = BytesIO()
        Image.fromarray(frame).save(file, "png", compress_level=1)
        with self._explained():
            write_bytes(self._frame(index), file.getbuffer())

    def load(self, index: int) -> Picture | None:
        """A frame that was kept; None where it is missing, damaged or of another size."""
        from PIL import Image

        try:
            file = BytesIO(self._frame(index).read_bytes())
            with Image.open(file) as picture:
                picture.verify()
            with Image.open(file) as picture:
                frame: Picture = np.asarray(picture)
        except _DAMAGED:
            return None
        return frame if list(frame.shape) == self.metadata.get("shape") else None

    def load_all(self, indices: Sequence[int]) -> Pictures | None:
        """These frames, (n, H, W, 3); None where one of them is missing or damaged."""
        frames = []
        for index in indices:
            if (frame := self.load(index)) is None:
                return None
            frames.append(frame)
        return np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)

    def finish(self) -> None:
        """Remove the folder, once the output that stands is on the disk."""
        if self._lock is None:
            return
        with self._explained():
            _settle(self._output)
        self._remove()

    def _remove(self) -> None:
        if self._lock is not None:
            with suppress(OSError):  # what cannot be removed is no reason to fail now
                # the journal last: until then what stands at the output is known to be this job's
                _empty(self.path, but=(LOCK, JOURNAL))
                (self.path / JOURNAL).unlink(missing_ok=True)
            self._lock.remove()
            self._lock = None
            with suppress(OSError):
                self.path.rmdir()

    def _leave(self) -> None:
        """Let the next run in; a folder without anything finished goes."""
        if self._lock is None:
            return
        if (self.path / MOTION).exists() or self._count():
            self._lock.release()
            self._lock = None
        else:
            self._remove()
            with suppress(OSError):
                for parent in self._new_parents:
                    parent.rmdir()

    def _frame(self, index: int) -> Path:
        return self._frames / f"{index:06d}.png"

    def _count(self) -> int:
        """How many frames are kept; only for the end of a run, it looks at every name."""
        with suppress(OSError), os.scandir(self._frames) as entries:
            return sum(entry.name.endswith(".png") for entry in entries)
        return 0

    def _read_journal(self) -> dict[str, Any] | None:
        try:
            journal = json.loads((self.path / JOURNAL).read_bytes())
            return journal if journal.keys() == {"key", "facts"} else None
        except (OSError, ValueError, AttributeError):
            return None

    def _write_journal(self) -> None:
        text = json.dumps({"key": self._fingerprint, "facts": self.metadata}, indent=2).encode()
        write_bytes(self.path / JOURNAL, text, lasting=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn a full disk or a folder that has gone into one line."""
        try:
            yield
        except OSError as error:
            mend = "free some room" if error.errno in _NO_ROOM else "make it writable"
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; {self._count()} finished frames "
                f"are kept in it: {mend} and run the same command again"
            ) from error


def _take(path: Path) -> Lock:
    """Make the folder and lock it. Raises Locked, OSError, or OutputError for one not ours.

    While another run finishes with the folder and removes it, it may be anything for a moment, so
    only what stays wrong is an error.
    """
    for attempts_left in reversed(range(100)):
        try:
            if path.is_symlink():
                raise FileExistsError
            path.mkdir(parents=True, exist_ok=True)
            if not _is_ours(path):
                raise FileExistsError
            return Lock(path / LOCK)
        except FileExistsError:
            if not attempts_left:
                raise OutputError(
                    f"{path} is not this program's, but its name is needed for the work in "
                    "progress; move it away or choose another output"
                ) from None
        except FileNotFoundError:
            if not attempts_left:
                raise
    raise AssertionError("unreachable")


def _is_ours(path: Path) -> bool:
    """Whether a folder is empty, or holds what a run leaves and nothing else."""
    names = [entry.name for entry in path.iterdir()]
    if not all(map(_OUR_FILES.fullmatch, names)) or (names and LOCK not in names):
        return False
    frames = path / FRAMES
    if FRAMES not in names:
        return True
    return not frames.is_symlink() and all(_OUR_FRAMES.fullmatch(f.name) for f in frames.iterdir())


def _settle(output: Path) -> None:
    """Wait until a finished file or folder is on the disk, under its name."""
    if output.is_dir():
        if hasattr(os, "sync"):
            os.sync()
        return
    with output.open("rb+") as file:
        os.fsync(file.fileno())
    if os.name == "posix":
        folder = os.open(output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _empty(path: Path, but: tuple[str, ...] = (LOCK,)) -> None:
    """Remove all but these; the journal, if any, first: without it nothing counts as kept."""
    if JOURNAL not in but:
        (path / JOURNAL).unlink(missing_ok=True)
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in but:
            entry.unlink(missing_ok=True)


def _differences(old: Any, new: Any, name: str = "") -> Iterable[str]:
    """The dotted names of what is not the same in two keys, at most four."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [name] if old != new else []
    found = [
        different
        for part in {**old, **new}
        for different in _differences(old.get(part), new.get(part), f"{name}.{part}".strip("."))
    ]
    return [*found[:3], "..."] if len(found) > 4 else found
