"""Where every pixel of the reference goes in a frame, layer by layer."""

from __future__ import annotations

import numpy as np

from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.head import Head
from magicpose_cli.warping.interpolation import affine, applied, similarity, upsample
from magicpose_cli.warping.layers import ALL, Layer
from magicpose_cli.warping.parts import ARMS, LIMBS, NEIGHBORS, TRUNK
from magicpose_cli.warping.points import SIDES, Points, known

LONGEST = 1.6  # how much longer than in the reference a limb may become; what is more is a mistake
SHOULDER = 0.09  # body heights around the shoulder, in which the trunk holds an arm
HAND_SQUEEZE, HAND_STRETCH = 0.35, 2.0  # of a hand's affine map; beyond, it only turns and scales
LEAST = 1e-4  # weight below which a node belongs to no part of a layer


class Field:
    """The motion of one reference's parts; see `skin_weights` for weights."""

    def __init__(
        self,
        parts: list[str],
        weights: np.ndarray,
        still: Points,
        height: float,
        grid: Grid,
        layers: list[Layer],
    ) -> None:
        self._parts, self._still, self._grid = parts, still, grid
        self._nodes = grid.nodes()
        self._trunk = [joint for joint in TRUNK if still.has(joint)]
        self._head = Head(still, grid) if "head" in parts else None
        self._weights = {
            layer.name: self._of_layer(weights, layer, len(layers) > 1, height) for layer in layers
        }
        if self._head is not None:
            mine = self._weights[ALL][parts.index("head")]
            self._head_weight = upsample(mine, grid.field_size)

    def _of_layer(
        self, weights: np.ndarray, layer: Layer, apart: bool, height: float
    ) -> np.ndarray:
        """The weights of a layer's own parts, of sum 1."""
        if layer.name == ALL:
            own = weights.copy()
            if apart:
                arms = [i for i, n in enumerate(self._parts) if any(n in a for a in ARMS.values())]
                own[arms] = 0
            total = own.sum(0)
            return np.where(total > LEAST, own / np.maximum(total, 1e-9), weights)
        own = np.zeros_like(weights)
        mine = [i for i, name in enumerate(self._parts) if name in ARMS[layer.name]]
        own[mine] = weights[mine] + 1e-6
        if "trunk" in self._parts:
            # at the shoulder alone, not where a hand lies on the hip
            shoulder = self._still.joint(f"{layer.name}_shoulder")
            apart_by = np.linalg.norm(self._nodes - shoulder, axis=-1) / (SHOULDER * height)
            index = self._parts.index("trunk")
            own[index] = weights[index] * np.exp(-(apart_by**2))
        return own / own.sum(0)

    def places(self, now: Points) -> dict[str, np.ndarray]:
        """(rows, columns, 2) float32 for each layer by its name: where the grid's nodes go."""
        return self._coarse(now)[0]

    def moved(
        self, now: Points, drift: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """(h, w, 2) float32 for each layer by its name: where the field's points go, in pixels.

        drift: (rows, columns, 2) pixels for each layer, by which the nodes go further than the
        points tell.
        """
        coarse, face = self._coarse(now)
        fields = {name: upsample(nodes, self._grid.field_size) for name, nodes in coarse.items()}
        if self._head is not None and face is not None:
            self._head.lay(fields[ALL], face, self._head_weight)
        for name, further in (drift or {}).items():
            fields[name] += upsample(further, self._grid.field_size)
        return fields

    def _coarse(self, now: Points) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        maps = self._maps(now)
        face = None
        if self._head is not None:
            found = self._head.moved(now, self._grid.shape)
            if found is not None:
                maps["head"], face = found
        stack = np.stack([self._followed(part, maps) for part in self._parts]).astype(np.float32)
        coarse = {
            name: np.einsum("nhw,nhwc->hwc", weights, stack)
            for name, weights in self._weights.items()
        }
        return coarse, face

    def _followed(self, part: str, maps: dict[str, np.ndarray]) -> np.ndarray:
        """A part's motion, else its neighbor's, else none."""
        for name in (part, *NEIGHBORS.get(part, ("trunk",))):
            if name in maps:
                return maps[name]
        return self._nodes

    def _maps(self, now: Points) -> dict[str, np.ndarray]:
        """Where each part that the frame shows would take the grid's nodes."""
        maps = {}
        if "trunk" in self._parts:
            maps["trunk"] = applied(self._trunk_map(now), self._nodes)
        for part in self._parts:
            if part in LIMBS and now.has(*LIMBS[part]):
                maps[part] = applied(self._limb_map(part, now), self._nodes)
        for side in SIDES:
            hand = self._hand_map(side, now) if f"{side}_hand" in self._parts else None
            if hand is not None:
                maps[f"{side}_hand"] = applied(hand, self._nodes)
        if "rest" in self._parts:
            maps["rest"] = self._nodes
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
