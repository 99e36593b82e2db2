"""From the network's frame and the warped reference to the frame that is written.

Frames are fused with the warped reference, or have its background kept; then they stand alone, in
the whole picture, or in a row with what they were made from.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.compositing.background import Background
from magicpose_cli.compositing.paste_back import Paster
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.motion import Motion
from magicpose_cli.motion.pose_maps import picked
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.run.camera_path import CameraPath
from magicpose_cli.run.run_record import Plan
from magicpose_cli.run.stage_timer import StageTimer
from magicpose_cli.run.threads import prefetch
from magicpose_cli.run.tracking_process import track_frames
from magicpose_cli.warping.carried_hands import carry_hands
from magicpose_cli.warping.fusion import Fusion
from magicpose_cli.warping.mirrored_arm import steadied_share
from magicpose_cli.warping.secondary import (
    DriverTracker,
    size_to_track,
    steadied,
    steady_reach,
)
from magicpose_cli.warping.warp import ReferenceWarp, TrackedFrame, WarpedFrame

_MIRROR_REACH_S = 0.2  # of time to each side, over which a mirrored arm fades in
_OFTEN = 0.1  # of the frames: a hand that is seen in fewer is not missed


class Finisher:
    """Takes the network's frames in order and gives what is written.

    Args:
        plan: What the run will do.
        preset: All settings.
        picture: The whole reference, (H, W, 3) uint8 RGB.
        motion: The motion on the reference.
        sources: For each frame of the film the index of the driver's frame that is shown there.
        maps: Pose maps of all frames, where they are shown.
        warp: The moved reference, for a warped result.
        timer: Takes the time of warping.
    """

    def __init__(
        self,
        plan: Plan,
        preset: Preset,
        picture: Picture,
        motion: Motion,
        sources: Sequence[int],
        *,
        maps: Iterator[Picture],
        warp: WarpedFrames | None,
        timer: StageTimer,
    ) -> None:
        self._motion, self._sources, self._maps = motion, sources, maps
        self._canvas = motion.result_framing.picture(picture)
        self._compose = self._kept
        self._warped: Iterator[WarpedFrame] = iter(())
        self._background: Background | None = None
        if (
            plan.keep_background
            and motion.reference_pose is not None
            and (not warp or plan.trusts_network)
        ):
            self._background = Background(motion.framing.picture(picture), motion.reference_pose)
        if warp is not None:
            self._fusion = Fusion(
                warp.reference,
                motion.framing,
                motion.result_framing,
                trusts_network=plan.trusts_network,
                strength=preset.frame.warp_strength,
            )
            self._source = warp
            self._warped = prefetch(timer.each("warp", warp.frames(sorted(set(sources)))))
            self._compose = self._fused
        self._warps = warp is not None
        self._needs_all = warp is None or preset.output.compare
        self._place: Callable[[Picture, Picture | None], Picture]
        self._place = lambda shown, made: shown
        if preset.frame.paste_back:
            paster = Paster(picture, motion.result_framing, preset.frame.feather)
            self._place = lambda shown, made: paster.paste(shown)
            if preset.output.compare:
                around = Paster(np.zeros_like(picture), motion.result_framing, 0)
                self._place = lambda shown, made: self._compared_pasted(
                    picture, around, paster.paste(shown), made
                )
        elif preset.output.compare:
            self._place = self._compared if warp is None else self._compared_with_made

    def close(self) -> None:
        """Stop what is made ahead."""
        if isinstance(self._warped, Generator):
            self._warped.close()

    def needed(self, indices: Sequence[int]) -> list[int]:
        """Pick those of the driver's frames of which the network's picture is shown at all."""
        if self._needs_all:
            return list(indices)
        return [i for i in indices if self._fusion.needs(self._source.pose(i))]

    def starts(self, indices: Sequence[int]) -> Iterator[Picture]:
        """The warped reference as the network's frames show it; only of a warped result.

        Args:
            indices: Rising indices of the driver's frames.

        Returns:
            (h, w, 3) uint8 RGB for each of them.
        """
        return (self._fusion.for_network(frame.picture) for frame in self._source.frames(indices))

    def __call__(self, made: Picture | None, at: int) -> Picture:
        """Finish one frame.

        Args:
            made: The network's frame, (h, w, 3) uint8 RGB; None where it is not needed.
            at: Index of the frame in the film.
        """
        return self._place(self._compose(made, at), made)

    def _kept(self, made: Picture | None, at: int) -> Picture:
        assert made is not None  # every frame is needed
        if self._background is None:
            return made
        return self._background.keep(made, self._motion.poses[self._sources[at]])

    def _fused(self, made: Picture | None, at: int) -> Picture:
        if at == 0 or self._sources[at] != self._sources[at - 1]:
            self._frame = next(self._warped)
        return self._fusion(self._frame, None if made is None else self._kept(made, at))

    def _compared(self, shown: Picture, made: Picture | None) -> Picture:
        return np.concatenate([self._canvas, next(self._maps), shown], axis=1)

    def _compared_with_made(self, shown: Picture, made: Picture | None) -> Picture:
        assert made is not None
        drawn = (self._fusion.in_result(picture) for picture in (next(self._maps), made))
        return np.concatenate([self._canvas, *drawn, shown], axis=1)

    def _compared_pasted(
        self, picture: Picture, around: Paster, shown: Picture, made: Picture | None
    ) -> Picture:
        """All as large as the whole picture; around: lays what fills the window on black."""
        drawn = [next(self._maps)]
        if self._warps:
            assert made is not None
            drawn = [self._fusion.in_result(one) for one in (*drawn, made)]
        return np.concatenate([picture, *map(around.paste, drawn), shown], axis=1)


class WarpedFrames:
    """The reference, moved as a driver moves.

    Args:
        reference: The reference, ready to be moved.
        motion: The motion on the reference.
        driver: The opened driver.
        wanted: Rising indices of all the driver's frames that are shown.
        secondary: Whether the driver's own picture is tracked, for hair and clothes.
        trusts_network: Whether the network draws what the reference hides.
        camera: The driver's camera, by which the background is moved; else it stands still.

    Attributes:
        notes: What the user should know, a line each.
    """

    def __init__(
        self,
        reference: ReferenceWarp,
        motion: Motion,
        driver: Driver,
        wanted: Sequence[int],
        *,
        secondary: bool,
        trusts_network: bool = False,
        camera: CameraPath | None = None,
    ) -> None:
        self.reference = reference
        self.notes = list(_lacking(reference, motion.poses, trusts_network))
        self._camera = camera
        if camera is not None:
            self.notes += camera.notes
        self._motion, self._driver, self._wanted = motion, driver, wanted
        self._poses = carry_hands(motion.poses, reference.hidden_hands)
        self._reach = round(_MIRROR_REACH_S * float(driver.rate))
        self._shares = lru_cache(4 * self._reach + 4)(
            lambda index: reference.mirrored_shares(self.pose(index))
        )
        self._tracker: Future[DriverTracker | None] | None = None
        if secondary and motion.tracked:
            anchor = motion.anchor
            assert anchor is not None
            self._laid = motion.in_result(motion.poses[anchor])
            self._size = size_to_track(motion.tracked, anchor, self._laid)
            beside = ThreadPoolExecutor(1, thread_name_prefix="tracker")  # the network's work
            self._tracker = beside.submit(self._track)
            beside.shutdown(wait=False)

    def _track(self) -> DriverTracker | None:
        """Of the driver's own picture; None where its person cannot be told from the rest."""
        motion, anchor = self._motion, self._motion.anchor
        assert anchor is not None
        picture = next(self._driver.frames(slice(anchor, anchor + 1), self._size))
        try:
            return DriverTracker(picture, motion.tracked, anchor, self._laid)
        except DetectionError as error:
            self.notes.append(f"hair and clothes are moved by the points alone: {error}")
            return None

    def pose(self, index: int) -> Pose:
        """Of a frame of the driver, in pixels of the result."""
        return self._motion.in_result(self._poses[index])

    def frames(self, indices: Sequence[int]) -> Iterator[WarpedFrame]:
        """The frames with these rising indices, each the same whatever others are asked for."""
        for index, driven in zip(indices, self._driven(indices), strict=True):
            camera = None if self._camera is None else self._camera.motions[index]
            yield self.reference(self.pose(index), driven, camera, self._mirrored(index))

    def _mirrored(self, index: int) -> dict[str, float]:
        """How much of each arm is the other one's mirror image, without jumps in time."""
        first, last = max(0, index - self._reach), index + self._reach + 1
        around = [self._shares(i) for i in range(first, min(last, len(self._poses)))]
        return {side: steadied_share([shares[side] for shares in around]) for side in around[0]}

    def _driven(self, indices: Sequence[int]) -> Iterator[TrackedFrame | None]:
        tracker = self._tracker.result() if self._tracker else None
        if tracker is None:
            yield from (None for _ in indices)
            return
        rate = float(self._driver.rate)
        reach = steady_reach(rate)
        asked = set(indices)
        tracked = [i for i in self._wanted if asked.intersection(range(i - reach, i + reach + 1))]
        pictures = picked(self._driver.frames(size=self._size), tracked)
        frames = (
            (index, picture, self._motion.tracked[index])
            for index, picture in zip(tracked, pictures, strict=True)
        )
        with closing(prefetch(track_frames(tracker, frames, len(tracked)))) as looked_at:
            for index, driven in steadied(looked_at, rate):
                if index in asked:
                    yield driven


def _lacking(
    reference: ReferenceWarp, poses: Sequence[Pose], trusts_network: bool
) -> Iterator[str]:
    """What cannot be moved because the reference does not show it, a line each."""
    hands = [
        f"{side} hand"
        for side in reference.hidden_hands
        if np.mean([pose.shows_hand(side) for pose in poses]) >= _OFTEN
    ]
    if hands:
        how = "drawn by the model" if trusts_network or reference.skin is None else "modeled"
        yield f"the reference does not show the {' and the '.join(hands)}: {how}"
    if not reference.has_face:
        yield "no face was found in the reference: its head is moved as it is"
