"""Disentangling, shown: one person under eight poses, eight people under one pose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.errors import OutputError
from magicpose_cli.evaluation.samples import Sample

GRID_COLUMNS = 8
GRID_SEED = 1 << 21  # behind the test seeds of the pairs
GAP, LABEL_HEIGHT, LEAST_SIDE = 4, 20, 128

Predict = Callable[[Iterable[Sample]], Iterator[tuple[Sample, Picture]]]


def check_grid(path: Path, overwrite: bool) -> None:
    """Check that the grid can be written.

    Raises:
        OutputError: The suffix is no picture's, or a file is in the way.
    """
    from magicpose_cli.files import check_writable
    from magicpose_cli.video.picture import WRITTEN_SUFFIXES

    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise OutputError(
            f"{path}: a picture is written as {', '.join(WRITTEN_SUFFIXES)}; name the grid so"
        )
    check_writable(path, overwrite)


def draw_grid(path: Path, predict: Predict, size: int) -> None:
    """Write the labeled grid of a model as PNG; an existing file is replaced.

    Args:
        path: Of the grid.
        predict: Gives each sample with its picture.
        size: Side in pixels of the model's pictures.
    """
    from magicpose_cli.video import write_picture

    one_person, one_pose = grid_samples(size)
    write_picture(path, grid(one_person, one_pose, predict), overwrite=True)


def grid_samples(size: int) -> tuple[list[Sample], list[Sample]]:
    """Draw GRID_COLUMNS samples of one person, and as many of different people in one motion."""
    import torch

    from magicpose_cli.evaluation.pairs import drawn_samples
    from magicpose_cli.synthetic.casting import sample_identities, sample_motions
    from magicpose_cli.synthetic.people import TEST_SEEDS

    generator = torch.Generator().manual_seed(TEST_SEEDS + GRID_SEED)
    people = sample_identities(GRID_COLUMNS, size, generator, framing="full")
    people = replace(people, camera=people.camera[:1].expand(GRID_COLUMNS, -1).clone())
    motions = sample_motions(2 * GRID_COLUMNS, generator)
    first, rows = torch.zeros(GRID_COLUMNS, dtype=torch.long), torch.arange(GRID_COLUMNS)
    asked, given = motions.rows(rows), motions.rows(rows + GRID_COLUMNS)
    return (
        drawn_samples(people.rows(first), given.rows(first), asked),
        drawn_samples(people, given, asked.rows(first)),
    )


def grid(one_person: list[Sample], one_pose: list[Sample], predict: Predict) -> Picture:
    """Draw two blocks of three rows, with what is the same in all samples at the left."""
    blocks = []
    for samples, fixed, rows in (
        (one_person, "one reference", ("poses", "results", "truth")),
        (one_pose, "one pose", ("references", "results", "truth")),
    ):
        made = [_enlarged(picture) for _, picture in predict(samples)]
        truth = [_enlarged(sample.truth) for sample in samples]
        if rows[0] == "poses":
            corner, given = _enlarged(samples[0].reference), [_pose(sample) for sample in samples]
        else:
            corner, given = _pose(samples[0]), [_enlarged(sample.reference) for sample in samples]
        blank = np.full_like(corner, 255)
        pictures = (given, made, truth)
        for row, name, left in zip(pictures, rows, (corner, blank, blank), strict=True):
            label = f"{fixed}, {name}" if left is corner else name
            blocks.append(_labeled([left, *row], label))
    return np.concatenate(blocks)


def _labeled(pictures: list[Picture], label: str) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    side = pictures[0].shape[0]
    width = (side + GAP) * len(pictures) + GAP
    row = Image.new("RGB", (width, side + LABEL_HEIGHT + GAP), "white")
    font = ImageFont.load_default(14)
    ImageDraw.Draw(row).text((GAP, 2), label, "black", font)
    for index, picture in enumerate(pictures):
        row.paste(Image.fromarray(picture), (GAP + index * (side + GAP), LABEL_HEIGHT))
    return np.asarray(row)


def _pose(sample: Sample) -> Picture:
    from magicpose_cli.pose.pose_map import pose_map

    assert sample.pose is not None
    return _enlarged(pose_map(sample.pose, 384))


def _enlarged(picture: Picture | None) -> Picture:
    import cv2

    assert picture is not None
    side = max(LEAST_SIDE, picture.shape[0])
    resized = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return resized.astype(np.uint8, copy=False)
