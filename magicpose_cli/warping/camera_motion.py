"""The camera's motion: where the background of each of a driver's frames was in another one.

A similarity (turn, zoom and shift) holds for all of the background; what is nearer or further than
most of it differs by a smooth field, which is known at the nodes of a coarse mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.warping.interpolation import upsample

MESH_NODES = 12  # along the short side of a frame
STEADY_CAMERA_S = 0.025  # standard deviation of the average over time
MESH_MEDIAN_S = 0.12  # before and after, of whose meshes the median is taken
STEADY_CAMERA_REACH = 2.5  # standard deviations, where that average ends


@dataclass(frozen=True)
class CameraMotion:
    """Where the background of one frame comes from.

    Points are complex numbers here, x + iy in pixels, so that a similarity is one product and sum.

    Attributes:
        turn: The factor of the similarity from the frame to the anchor frame: zoom and turn.
        shift: Its summand.
        mesh: (rows, columns, 2) float16 pixels that are added to what the similarity says, at
            nodes that are spread evenly from the first pixel's center to the last one's.
        size: (width, height) of the driver's frames, in which all this is measured.
        scale: Pixels of the result in one of the driver's frames.
        origin: The result's pixel that shows the first pixel of the driver's frames.
    """

    turn: complex
    shift: complex
    mesh: Floats
    size: tuple[int, int]
    scale: float = 1.0
    origin: complex = 0j

    @classmethod
    def none(cls, size: tuple[int, int]) -> CameraMotion:
        """Return no motion in frames of (width, height) pixels."""
        return cls(1 + 0j, 0j, np.zeros((*_mesh_shape(size), 2), np.float16), size)

    @property
    def center(self) -> complex:
        """The middle of the driver's frames."""
        return complex(self.size[0] - 1, self.size[1] - 1) / 2

    def come_from(self, places: Floats) -> Floats:
        """Return where (..., 2) places of the frame were in the anchor frame, in its pixels."""
        return self._similar(places) + self._further(places)

    def all_come_from(self) -> Floats:
        """Return where all pixels of the frame were in the anchor frame, (h, w, 2) float32."""
        x, y = (np.arange(side, dtype=np.float32) for side in self.size)
        found = upsample(self.mesh, self.size)
        turn, shift = self.turn, self.shift
        found[..., 0] += np.float32(turn.real) * x - np.float32(turn.imag) * y[:, None]
        found[..., 1] += np.float32(turn.imag) * x + np.float32(turn.real) * y[:, None]
        found += np.array([shift.real, shift.imag], np.float32)
        return found

    def displacements(self, places: Floats) -> Floats:
        """Return how far away (..., 2) pixels of the result were in the anchor frame.

        Returns:
            (..., 2) float64 pixels of the result, from the places to where their picture was.
        """
        first = np.array([self.origin.real, self.origin.imag])
        there = (places - first) / self.scale
        moved: Floats = self.scale * (self.come_from(there) - there)
        return moved

    def after(self, other: CameraMotion) -> CameraMotion:
        """Return the motion from the frame of `other` to the anchor frame of this one.

        Args:
            other: Whose anchor frame is the frame of this motion.
        """
        turn, shift = self.turn * other.turn, self.turn * other.shift + self.shift
        both = replace(other, turn=turn, shift=shift, mesh=np.zeros_like(other.mesh))
        nodes = mesh_places(self.size)
        further = self.come_from(other.come_from(nodes)) - both.come_from(nodes)
        return replace(both, mesh=further.astype(np.float16))

    def weakened(self, share: float) -> CameraMotion:
        """Return a share, 0 to 1, of the motion."""
        turn, shift = 1 + share * (self.turn - 1), share * self.shift
        return replace(self, turn=turn, shift=shift, mesh=self.mesh * np.float16(share))

    def _similar(self, places: Floats) -> Floats:
        found = self.turn * (places[..., 0] + 1j * places[..., 1]) + self.shift
        return np.stack([found.real, found.imag], axis=-1)

    def _further(self, places: Floats) -> Floats:
        """Return what the mesh adds; beyond the frame its edge goes on."""
        rows, columns = self.mesh.shape[:2]
        steps = np.array([columns - 1, rows - 1]) / np.maximum(np.subtract(self.size, 1), 1)
        at = (places * steps).reshape(-1, 1, 2)
        found = values_at(self.mesh.astype(np.float32), at)
        return found.reshape(places.shape).astype(np.float64)


def values_at(
    values: AnyArray,
    places: Floats,
    method: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_REPLICATE,
) -> AnyArray:
    """Look values up, (H, W) or (H, W, n), at (h, w, 2) places, x and y in pixels."""
    x, y = cv2.split(places.astype(np.float32, copy=False))
    return cv2.remap(values, x, y, method, borderMode=border)


def mesh_places(size: tuple[int, int]) -> Floats:
    """Return the nodes of the mesh of frames of (width, height) pixels, (rows, columns, 2)."""
    rows, columns = _mesh_shape(size)
    x, y = np.linspace(0, size[0] - 1, columns), np.linspace(0, size[1] - 1, rows)
    return np.stack(np.meshgrid(x, y), axis=-1)


def steady_camera(motions: Sequence[CameraMotion], rate: float) -> list[CameraMotion]:
    """Average each frame's motion with those around it: what is found trembles a little.

    The average is as narrow as a frame of a usual film, so that a camera's shaking stays. Of the
    meshes the median over a longer time comes first: depth shows slowly, mistakes last a moment.

    Args:
        motions: Of all frames in order.
        rate: Frames a second.
    """
    motions = _median_meshes(motions, round(MESH_MEDIAN_S * rate))
    reach = int(STEADY_CAMERA_REACH * STEADY_CAMERA_S * rate)
    if not reach:
        return motions
    steadied = []
    for index in range(len(motions)):
        first = max(0, index - reach)
        near = motions[first : index + reach + 1]
        away_s = (np.arange(first, first + len(near)) - index) / rate
        shares = np.exp(-((away_s / STEADY_CAMERA_S) ** 2) / 2)
        steadied.append(mean_motion(near, (shares / shares.sum()).tolist()))
    return steadied


def _median_meshes(motions: Sequence[CameraMotion], reach: int) -> list[CameraMotion]:
    """Replace each mesh by the median of those around it, which are as many before and after."""
    calmed = []
    for index, motion in enumerate(motions):
        few = min(reach, index, len(motions) - 1 - index)
        near = [one.mesh for one in motions[index - few : index + few + 1]]
        calmed.append(replace(motion, mesh=np.median(near, axis=0).astype(np.float16)))
    return calmed


def mean_motion(motions: Sequence[CameraMotion], shares: Sequence[float]) -> CameraMotion:
    """Return the mean of motions with shares that are 1 together."""
    middle = motions[0].center  # turns are about it, not about the frame's corner
    both = list(zip(shares, motions, strict=True))
    turn = sum((share * one.turn for share, one in both), 0j)
    there = sum((share * (one.turn * middle + one.shift) for share, one in both), 0j)
    mesh = np.sum([np.float32(share) * one.mesh.astype(np.float32) for share, one in both], axis=0)
    shift = there - turn * middle
    return replace(motions[0], turn=turn, shift=shift, mesh=mesh.astype(np.float16))


def _mesh_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the mesh of frames of (width, height) pixels."""
    step = max(1.0, (min(size) - 1) / (MESH_NODES - 1))
    rows, columns = (max(2, round((side - 1) / step) + 1) for side in (size[1], size[0]))
    return rows, columns
