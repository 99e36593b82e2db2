"""Picture strips: reference, pose, truth, result and difference side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from magicpose_cli.evaluation.cases import MadeSample
from magicpose_cli.run.temporary import temporary_folder

SIDE = 192  # pixels of a picture's longer side in a strip
MOST_KEPT = 512  # strips of one row of the table that wait on disk for being chosen


class SampleGrid:
    """Strips on disk until it is known which ones to show; a temporary folder, gone when closed."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._folder = self._open.enter_context(temporary_folder())
        self._numbers: dict[str, int] = {}

    def keep(self, subject: str, index: int, count: int, seen: MadeSample) -> None:
        """Keep the strip of the index-th of `count` cases; of very many, every n-th."""
        from PIL import Image

        if index % -(-count // MOST_KEPT) == 0:
            Image.fromarray(strip(seen)).save(self._path(subject, index), quality=88)

    def kept(self, subject: str, count: int) -> list[int]:
        """Which of `count` cases have a strip."""
        return [index for index in range(count) if self._path(subject, index).exists()]

    def jpeg(self, subject: str, index: int) -> bytes:
        """A strip as it was kept."""
        return self._path(subject, index).read_bytes()

    def close(self) -> None:
        """Remove the folder."""
        self._open.close()

    def _path(self, subject: str, index: int) -> Path:
        number = self._numbers.setdefault(subject, len(self._numbers))
        return self._folder / f"{number}-{index}.jpg"


def strip(seen: MadeSample) -> np.ndarray:
    """(h, n * w, 3) uint8 RGB: reference | pose | truth | result | difference; of reference and
    pose what there is."""
    case = seen.case
    pictures = [case.truth, seen.picture, np.abs(seen.difference).astype(np.uint8)]
    if case.pose is not None:
        pictures.insert(0, _pose_picture(seen))
    if case.reference is not None:
        pictures.insert(0, case.reference)
    return np.concatenate([_small(picture) for picture in pictures], axis=1)


def parts_of_strip(seen_reference: bool, seen_pose: bool) -> str:
    """What a strip shows, from the left to the right."""
    parts = ["truth", "result", "difference"]
    if seen_pose:
        parts.insert(0, "pose")
    if seen_reference:
        parts.insert(0, "reference")
    return " | ".join(parts)


def _pose_picture(seen: MadeSample) -> np.ndarray:
    from magicpose_cli.pose.pose_map import pose_map

    assert seen.case.pose is not None
    return pose_map(seen.case.pose, 384)


def _small(picture: np.ndarray) -> np.ndarray:
    import cv2

    height, width = picture.shape[:2]
    factor = SIDE / max(width, height)
    size = (round(width * factor), round(height * factor))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=kind)
