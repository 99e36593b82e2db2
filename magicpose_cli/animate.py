"""The main job, from the first stage to the last; it reads like the README."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.config import Preset, load_preset
from magicpose_cli.driver import Driver, follow, open_driver, see
from magicpose_cli.errors import ConfigError, DetectionError, OutputError
from magicpose_cli.framing import Framing, frame, frame_clip
from magicpose_cli.paste import Paster
from magicpose_cli.pose.detection.detect import pick_detector
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.retarget import retarget
from magicpose_cli.pose.tracking.track import TrackReport
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import Sound, VideoWriter, check_output, read_picture

VERSIONED = (
    "magicpose",
    "torch",
    "diffusers",
    "transformers",
    "numpy",
    "mediapipe",
    "onnxruntime",
    "rtmlib",
)


@dataclass
class Plan:
    """What a run will do, known before anything heavy is done; `--dry-run` shows it."""

    reference: str
    driver: str
    driver_kind: str
    output: str
    model: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    steps: int
    guidance: float
    scheduler: str | None
    seed: int
    audio: bool


@dataclass
class Motion:
    """The driver's motion in the reference's picture, and how it came there.

    poses: one a frame, in pixels of the network's canvas; [] for ready-drawn maps. framing: of the
    reference's picture. retarget: the mode used. anchor: the driver's frame that was laid onto the
    reference. track: what was mended. notes: what a user should know, a line each.
    """

    poses: list[Pose]
    framing: Framing
    detector: str = ""
    retarget: str = "none"
    anchor: int | None = None
    track: TrackReport | None = None
    notes: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """All but the poses, for JSON."""
        told = ("detector", "retarget", "anchor", "notes")
        return {
            **{name: getattr(self, name) for name in told},
            "window": self.framing.window,
            "track": asdict(self.track) if self.track else None,
        }


@dataclass
class Result:
    """What a run has made, and everything needed to make it again."""

    plan: Plan
    output: str
    frames: int
    motion: dict[str, Any]
    seconds: dict[str, float]
    preset: dict[str, Any]
    versions: dict[str, str]
    model_sha256: str
    poses: str | None = None


def animate(
    reference: str | Path,
    driver: str | Path,
    output: str | Path | None = None,
    preset: Preset | str | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Result:
    """Move the person of the reference picture like the person of the driver; write a video.

    reference: any picture. driver: video, GIF, folder of pictures, pose file or pose maps.
    output: .mp4, .webm, .mov, .gif or a folder for PNGs; REFERENCE_DRIVER.mp4 by default.
    preset: a Preset, a preset's name or a TOML file; the best installed model's by default.

    Raises a MagicPoseError for everything the user can mend; the finished frames are kept.
    """
    from magicpose_cli.diffusion.weights import model_hash
    from magicpose_cli.render import Renderer, load_model

    preset = resolve_preset(preset)
    plan, picture, opened = make_plan(reference, driver, output, preset, overwrite=overwrite)
    output = Path(plan.output)
    clock = _Clock()
    size = (plan.width, plan.height)

    with ThreadPoolExecutor(1) as loader:  # the model loads while the driver is looked at
        loading = loader.submit(load_model, preset)
        with clock("poses"):
            target = find_target(Path(reference), picture, opened, preset)
            motion = read_motion(opened, target, picture, size, preset, on_progress)
        with clock("model"):
            on_progress(Progress("model", 0, 1))
            pipeline = loading.result()
    with clock("reference"):
        renderer = Renderer(pipeline, motion.framing.picture(picture), preset)
        on_progress(Progress("model", 1, 1))
    maps = draw_maps(opened, motion.poses, pipeline.config.pose_canvas, size, preset)
    saved = None
    if preset.output.save_poses:
        saved = save_poses(output, motion.poses, opened, overwrite)
    with clock("render"):
        pictures = _finished(renderer.render, maps, picture, motion.framing, preset)
        sound = _sound(opened) if plan.audio else None
        on_progress(Progress("render", 0, opened.frame_count))
        with VideoWriter(
            output, opened.rate, sound=sound, crf=preset.output.crf, overwrite=overwrite
        ) as writer:
            for finished in pictures:
                writer.write(finished)
                on_progress(Progress("render", writer.frame_count, opened.frame_count))
    result = Result(
        plan=plan,
        output=str(output),
        frames=writer.frame_count,
        motion=motion.report(),
        seconds=clock.seconds,
        preset=preset.model_dump(),
        versions=versions(),
        model_sha256=model_hash(Path(plan.model)),
        poses=str(saved) if saved else None,
    )
    write_sidecar(sidecar_path(output), result)
    return result


def resolve_preset(preset: Preset | str | None) -> Preset:
    """By default: `magicpose` where the released model is installed, else `mini`."""
    if isinstance(preset, Preset):
        return preset
    return load_preset(preset or default_preset())


def default_preset() -> str:
    """The name of the preset that is used where none is asked for."""
    from magicpose_cli.diffusion.weights import MINI, resolve_model

    return "mini" if resolve_model("auto") == MINI else "magicpose"


def make_plan(
    reference: str | Path,
    driver: str | Path,
    output: str | Path | None,
    preset: Preset,
    *,
    overwrite: bool = False,
) -> tuple[Plan, np.ndarray, Driver]:
    """Check everything that can be checked without work: the plan, the reference, the driver.

    Raises a MagicPoseError.
    """
    from magicpose_cli.diffusion.weights import read_index, resolve_model

    if output is None:
        output = f"{Path(reference).stem}_{Path(driver).stem}.mp4"
    check_output(output, overwrite)
    if preset.output.compare and preset.frame.paste_back:
        raise ConfigError("compare and paste-back exclude each other; leave one of them out")
    if preset.output.save_poses and not overwrite and poses_path(Path(output)).exists():
        raise OutputError(f"{poses_path(Path(output))}: exists already; pass --overwrite")
    picture = read_picture(reference)
    opened = open_driver(Path(driver), preset.motion)
    if opened.kind == "pose-maps" and preset.output.save_poses:
        raise ConfigError(
            "pose maps are pictures, there are no poses to save; leave --save-poses out"
        )
    if opened.kind == "video":
        pick_detector(preset.motion.detector)
    anchor = str(preset.motion.anchor)
    if anchor.isdigit() and int(anchor) >= opened.frame_count:
        raise ConfigError(
            f"anchor: frame {anchor} is beyond the last, {opened.frame_count - 1}; expected best, "
            "first or the number of a frame with the person in it"
        )
    folder = resolve_model(preset.model.name)
    index = read_index(folder)
    width, height = preset.size_for(index["sample_size"])
    plan = Plan(
        reference=str(reference),
        driver=str(driver),
        driver_kind=opened.kind,
        output=str(output),
        model=str(folder),
        width=width,
        height=height,
        frames=opened.frame_count,
        fps=float(opened.rate),
        duration_s=opened.selected.duration_s,
        steps=preset.steps_for(index["default_steps"]),
        guidance=preset.sampling.guidance or index["default_guidance"],
        scheduler=preset.sampling.scheduler,
        seed=preset.sampling.seed,
        audio=preset.output.audio and opened.clip.has_audio,
    )
    return plan, picture, opened


def find_target(path: Path, picture: np.ndarray, driver: Driver, preset: Preset) -> Pose | None:
    """The pose of the person to be moved; None where it is not needed.

    Raises DetectionError where poses shall be aligned with somebody who is not found.
    """
    if driver.kind == "pose-maps" or preset.motion.retarget == "none":
        return None
    from magicpose_cli.pose.detection.detect import detect_one, load_detector

    detector = load_detector(preset.motion.detector, still=True)
    try:
        target = detect_one(detector, picture)
    finally:
        detector.close()
    if target.is_empty:
        raise DetectionError(
            f"{path}: no person was found in the reference; choose a picture that shows one, or "
            "use the driver's poses where they are with --retarget none"
        )
    return target


def read_motion(
    driver: Driver,
    target: Pose | None,
    picture: np.ndarray,
    size: tuple[int, int],
    preset: Preset,
    on_progress: OnProgress = silent,
) -> Motion:
    """Detect, track, retarget and frame: the driver's motion on the network's canvas (width,
    height), moved onto the reference's body.

    target: the person of the reference `picture`; None leaves the poses at their place in the
    driver's own picture.
    """
    settings, fit = preset.motion, preset.frame.fit
    whole = (picture.shape[1], picture.shape[0])
    if driver.kind == "pose-maps":
        return Motion([], frame(whole, size, fit))
    seen = see(driver, settings, on_progress)
    poses, report = follow(driver, seen.people, settings)
    moved = retarget(
        poses,
        target,
        settings.retarget,
        anchor=str(settings.anchor),
        expression=settings.expression,
        head=settings.head,
    )
    if target is None:  # the poses keep their place in the driver's own picture
        framing = frame(whole, size, fit)
        placing = frame((poses[0].width, poses[0].height), size, fit)
    else:
        framing = placing = frame_clip(
        whole, size, fit, target, moved.poses,
        zoom=preset.frame.paste_back, fade=preset.frame.feather,
    )  # fmt: skip
    return Motion(
        poses=[placing.pose(pose) for pose in moved.poses],
        framing=framing,
        detector=seen.detector,
        retarget=moved.mode,
        anchor=moved.anchor,
        track=report,
        notes=(*driver.notes, *report.notes(), *moved.notes()),
    )


def draw_maps(
    driver: Driver, poses: list[Pose], canvas: int, size: tuple[int, int], preset: Preset
) -> Iterator[np.ndarray]:
    """What the network sees, one (H, W, 3) uint8 picture a frame."""
    from PIL import Image

    from magicpose_cli.pose.pose_map import pose_map

    if driver.kind != "pose-maps":
        return (pose_map(pose, canvas) for pose in poses)
    framing = frame((driver.clip.width, driver.clip.height), size, preset.frame.fit)
    return (framing.picture(f, Image.Resampling.BILINEAR) for f in driver.frames())


def save_poses(output: Path, poses: list[Pose], driver: Driver, overwrite: bool) -> Path:
    """The poses as they were drawn, beside the video; `animate` takes them as a driver."""
    from magicpose_cli.pose.files.openpose_json import write_poses

    path = poses_path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_poses(path, poses, float(driver.rate), overwrite=overwrite)
    return path


def poses_path(output: Path) -> Path:
    """Where the saved poses of a video stand: OUT.poses.json."""
    return output.with_name(f"{output.stem}.poses.json")


def sidecar_path(output: Path) -> Path:
    """Where the settings of a video stand: OUT.mp4.json."""
    return output.with_name(f"{output.name}.json")


def write_sidecar(path: Path, result: Result) -> None:
    """Write the settings of a run in one step."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def versions() -> dict[str, str]:
    """Of the program, of Python and of what decides the result."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _finished(
    render: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]],
    maps: Iterable[np.ndarray],
    picture: np.ndarray,
    framing: Framing,
    preset: Preset,
) -> Iterator[np.ndarray]:
    """What is written: the made frames, put back into the picture or beside what they come from."""
    canvas = framing.picture(picture)
    paster = Paster(picture, framing, preset.frame.feather) if preset.frame.paste_back else None
    maps, shown = tee(maps)  # as far apart as a batch is long
    for made in render(maps):
        pose_map = next(shown)
        if paster:
            yield paster.paste(made)
        elif preset.output.compare:
            yield np.concatenate([canvas, pose_map, made], axis=1)
        else:
            yield made


def _sound(driver: Driver) -> Sound:
    return Sound(driver.clip.path, driver.selected.audio_start_s, driver.selected.duration_s)


class _Clock:
    """Seconds a stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)
