"""The main job, from the first stage to the last; it reads like the README."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError, MagicPoseError, OutputError
from magicpose_cli.files import content_hash, place, unwritable, write_json
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.motion import Motion
from magicpose_cli.motion.pose_maps import draw_maps
from magicpose_cli.motion.read_motion import lacks_person, needs_target, read_motion
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.finishing import Finisher, WarpedFrames
from magicpose_cli.run.preflight import Plan, make_plan, poses_path, resolve_preset, sidecar_path
from magicpose_cli.run.resources import FrameRenderer, Resources
from magicpose_cli.run.resume_folder import ResumeFolder
from magicpose_cli.run.stage_timer import StageTimer
from magicpose_cli.run.threads import BackgroundWriter, ahead
from magicpose_cli.video import Sound, VideoWriter
from magicpose_cli.video.write import SO_FAR

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
class Result:
    """What a run has made, and everything needed to make it again.

    seconds: that each stage was at work; they overlap. resumed: frames that a former run had made.
    files_sha256: of the files that the settings of the model name, see `content_hashes`.
    """

    plan: Plan
    output: str
    frames: int
    motion: dict[str, Any]
    seconds: dict[str, float]
    preset: dict[str, Any]
    versions: dict[str, str]
    model_sha256: str
    reference_sha256: str = ""
    driver_sha256: str = ""
    files_sha256: tuple[str, ...] = ()
    output_sha256: str = ""
    poses: str | None = None
    resumed: int = 0
    notes: tuple[str, ...] = ()


def animate(
    reference: str | Path,
    driver: str | Path,
    output: str | Path | None = None,
    preset: Preset | str | None = None,
    *,
    overwrite: bool = False,
    resume: bool = True,
    resources: Resources | None = None,
    clock: StageTimer | None = None,
    on_progress: OnProgress = silent,
) -> Result:
    """Move the person of the reference picture like the person of the driver; write a video.

    reference: any picture. driver: video, GIF, folder of pictures, pose file or pose maps.
    output: .mp4, .webm, .mov, .gif or a folder for PNGs; REFERENCE_DRIVER.mp4 by default.
    preset: a Preset, a preset's name or a TOML file; the best installed model's by default.
    resume: go on where an interrupted run of the same job stopped (OUTPUT.part holds its frames).
    resources: what former runs have loaded and seen. clock: to be read by the caller.

    Raises a MagicPoseError for everything the user can mend; the finished frames are kept.
    """
    preset = resolve_preset(preset)
    plan, picture, opened = make_plan(
        reference, driver, output, preset, overwrite=overwrite, on_progress=on_progress
    )
    clock = clock or StageTimer()
    with nullcontext(resources) if resources else Resources(remember=False) as at_hand:
        key = job_key(plan, preset)
        with ResumeFolder.open(Path(plan.output), key, resume=resume) as work:
            replaces = overwrite or bool(work.facts.get("replaces"))
            if not replaces and Path(plan.output).exists():
                raise OutputError(f"{plan.output} exists; choose another name or give --overwrite")
            work.remember(replaces=replaces)
            on_progress(Progress("plan", 1, 1, note=plan.model_line))
            job = _Job(plan, preset, picture, opened, work, at_hand, clock, on_progress)
            del opened  # the poses of a pose file; the job drops them once it has the motion
            result = replace(
                job.run(replaces),
                **{name: key[name] for name in ("reference_sha256", "driver_sha256")},
                files_sha256=tuple(key["files_sha256"]),
                output_sha256=content_hash(Path(plan.output)),
            )
            write_sidecar(sidecar_path(Path(plan.output)), result, work.path)
            work.finish()
    return result


def job_key(plan: Plan, preset: Preset) -> dict[str, Any]:
    """Everything that decides the made frames: of two runs with one key, one can end the other."""
    settings = preset.model_dump(exclude={"output": True, "description": True})
    try:
        hashes = content_hashes(plan.reference, plan.driver, plan.model, preset)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    settings["model"].pop("batch_size")  # rounding apart it changes nothing; the journal holds it
    return {
        **hashes,
        "size": [plan.width, plan.height, plan.network_width, plan.network_height],
        "steps": plan.steps,
        "guidance": plan.guidance,
        "settings": settings,
        "versions": versions(),
    }


def content_hashes(reference: str, driver: str, model: str, preset: Preset) -> dict[str, Any]:
    """Of everything that a run reads: SHA-256 by `reference_sha256` and so on, `files_sha256` of
    what the preset's model settings name beside the model. Raises OSError for what is not there."""
    from magicpose_cli.diffusion.adapters.named import files_of

    return {
        "reference_sha256": content_hash(Path(reference)),
        "driver_sha256": content_hash(Path(driver)),
        "model_sha256": model_hash_of(model),
        "files_sha256": [content_hash(file) for file in files_of(preset.model) if file.exists()],
    }


@dataclass
class _Job:
    """One run of `animate`: what its stages share."""

    plan: Plan
    preset: Preset
    picture: np.ndarray
    driver: Driver
    work: ResumeFolder
    resources: Resources
    clock: StageTimer
    on_progress: OnProgress

    def run(self, replaces: bool) -> Result:
        plan, preset, clock = self.plan, self.preset, self.clock
        with clock("poses"):
            motion = self._motion()
            self.driver = replace(self.driver, people=())
        sources = motion.sources(self.driver.frame_count, preset.sampling.reuse_px)
        wanted = sorted(set(sources))
        with clock("reference"):
            warp = self._warp(motion, wanted) if plan.warp else None
        finisher = Finisher(
            plan, preset, self.picture, motion, sources,
            maps=self._maps(motion, range(self.driver.frame_count)),
            warp=warp, clock=clock,
        )  # fmt: skip
        maker, chunks = self._dressed(motion, finisher.needed(wanted))
        self.on_progress(Progress("render", 0, self.driver.frame_count))
        writer = VideoWriter(
            plan.output, self.driver.rate,
            sound=_sound(self.driver, preset) if plan.audio else None,
            crf=preset.output.crf, overwrite=replaces, work=self.work.path,
        )  # fmt: skip
        try:
            with writer, closing(finisher):
                resumed = self._write(writer, finisher, motion, sources, chunks, maker)
                self.work.remember(replaces=True)  # if killed now, what stands there may be ours
        except OutputError:
            self.work.remember(replaces=replaces)
            raise
        saves = preset.output.save_poses and self.driver.kind != "pose-maps"
        poses = self._save_poses(motion.poses) if saves else None
        return Result(
            plan=plan,
            output=plan.output,
            frames=writer.frame_count,
            motion=motion.report(),
            seconds=clock.seconds,
            preset=preset.model_dump(),
            versions=versions(),
            model_sha256=model_hash_of(plan.model),
            poses=str(poses) if poses else None,
            resumed=resumed,
            notes=(
                *self.work.notes,
                *(maker.notes if maker else ()),
                *(warp.notes if warp else ()),
                *writer.notes,
            ),
        )

    def _dressed(
        self, motion: Motion, drawn: Sequence[int]
    ) -> tuple[FrameRenderer | None, list[Sequence[int]]]:
        """Who makes these frames of the driver, ready for the reference, and in which batches; of
        no frames nobody, and the model is not loaded."""
        self.on_progress(Progress("model", 0, 1))
        maker, size = None, 0
        if drawn:
            with self.clock("model"):
                maker = self.resources.maker(self._network_preset).result()
            with self.clock("reference"):
                picture = motion.framing.picture(self.picture)
                size = maker.prepare(picture, self._network_preset, len(drawn))
        self.on_progress(Progress("model", 1, 1))
        return maker, self._chunks(drawn, size)

    @property
    def _network_preset(self) -> Preset:
        """The settings as the network sees them: of its own frames' size."""
        width, height = self._network_size
        frame = self.preset.frame.model_copy(update={"size": f"{width}x{height}"})
        return self.preset.model_copy(update={"frame": frame})

    @property
    def _network_size(self) -> tuple[int, int]:
        return self.plan.network_width, self.plan.network_height

    def _motion(self) -> Motion:
        """The motion that a former run of this job has found, else looked for now and kept."""
        size = self._network_size
        if kept := self.work.motion():
            return Motion.restored(*kept, size, (self.driver.clip.width, self.driver.clip.height))
        target = seen = None
        people: list[Pose] = []
        settings = self.preset.motion
        plan, moves = self.plan, needs_target(self.driver, self.preset)
        if moves or plan.keep_background or plan.warp:
            path = Path(plan.reference)
            people = self.resources.people(path, self.picture, settings)
            target = people[0]
        elif lacks_person(self.driver, self.preset, self.picture, size):
            with suppress(MagicPoseError):  # then the window is in the middle
                target = self.resources.people(Path(plan.reference), self.picture, settings)[0]
        if not plan.warp or plan.trusts_network or target is None or _lacks_wrist(target):
            self.resources.maker(self._network_preset)  # loads while the driver is looked at
        if self.driver.kind != "pose-maps":
            seen = self.resources.seen(self.driver, settings, self.on_progress)
        shown = (plan.width, plan.height) if plan.warp else None
        motion = read_motion(self.driver, target, self.picture, size, self.preset, seen, shown)
        if len(people) > 1:
            motion.notes += (f"{len(people)} people in the reference: only the largest is moved",)
        if target is not None:
            motion.reference_pose = motion.framing.pose(target)
        self.work.save_motion(motion.arrays(), motion.report())
        return motion

    def _chunks(self, wanted: Sequence[int], size: int) -> list[Sequence[int]]:
        """The frames to be made, batch by batch: of equal length, as little padded as can be.

        A resumed run takes the former's batches, so that the frames are the same to the last bit.
        """
        if not wanted:
            return []
        if (kept := self.work.facts.get("batch_size")) is None:
            batches = -(-len(wanted) // size)
            kept = -(-len(wanted) // batches)
            self.work.remember(batch_size=kept)
        return [wanted[i : i + kept] for i in range(0, len(wanted), kept)]

    def _write(
        self,
        writer: VideoWriter,
        finisher: Finisher,
        motion: Motion,
        sources: Sequence[int],
        chunks: Sequence[Sequence[int]],
        maker: FrameRenderer | None,
    ) -> int:
        """All frames in order to the writer; returns how many a former run had made.

        Drawing runs in a thread ahead of the networks, keeping and encoding in one behind them.
        """
        clock, work = self.clock, self.work
        at = 0

        def write(last: int, made: np.ndarray | None) -> None:
            """All up to a frame of the driver; made: what the network has drawn for that one."""
            nonlocal at
            while at < len(sources) and sources[at] <= last:
                with clock("encode"):
                    writer.write(finisher(made if sources[at] == last else None, at))
                at += 1
                self.on_progress(Progress("render", at, len(sources)))

        def take(made: tuple[Sequence[int], np.ndarray, bool]) -> None:
            indices, frames, is_new = made
            if is_new:
                with clock("keep"):
                    for index, frame in zip(indices, frames, strict=False):
                        work.save(index, frame)
            for index, frame in zip(indices, frames, strict=False):
                write(index, frame)

        stand = 0
        with BackgroundWriter(take) as sink:
            while stand < len(chunks) and (kept := work.load_all(chunks[stand])) is not None:
                sink.put((chunks[stand], kept, False))
                stand += 1
            left = chunks[stand:]
            if maker is not None and left:
                drawn = self._batches(motion, finisher, left, len(chunks[0]))
                batches = ahead(clock.each("draw", drawn))
                for indices, frames in zip(
                    left, clock.each("render", maker.render(batches)), strict=True
                ):
                    sink.put((indices, frames, True))
        write(sources[-1], None)
        return sum(map(len, chunks[:stand]))

    def _batches(
        self, motion: Motion, finisher: Finisher, chunks: Sequence[Sequence[int]], size: int
    ) -> Iterator[np.ndarray]:
        """(size, H, W, 3) pose maps, or 6 with what the frames begin from; the last batch is filled
        up, so that all have one shape."""
        indices = [i for chunk in chunks for i in chunk]
        maps = self._maps(motion, indices)
        if self.preset.sampling.start_from_warp is not None:
            starts = finisher.starts(indices)
            maps = (np.concatenate(pair, axis=2) for pair in zip(maps, starts, strict=True))
        for chunk in chunks:
            drawn = [next(maps) for _ in chunk]
            yield np.stack(drawn + drawn[-1:] * (size - len(drawn)))

    def _maps(self, motion: Motion, frames: Sequence[int]) -> Iterator[np.ndarray]:
        size = self._network_size
        return draw_maps(self.driver, motion, self.plan.pose_canvas, size, self.preset, frames)

    def _warp(self, motion: Motion, wanted: Sequence[int]) -> WarpedFrames:
        """The reference, ready to be moved; what a former run has made of it serves this one."""
        path = Path(self.plan.reference)
        reference = self.resources.reference_warp(path, self.picture, motion, self.preset.motion)
        secondary = self.preset.frame.secondary_motion
        return WarpedFrames(
            reference, motion, self.driver, wanted,
            secondary=secondary, trusts_network=self.plan.trusts_network,
        )  # fmt: skip

    def _save_poses(self, poses: Sequence[Pose]) -> Path:
        """The poses as they were drawn, beside the video; `animate` takes them as a driver."""
        from magicpose_cli.pose.files.openpose_json import write_poses

        path, made = poses_path(Path(self.plan.output)), self.work.path / f"{SO_FAR}.poses.json"
        write_poses(made, poses, float(self.driver.rate), overwrite=True)
        _place(made, path)
        return path


def write_sidecar(path: Path, result: Result, work: Path) -> None:
    """Write the settings of a run in one step. work: where what a killed one leaves is cleared.

    Raises OutputError.
    """
    made = work / f"{SO_FAR}.json"
    try:
        write_json(made, asdict(result))
        _place(made, path)
    except OutputError as error:
        raise OutputError(
            f"{error}; {result.output} is finished: mend this and run the same command again for "
            "its settings"
        ) from error


def _place(made: Path, target: Path) -> None:
    try:
        place(made, target, overwrite=True)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise unwritable(target, error) from error


def versions() -> dict[str, str]:
    """Of the program, of Python and of what decides the result."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def model_hash_of(folder: str) -> str:
    """The model's hash, computed once for as long as its files stay as they are."""
    return _model_hash(
        folder, max(file.stat().st_mtime_ns for file in Path(folder).rglob("*") if file.is_file())
    )


@lru_cache(maxsize=8)
def _model_hash(folder: str, changed_ns: int) -> str:
    from magicpose_cli.diffusion.checkpoint.loading import model_hash

    return model_hash(Path(folder))


def _lacks_wrist(pose: Pose) -> bool:
    """Whether a wrist of the reference is not seen: the network may have to draw a forearm."""
    wrists = [BODY_JOINTS.index(f"{side}_wrist") for side in ("right", "left")]
    return not np.isfinite(pose.body[wrists]).all()


def _sound(driver: Driver, preset: Preset) -> Sound:
    chosen, track = driver.selected, preset.output.audio_track
    return Sound(
        driver.clip.path,
        chosen.audio_start_s,
        chosen.duration_s,
        track=None if track is None else track - 1,
    )
