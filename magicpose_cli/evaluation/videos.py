"""Finished videos against true ones: matched by name, frame by frame, no model at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.arrays import Picture
from magicpose_cli.errors import InputError
from magicpose_cli.evaluation.pose_following import PoseReader
from magicpose_cli.evaluation.samples import Sample, SampleSet
from magicpose_cli.motion.framing import Framing, frame
from magicpose_cli.video import Clip, probe, read_frames, read_picture
from magicpose_cli.video.picture import pictures_in

RESULT_SUFFIXES = frozenset((".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".gif"))


@dataclass(frozen=True)
class Match:
    """A result and its truth, of equal length.

    Attributes:
        name: Of both.
        result: What was made.
        truth: What should have been made.
        framing: Crops the truth to the result's shape.
    """

    name: str
    result: Clip
    truth: Clip
    framing: Framing


def match_videos(result: Path, truth: Path) -> list[Match]:
    """Pairs of clips with the same name (without suffix); two single clips need none.

    Raises:
        InputError: Nothing matches, or lengths differ.
    """
    results, truths = clips_in(result), clips_in(truth)
    if len(results) == len(truths) == 1:
        (name, one), (_, other) = *results.items(), *truths.items()
        return [_match(name, one, other)]
    common = sorted(results.keys() & truths.keys())
    if missing := sorted(results.keys() - truths.keys()) or not common:
        name = missing[0] if isinstance(missing, list) else next(iter(results))
        raise InputError(
            f"{truth}: no clip {name!r} for {results[name]}; expected a video or a folder of "
            f"pictures of that name (there are: {', '.join(sorted(truths)[:5])})"
        )
    return [_match(name, results[name], truths[name]) for name in common]


def clips_in(path: Path) -> dict[str, Path]:
    """Find the clips of a path, by name: itself, or the videos and picture folders in it."""
    if not path.is_dir():
        return {path.stem: path}  # whatever it is, opening it tells
    videos = [p for p in sorted(path.iterdir()) if p.suffix.lower() in RESULT_SUFFIXES]
    if not videos and pictures_in(path):
        return {path.name: path}
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and pictures_in(p)]
    clips = {p.stem: p for p in videos} | {p.name: p for p in folders}
    if not clips:
        raise InputError(
            f"{path}: neither videos nor pictures in it; give a video, a folder of videos, a "
            "folder of pictures or a folder of such folders"
        )
    return clips


def video_samples(
    matches: list[Match], reference: Path | None, reader: PoseReader | None
) -> SampleSet:
    """Take the truth of each frame; which pose was asked for is left open."""
    picture = None if reference is None else read_picture(reference)
    reference_pose = None if picture is None or reader is None else reader.read(picture)

    def opened() -> Iterator[Sample]:
        for match in matches:
            given, given_pose = _framed(picture, match), None
            if picture is not None and reference_pose is not None:
                given_pose = _reference_framing(picture, match).pose(reference_pose)
            before = None
            for index, raw in enumerate(read_frames(match.truth)):
                truth = match.framing.picture(raw)
                yield Sample(
                    name=f"{match.name} {index:05d}",
                    clip=match.name,
                    reference=given,
                    truth=truth,
                    reference_pose=given_pose,
                    before=before,
                )
                before = truth

    count = sum(match.truth.frame_count for match in matches)
    return SampleSet("videos", f"{len(matches)} clips, {count} frames", count, opened)


class VideoPredictor:
    """The results as they were made before."""

    def __init__(self, name: str, matches: list[Match]):
        self.name = name
        self._matches = matches
        self.metadata = {"clips": [str(match.result.path) for match in matches]}

    def predict(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, Picture]]:
        """Give each sample with the frame of its result, in order."""
        frames = (made for match in self._matches for made in read_frames(match.result))
        yield from zip(samples, frames, strict=True)


def _match(name: str, result: Path, truth: Path) -> Match:
    made, true = probe(result), probe(truth)
    if made.frame_count != true.frame_count:
        raise InputError(
            f"{result}: {made.frame_count} frames, but {truth} has {true.frame_count}; expected "
            "the same frames in both, cut one of them first"
        )
    size = (made.width, made.height)
    return Match(name, made, true, frame((true.width, true.height), size, "crop"))


def _reference_framing(picture: Picture, match: Match) -> Framing:
    size = (match.result.width, match.result.height)
    return frame((picture.shape[1], picture.shape[0]), size, "crop")


def _framed(picture: Picture | None, match: Match) -> Picture | None:
    return None if picture is None else _reference_framing(picture, match).picture(picture)
