"""Make pictures of a person in other poses and from other cameras, by animate's own parts.

Near views are the picture's own pixels, warped, with the model's frames where these show nothing.
Far views are the fitted body with the picture's colors; a model that draws people by itself draws
both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture, Pictures
from magicpose_cli.augmentation.body_placing import PlacedPoses, place_poses
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.seen_person import CANVAS_PX, SeenPerson, azimuth_apart
from magicpose_cli.augmentation.textured_body import TexturedBody, body_silhouette, moved_matte
from magicpose_cli.config.preset import Preset
from magicpose_cli.config.resolved import ModelDefaults
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.run.resources import Resources
from magicpose_cli.warping.fusion import Fusion
from magicpose_cli.warping.matte import Matte, find_matte
from magicpose_cli.warping.plate import make_plate
from magicpose_cli.warping.warp import ReferenceWarp, as_bytes

if TYPE_CHECKING:
    from torch import Tensor

CROP_ROOM = 0.05  # around a person in a made picture, of their height, as detectors leave it
FAR_ELEVATION_DEG = 25.0  # between two views: what is farther is not warped


@dataclass(frozen=True, eq=False)
class MadePicture:
    """One made picture.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        pose: That was asked for, in its pixels.
        silhouette: (H, W) bool, the body that was asked for.
        way: "warp", "body" or "model": how the person was drawn.
    """

    picture: Picture
    pose: Pose
    silhouette: Mask
    way: str


@dataclass(frozen=True, eq=False)
class CutOut:
    """A seen person, cut out of their picture.

    Attributes:
        canvas: (S, S, 3) uint8 RGB, the crop in what its background goes on to be.
        plate: (S, S, 3) float32 in 0..255, without the person.
        matte: In the canvas.
    """

    canvas: Picture
    plate: Floats
    matte: Matte


class PictureMaker:
    """Makes pictures with one model.

    Args:
        preset: Which model, and how it samples.
        defaults: What the model's folder says.
        resources: Keep the model loaded.
        size: (width, height) of the pictures in pixels.
        warp_reach_deg: How far a viewpoint may be from the picture's own for a warp.
    """

    def __init__(
        self,
        preset: Preset,
        defaults: ModelDefaults,
        resources: Resources,
        size: tuple[int, int],
        warp_reach_deg: float,
    ) -> None:
        side = defaults.sample_size
        frame = preset.frame.model_copy(update={"size": f"{side}x{side}"})
        self._preset = preset.model_copy(update={"frame": frame})
        self._side, self._canvas = side, defaults.pose_canvas
        self._trusts = not defaults.warp
        self._resources, self._size, self._reach = resources, size, warp_reach_deg
        whole = (0.0, 0.0, float(CANVAS_PX), float(CANVAS_PX))
        self._network = Framing(whole, side, side)
        self._result = Framing(whole, CANVAS_PX, CANVAS_PX)

    def make(
        self, seen: SeenPerson, rotations: Tensor, viewpoints: Sequence[Viewpoint]
    ) -> Iterator[MadePicture]:
        """Draw a person in poses, one picture for each.

        Args:
            seen: The person.
            rotations: (n, J, 3, 3) local, the root facing ahead.
            viewpoints: n cameras around the person.

        Raises:
            DetectionError: The person cannot be told from what is behind them.
        """
        cut = cut_out(seen)
        placed = place_poses(seen, rotations, viewpoints)
        far = [self._is_far(seen.viewpoint, view) for view in viewpoints]
        warp = fusion = body = None
        if not all(far) or self._trusts:
            warp = ReferenceWarp(cut.canvas, seen.pose, cut.matte)
            fusion = Fusion(
                warp, self._network, self._result,
                trusts_network=self._trusts, strength=self._preset.frame.warp_strength,
            )  # fmt: skip
        if any(far) and not self._trusts:
            body = TexturedBody(seen.body, cut.matte)
        drawn = self._frames(cut, seen.pose, placed, far, fusion)
        for number, is_far in enumerate(far):
            pose = placed.poses[number]
            if is_far and self._trusts:
                picture, way = self._enlarged(drawn[number]), "model"
            elif is_far:
                assert body is not None
                colors, alpha = body.draw(placed.motion, number)
                picture = as_bytes(cut.plate + alpha[..., None] * (colors - cut.plate))
                way = "body"
            else:
                assert warp is not None and fusion is not None
                picture, way = fusion(warp(pose), drawn.get(number)), "warp"
            mask = body_silhouette(seen.body, placed.motion, number)
            yield self._cropped(picture, pose, mask, placed.boxes[number], way)

    def _is_far(self, own: Viewpoint, asked: Viewpoint) -> bool:
        if azimuth_apart(own.azimuth_deg, asked.azimuth_deg) > self._reach:
            return True
        return abs(own.elevation_deg - asked.elevation_deg) > FAR_ELEVATION_DEG

    def _frames(
        self,
        cut: CutOut,
        own: Pose,
        placed: PlacedPoses,
        far: Sequence[bool],
        fusion: Fusion | None,
    ) -> dict[int, Picture]:
        """The model's frames of those poses that show anything of them; own: of the cut-out."""
        wanted = [
            number
            for number, is_far in enumerate(far)
            if (self._trusts or not is_far)
            and fusion is not None
            and fusion.needs(placed.poses[number])
        ]
        if not wanted:
            return {}
        renderer = self._resources.renderer(self._preset).result()
        reference = self._network.picture(cut.canvas)
        own_map = pose_map(self._network.pose(own), self._canvas)
        size = renderer.set_reference(reference, self._preset, len(wanted), own_map=own_map)
        poses = self._network.clip(placed.poses)

        def batches() -> Iterator[Pictures]:
            for start in range(0, len(wanted), size):
                maps = [pose_map(poses[i], self._canvas) for i in wanted[start : start + size]]
                # Batches of one shape give the same pictures, however many are made.
                yield np.stack(maps + maps[-1:] * (size - len(maps)))

        frames = (frame for batch in renderer.render(batches()) for frame in batch)
        return dict(zip(wanted, frames, strict=False))

    def _enlarged(self, frame: Picture) -> Picture:
        side = (CANVAS_PX, CANVAS_PX)
        return np.asarray(cv2.resize(frame, side, interpolation=cv2.INTER_CUBIC), np.uint8)

    def _cropped(
        self, picture: Picture, pose: Pose, mask: Mask, box: Floats, way: str
    ) -> MadePicture:
        """Cut the window around the person, as a detector of people does."""
        window = crop_window(box, self._size)
        room = int(np.ceil(max(0, -min(window[:2]), max(window[2:]) - CANVAS_PX)))
        if room:
            picture = cv2.copyMakeBorder(picture, room, room, room, room, cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
            mask = np.pad(mask, room)
        left, top, right, bottom = window
        shifted = (left + room, top + room, right + room, bottom + room)
        framing, inside = Framing(window, *self._size), Framing(shifted, *self._size)
        drawn = np.asarray(255 * mask[..., None].repeat(3, axis=2), np.uint8)
        shown = inside.picture(drawn)
        return MadePicture(
            inside.picture(np.ascontiguousarray(picture)), framing.pose(pose),
            shown[..., 0] > 127, way,
        )  # fmt: skip


def crop_window(box: Floats, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The window of a picture's shape around a body's box (left, top, right, bottom), pixels."""
    left, top, right, bottom = (float(side) for side in box)
    tall = (bottom - top) * (1 + 2 * CROP_ROOM)
    wide = (right - left) + 2 * CROP_ROOM * (bottom - top)
    tall = max(tall, wide * size[1] / size[0])
    wide = tall * size[0] / size[1]
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2


def cut_out(seen: SeenPerson) -> CutOut:
    """Cut a person out of their picture, whose background goes on mirrored.

    Raises:
        DetectionError: The person cannot be told from what is behind them.
    """
    matte = find_matte(seen.crop, seen.crop_pose)
    if matte is None:
        raise DetectionError(f"{seen.path.name}: the person cannot be told from the background")
    plate, _ = make_plate(seen.crop, matte.alpha, smooth=True)
    x, y = seen.corner
    height, width = seen.crop.shape[:2]
    room = ((y, CANVAS_PX - height - y), (x, CANVAS_PX - width - x), (0, 0))
    whole = np.pad(plate, room, mode="symmetric").astype(np.float32)
    canvas = as_bytes(whole)
    canvas[y : y + height, x : x + width] = seen.crop
    return CutOut(canvas, whole, moved_matte(matte, (x, y), CANVAS_PX))
