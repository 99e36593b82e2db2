"""Picture strips: reference, pose, truth, result and difference side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.evaluation.samples import MadeSample
from magicpose_cli.run.temporary import temporary_folder

STRIP_SIDE_PX = 192  # pixels of a picture's longer side in a strip
MOST_KEPT = 512  # strips of one row of the table that wait on disk for being chosen


class SampleGrid:
    """Strips on disk until it is known which ones to show; a temporary folder, gone when closed."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._folder = self._open.enter_context(temporary_folder())
        self._numbers: dict[str, int] = {}

    def keep(self, model_name: str, index: int, count: int, made: MadeSample) -> None:
        """Keep the strip of the index-th of `count` samples; of very many, of every n-th."""
        from PIL import Image

        if index % -(-count // MOST_KEPT) == 0:
            Image.fromarray(strip(made)).save(self._path(model_name, index), quality=88)

    def kept(self, model_name: str, count: int) -> list[int]:
        """Tell which of `count` samples have a strip."""
        return [index for index in range(count) if self._path(model_name, index).exists()]

    def jpeg(self, model_name: str, index: int) -> bytes:
        """A strip as it was kept."""
        return self._path(model_name, index).read_bytes()

    def close(self) -> None:
        """Remove the folder."""
        self._open.close()

    def _path(self, model_name: str, index: int) -> Path:
        number = self._numbers.setdefault(model_name, len(self._numbers))
        return self._folder / f"{number}-{index}.jpg"


def strip(made: MadeSample) -> Picture:
    """Lay reference | pose | truth | result | difference side by side.

    Reference and pose are left out where there are none.
    """
    sample = made.sample
    pictures = [sample.truth, made.picture, np.abs(made.difference).astype(np.uint8)]
    if sample.pose is not None:
        pictures.insert(0, _pose_picture(made))
    if sample.reference is not None:
        pictures.insert(0, sample.reference)
    return np.concatenate([_small(picture) for picture in pictures], axis=1)


def parts_of_strip(has_reference: bool, has_pose: bool) -> str:
    """What a strip shows, from the left to the right."""
    parts = ["truth", "result", "difference"]
    if has_pose:
        parts.insert(0, "pose")
    if has_reference:
        parts.insert(0, "reference")
    return " | ".join(parts)


def _pose_picture(made: MadeSample) -> Picture:
    from magicpose_cli.pose.pose_map import pose_map

    assert made.sample.pose is not None
    return pose_map(made.sample.pose, 384)


def _small(picture: Picture) -> Picture:
    import cv2

    height, width = picture.shape[:2]
    factor = STRIP_SIDE_PX / max(width, height)
    size = (round(width * factor), round(height * factor))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    small: Picture = cv2.resize(picture, size, interpolation=kind).astype(np.uint8, copy=False)
    return small
