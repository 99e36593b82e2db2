"""What one run leaves for the next: a loaded model or workers, and what was seen in drivers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.config.preset import UNSLICED_PIXELS, MotionSettings, Preset
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.motion.detections import Detections, detect_people
from magicpose_cli.motion.driver import Driver
from magicpose_cli.progress import OnProgress, silent

if TYPE_CHECKING:
    from magicpose_cli.motion.motion import Motion
    from magicpose_cli.pose.keypoints import Pose
    from magicpose_cli.warping.warp import ReferenceWarp

# Everybody in so many frames is remembered, about 2.5 kB a person and frame.
_MAX_FRAMES_REMEMBERED = 200_000
_MAX_WARPS_REMEMBERED = 2  # references ready to be moved, some 50 MB each at 512 pixels
DETECTION_SETTINGS = ("driver_kind", "canvas", "detector", "fps", "every", "start_s", "end_s")
"""The settings of motion that decide what is seen in a driver."""
FILMING_SETTINGS = ("camera", "follow", "smooth")
"""Those that further decide what is seen of a motion in space."""


class FrameRenderer(Protocol):
    """Who turns pose maps into frames: this process, or workers."""

    notes: list[str]

    def set_reference(
        self,
        reference: Picture,
        preset: Preset,
        frames: int,
        face: Picture | None = None,
        own_map: Picture | None = None,
    ) -> int:
        """Take a reference for the frames to come.

        Args:
            reference: (H, W, 3) uint8 RGB of the network's size.
            preset: All settings; `frame.size` is the network's.
            frames: How many frames there will be.
            face: The reference's face, upright (S, S, 3) uint8 RGB, where it is wanted and seen.
            own_map: The reference's pose map, (H, W, 3) uint8 RGB, where its pose is known; behind
                it, where hands are made again, `motion.hand_crops.own_hand_layers`.

        Returns:
            How many frames a batch has at most.
        """

    def render(self, batches: Iterable[Pictures]) -> Iterator[Pictures]:
        """Draw the reference for batches of pose maps, in order.

        Args:
            batches: (n, H, W, 3) uint8 pose maps; behind them maps of the body where the model
                reads them, and pictures to begin from where they are asked for.

        Returns:
            As many frames for each batch, (n, H, W, 3) uint8 RGB.
        """


@dataclass(frozen=True)
class WorkerConfig:
    """Over which workers the frames are spread; see `rendering.worker_pool.WorkerPool`.

    Attributes:
        count: Number of workers.
        devices: Devices of the workers, one process each.
        ray: Address of a Ray cluster.
    """

    count: int = 0
    devices: tuple[str, ...] = ()
    ray: str | None = None

    @classmethod
    def typed(cls, count: int, devices: str, ray: str | None) -> WorkerConfig:
        """From what a shell gives: devices with commas between them."""
        return cls(count, tuple(filter(None, devices.split(","))), ray)

    def __bool__(self) -> bool:
        return self.count > 0 or bool(self.devices) or self.ray is not None


class Resources:
    """`with Resources() as resources:` around one run or many.

    The model last used stays loaded, on its device or with its workers; a run with other settings
    of `model` takes its place. What was seen in drivers and references is remembered, unless
    `remember` says that there is one run only.
    """

    def __init__(self, workers: WorkerConfig | None = None, *, remember: bool = True) -> None:
        self._workers = workers or WorkerConfig()
        self._remember = remember
        self._without_people: dict[Any, str] = {}
        self._loading: tuple[Any, Future[FrameRenderer]] | None = None
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._open = ExitStack()
        self._detections: OrderedDict[Any, Detections] = OrderedDict()
        self._people: dict[Any, list[Pose]] = {}
        self._warps: OrderedDict[Any, ReferenceWarp] = OrderedDict()

    def __enter__(self) -> Resources:
        return self

    def __exit__(self, *raised: object) -> None:
        self._loader.shutdown(wait=True, cancel_futures=True)
        self._open.close()

    def renderer(self, preset: Preset) -> Future[FrameRenderer]:
        """Who makes the frames: begins to load in a thread, unless it is loaded already."""
        key = f"{preset.model!r} {_is_large(preset)}"  # JSON takes no name that is no text
        if self._loading is None or self._loading[0] != key or _failed(self._loading[1]):
            self._open.close()
            self._loading = (key, self._loader.submit(self._load, preset))
        return self._loading[1]

    def _load(self, preset: Preset) -> FrameRenderer:
        if not self._workers:
            from magicpose_cli.rendering.local import LocalRenderer

            here = LocalRenderer(preset)
            self._open.callback(here.close)
            return here
        from magicpose_cli.rendering.worker_pool import WorkerPool

        workers = self._workers
        return self._open.enter_context(
            WorkerPool(preset, count=workers.count, devices=workers.devices, ray=workers.ray)
        )

    def detections(
        self, driver: Driver, settings: MotionSettings, on_progress: OnProgress = silent
    ) -> Detections:
        """Everybody in every frame of a driver, looked for once; see `detect_people`."""
        names = DETECTION_SETTINGS + (FILMING_SETTINGS if driver.motion is not None else ())
        key = (_stamp(driver.clip.path), *(getattr(settings, name) for name in names))
        if not self._remember:
            return detect_people(driver, settings, on_progress)
        if key in self._without_people:
            raise DetectionError(self._without_people[key])
        if key not in self._detections:
            try:
                self._detections[key] = detect_people(driver, settings, on_progress)
            except DetectionError as error:
                self._without_people[key] = str(error)
                raise
            while len(self._detections) > 1 and self._frames_held() > _MAX_FRAMES_REMEMBERED:
                self._detections.popitem(last=False)
        self._detections.move_to_end(key)
        return self._detections[key]

    def people(self, path: Path, picture: Picture, settings: MotionSettings) -> list[Pose]:
        """Who is in a reference picture, looked for once. Raises as `find_people`."""
        from magicpose_cli.motion.detections import find_people

        key = (_stamp(path), settings.detector)
        if key not in self._people:
            self._people[key] = find_people(path, picture, settings.detector)
        return self._people[key]

    def reference_warp(
        self, path: Path, picture: Picture, motion: Motion, settings: MotionSettings
    ) -> ReferenceWarp:
        """Prepare the reference of a motion to be moved; the last few of them are remembered.

        Args:
            path: The reference's file.
            picture: What the file holds.
            motion: The motion on the reference.
            settings: Of these the detector is used.

        Raises:
            InputError: The person cannot be told from the rest of the picture.
        """
        from magicpose_cli.warping.matte import find_matte
        from magicpose_cli.warping.warp import ReferenceWarp

        framing = motion.result_framing
        assert motion.reference_pose is not None
        still = motion.in_result(motion.reference_pose)
        key = (_stamp(path), framing, still.body.tobytes(), still.face.tobytes())
        if key not in self._warps:
            shown = framing.picture(picture)
            others = [framing.pose(p) for p in self.people(path, picture, settings)[1:]]
            matte = find_matte(shown, still, others)
            if matte is None:
                raise InputError(
                    f"{path}: the person cannot be told from what is behind them; expected a "
                    "picture that shows them before something else, or pass --warp off"
                )
            self._warps[key] = ReferenceWarp(shown, still, matte)
            while len(self._warps) > _MAX_WARPS_REMEMBERED:
                self._warps.popitem(last=False)
        self._warps.move_to_end(key)
        return self._warps[key]

    def _frames_held(self) -> int:
        return sum(len(detections.people) for detections in self._detections.values())


def _stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file does; of a folder when a file in it comes or goes."""
    found = path.stat()
    return str(path.resolve()), found.st_mtime_ns, found.st_size


def _is_large(preset: Preset) -> bool:
    """Whether frames are so large that `acceleration.slice_autoencoder` may cut the work.

    All else of a loaded model serves pictures of any size.
    """
    return math.prod(preset.size_for(0)) > UNSLICED_PIXELS


def _failed(loading: Future[FrameRenderer]) -> bool:
    return loading.done() and loading.exception() is not None
