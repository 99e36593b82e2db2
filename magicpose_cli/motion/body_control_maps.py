"""Maps of the body in step with the motion: drawn from a fit to it, or read ready-made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Pictures
from magicpose_cli.body.fit import FittedClip
from magicpose_cli.body.maps import (
    MAP_LAYERS,
    DepthRange,
    depth_range,
    draw_body_maps,
    map_channels,
)
from magicpose_cli.body.model import Body
from magicpose_cli.errors import InputError
from magicpose_cli.motion.body_motion import fit_poses
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.motion import Motion
from magicpose_cli.motion.pose_maps import picked
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.video import Clip, Selection, probe, read_frames, select

SAME_SHAPE = 0.01  # of a ratio of sides: pictures whose ratios differ by less show the same


@dataclass(frozen=True, eq=False)
class FittedBodyMaps:
    """Maps of the body that fits a motion on the reference's proportions.

    Attributes:
        motion: Whose poses were fitted.
        names: Of the maps.
        body: That was fitted.
        fitted: To the poses, in pixels of the network's frame.
        depths: What the depth maps span.
    """

    motion: Motion
    names: Sequence[str]
    body: Body
    fitted: FittedClip
    depths: DepthRange

    @classmethod
    def of(
        cls,
        motion: Motion,
        names: Sequence[str],
        driver: Driver,
        on_progress: OnProgress = silent,
    ) -> FittedBodyMaps:
        """Fit a body to a motion.

        Args:
            motion: On the reference.
            names: Of body.maps.BODY_MAP_NAMES.
            driver: Where the motion comes from.
            on_progress: Is told of the stage "fit".

        Raises:
            InputError: No frame shows four points of a body.
        """
        body = Body.load(MAP_LAYERS)
        fitted = fit_poses(body, motion.poses, driver.rate, driver.clip.path, on_progress)
        return cls(motion, names, body, fitted, depth_range(body, fitted))

    def frames(self, indices: Sequence[int]) -> Iterator[Pictures]:
        """Draw the maps of frames behind each other, each (H, W, 3 * maps) uint8 RGB.

        Where a frame shows nobody they are black, as its pose map is.
        """
        for index in indices:
            seen = self.motion.poses.seen[index]
            maps = draw_body_maps(self.body, self.fitted, index, self.names, self.depths, seen)
            drawn = map_channels(maps)
            yield drawn if seen.any() else np.zeros_like(drawn)


@dataclass(frozen=True, eq=False)
class ReadyBodyMaps:
    """Maps of a body that others have made for the reference, in films or folders.

    Attributes:
        films: One for each map, in the order in which the network reads them.
        driver: With whose frames they keep step.
        framing: Of the reference's picture for the network.
        reference_size: (width, height) of the reference in pixels.
    """

    films: Sequence[Path]
    driver: Driver
    framing: Framing
    reference_size: tuple[int, int]

    def frames(self, indices: Sequence[int]) -> Iterator[Pictures]:
        """Read the maps of frames behind each other, each (H, W, 3 * maps) uint8 RGB.

        Args:
            indices: Rising, of the driver's frames.
        """
        chosen = [
            picked(read_frames(clip, selection, size=self.reference_size), indices)
            for clip, selection in chosen_maps(self.films, self.driver, self.reference_size)
        ]
        for maps in zip(*chosen, strict=True):
            framed = [self.framing.picture(each, Image.Resampling.BILINEAR) for each in maps]
            yield np.concatenate(framed, axis=2)


def chosen_maps(
    films: Sequence[Path], driver: Driver, reference_size: tuple[int, int]
) -> list[tuple[Clip, Selection]]:
    """Look at films of maps, and tell which of their frames belong to the driver's.

    Args:
        films: Or folders of pictures.
        driver: With whose frames they keep step.
        reference_size: (width, height) of the reference in pixels.

    Raises:
        InputError: A film has not the reference's shape, or more or fewer frames than the driver.
    """
    found = []
    width, height = reference_size
    for film in films:
        clip = probe(film, pictures_fps=float(driver.rate))
        if abs(clip.width / clip.height * height / width - 1) > SAME_SHAPE:
            raise InputError(
                f"{film}: its pictures have {clip.width}x{clip.height} pixels; expected the shape "
                f"of the reference, {width}x{height}, over which maps lie"
            )
        found.append((clip, _in_step(clip, driver)))
    return found


def _in_step(clip: Clip, driver: Driver) -> Selection:
    """Which frames of a film belong to the driver's: all, or those chosen as the driver's are."""
    for selection in (Selection(), driver.selection):
        with suppress(InputError):  # the film ends before the driver's first frame
            if select(clip, selection).frame_count == driver.frame_count:
                return selection
    raise InputError(
        f"{clip.path}: has {select(clip, Selection()).frame_count} frames; expected "
        f"{driver.frame_count}, one for each frame of the driver"
    )


def body_maps_of_pose(pose: Pose, names: Sequence[str]) -> Pictures:
    """Draw maps of the body that fits one pose, (H, W, 3 * maps) uint8 RGB; black where none does.

    Args:
        pose: In pixels of the picture.
        names: Of body.maps.BODY_MAP_NAMES.
    """
    body, clip = Body.load(MAP_LAYERS), PoseClip.of([pose])
    try:
        fitted = fit_poses(body, clip, Fraction(1), Path("a pose"))
    except InputError:
        return np.zeros((pose.height, pose.width, 3 * len(names)), np.uint8)
    depths = depth_range(body, fitted)
    return map_channels(draw_body_maps(body, fitted, 0, names, depths, clip.seen[0]))


def films_of_maps(folder: Path, names: Sequence[str]) -> list[Path]:
    """Find the film or folder of each map in a folder: NAME.mp4, NAME/ or what ends with _NAME.

    So `magicpose poses FILM -o FOLDER/pose.mp4 --maps NAME` writes them. Where one map is wanted,
    the folder may hold its pictures.

    Raises:
        InputError: There is none, or there are several.
    """
    if not folder.is_dir():
        raise InputError(
            f"body-map {folder}: no such folder; expected auto, on, off or a folder with "
            f"{', '.join(f'{name}.mp4' for name in names)}"
        )
    found = []
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        fitting = [path for path in inside if f"_{_stem(path)}".endswith(f"_{name}")]
        if len(names) == 1 and not fitting:
            fitting = [folder]
        if len(fitting) != 1:
            raise InputError(
                f"body-map {folder}: {len(fitting) or 'nothing'} in it is named {name}; expected "
                f"one film or folder such as {name}.mp4, as `magicpose poses --maps` writes it"
            )
        found += fitting
    return found


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem
