"""The main job, from the first stage to the last; it reads like the README."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError, MagicPoseError, OutputError
from magicpose_cli.files import content_hash
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.hand_crops import hand_layers, own_hand_layers
from magicpose_cli.motion.motion import Motion
from magicpose_cli.motion.pose_maps import draw_maps
from magicpose_cli.motion.read_motion import (
    lacks_person,
    needs_detections,
    needs_target,
    read_motion,
)
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.camera_path import CameraPath, find_camera_path, shows_drivers_place
from magicpose_cli.run.fingerprint import run_fingerprint
from magicpose_cli.run.finishing import Finisher, WarpedFrames
from magicpose_cli.run.frame_batches import FrameBatches
from magicpose_cli.run.preflight import make_plan, resolve_preset
from magicpose_cli.run.resources import FrameRenderer, Resources
from magicpose_cli.run.resume_folder import ResumeFolder
from magicpose_cli.run.run_record import (
    MotionRecord,
    Plan,
    Result,
    place_beside_output,
    poses_path,
    write_run_record,
)
from magicpose_cli.run.stage_timer import StageTimer
from magicpose_cli.run.threads import BackgroundWriter, prefetch
from magicpose_cli.video import Sound, VideoWriter, held_note
from magicpose_cli.video.write import PARTIAL_STEM
from magicpose_cli.warping.face_crop import upright_face
from magicpose_cli.warping.parts import shows_forearms

if TYPE_CHECKING:
    from magicpose_cli.motion.body_control_maps import FittedBodyMaps, ReadyBodyMaps
    from magicpose_cli.warping.warp import ReferenceWarp

_FACE_PX = 224  # side of the face that identity tokens are made of, as CLIP reads pictures


def animate(
    reference: str | Path,
    driver: str | Path,
    output: str | Path | None = None,
    preset: Preset | str | Path | None = None,
    *,
    overwrite: bool = False,
    resume: bool = True,
    resources: Resources | None = None,
    timer: StageTimer | None = None,
    on_progress: OnProgress = silent,
) -> Result:
    """Move the person of the reference picture like the person of the driver; write a video.

    Args:
        reference: Any picture.
        driver: Video, GIF, folder of pictures, pose file or pose maps.
        output: .mp4, .webm, .mov, .gif or a folder for PNGs; REFERENCE_DRIVER.mp4 by default.
        preset: A Preset, a preset's name or a TOML file; the best installed model's by default.
        overwrite: Replace what stands at the output.
        resume: Go on where an interrupted run of the same job stopped (its frames: OUTPUT.part).
        resources: What former runs have loaded and seen.
        timer: Takes the time of the stages, to be read by the caller.
        on_progress: Told of every step.

    Returns:
        What has been made, and everything needed to make it again.

    Raises:
        MagicPoseError: Something that the user can mend; the finished frames are kept.
    """
    preset = resolve_preset(preset)
    plan, picture, opened = make_plan(
        reference, driver, output, preset, overwrite=overwrite, on_progress=on_progress
    )
    output = Path(plan.output)
    timer = timer or StageTimer()
    with nullcontext(resources) if resources else Resources(remember=False) as at_hand:
        fingerprint = run_fingerprint(plan, preset)
        with ResumeFolder.open(output, fingerprint, resume=resume) as folder:
            replaces = overwrite or bool(folder.metadata.get("replaces"))
            if not replaces and output.exists():
                raise OutputError(f"{output} exists; choose another name or give --overwrite")
            folder.remember(replaces=replaces)
            on_progress(Progress("plan", 1, 1, note=plan.model_line))
            job = _Job(plan, preset, picture, opened, folder, at_hand, timer, on_progress)
            del opened  # the poses of a pose file; the job drops them once it has the motion
            record = job.run(replaces, fingerprint)
            write_run_record(record, folder.path)
            folder.finish()
    return record


@dataclass
class _Job:
    """One run of `animate`: what its stages share."""

    plan: Plan
    preset: Preset
    picture: Picture
    driver: Driver
    folder: ResumeFolder
    resources: Resources
    timer: StageTimer
    on_progress: OnProgress
    held_maps: set[int] = field(default_factory=set)  # ready-drawn ones that cannot be decoded

    def run(self, replaces: bool, fingerprint: dict[str, Any]) -> Result:
        """Make the video. replaces: whether it may take the place of what stands there."""
        plan, preset, timer = self.plan, self.preset, self.timer
        with timer("poses"):
            motion = self._motion()
            self.driver = replace(self.driver, people=(), motion=None)
        reference, camera = self._reference_and_camera(motion)
        sources = motion.sources(self.driver.frame_count, preset.sampling.reuse_px)
        if camera is not None or plan.steady:  # which change while the person does not move
            sources = list(range(self.driver.frame_count))
        wanted = sorted(set(sources))
        warp = self._warp(reference, motion, wanted, camera) if reference else None
        finisher = Finisher(
            plan, preset, self.picture, motion, sources,
            maps=self._maps(motion, range(self.driver.frame_count)),
            warp=warp, timer=timer,
        )  # fmt: skip
        renderer, batches = self._renderer(motion, finisher.needed(wanted))
        bodies = self._body_maps(motion) if renderer is not None and plan.body_maps else None
        self.on_progress(Progress("render", 0, self.driver.frame_count))
        writer = VideoWriter(
            plan.output, self.driver.rate,
            sound=_sound(self.driver, preset) if plan.audio else None,
            crf=preset.output.crf, overwrite=replaces, work=self.folder.path,
        )  # fmt: skip
        try:
            with writer, closing(finisher):
                draw = partial(self._drawn, motion, finisher, bodies)
                resumed = self._write(writer, finisher, sources, batches, renderer, draw)
                self.folder.remember(replaces=True)  # if killed now, what stands there may be ours
        except OutputError:
            self.folder.remember(replaces=replaces)
            raise
        saves = preset.output.save_poses and self.driver.kind != "pose-maps"
        poses = self._save_poses(motion.poses) if saves else None
        return Result(
            plan=plan,
            output=plan.output,
            frames=writer.frame_count,
            motion=MotionRecord.of(motion),
            seconds=timer.seconds,
            preset=preset.model_dump(),
            versions=fingerprint["versions"],
            model_sha256=fingerprint["model_sha256"],
            reference_sha256=fingerprint["reference_sha256"],
            driver_sha256=fingerprint["driver_sha256"],
            files_sha256=tuple(fingerprint["files_sha256"]),
            output_sha256=content_hash(Path(plan.output)),
            poses=str(poses) if poses else None,
            resumed=resumed,
            notes=(
                *self.folder.notes,
                *(renderer.notes if renderer else ()),
                *(warp.notes if warp else ()),
                *writer.notes,
                *held_note(self.driver.selected, self.held_maps),
            ),
        )

    def _renderer(
        self, motion: Motion, drawn: Sequence[int]
    ) -> tuple[FrameRenderer | None, FrameBatches]:
        """Find who draws these frames of the driver, and in which batches.

        The reference is set. For no frames there is nobody, and the model is not loaded.
        """
        self.on_progress(Progress("model", 0, 1))
        renderer, size = None, 0
        if drawn:
            with self.timer("model"):
                renderer = self.resources.renderer(self._network_preset).result()
            with self.timer("reference"):
                picture = motion.framing.picture(self.picture)
                size = renderer.set_reference(
                    picture, self._network_preset, len(drawn), self._face(), self._own_map(motion)
                )
        self.on_progress(Progress("model", 1, 1))
        return renderer, self._batches_of(drawn, size)

    def _own_map(self, motion: Motion) -> Picture | None:
        """The reference's pose map, for models that read it."""
        if motion.reference_pose is None:
            return None
        pose, canvas = motion.reference_pose, self.plan.pose_canvas
        drawn = pose_map(pose, canvas)
        if not self.preset.sampling.refine_hands:
            return drawn
        hands = own_hand_layers(self.picture, motion.framing, pose, canvas)
        return np.concatenate([drawn, hands], axis=2)

    def _face(self) -> Picture | None:
        """The reference's face, upright, where the settings ask for its identity and it is seen."""
        if not self.preset.model.identity:
            return None
        path = Path(self.plan.reference)
        try:
            person = self.resources.people(path, self.picture, self.preset.motion)[0]
        except DetectionError:
            return None
        return upright_face(self.picture, person, _FACE_PX)

    @property
    def _network_preset(self) -> Preset:
        """The settings as the network sees them: of its own frames' size."""
        width, height = self.plan.network_size
        frame = self.preset.frame.model_copy(update={"size": f"{width}x{height}"})
        return self.preset.model_copy(update={"frame": frame})

    def _motion(self) -> Motion:
        """The motion that a former run of this job has found, else looked for now and kept."""
        size = self.plan.network_size
        if kept := self.folder.motion():
            return Motion.restored(*kept, size, (self.driver.clip.width, self.driver.clip.height))
        target = detections = None
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
        if not plan.warp or plan.trusts_network or target is None or not shows_forearms(target):
            self.resources.renderer(self._network_preset)  # loads while the driver is looked at
        if needs_detections(self.driver, self.preset):
            detections = self.resources.detections(self.driver, settings, self.on_progress)
        shown = plan.size if plan.warp else None
        motion = read_motion(
            self.driver, target, self.picture, size, self.preset, detections, shown,
            self.on_progress,
        )  # fmt: skip
        if len(people) > 1:
            motion.notes += (f"{len(people)} people in the reference: only the largest is moved",)
        if target is not None:
            motion.reference_pose = motion.framing.pose(target)
        self.folder.save_motion(motion.arrays(), motion.report())
        return motion

    def _batches_of(self, wanted: Sequence[int], size: int) -> FrameBatches:
        """The frames to be made, batch by batch: of equal length, as little padded as can be.

        A resumed run takes the former's batches, so that the frames are the same to the last bit.
        """
        if not wanted:
            return FrameBatches((), ())
        if self.plan.steady:
            return FrameBatches.steady(wanted, self.driver.frame_count)
        if (length := self.folder.metadata.get("batch_size")) is None:
            batches = -(-len(wanted) // size)
            length = -(-len(wanted) // batches)
            self.folder.remember(batch_size=length)
        return FrameBatches.apart(wanted, length)

    def _write(
        self,
        writer: VideoWriter,
        finisher: Finisher,
        sources: Sequence[int],
        batches: FrameBatches,
        renderer: FrameRenderer | None,
        draw: Callable[[Sequence[Sequence[int]], int], Iterator[Pictures]],
    ) -> int:
        """All frames in order to the writer; returns how many a former run had made.

        Drawing runs in a thread ahead of the networks, saving and encoding in one behind them.
        """
        timer, folder = self.timer, self.folder
        at = 0

        def write(last: int, made: Picture | None) -> None:
            """All up to a frame of the driver; made: what the network has drawn for that one."""
            nonlocal at
            while at < len(sources) and sources[at] <= last:
                with timer("encode"):
                    writer.write(finisher(made if sources[at] == last else None, at))
                at += 1
                self.on_progress(Progress("render", at, len(sources)))

        def take(made: tuple[Sequence[int], Pictures, bool]) -> None:
            indices, frames, is_new = made
            if is_new:
                with timer("keep"):
                    for index, frame in zip(indices, frames, strict=False):
                        folder.save(index, frame)
            for index, frame in zip(indices, frames, strict=False):
                write(index, frame)

        done = 0
        with BackgroundWriter(take) as sink:
            for finished in batches.finished:
                if (kept := folder.load_all(finished)) is None:
                    break
                sink.put((finished, kept, False))
                done += 1
            left = batches.left(done)
            if renderer is not None and left:
                ahead = prefetch(timer.each("draw", draw(left, len(batches.made[0]))))
                made = timer.each("render", renderer.render(ahead))
                for indices, frames in batches.finish(made, done):
                    sink.put((indices, frames, True))
        write(sources[-1], None)
        return sum(map(len, batches.finished[:done]))

    def _drawn(
        self,
        motion: Motion,
        finisher: Finisher,
        bodies: FittedBodyMaps | ReadyBodyMaps | None,
        batches: Sequence[Sequence[int]],
        size: int,
    ) -> Iterator[Pictures]:
        """Draw batches of pose maps; the last one is filled up, so that all have one shape.

        Returns:
            (size, H, W, 3 + 3k + HAND_CHANNELS + 3) uint8: the pose map, the k maps of the body
            where there are any, what hands are made again from and what the frames begin from,
            where they are.
        """
        indices = sorted({i for batch in batches for i in batch})
        layers = [self._maps(motion, indices)]
        if bodies is not None:
            layers.append(bodies.frames(indices))
        if self.preset.sampling.refine_hands:
            canvas = self.plan.pose_canvas
            layers.append(hand_layers(motion.poses[i], canvas) for i in indices)
        if self.preset.sampling.start_from_warp is not None:
            layers.append(finisher.starts(indices))
        maps = (np.concatenate(each, axis=2) for each in zip(*layers, strict=True))
        held: dict[int, Picture] = {}  # of windows that overlap
        for batch in batches:
            drawn = [held[i] if i in held else next(maps) for i in batch]
            yield np.stack(drawn + drawn[-1:] * (size - len(drawn)))
            held = dict(zip(batch, drawn, strict=True)) if self.plan.steady else {}

    def _maps(self, motion: Motion, frames: Sequence[int]) -> Iterator[Picture]:
        canvas = self.plan.pose_canvas
        return draw_maps(self.driver, motion, canvas, frames, self.held_maps.add)

    def _body_maps(self, motion: Motion) -> FittedBodyMaps | ReadyBodyMaps:
        """The maps of the body that the network reads beside the pose maps."""
        from magicpose_cli.motion.body_control_maps import (
            FittedBodyMaps,
            ReadyBodyMaps,
            films_of_maps,
        )

        names, ready = self.plan.body_maps, self.preset.model.ready_body_maps
        with self.timer("poses"):
            if ready is None:
                return FittedBodyMaps.of(motion, names, self.driver, self.on_progress)
            films = films_of_maps(Path(ready), names)
            height, width = self.picture.shape[:2]
            return ReadyBodyMaps(films, self.driver, motion.framing, (width, height))

    def _reference_and_camera(
        self, motion: Motion
    ) -> tuple[ReferenceWarp | None, CameraPath | None]:
        """The reference, ready to be moved where it is to be, and beside it the driver's camera."""
        if not self.plan.warp:
            return None, self._camera(motion)
        with ThreadPoolExecutor(1, thread_name_prefix="reference") as beside:
            reference = beside.submit(self._reference_warp, motion)
            camera = self._camera(motion)
            return reference.result(), camera

    def _reference_warp(self, motion: Motion) -> ReferenceWarp:
        """What a former run has made of the same reference serves this one."""
        path, settings = Path(self.plan.reference), self.preset.motion
        with self.timer("reference"):
            return self.resources.reference_warp(path, self.picture, motion, settings)

    @property
    def _moves_background(self) -> bool:
        """Whether the result's background is the reference's own, and free to move."""
        plan = self.plan
        return plan.warp and not plan.trusts_network and not self.preset.frame.paste_back

    def _camera(self, motion: Motion) -> CameraPath | None:
        """Follow the driver's camera, where the background is to move with it."""
        asked = self.preset.frame.camera_motion
        by_itself = asked == "auto"
        if asked == "off" or (by_itself and not self._moves_background):
            return None
        with self.timer("camera"):
            if by_itself and not shows_drivers_place(self.driver, motion, self.picture):
                return None
            path = find_camera_path(self.driver, motion, self.on_progress)
        if by_itself:
            if path is None or path.stands_still(self.plan.size):
                return None
            motion.notes += (
                "the reference shows the place that the driver was filmed in: its background moves "
                "with the driver's camera (--camera-motion off keeps it still)",
            )
        if path is None:
            motion.notes += ("camera-motion: the driver is no film that can be followed: off",)
        return path

    def _warp(
        self,
        reference: ReferenceWarp,
        motion: Motion,
        wanted: Sequence[int],
        camera: CameraPath | None,
    ) -> WarpedFrames:
        secondary = self.preset.frame.secondary_motion
        return WarpedFrames(
            reference, motion, self.driver, wanted,
            secondary=secondary, trusts_network=self.plan.trusts_network, camera=camera,
        )  # fmt: skip

    def _save_poses(self, poses: Sequence[Pose]) -> Path:
        """The poses as they were drawn, beside the video; `animate` takes them as a driver."""
        from magicpose_cli.pose.files.openpose_json import write_poses

        path = poses_path(Path(self.plan.output))
        made = self.folder.path / f"{PARTIAL_STEM}.poses.json"
        write_poses(made, poses, float(self.driver.rate), overwrite=True)
        place_beside_output(made, path)
        return path


def _sound(driver: Driver, preset: Preset) -> Sound:
    chosen, track = driver.selected, preset.output.audio_track
    return Sound(
        driver.clip.path,
        chosen.audio_start_s,
        chosen.duration_s,
        track=None if track is None else track - 1,
        tracks=driver.clip.sound_tracks,
    )
