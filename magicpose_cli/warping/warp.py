"""The person of one picture, moved: everything of a reference that serves all of its frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.eyes import Eyes
from magicpose_cli.warping.field import Field
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.layers import ALL, Layer, split
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.mouth import CHEEKS, Mouth
from magicpose_cli.warping.parts import hand_shows, parts_of, skin_weights
from magicpose_cli.warping.plate import make_plate
from magicpose_cli.warping.smoothed_points import SIDES, Points, known
from magicpose_cli.warping.splat import Moved, Splatter

CALM = 1.5  # pixels: what has moved by one less is where it was, what has moved by as much is not
STILL = 0.5  # pixels: what moves by less stands still, what moves by twice as much does so wholly
BEHIND = 0.3  # lengths of the trunk, from where on an arm is surely behind it
AROUND = 6  # pixels around a layer, where the plate may be an estimate
FACES = 7.5  # heights of a face in a body, where no bone tells more


@dataclass(frozen=True)
class Warped:
    """A frame. picture: (H, W, 3) float32 RGB in 0..255. cover: (H, W) float32, 1 where the moved
    person is, 0 where the plate is seen. pose: of the frame, in its pixels."""

    picture: np.ndarray
    cover: np.ndarray
    pose: Pose


@dataclass(frozen=True)
class Driven:
    """A frame of the driver, in its own pixels. pose: its person. drift (h, w, 2) float32: how much
    further they are than the points tell, all over the frame. size: pixels of the result in one of
    these."""

    pose: Pose
    drift: np.ndarray
    size: float

    def at(self, places: np.ndarray) -> np.ndarray:
        """(rows, columns, 2) places in the driver -> the drift there, in pixels of the result."""
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
        return np.float32(self.size) * found


class ReferenceWarp:
    """Moves the person of a picture, (H, W, 3) uint8 RGB, whose `pose` and `matte` are known.

    What all frames share is computed here. Where the matte is 0 and nobody comes, a frame is the
    picture, exactly. gray: frames have one channel, their brightness.

    Attributes:
        parts: names of what moves by itself.
        hidden_hands: "right" and "left", of which the picture shows no hand.
        skin: (3,) RGB of the face, 0 to 255; None where none is seen.
        body_height: of the whole person, in pixels.
    """

    def __init__(
        self, picture: np.ndarray, pose: Pose, matte: Matte, *, gray: bool = False
    ) -> None:
        height, width = picture.shape[:2]
        still = Points.of(pose, guessed=True)
        shown = tuple(side for side in still.wrists if hand_shows(picture, still, side))
        still = replace(still, wrists=shown)
        self._still_depths = still.depths
        self._grid = grid = Grid(width, height)
        self.body_height = _body_height(pose, still)
        self.skin = _skin(matte.foreground, still)
        plate, self.hole = make_plate(picture, matte.alpha)
        self.parts = parts_of(still)
        self.hidden_hands = tuple(
            s for s in SIDES if f"{s}_hand" not in self.parts and s not in still.wrists
        )
        weights = skin_weights(
            self.parts, still, self.body_height, grid,
            grid.widened(picture).astype(np.float32), grid.widened(matte.alpha),
        )  # fmt: skip
        shades = _gray if gray else np.asarray
        layers = [
            replace(layer, colors=shades(as_bytes(layer.colors)))
            for layer in split(self.parts, weights, still, self.body_height, grid, matte)
        ]
        self.plate = shades(plate).reshape(height, width, -1)
        self._lack(shades(picture).reshape(height, width, -1), layers)
        self._windows, self._near, self._splatters = {}, {}, {}
        room = np.ones((2 * AROUND + 1,) * 2, np.uint8)
        for layer in layers:
            near = grid.at_field_points(cv2.dilate(layer.alpha, room)) > 0
            window = grid.window(near)
            self._windows[layer.name] = window
            self._near[layer.name] = near[window.points]
            self._splatters[layer.name] = Splatter(layer, grid, window)
        self._field = Field(self.parts, weights, still, self.body_height, grid, self._windows)
        self._features: list[Eyes | Mouth] = []
        self._mesh_nodes = None
        if still.mesh is not None:
            first = [part.start for part in self._windows[ALL].nodes[::-1]]
            nodes = ((still.mesh[:, :2] + grid.pad) / grid.steps - first).astype(np.float32)
            self._mesh_nodes = nodes[:, :1].copy(), nodes[:, 1:].copy()
            self._features = [
                Mouth(still.mesh, matte.foreground, gray=gray),
                Eyes(still.mesh, shades(matte.foreground).reshape(height, width, -1)),
            ]

    def __call__(self, pose: Pose, driven: Driven | None = None) -> Warped:
        """The person in the `pose` of a frame, in pixels of the picture.

        driven: what the driver's picture tells beyond the points; see `secondary`.
        """
        now, drift = Points.of(pose), None
        if driven is not None:
            places = self._field.places(Points.of(driven.pose))
            drift = {name: driven.at(nodes) for name, nodes in places.items()}
            now = self._drifted(now, drift[ALL])
        fields = {name: _calmed(field) for name, field in self._field.moved(now, drift).items()}
        picture, cover = self.plate.copy(), np.zeros(self.plate.shape[:2], np.float32)
        for name in self._order(now):
            moved = self._splatters[name](fields[name], self._solid(now) if name == ALL else None)
            if moved is None:
                continue
            if name == ALL and now.mesh is not None:
                self._paint(moved, now.mesh)
            part = picture[moved.box]
            further = np.subtract(moved.colors, part, out=moved.colors)
            further *= moved.alpha
            part += further
            cover[moved.box] = np.maximum(cover[moved.box], moved.alpha[..., 0])
        self._add_lacking(picture, cover, fields)
        return Warped(picture, cover, pose)

    def _order(self, now: Points) -> list[str]:
        """The layers from back to front. Arms are before the trunk, but for one that has gone
        behind it since the reference."""
        depths = dict.fromkeys(self._splatters, 0.0)
        for side in depths:
            then, is_ = self._still_depths.get(side), now.depths.get(side)
            if then is not None and is_ is not None and is_ > BEHIND > then:
                depths[side] = is_
        return sorted(depths, key=lambda name: -depths[name])  # stable: as they are made

    def _lack(self, picture: np.ndarray, layers: list[Layer]) -> None:
        """Find what the layers over the plate, where they are, lack of the picture, (H, W, n):
        colors at soft edges are estimates."""
        shown, cover = self.plate.copy(), np.zeros(self.plate.shape[:2], np.float32)
        for layer in layers:
            alpha = layer.alpha[self._grid.unpadded]
            colors = layer.colors[self._grid.unpadded].reshape(shown.shape)
            shown += alpha[..., None] * (colors - shown)
            cover = np.maximum(cover, alpha)
        lacking = picture - shown
        rows, columns = np.nonzero(lacking.any(2))
        self._lacking = lacking[rows, columns]
        self._lacking_index = rows * picture.shape[1] + columns
        self._lacking_point = self._grid.nearest_point(rows, columns)
        self._lacking_cover = cover[rows, columns]

    def _add_lacking(
        self, picture: np.ndarray, cover: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Make the frame the picture again, in place, where nothing has moved."""
        calm = np.ones(self._grid.field_size[::-1], np.float32)
        for name, field in fields.items():
            still = np.clip(CALM - _length(field), 0, 1)
            part = calm[self._windows[name].points]
            np.minimum(part, still, out=part, where=self._near[name])
        share = calm.ravel()[self._lacking_point]
        apart = np.abs(cover.ravel()[self._lacking_index] - self._lacking_cover)
        share *= np.clip(1 - 4 * apart, 0, 1)
        flat = picture.reshape(len(cover) * cover.shape[1], -1)
        flat[self._lacking_index] += share[:, None] * self._lacking

    def _drifted(self, now: Points, drift: np.ndarray) -> Points:
        """Eyes and mouth go where the face around them does."""
        if now.mesh is None or self._mesh_nodes is None:
            return now
        x, y = self._mesh_nodes
        further = cv2.remap(drift, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mesh = now.mesh.copy()
        mesh[:, :2] += further[:, 0]
        return replace(now, mesh=mesh)

    def _paint(self, moved: Moved, mesh: np.ndarray) -> None:
        rows, columns = moved.box
        for feature in self._features:
            feature.paint(moved.colors, mesh, (columns.start, rows.start))

    def _solid(self, now: Points) -> np.ndarray | None:
        """(H, W) uint8, 1 inside the face: what opens there is stretched and no hole."""
        if now.mesh is None or self._mesh_nodes is None:
            return None
        mask = np.zeros(self.plate.shape[:2], np.uint8)
        hull = cv2.convexHull(np.rint(now.outline()).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (1,))
        return cv2.erode(mask, np.ones((5, 5), np.uint8))


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """float32 in 0..255, or a little beyond -> uint8, rounded."""
    return cv2.addWeighted(picture, 1.0, picture, 0.0, 0.0, dtype=cv2.CV_8U)


def _calmed(field: np.ndarray) -> np.ndarray:
    """A motion without what no detector can tell: somebody who stands still does not tremble."""
    return field * np.clip((_length(field) - STILL) / STILL, 0, 1)[..., None]


def _length(field: np.ndarray) -> np.ndarray:
    """(h, w, 2) -> (h, w): across or down, whichever is more."""
    return np.maximum(np.abs(field[..., 0]), np.abs(field[..., 1]))


def _skin(foreground: np.ndarray, still: Points) -> np.ndarray | None:
    """(3,) RGB of the cheeks, of a person (H, W, 3) without what is behind; None where no face is
    known."""
    if not still.has_face:
        return None
    if still.mesh is not None:
        at = still.mesh[list(CHEEKS), :2]
    else:  # between the outer corners of the eyes, the jaw's sides and the nose
        face = still.face
        at = np.stack([(face[i] + face[j]) / 2 for i, j in ((36, 4), (45, 12), (31, 3), (35, 13))])
        at = at[known(at)]
    height, width = foreground.shape[:2]
    x, y = np.rint(at).astype(int).clip(0, (width - 1, height - 1)).T
    found = np.median(foreground[y, x].astype(np.float64), axis=0)
    return found if len(at) else None


def _gray(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _body_height(pose: Pose, still: Points) -> float:
    """Pixels; of a face alone as many as its body would have."""
    found = body_height(pose)
    if still.has_face:
        face = FACES * float(np.ptp(still.outline()[:, 1]))
        return max(found, face) if found else face
    return found or float(max(pose.width, pose.height))
