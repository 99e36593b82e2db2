"""Disentangling, shown: one person under eight poses, eight people under one pose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from magicpose_cli.errors import OutputError
from magicpose_cli.evaluation.cases import Sample

COLUMNS = 8
GRID_SEED = 1 << 21  # behind the test seeds of the pairs
GAP, LABEL_HEIGHT, LEAST_SIDE = 4, 20, 128

Make = Callable[[Iterable[Sample]], Iterator[tuple[Sample, np.ndarray]]]


def check_grid(path: Path, overwrite: bool) -> None:
    """Raise OutputError where the grid cannot be written."""
    from magicpose_cli.files import check_writable
    from magicpose_cli.video.picture import WRITTEN_SUFFIXES

    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise OutputError(
            f"{path}: a picture is written as {', '.join(WRITTEN_SUFFIXES)}; name the grid so"
        )
    check_writable(path, overwrite)


def draw_grid(path: Path, make: Make, size: int) -> None:
    """Write the labeled grid of a model as PNG; an existing file is replaced.

    make: gives each case with its picture. size: side in pixels of the model's pictures.
    """
    from magicpose_cli.video import write_picture

    one_person, one_pose = grid_cases(size)
    write_picture(path, grid(one_person, one_pose, make), overwrite=True)


def grid_cases(size: int) -> tuple[list[Sample], list[Sample]]:
    """Cases of the test seeds: one person in COLUMNS motions, COLUMNS people in one motion."""
    import torch

    from magicpose_cli.evaluation.pairs import drawn_cases
    from magicpose_cli.synthetic.casting import sample_identities, sample_motions
    from magicpose_cli.synthetic.people import TEST_SEEDS

    generator = torch.Generator().manual_seed(TEST_SEEDS + GRID_SEED)
    people = sample_identities(COLUMNS, size, generator, framing="full")
    people = replace(people, camera=people.camera[:1].expand(COLUMNS, -1).clone())
    motions = sample_motions(2 * COLUMNS, generator)
    first, rows = torch.zeros(COLUMNS, dtype=torch.long), torch.arange(COLUMNS)
    asked, given = motions.rows(rows), motions.rows(rows + COLUMNS)
    return (
        drawn_cases(people.rows(first), given.rows(first), asked),
        drawn_cases(people, given, asked.rows(first)),
    )


def grid(one_person: list[Sample], one_pose: list[Sample], make: Make) -> np.ndarray:
    """(H, W, 3) uint8 RGB: two blocks of three rows, the fixed thing at the left."""
    blocks = []
    for cases, fixed, rows in (
        (one_person, "one reference", ("poses", "results", "truth")),
        (one_pose, "one pose", ("references", "results", "truth")),
    ):
        made = [_enlarged(picture) for _, picture in make(cases)]
        truth = [_enlarged(case.truth) for case in cases]
        if rows[0] == "poses":
            corner, given = _enlarged(cases[0].reference), [_pose(case) for case in cases]
        else:
            corner, given = _pose(cases[0]), [_enlarged(case.reference) for case in cases]
        blank = np.full_like(corner, 255)
        pictures = (given, made, truth)
        for row, name, left in zip(pictures, rows, (corner, blank, blank), strict=True):
            label = f"{fixed}, {name}" if left is corner else name
            blocks.append(_labeled([left, *row], label))
    return np.concatenate(blocks)


def _labeled(pictures: list[np.ndarray], label: str) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    side = pictures[0].shape[0]
    width = (side + GAP) * len(pictures) + GAP
    row = Image.new("RGB", (width, side + LABEL_HEIGHT + GAP), "white")
    font = ImageFont.load_default(14)
    ImageDraw.Draw(row).text((GAP, 2), label, "black", font)
    for index, picture in enumerate(pictures):
        row.paste(Image.fromarray(picture), (GAP + index * (side + GAP), LABEL_HEIGHT))
    return np.asarray(row)


def _pose(case: Sample) -> np.ndarray:
    from magicpose_cli.pose.pose_map import pose_map

    assert case.pose is not None
    return _enlarged(pose_map(case.pose, 384))


def _enlarged(picture: np.ndarray | None) -> np.ndarray:
    import cv2

    assert picture is not None
    side = max(LEAST_SIDE, picture.shape[0])
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
