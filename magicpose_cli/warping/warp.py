"""The person of one picture, moved: everything of a reference that serves all of its frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask, Picture
from magicpose_cli.pose.detection.mediapipe_points import HEAD_FROM_478
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.eyes import Eyes
from magicpose_cli.warping.field import MotionField
from magicpose_cli.warping.grid import Grid, Window
from magicpose_cli.warping.layers import BODY_LAYER, Layer, split_layers
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.mirrored_arm import MirroredArms
from magicpose_cli.warping.mirrored_cheek import MirroredCheek
from magicpose_cli.warping.mouth import Mouth
from magicpose_cli.warping.moved_plate import MovablePlate
from magicpose_cli.warping.part_segmentation import find_part_shares
from magicpose_cli.warping.parts import (
    PARTS_TO_SEGMENT,
    body_parts,
    hand_shows,
    shows_both_legs,
    skin_weights,
    with_legs_apart,
)
from magicpose_cli.warping.plate import make_plate
from magicpose_cli.warping.splat import SplattedLayer, Splatter
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints

UNMOVED_PX = 1.5  # a pixel that has moved by as much shows nothing of the picture's residual
DEAD_ZONE_PX = 0.5  # a smaller motion is ignored, and one of twice the size is taken wholly
ARM_BEHIND_DEPTH = 0.3  # lengths of the trunk, from which on an arm is surely behind it
TURN_REACH = 1.6  # of the nose's way aside, by which a turned face stretches what is behind it
LIT_SKIN = (0.65, 0.9)  # of a face's pixels by brightness: no hair or shade, and no highlights
FACES_PER_BODY = 7.5  # heights of a face in a body, where no bone shows more


@dataclass(frozen=True)
class WarpedFrame:
    """The reference, moved into one frame.

    Attributes:
        picture: (H, W, 3) float32 RGB in 0..255; (H, W, 1) of a gray warp.
        cover: (H, W) float32, 1 where the moved person is, 0 where the plate is seen.
        pose: Of the frame, in its pixels.
    """

    picture: Floats
    cover: Floats
    pose: Pose


@dataclass(frozen=True)
class TrackedFrame:
    """The person in one frame of the driver, in the pixels of the window that is tracked.

    Attributes:
        pose: The person's pose.
        drift: (h, w, 2) float32 pixels, how much further the person's pixels have moved than the
            pose says, all over the frame and coarser than it; see `secondary.drift_between`.
        scale: Pixels of the result in one of the window.
    """

    pose: Pose
    drift: Floats
    scale: float

    def drift_at(self, places: Floats) -> Floats:
        """Return the drift at (rows, columns, 2) places of the window, in pixels of the result."""
        fine = np.divide(self.drift.shape[1::-1], (self.pose.width, self.pose.height))
        at = ((places + 0.5) * fine - 0.5).astype(np.float32)
        x, y = (np.ascontiguousarray(at[..., axis]) for axis in (0, 1))
        found = cv2.remap(
            self.drift,
            x,
            y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0, 0),
        )
        return np.asarray(np.float32(self.scale) * found)

    def drift_of(self, field: MotionField) -> dict[str, Floats]:
        """Return the drift of the nodes of each of a field's layers, in pixels of the result."""
        places = field.node_targets(WarpPoints.of(self.pose))
        return {name: self.drift_at(nodes) for name, nodes in places.items()}


class ReferenceWarp:
    """Moves the person of a picture; holds all that its frames share.

    Where the matte is 0 and the person does not come, a frame is the picture, exactly.

    Args:
        picture: (H, W, 3) uint8 RGB.
        pose: Of its person, in its pixels.
        matte: Of its person.
        gray: Frames have one channel, their brightness, and what is filled has no texture.

    Attributes:
        plate: (H, W, n) float32 in 0..255, the picture without its person.
        hole: (H, W) uint8, 1 where the plate was filled.
        parts: See `body_parts`.
        has_face: Whether the picture shows a face that can be moved.
        hidden_hands: The sides whose hand the picture does not show.
        skin: (3,) RGB of the face, 0 to 255; None where no face is known.
        body_height: Of the whole person, in pixels.
    """

    def __init__(self, picture: Picture, pose: Pose, matte: Matte, *, gray: bool = False) -> None:
        reference = WarpPoints.of(pose, guessed=True)
        shown = tuple(side for side in reference.wrists if hand_shows(picture, reference, side))
        reference = replace(reference, wrists=shown)
        self._reference_depths = reference.depths
        self._grid = grid = Grid(*picture.shape[1::-1])
        self.body_height = figure_height(pose, reference)
        self.skin = skin_color(matte.foreground, reference)
        plate, self.hole = make_plate(picture, matte.alpha, smooth=gray)
        self.parts, self.has_face = body_parts(reference), reference.has_face
        self.hidden_hands = tuple(
            s for s in BODY_SIDES if f"{s}_hand" not in self.parts and s not in reference.wrists
        )
        weights = skin_weights(
            self.parts, reference, self.body_height, grid,
            grid.widened(picture).astype(np.float32), grid.widened(matte.alpha),
        )  # fmt: skip
        arms: dict[str, Floats] = {}
        if PARTS_TO_SEGMENT & set(self.parts) and (
            found := find_part_shares(picture, matte.alpha, reference, self.body_height)
        ):
            arms, apart = found.arms, shows_both_legs(picture, reference)
            weights = with_legs_apart(
                self.parts, weights, found.right_leg, found.legs, grid, sharp=apart
            )
        shades: Callable[[AnyArray], AnyArray] = _gray if gray else np.asarray
        layers = [
            replace(layer, colors=shades(as_bytes(layer.colors)))
            for layer in split_layers(
                self.parts, weights, reference, self.body_height, grid, matte, arms, smooth=gray
            )
        ]
        self.plate = shades(plate).reshape(*picture.shape[:2], -1)
        self._movable: MovablePlate | None = None
        self._find_residual(shades(picture).reshape(*picture.shape[:2], -1), layers)
        self._windows: dict[str, Window] = {}
        self._near: dict[str, Mask] = {}
        self._splatters: dict[str, Splatter] = {}
        for layer in layers:
            near = layer.near(grid)
            window = self._windows[layer.name] = grid.window(near)
            self._near[layer.name] = near[window.points]
            self._splatters[layer.name] = Splatter(layer, grid, window)
        self._field = MotionField(
            self.parts, weights, reference, self.body_height, grid, self._windows
        )
        self._mirrored = MirroredArms(
            [] if gray else layers, self.parts, weights, reference, self.body_height, grid
        )
        self._features: list[Eyes | Mouth] = []
        self._cheek: MirroredCheek | None = None
        self._mesh_nodes: tuple[Floats, Floats] | None = None
        if reference.mesh is not None:
            self._mesh_nodes = self._in_body_window(reference.mesh)
            foreground = shades(matte.foreground).reshape(*picture.shape[:2], -1)
            self._cheek = MirroredCheek(reference.mesh, foreground)
            self._features = [
                Mouth(reference.mesh, matte.foreground, gray=gray),
                Eyes(reference.mesh, foreground),
            ]

    def _in_body_window(self, mesh: Floats) -> tuple[Floats, Floats]:
        """Columns and rows of a mesh's points, (n, 1) each, in the nodes of the body's window."""
        first = [part.start for part in self._windows[BODY_LAYER].nodes[::-1]]
        nodes = ((mesh[:, :2] + self._grid.pad) / self._grid.steps - first).astype(np.float32)
        return nodes[:, :1].copy(), nodes[:, 1:].copy()

    def __call__(
        self,
        pose: Pose,
        tracked: TrackedFrame | None = None,
        camera: CameraMotion | None = None,
        mirrored: Mapping[str, float] | None = None,
    ) -> WarpedFrame:
        """Move the person into the pose of a frame, which is in pixels of the picture.

        Args:
            pose: Of the frame.
            tracked: The person in the driver's frame, whose drift is added; see `secondary`.
            camera: By which the plate is moved; by default it stands still.
            mirrored: How much of each side's arm is the other one's mirror image, 0 to 1; by
                default as `mirrored_shares` tells of the pose alone.
        """
        if mirrored is None:
            mirrored = self.mirrored_shares(pose)
        now, drift = WarpPoints.of(pose), None
        if tracked is not None:
            drift = tracked.drift_of(self._field)
            now = self._drifted(now, drift[BODY_LAYER])
        moved_by = self._field.displacements(now, drift)
        fields = {name: _without_tremble(field) for name, field in moved_by.items()}
        picture, plate_moved = self._plate_under(camera)
        cover = np.zeros(self.plate.shape[:2], np.float32)
        for name in self._order(now):
            share = mirrored.get(name, 0.0)
            if name in self._splatters:
                solid = self._solid(now) if name == BODY_LAYER else None
                if (moved := self._splatters[name](fields[name], solid)) is not None:
                    if name == BODY_LAYER and now.mesh is not None:
                        self._paint(moved, now.mesh)
                    moved.lay_over(picture, cover, 2 - 2 * share)
            if share and (image := self._mirrored(name, now, tracked)) is not None:
                image.lay_over(picture, cover, 2 * share)
        self._add_residual(picture, cover, fields, plate_moved)
        return WarpedFrame(picture, cover, pose)

    def mirrored_arms(self, pose: Pose) -> tuple[str, ...]:
        """Return the sides whose arm a frame shows as the other one's mirror image.

        Args:
            pose: Of the frame.
        """
        return tuple(s for s, share in self.mirrored_shares(pose).items() if share > 0.5)

    def mirrored_shares(self, pose: Pose) -> dict[str, float]:
        """Return how much of each side's arm is to be the other one's mirror image, 0 to 1.

        Args:
            pose: Of the frame.
        """
        now = WarpPoints.of(pose)
        return {side: self._mirrored.share(side, now) for side in self._mirrored.sides}

    def _order(self, now: WarpPoints) -> list[str]:
        """Return the layers from back to front.

        Arms are in front of the trunk, except one that has gone behind it since the reference, or
        that is behind it and not seen in the reference.
        """
        depths = dict.fromkeys((*self._splatters, *self._mirrored.sides), 0.0)
        for side in depths:
            is_ = now.depths.get(side)
            then = self._reference_depths.get(side) if side in self._splatters else 0.0
            if then is not None and is_ is not None and is_ > ARM_BEHIND_DEPTH > then:
                depths[side] = is_
        return sorted(depths, key=lambda name: -depths[name])  # stable: as they are split

    def _find_residual(self, picture: Picture, layers: list[Layer]) -> None:
        """Find the picture, (H, W, n), minus the unmoved layers over the plate.

        Colors at soft edges are estimates, so that the two differ there.
        """
        shown, cover = self.plate.copy(), np.zeros(self.plate.shape[:2], np.float32)
        for layer in layers:
            alpha = layer.alpha[self._grid.unpadded]
            colors = layer.colors[self._grid.unpadded].reshape(shown.shape)
            shown += alpha[..., None] * (colors - shown)
            cover = np.maximum(cover, alpha)
        residual = picture - shown
        rows, columns = np.nonzero(residual.any(2))
        self._residual = residual[rows, columns]
        self._residual_index = rows * picture.shape[1] + columns
        self._residual_point = self._grid.nearest_point(rows, columns)
        self._residual_cover = cover[rows, columns]

    def _plate_under(self, camera: CameraMotion | None) -> tuple[Floats, Floats | None]:
        """Return the plate of a frame, and by how many pixels it has moved, (H, W), if at all."""
        if camera is None:
            return self.plate.copy(), None
        if self._movable is None:
            self._movable = MovablePlate(self.plate)
        return self._movable.moved(camera) or (self.plate.copy(), None)

    def _add_residual(
        self,
        picture: Floats,
        cover: Floats,
        fields: dict[str, Floats],
        plate_moved: Floats | None,
    ) -> None:
        """Make the frame the picture again, in place, where nothing has moved."""
        unmoved = np.ones(self._grid.field_size[::-1], np.float32)
        for name, field in fields.items():
            share = np.clip(UNMOVED_PX - _length(field), 0, 1)
            part = unmoved[self._windows[name].points]
            np.minimum(part, share, out=part, where=self._near[name])
        share = unmoved.ravel()[self._residual_point]
        apart = np.abs(cover.ravel()[self._residual_index] - self._residual_cover)
        share *= np.clip(1 - 4 * apart, 0, 1)
        if plate_moved is not None:
            share *= np.clip(UNMOVED_PX - plate_moved.ravel()[self._residual_index], 0, 1)
        flat = picture.reshape(len(cover) * cover.shape[1], -1)
        flat[self._residual_index] += share[:, None] * self._residual

    def _drifted(self, now: WarpPoints, drift: Floats) -> WarpPoints:
        """Let eyes and mouth drift as the face around them does."""
        if now.mesh is None or self._mesh_nodes is None:
            return now
        x, y = self._mesh_nodes
        further = cv2.remap(drift, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mesh = now.mesh.copy()
        mesh[:, :2] += further[:, 0]
        return replace(now, mesh=mesh)

    def _paint(self, moved: SplattedLayer, mesh: Floats) -> None:
        rows, columns = moved.box
        if self._cheek is not None:
            self._cheek.paint(moved.colors, moved.alpha, mesh, (columns.start, rows.start))
        for feature in self._features:
            feature.paint(moved.colors, mesh, (columns.start, rows.start))

    def _solid(self, now: WarpPoints) -> Integers | None:
        """Return 1 in the face and behind a turned one, (H, W) uint8: stretched there, not torn."""
        if now.mesh is None or self._mesh_nodes is None:
            return None
        face = now.outline()
        nose = now.mesh[HEAD_FROM_478["nose"], :2]
        behind = TURN_REACH * (face.mean(0) - nose)  # where the face came from
        mask = np.zeros(self.plate.shape[:2], np.uint8)
        hull = cv2.convexHull(np.rint(np.concatenate([face, face + behind])).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (1,))
        return np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8)), np.uint8)


def as_bytes(picture: AnyArray) -> Picture:
    """Round float32 in 0..255, or a little beyond, to uint8."""
    rounded = cv2.addWeighted(picture, 1.0, picture, 0.0, 0.0, dtype=cv2.CV_8U)
    return np.asarray(rounded, np.uint8)


def _without_tremble(field: Floats) -> Floats:
    """Remove motion too small for a detector to see, so that who stands still does not tremble."""
    share = np.clip((_length(field) - DEAD_ZONE_PX) / DEAD_ZONE_PX, 0, 1)
    calm: Floats = field * share[..., None]
    return calm


def _length(field: Floats) -> Floats:
    """Return the larger of across and down, (h, w) of (h, w, 2)."""
    length: Floats = np.maximum(np.abs(field[..., 0]), np.abs(field[..., 1]))
    return length


def skin_color(foreground: Floats, reference: WarpPoints) -> Floats | None:
    """Return the (3,) RGB of the face's lit skin in a person's colors; None without a face.

    Args:
        foreground: (H, W, 3) float32 RGB in 0..255.
        reference: The person's points.
    """
    if not reference.has_face:
        return None
    face = np.zeros(foreground.shape[:2], np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.rint(reference.outline()).astype(np.int32)), (1,))
    skin = foreground[face > 0].astype(np.float64)
    if not len(skin):
        return None
    first, last = (round(share * (len(skin) - 1)) for share in LIT_SKIN)
    lit: Floats = skin[np.argsort(skin.sum(1), kind="stable")[first : last + 1]].mean(0)
    return lit


def _gray(picture: AnyArray) -> AnyArray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def figure_height(pose: Pose, reference: WarpPoints) -> float:
    """Return the height of the body in pixels, of a face alone the one that its body would have."""
    found = body_height(pose)
    if reference.has_face:
        face = FACES_PER_BODY * float(np.ptp(reference.outline()[:, 1]))
        return max(found, face) if found else face
    return found or float(max(pose.width, pose.height))
