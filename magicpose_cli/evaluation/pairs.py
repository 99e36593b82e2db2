"""Pairs to be made by a model: synthetic people of the test seeds, or clips of a data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from magicpose_cli.arrays import Picture, to_pictures
from magicpose_cli.errors import ConfigError
from magicpose_cli.evaluation.samples import Sample, SampleSet
from magicpose_cli.synthetic.sources import SyntheticKind, synthetic_people

if TYPE_CHECKING:
    from magicpose_cli.dataset.clips import ClipFolder
    from magicpose_cli.synthetic.people import DrawnMotion, Identity

PEOPLE_CHUNK = 8  # people made at once; decides who is made, so it must not change
FIRST_SEED = 1 << 20  # behind the test seeds that tests use


def synthetic_pairs(kind: SyntheticKind, count: int, size: tuple[int, int]) -> SampleSet:
    """Make people of the test seeds, each in two poses; the first `count` of an endless row.

    Args:
        kind: Drawn, rendered, or both in turns.
        count: How many people.
        size: (width, height) in pixels, which have to be equal.

    Raises:
        ConfigError: The size is no square.
    """
    width, height = size
    if width != height:
        raise ConfigError(
            f"size {width}x{height}: {kind} people come in squares; give one side, such as {width}"
        )

    def opened() -> Iterator[Sample]:
        from magicpose_cli.synthetic.people import TEST_SEEDS

        for start in range(0, count, PEOPLE_CHUNK):
            seed = TEST_SEEDS + FIRST_SEED + start // PEOPLE_CHUNK
            people = synthetic_people(kind, seed, PEOPLE_CHUNK, 2, width)
            pictures, labels, poses = to_pictures(people.images), people.labels, people.poses()
            for index in range(min(PEOPLE_CHUNK, count - start)):
                one, other = 2 * index, 2 * index + 1
                name = f"{kind} {start + index:04d}"
                yield Sample(
                    name=name,
                    clip=name,
                    reference=pictures[one],
                    truth=pictures[other],
                    pose=poses[other],
                    reference_pose=poses[one],
                    labels=labels[other].cpu().numpy(),
                    reference_labels=labels[one].cpu().numpy(),
                )

    return SampleSet(
        kind, f"{count} {kind} people of the test seeds, two poses each", count, opened
    )


def data_pairs(folder: Path, size: tuple[int, int]) -> SampleSet:
    """Take the clips of a data folder: the first frame is the reference, the others are the truth.

    Raises:
        InputError: The folder cannot be read or holds no clip of two frames.
    """
    from magicpose_cli.dataset.clips import open_clips
    from magicpose_cli.errors import InputError

    clips = [clip for clip in open_clips(folder) if len(clip) > 1]
    if not clips:
        raise InputError(
            f"{folder}: no clip with two frames in it; expected a folder that `magicpose dataset` "
            "has written"
        )
    count = sum(len(clip) - 1 for clip in clips)

    def opened() -> Iterator[Sample]:
        for clip in clips:
            yield from _clip_pairs(clip, size)

    return SampleSet(
        "data", f"{len(clips)} clips of {folder}, first frame to the rest", count, opened
    )


def _clip_pairs(clip: ClipFolder, size: tuple[int, int]) -> Iterator[Sample]:
    from PIL import Image

    from magicpose_cli.motion.framing import frame

    first = clip.frame(0)
    framing = frame((first.shape[1], first.shape[0]), size, "crop")

    def labels(index: int) -> Picture | None:
        found = clip.labels(index)
        return None if found is None else framing.picture(found, Image.Resampling.NEAREST)

    reference, reference_labels, before = framing.picture(first), labels(0), None
    for index in range(1, len(clip)):
        truth = framing.picture(clip.frame(index))
        yield Sample(
            name=f"{clip.name} {index:04d}",
            clip=clip.name,
            reference=reference,
            truth=truth,
            pose=framing.pose(clip.pose(index)),
            reference_pose=framing.pose(clip.pose(0)),
            labels=labels(index),
            reference_labels=reference_labels,
            before=before,
        )
        before = truth


def drawn_samples(identity: Identity, reference: DrawnMotion, motion: DrawnMotion) -> list[Sample]:
    """Make one sample a row.

    Args:
        identity: The people, one a row.
        reference: How they stand in the references.
        motion: How they stand in the truths, whose poses are asked for.
    """
    from magicpose_cli.synthetic.people import render

    given, asked = render(identity, reference), render(identity, motion)
    pictures = zip(
        to_pictures(given.images),
        given.poses(),
        to_pictures(asked.images),
        asked.poses(),
        strict=True,
    )
    return [
        Sample(f"drawn {index}", f"drawn {index}", reference, truth, pose, reference_pose)
        for index, (reference, reference_pose, truth, pose) in enumerate(pictures)
    ]
