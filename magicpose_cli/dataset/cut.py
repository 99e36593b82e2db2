"""From a piece of film, or a seed, to finished clip folders: what one worker does."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import to_pictures
from magicpose_cli.config.user_home import expanded
from magicpose_cli.dataset.data_folder import (
    CLIPS_FOLDER,
    LABELS_FOLDER,
    Record,
    complete_folder,
    drawn_name,
    filmed_name,
    write_record,
    writing,
)
from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.dataset.selection import FrameObservation, choose, square_crop
from magicpose_cli.errors import InputError
from magicpose_cli.files import write_json
from magicpose_cli.pose.files.openpose_json import write_poses
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.video import Clip, Selection, probe, read_frames, select, write_picture

SAMPLED_BYTES = 1 << 16


@dataclass(frozen=True)
class Piece:
    """A stretch of a film that is looked at by itself, so that a killed run loses little."""

    name: str
    source: str
    clip: Clip
    selection: Selection
    fps: float
    frame_count: int


def source_name(path: Path) -> str:
    """Make the file's name with a hash of its content, the same wherever the file lies."""
    stem = re.sub(r"[^\w-]+", "_", path.stem).strip("_")[:60] or "film"
    mark = hashlib.sha256(path.suffix.encode())
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            for start in (0, max(0, size - SAMPLED_BYTES)):
                file.seek(start)
                mark.update(file.read(SAMPLED_BYTES))
            mark.update(str(size).encode())
    except OSError:  # the probe will tell why
        mark.update(str(path).encode())
    return f"{stem}-{mark.hexdigest()[:8]}"


def plan_pieces(path: Path, source: str, folder: Path, settings: DatasetSettings) -> list[Piece]:
    """Cut a film into pieces of equal length.

    A film that cannot be read has none, and a record that says why.
    """
    try:
        clip = probe(path)
    except InputError as error:
        with writing(folder):
            write_record(folder, source, Record(source, path.name, error=str(error)))
        return []
    fps = min(settings.frames.fps, clip.fps)
    count = math.ceil(round(clip.duration_s / settings.clips.max_s, 6))
    edges = [clip.duration_s * k / count for k in range(count + 1)]
    pieces = []
    for k in range(count):
        selection = Selection(edges[k], edges[k + 1], fps=fps)
        frames = select(clip, selection).frame_count
        pieces.append(Piece(f"{source}-{k:04d}", source, clip, selection, fps, frames))
    return pieces


def cut_piece(piece: Piece, folder: Path, settings: DatasetSettings) -> Record:
    """Write the clips of a piece, then its record. The film is decoded twice, never kept."""
    from magicpose_cli.pose.detection.detect import load_detector

    record = Record(piece.source, piece.clip.path.name, piece.frame_count)
    detector = load_detector(settings.frames.detector, still=True)
    try:
        frames = read_frames(piece.clip, piece.selection)
        chosen = choose(frames, detector, piece.fps, settings)
        with writing(folder):
            _write_clips(piece, chosen.clips, folder, settings)
        record = replace(
            record,
            kept=sum(len(clip) for clip in chosen.clips),
            clips=len(chosen.clips),
            dropped=dict(sorted(chosen.dropped.items())),
        )
    except InputError as error:
        record = replace(record, error=str(error))
    finally:
        detector.close()
    with writing(folder):
        write_record(folder, piece.name, record)
    return record


def draw_clip(number: int, folder: Path, settings: DatasetSettings) -> None:
    """Write one drawn or rendered person in several poses, with exact points and masks."""
    from magicpose_cli.synthetic.people import TEST_SEEDS
    from magicpose_cli.synthetic.sources import synthetic_people

    count, fps, size = settings.drawn.frames, settings.frames.fps, settings.frames.size
    seed = settings.drawn.first_seed + number + (TEST_SEEDS if settings.drawn.held_out else 0)
    wardrobe = expanded(settings.drawn.wardrobe) if settings.drawn.wardrobe else None
    people = synthetic_people(settings.drawn.people, seed, 1, count, size, wardrobe)
    pictures = to_pictures(people.images)
    labels = people.labels.byte().numpy()
    with (
        writing(folder),
        complete_folder(folder / CLIPS_FOLDER / drawn_name(number, settings)) as part,
    ):
        for k in range(count):
            write_picture(part / f"{k:05d}.png", pictures[k])
            write_picture(part / LABELS_FOLDER / f"{k:05d}.png", labels[k])
        source = {
            "source": f"{settings.drawn.people}, seed {seed}",
            "source_size": [size, size],
            "crop": [0, 0, size, size],
            "times_s": [round(k / fps, 6) for k in range(count)],
        }
        _describe(part, source, people.poses(), "png", fps)


def _write_clips(
    piece: Piece, clips: Sequence[list[FrameObservation]], folder: Path, settings: DatasetSettings
) -> None:
    """All clips of a piece, which appear together."""
    frames, suffix = settings.frames, settings.frames.format
    crops = [
        square_crop([one.pose for one in clip], frames.margin, frames.fit, frames.size)
        for clip in clips
    ]
    places = {one.tick: (k, i) for k, clip in enumerate(clips) for i, one in enumerate(clip)}
    names = [folder / CLIPS_FOLDER / filmed_name(piece.name, k) for k in range(len(clips))]
    with ExitStack() as stack:
        parts = [stack.enter_context(complete_folder(name)) for name in names]
        for tick, picture in enumerate(read_frames(piece.clip, piece.selection) if clips else ()):
            if tick in places:
                k, i = places[tick]
                write_picture(parts[k] / f"{i:05d}.{suffix}", crops[k].picture(picture))
        for clip, crop, part in zip(clips, crops, parts, strict=True):
            start_s = piece.selection.start_s or 0.0
            source = {
                "source": piece.clip.path.name,
                "source_size": [piece.clip.width, piece.clip.height],
                "crop": list(crop.window),
                "times_s": [round(start_s + one.tick / piece.fps, 6) for one in clip],
            }
            _describe(part, source, [crop.pose(one.pose) for one in clip], suffix, piece.fps)


def _describe(
    part: Path, source: dict[str, Any], poses: Sequence[Pose], suffix: str, fps: float
) -> None:
    """Write the poses, and what is known about the clip."""
    write_poses(part / "poses.json", poses, fps)
    seen = {name: np.stack([getattr(p, f"{name}_score") > 0 for p in poses]) for name in PARTS}
    scores = np.concatenate([pose.body_score for pose in poses])
    clip = {
        "frames": len(poses),
        "suffix": suffix,
        "size": poses[0].width,
        "labels": (part / LABELS_FOLDER).is_dir(),
        "fps": fps,
        **source,
        "joints_a_frame": round(float(seen["body"].sum(axis=1).mean()), 2),
        "mean_joint_score": round(float(scores[scores > 0].mean()), 3),
        "frames_with": {name: int(seen[name].any(axis=1).sum()) for name in PARTS},
    }
    write_json(part / "clip.json", clip)
