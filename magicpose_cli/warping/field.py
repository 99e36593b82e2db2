"""The motion of every pixel from the reference to a frame, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.warping.grid import Grid, Window
from magicpose_cli.warping.head import HeadMotion, HeadWarp
from magicpose_cli.warping.interpolation import affine, push_pull, similarity
from magicpose_cli.warping.layers import BODY_LAYER
from magicpose_cli.warping.parts import (
    ARM_PARTS,
    ARM_PARTS_BY_SIDE,
    FALLBACK_PARTS,
    PART_JOINTS,
    TRUNK_CORNERS,
    nearest_shares,
)
from magicpose_cli.warping.warp_points import BODY_SIDES, MIN_HEAD_JOINTS, WarpPoints, is_known

MAX_LIMB_STRETCH = 1.6  # lengths in the reference that a limb may have; more is a mistake
SHOULDER_RADIUS = 0.09  # body heights around the shoulder, in which the trunk holds an arm
MIN_BODY_SHARE = 0.02  # of all but the arms: less says nothing of what is behind an arm
FOOT_FADE = 0.015  # body heights beyond the ankle, over which a shin becomes a foot
FAR_AWAY_PX = np.float32(1e5)  # where nothing is seen
MIN_HAND_SCALE, MAX_HAND_SCALE = 0.35, 2.0  # of an affine map; beyond, a hand only turns and scales


@dataclass(frozen=True)
class _Mixture:
    """The nodes of one layer and the parts that move them.

    Attributes:
        window: Of the layer.
        parts: All that any of the window's n nodes belongs to.
        weights: (parts, n) float32, 0 to 1.
    """

    window: Window
    parts: list[str]
    weights: Floats

    def motion(self, maps: dict[str, Floats]) -> Floats:
        """Return how far the nodes go, (rows, columns, 2) float32 pixels.

        Args:
            maps: The affine map of each part, (2, 3).
        """
        identity = np.eye(2, 3)
        further = np.array([(maps[part] - identity).ravel() for part in self.parts], np.float32)
        # One affine map a node. No BLAS: its threads would wait for the next small product.
        mixed = np.einsum("pn,pk->kn", self.weights, further)
        mixed = mixed.reshape(6, *self.window.places.shape[:2])
        x, y = self.window.places[..., 0], self.window.places[..., 1]
        return np.stack(
            [mixed[row] * x + mixed[row + 1] * y + mixed[row + 2] for row in (0, 3)], -1
        )


class MotionField:
    """The motion of one reference's parts.

    Args:
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
        windows: The part of the grid around each layer, by its name.
    """

    def __init__(
        self,
        parts: list[str],
        weights: Floats,
        reference: WarpPoints,
        height: float,
        grid: Grid,
        windows: dict[str, Window],
    ) -> None:
        parts, weights = _with_feet(parts, weights, reference, height, grid)
        self._parts, self._reference = parts, reference
        self._trunk = [joint for joint in TRUNK_CORNERS if reference.has(joint)]
        self._layers = {}
        for name, window in windows.items():
            own = self._of_layer(weights, name, len(windows) > 1, height, grid)
            own = own[(slice(None), *window.nodes)].reshape(len(parts), -1)
            used = np.flatnonzero(own.max(1) > 0)
            self._layers[name] = _Mixture(
                window, [parts[i] for i in used], own[used].astype(np.float32)
            )
        self._head = None
        body = self._layers.get(BODY_LAYER)
        if body is not None and "head" in body.parts and reference.has_face:
            weight = body.weights[body.parts.index("head")]
            self._head = HeadWarp(reference, grid, body.window, weight)

    def _of_layer(
        self, weights: Floats, name: str, apart: bool, height: float, grid: Grid
    ) -> Floats:
        """Return the weights of a layer's own parts, scaled to sum 1.

        apart: whether the arms are layers of their own.
        """
        if name == BODY_LAYER:
            own = weights.copy()
            if apart:
                own[[i for i, part in enumerate(self._parts) if part in ARM_PARTS]] = 0
            total = own.sum(0)
            known = total > MIN_BODY_SHARE
            if not known.any():
                return weights
            # What is behind a hand moves as what is around it, and not with the hand.
            shares = own / np.maximum(total, 1e-9)
            where = known.astype(np.float32)
            return np.stack([push_pull(share[..., None], where)[..., 0] for share in shares])
        own = np.zeros_like(weights)
        mine = [i for i, part in enumerate(self._parts) if part in ARM_PARTS_BY_SIDE[name]]
        nearest = nearest_shares([self._parts[i] for i in mine], self._reference, height, grid)
        # The layer holds pixels that walked elsewhere: those go with the nearest bone.
        own[mine] = weights[mine] + (1 - weights[mine].sum(0)).clip(0) * nearest
        own /= own.sum(0)
        if "trunk" in self._parts:
            # The trunk holds an arm at the shoulder alone: not where a hand lies on the hip, and no
            # hand that is near the shoulder.
            shoulder = self._reference.joint(f"{name}_shoulder")
            apart_by = np.linalg.norm(grid.nodes() - shoulder, axis=-1) / (SHOULDER_RADIUS * height)
            held = np.exp(-(apart_by**2)).astype(np.float32)
            held *= own[self._parts.index(ARM_PARTS_BY_SIDE[name][0])]
            own *= 1 - held
            own[self._parts.index("trunk")] = held
        return own

    def node_targets(self, now: WarpPoints) -> dict[str, Floats]:
        """Return where the nodes of each layer's window go in a frame, by the layer's name.

        Args:
            now: The frame's points.

        Returns:
            (rows, columns, 2) float32 pixels each.
        """
        motions, _ = self._at_nodes(now)
        return {name: self._layers[name].window.places + m for name, m in motions.items()}

    def displacements(
        self, now: WarpPoints, drift: dict[str, Floats] | None = None
    ) -> dict[str, Floats]:
        """Return how far the field's points in each layer's window go, by the layer's name.

        Args:
            now: The frame's points.
            drift: By layer, (rows, columns, 2) pixels that the nodes go further than the frame's
                points say; see `secondary`.

        Returns:
            (h, w, 2) float32 pixels each; FAR_AWAY_PX of what a turned head hides.
        """
        motions, head = self._at_nodes(now)
        fields = {name: self._layers[name].window.at_points(m) for name, m in motions.items()}
        if self._head is not None and head is not None:
            self._head.move_face(fields[BODY_LAYER], head.face)
        for name, further in (drift or {}).items():
            fields[name] += self._layers[name].window.at_points(further)
        if self._head is not None and head is not None and head.is_turned:
            flat = fields[BODY_LAYER].reshape(-1, 2)
            flat[self._head.hidden(fields[BODY_LAYER], head)] = FAR_AWAY_PX
        return fields

    def _at_nodes(self, now: WarpPoints) -> tuple[dict[str, Floats], HeadMotion | None]:
        """Return the nodes' motion by layer, and the head's where the face is known."""
        maps = self._maps(now)
        found = self._head.motion(now) if self._head is not None else None
        if found is not None:
            maps["head"] = np.eye(2, 3)  # the head moves in space, below, and not by a plane's map
        maps = {part: self._map_or_fallback(part, maps) for part in self._parts}
        motions = {name: layer.motion(maps) for name, layer in self._layers.items()}
        if self._head is None or found is None:
            return motions, None
        self._head.add(motions[BODY_LAYER], found.nodes)
        return motions, found

    def _map_or_fallback(self, part: str, maps: dict[str, Floats]) -> Floats:
        """Return a part's map, else that of the part it hangs on, else the identity."""
        for name in (part, *FALLBACK_PARTS.get(part, ("trunk",))):
            if name in maps:
                return maps[name]
        return np.eye(2, 3)

    def _maps(self, now: WarpPoints) -> dict[str, Floats]:
        """Return the affine map, (2, 3), of each part that the frame shows."""
        maps: dict[str, Floats] = {}
        if "trunk" in self._parts:
            maps["trunk"] = self._trunk_map(now)
        if "head" in self._parts and (head := self._head_map(now, maps.get("trunk"))) is not None:
            maps["head"] = head
        for part in self._parts:
            if part in PART_JOINTS and now.has(*PART_JOINTS[part]):
                maps[part] = self._limb_map(part, now)
        for side in BODY_SIDES:
            hand = self._hand_map(side, now) if f"{side}_hand" in self._parts else None
            if hand is not None:
                maps[f"{side}_hand"] = hand
            if f"{side}_foot" in self._parts and now.has(f"{side}_knee", f"{side}_ankle"):
                maps[f"{side}_foot"] = self._foot_map(side, now)
        if "rest" in self._parts:
            maps["rest"] = np.eye(2, 3)
        return maps

    def _trunk_map(self, now: WarpPoints) -> Floats:
        """Return a similarity, or of fewer than four joints a shift: shoulders show no turn."""
        common = [joint for joint in self._trunk if now.has(joint)]
        if not common:
            return np.eye(2, 3)
        source, target = (np.array([p.joint(j) for j in common]) for p in (self._reference, now))
        if len(common) == len(TRUNK_CORNERS):
            return similarity(source, target)
        return np.column_stack([np.eye(2), (target - source).mean(0)])

    def _head_map(self, now: WarpPoints, trunk: Floats | None) -> Floats | None:
        """Return the map of a head whose face is not known: it turns as the trunk does.

        None where its joints are not known either. They would show a turn aside as a tilt.
        """
        was = self._reference.head_joints()
        common = [name for name in was if now.has(name)]
        if len(common) < MIN_HEAD_JOINTS:
            return None
        start, to = (np.mean([p.joint(j) for j in common], 0) for p in (self._reference, now))
        turn = np.eye(2) if trunk is None else trunk[:, :2]
        return np.column_stack([turn, to - turn @ start])

    def _limb_map(self, part: str, now: WarpPoints) -> Floats:
        """Return the map that stretches a limb along its bone and keeps its thickness."""
        upper, lower = PART_JOINTS[part]
        start, to = self._reference.joint(upper), now.joint(upper)
        was, is_ = self._reference.joint(lower) - start, now.joint(lower) - to
        length, new_length = float(np.linalg.norm(was)), float(np.linalg.norm(is_))
        along, new_along = was / max(length, 1e-6), is_ / max(new_length, 1e-6)
        across, new_across = (np.array([-d[1], d[0]]) for d in (along, new_along))
        stretch = min(new_length / max(length, 1e-6), MAX_LIMB_STRETCH)
        turn = np.outer(new_along, along) * stretch + np.outer(new_across, across)
        return np.column_stack([turn, to - turn @ start])

    def _foot_map(self, side: str, now: WarpPoints) -> Floats:
        """Return a map that turns a foot as its shin: a shin toward the viewer is short, it not."""
        knee, ankle = (np.array([p.joint(f"{side}_{joint}") for p in (self._reference, now)])
                       for joint in ("knee", "ankle"))  # fmt: skip
        (was, is_), (start, to) = ankle - knee, ankle
        angle = np.arctan2(is_[1], is_[0]) - np.arctan2(was[1], was[0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([turn, to - turn @ start])

    def _hand_map(self, side: str, now: WarpPoints) -> Floats | None:
        """Return an affine map, or a similarity where that would tear or mirror the hand."""
        was, is_ = self._reference.hands[side], now.hands[side]
        both = is_known(was) & is_known(is_)
        if not now.has_hand(side) or both.sum() < 3:
            return None
        free = affine(was[both], is_[both])
        most, least = (float(value) for value in np.linalg.svd(free[:, :2], compute_uv=False))
        upright = np.linalg.det(free[:, :2]) > 0
        if upright and least > MIN_HAND_SCALE and most < MAX_HAND_SCALE:
            return free
        return similarity(was[both], is_[both])


def _with_feet(
    parts: list[str], weights: Floats, reference: WarpPoints, height: float, grid: Grid
) -> tuple[list[str], Floats]:
    """Give what a shin has beyond its ankle to a foot, a part of its own for the motion alone."""
    parts, shares = list(parts), list(weights)
    for side in BODY_SIDES:
        if f"{side}_shin" not in parts:
            continue
        shin = parts.index(f"{side}_shin")
        knee, ankle = reference.joint(f"{side}_knee"), reference.joint(f"{side}_ankle")
        along = (ankle - knee) / max(float(np.linalg.norm(ankle - knee)), 1e-6)
        beyond = np.clip((grid.nodes() - ankle) @ along / (FOOT_FADE * height), 0, 1)
        parts.append(f"{side}_foot")
        shares.append(np.asarray(shares[shin] * beyond, np.float32))
        shares[shin] = np.asarray(shares[shin] * (1 - beyond), np.float32)
    return parts, np.stack(shares)
