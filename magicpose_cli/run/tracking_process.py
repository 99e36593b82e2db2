"""The driver's person tracked in a process of its own, beside the warp of the reference.

Both are many small steps in Python, of which one interpreter takes one at a time: as two threads
they would hardly be faster than one after the other.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import magicpose_cli
from magicpose_cli.arrays import Picture
from magicpose_cli.errors import DeviceError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.run.threads import BackgroundWriter
from magicpose_cli.warping.secondary import DriverTracker
from magicpose_cli.warping.warp import TrackedFrame

MIN_FRAMES = 48  # fewer are tracked in the time that a process takes to begin
SENT_AHEAD = 2  # frames that wait for the process or are in it
_ENDING_S = 5.0  # that a process may take whose pipe has closed
_CHILD = (  # modules come from where the parent's do, and never from the working folder
    "import sys; sys.path[0] = sys.argv[1];"
    "from magicpose_cli.run.threads import share_the_machine; share_the_machine();"
    "from magicpose_cli.run.tracking_process import serve_parent; serve_parent()"
)


def track_frames(
    tracker: DriverTracker, frames: Iterable[tuple[int, Picture, Pose]], count: int
) -> Generator[tuple[int, TrackedFrame]]:
    """Track frames in order; what is found does not depend on where that is done.

    Args:
        tracker: Of the driver.
        frames: The index of each frame, its picture and the pose of its person, as
            `DriverTracker.track` takes them.
        count: How many they are.

    Yields:
        The index of each frame and what is found in it.

    Raises:
        DeviceError: The process has come to its end before.
    """
    if count < MIN_FRAMES or (os.cpu_count() or 1) < 2:
        yield from ((index, tracker.track(picture, pose)) for index, picture, pose in frames)
        return
    with TrackingProcess(tracker) as process:
        yield from process.track(frames)


class TrackingProcess:
    """A process that tracks one driver; it ends with the block, and with its parent.

    It is no process of `multiprocessing`, which would run the caller's script anew in it.
    """

    def __init__(self, tracker: DriverTracker) -> None:
        place = str(Path(magicpose_cli.__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name == "posix",  # Ctrl-C is the parent's
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._tracker = tracker

    def __enter__(self) -> TrackingProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):
            self._to.close()
        self._from.close()
        self._process.wait()

    def track(
        self, frames: Iterable[tuple[int, Picture, Pose]]
    ) -> Generator[tuple[int, TrackedFrame]]:
        """As `track_frames`."""
        sent: deque[int] = deque()
        # Nobody waits to send while there is something to receive: the process might wait, too.
        with BackgroundWriter(self._send, depth=SENT_AHEAD + 2) as sink:
            try:
                sink.put(self._tracker)
                for index, picture, pose in frames:
                    sink.put((picture, pose))
                    sent.append(index)
                    if len(sent) > SENT_AHEAD:
                        yield sent.popleft(), self._receive()
                while sent:
                    yield sent.popleft(), self._receive()
            except BaseException:
                self._process.kill()  # or the thread that sends would wait for it
                raise

    def _send(self, item: DriverTracker | tuple[Picture, Pose]) -> None:
        try:
            pickle.dump(item, self._to, pickle.HIGHEST_PROTOCOL)
            self._to.flush()
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> TrackedFrame:
        try:
            found: TrackedFrame = pickle.load(self._from)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise self._ended() from error
        return found

    def _ended(self) -> DeviceError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        return DeviceError(
            "the process that follows the driver's hair and clothes has ended (exit code "
            f"{self._process.poll()}); if memory is short, free some or pass "
            "--no-secondary-motion, and the same command goes on"
        )


def serve_parent() -> None:
    """The life of such a process: a tracker comes in, then frames, until the parent is gone."""
    if os.name != "posix":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    tracker: DriverTracker = pickle.load(source)
    with suppress(EOFError, BrokenPipeError):
        while True:
            found = tracker.track(*pickle.load(source))
            pickle.dump(found, sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()
