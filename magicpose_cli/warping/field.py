"""Where every pixel of the reference goes in a frame, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.warping.grid import Grid, Window
from magicpose_cli.warping.head import Head
from magicpose_cli.warping.interpolation import affine, similarity
from magicpose_cli.warping.layers import ALL
from magicpose_cli.warping.parts import ARM_PARTS, ARMS, LEAST, LIMBS, NEIGHBORS, TRUNK
from magicpose_cli.warping.smoothed_points import SIDES, Points, known

LONGEST = 1.6  # how much longer than in the reference a limb may become; what is more is a mistake
SHOULDER = 0.09  # body heights around the shoulder, in which the trunk holds an arm
HAND_SQUEEZE, HAND_STRETCH = 0.35, 2.0  # of a hand's affine map; beyond, it only turns and scales


@dataclass(frozen=True)
class _Mixture:
    """A layer's nodes: window; parts that any of them belongs to; weights (parts, n) float32."""

    window: Window
    parts: list[str]
    weights: np.ndarray

    def motion(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        """How far the nodes go, (rows, columns, 2) float32 pixels; maps: (2, 3) of each part."""
        identity = np.eye(2, 3)
        further = np.array([(maps[part] - identity).ravel() for part in self.parts], np.float32)
        # One affine map a node. No BLAS: its threads would wait for the next small product.
        mixed = np.einsum("pn,pk->kn", self.weights, further)
        mixed = mixed.reshape(6, *self.window.places.shape[:2])
        x, y = self.window.places[..., 0], self.window.places[..., 1]
        return np.stack(
            [mixed[row] * x + mixed[row + 1] * y + mixed[row + 2] for row in (0, 3)], -1
        )


class Field:
    """The motion of one reference's parts.

    weights: see `skin_weights`. windows: where each layer is, by its name.
    """

    def __init__(
        self,
        parts: list[str],
        weights: np.ndarray,
        still: Points,
        height: float,
        grid: Grid,
        windows: dict[str, Window],
    ) -> None:
        self._parts, self._still = parts, still
        self._trunk = [joint for joint in TRUNK if still.has(joint)]
        self._layers = {}
        for name, window in windows.items():
            own = self._of_layer(weights, name, len(windows) > 1, height, grid)
            own = own[(slice(None), *window.nodes)].reshape(len(parts), -1)
            used = np.flatnonzero(own.max(1) > 0)
            self._layers[name] = _Mixture(
                window, [parts[i] for i in used], own[used].astype(np.float32)
            )
        self._head = None
        body = self._layers[ALL]
        if "head" in body.parts:
            weight = body.weights[body.parts.index("head")]
            self._head = Head(still, grid, body.window, weight)

    def _of_layer(
        self, weights: np.ndarray, name: str, apart: bool, height: float, grid: Grid
    ) -> np.ndarray:
        """The weights of a layer's own parts, of sum 1."""
        if name == ALL:
            own = weights.copy()
            if apart:
                own[[i for i, part in enumerate(self._parts) if part in ARM_PARTS]] = 0
            total = own.sum(0)
            return np.where(total > LEAST, own / np.maximum(total, 1e-9), weights)
        own = np.zeros_like(weights)
        mine = [i for i, part in enumerate(self._parts) if part in ARMS[name]]
        own[mine] = weights[mine] + 1e-6
        if "trunk" in self._parts:
            # at the shoulder alone, not where a hand lies on the hip
            shoulder = self._still.joint(f"{name}_shoulder")
            apart_by = np.linalg.norm(grid.nodes() - shoulder, axis=-1) / (SHOULDER * height)
            index = self._parts.index("trunk")
            own[index] = weights[index] * np.exp(-(apart_by**2))
        return own / own.sum(0)

    def places(self, now: Points) -> dict[str, np.ndarray]:
        """(rows, columns, 2) float32 for each layer by its name: where its window's nodes go."""
        motions, _ = self._at_nodes(now)
        return {name: self._layers[name].window.places + m for name, m in motions.items()}

    def moved(
        self, now: Points, drift: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """(h, w, 2) float32 for each layer by its name: how far the points of the field in its
        window go, in pixels.

        drift: (rows, columns, 2) pixels for each layer, by which the nodes go further than the
        points tell.
        """
        motions, face = self._at_nodes(now)
        fields = {name: self._layers[name].window.at_points(m) for name, m in motions.items()}
        if self._head is not None and face is not None:
            self._head.lay(fields[ALL], face)
        for name, further in (drift or {}).items():
            fields[name] += self._layers[name].window.at_points(further)
        return fields

    def _at_nodes(self, now: Points) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The nodes' motion, layer by layer, and where the points of the face go."""
        maps = self._maps(now)
        found = self._head.moved(now) if self._head is not None else None
        if found is not None:
            maps["head"] = np.eye(2, 3)  # it is not moved in the plane; see below
        maps = {part: self._followed(part, maps) for part in self._parts}
        motions = {name: layer.motion(maps) for name, layer in self._layers.items()}
        if self._head is None or found is None:
            return motions, None
        self._head.add(motions[ALL], found.nodes)
        return motions, found.face

    def _followed(self, part: str, maps: dict[str, np.ndarray]) -> np.ndarray:
        """A part's map, else its neighbor's, else that of standing still."""
        for name in (part, *NEIGHBORS.get(part, ("trunk",))):
            if name in maps:
                return maps[name]
        return np.eye(2, 3)

    def _maps(self, now: Points) -> dict[str, np.ndarray]:
        """Where each part that the frame shows goes, (2, 3)."""
        maps = {}
        if "trunk" in self._parts:
            maps["trunk"] = self._trunk_map(now)
        for part in self._parts:
            if part in LIMBS and now.has(*LIMBS[part]):
                maps[part] = self._limb_map(part, now)
        for side in SIDES:
            hand = self._hand_map(side, now) if f"{side}_hand" in self._parts else None
            if hand is not None:
                maps[f"{side}_hand"] = hand
        if "rest" in self._parts:
            maps["rest"] = np.eye(2, 3)
        return maps

    def _trunk_map(self, now: Points) -> np.ndarray:
        """A similarity; of three joints or fewer a shift, for shoulders alone tell of no turn."""
        common = [joint for joint in self._trunk if now.has(joint)]
        if not common:
            return np.eye(2, 3)
        source, target = (np.array([p.joint(j) for j in common]) for p in (self._still, now))
        if len(common) == len(TRUNK):
            return similarity(source, target)
        return np.column_stack([np.eye(2), (target - source).mean(0)])

    def _limb_map(self, part: str, now: Points) -> np.ndarray:
        """Along the bone as long as it is now, across it as thick as it was."""
        upper, lower = LIMBS[part]
        start, to = self._still.joint(upper), now.joint(upper)
        was, is_ = self._still.joint(lower) - start, now.joint(lower) - to
        length, new_length = float(np.linalg.norm(was)), float(np.linalg.norm(is_))
        along, new_along = was / max(length, 1e-6), is_ / max(new_length, 1e-6)
        across, new_across = (np.array([-d[1], d[0]]) for d in (along, new_along))
        stretch = min(new_length / max(length, 1e-6), LONGEST)
        turn = np.outer(new_along, along) * stretch + np.outer(new_across, across)
        return np.column_stack([turn, to - turn @ start])

    def _hand_map(self, side: str, now: Points) -> np.ndarray | None:
        was, is_ = self._still.hands[side], now.hands[side]
        both = known(was) & known(is_)
        if not now.has_hand(side) or both.sum() < 3:
            return None
        free = affine(was[both], is_[both])
        most, least = (float(value) for value in np.linalg.svd(free[:, :2], compute_uv=False))
        upright = np.linalg.det(free[:, :2]) > 0
        if upright and least > HAND_SQUEEZE and most < HAND_STRETCH:
            return free
        return similarity(was[both], is_[both])
