"""The work on one person, which a worker does by itself: look at their pictures, make others."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Floats
from magicpose_cli.augmentation.augment_job import (
    AskedPicture,
    AugmentJob,
    AugmentTools,
    plan_person,
)
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.judging import Judge, reason_to_drop
from magicpose_cli.augmentation.picture_maker import MadePicture
from magicpose_cli.augmentation.pose_library import describe_poses, facing_ahead
from magicpose_cli.augmentation.reid_data import PersonPicture
from magicpose_cli.augmentation.seen_person import SeenPerson, azimuth_apart, without_picture
from magicpose_cli.augmentation.written_set import SetNames
from magicpose_cli.errors import MagicPoseError, OutputError
from magicpose_cli.files import unwritable, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, Any]


@cache
def tools_of(job: AugmentJob) -> AugmentTools:
    """The tools of this process, which live as long as it does."""
    return AugmentTools(job)


def look_at_person(job: AugmentJob, pictures: Sequence[PersonPicture]) -> list[Row]:
    """Find out what a person's pictures show.

    Returns:
        For each picture its path, person, camera and either azimuth, elevation and pose cluster,
        or the reason why it is of no use.
    """
    tools = tools_of(job)
    rows: list[Row] = []
    for picture in pictures:
        row: Row = {
            "path": str(picture.path), "person": picture.person, "camera": picture.camera
        }  # fmt: skip
        try:
            seen = without_picture(tools.finder.find(picture.path))
        except MagicPoseError as error:
            rows.append(row | {"reason": " ".join(str(error).splitlines())})
            continue
        described = describe_poses(tools.finder.body, seen.body.rotations[None])
        rows.append(
            row | {
                "azimuth": round(seen.viewpoint.azimuth_deg, 2),
                "elevation": round(seen.viewpoint.elevation_deg, 2),
                "cluster": int(tools.clusters.nearest(described)[0]),
            }
        )  # fmt: skip
    return rows


def make_person(
    job: AugmentJob,
    looked: Sequence[Row],
    names: SetNames,
    folder: Path,
    viewpoint_weights: Floats | None,
    pose_weights: Floats | None,
) -> list[Row]:
    """Make a person's pictures, judge them and write those that are kept.

    Args:
        job: What is asked for.
        looked: Of the person, as `look_at_person` gives it.
        names: Of the pictures.
        folder: Of the output.
        viewpoint_weights: See `plan_person`.
        pose_weights: See `plan_person`.

    Returns:
        A row for each picture that was made, dropped ones with their reason.

    Raises:
        OutputError: A picture cannot be written.
    """
    tools = tools_of(job)
    usable = [row for row in looked if "azimuth" in row]
    if not usable:
        return []
    person = usable[0]["person"]
    asked = plan_person(job, tools.clusters, person, viewpoint_weights, pose_weights)
    rows: list[Row] = []
    kept = 0
    while kept < job.per_person and usable:
        batch = list(islice(asked, job.per_person - kept))
        if not batch:
            break
        made = _make_batch(tools, usable, batch, names, folder)
        rows += made
        kept += sum(not row["reason"] for row in made)
    return sorted(rows, key=lambda row: row["number"])


def _make_batch(
    tools: AugmentTools,
    usable: list[Row],
    batch: Sequence[AskedPicture],
    names: SetNames,
    folder: Path,
) -> list[Row]:
    """Make pictures source by source; a source that fails is taken out of `usable`."""
    by_source: dict[str, list[AskedPicture]] = {}
    for asked in batch:
        by_source.setdefault(nearest_source(usable, asked.azimuth_deg)["path"], []).append(asked)
    rows: list[Row] = []
    for path, own in by_source.items():
        source = next(row for row in usable if row["path"] == path)
        try:
            rows += list(_make_of_source(tools, source, own, names, folder))
        except OutputError:
            raise
        except MagicPoseError as error:
            usable.remove(source)
            reason = f"source: {' '.join(str(error).splitlines())}"
            rows += [
                {"number": each.number, "person": source["person"], "source": path,
                 "reason": reason}
                for each in own
            ]  # fmt: skip
    return rows


def nearest_source(usable: Iterable[Row], azimuth_deg: float) -> Row:
    """The picture whose viewpoint is nearest, so that backs come from backs."""
    return min(usable, key=lambda row: (azimuth_apart(row["azimuth"], azimuth_deg), row["path"]))


def _make_of_source(
    tools: AugmentTools,
    source: Row,
    asked: Sequence[AskedPicture],
    names: SetNames,
    folder: Path,
) -> Iterator[Row]:
    seen = tools.finder.find(Path(source["path"]))
    judge = Judge(tools.finder, seen, tools.job.size)
    viewpoints = [each.viewpoint or seen.viewpoint for each in asked]
    rotations = _rotations(tools, seen, asked)
    pictures = tools.maker.make(seen, rotations, viewpoints)
    for each, viewpoint, made in zip(asked, viewpoints, pictures, strict=True):
        scores = judge.scores(made)
        row = _row(tools, source, each, viewpoint, made) | asdict(scores)
        row["reason"] = reason_to_drop(scores, tools.settings.judge)
        row["camera"] = names.camera_for(viewpoint.azimuth_deg, source["camera"])
        if not row["reason"]:
            name = names.made_name(source["person"], row["camera"], each.number)
            row["file"] = f"{names.folder}/{name}"
            _write_jpeg(folder / row["file"], made, tools.settings.making.jpeg_quality)
        yield row


def _rotations(tools: AugmentTools, seen: SeenPerson, asked: Sequence[AskedPicture]) -> Tensor:
    """(n, J, 3, 3) of the asked poses, the source's own where none is asked for."""
    import torch

    own = facing_ahead(seen.body.rotations[None])
    poses = tools.poses.rotations
    return torch.cat([own if e.pose is None else poses[e.pose : e.pose + 1] for e in asked])


def _row(
    tools: AugmentTools, source: Row, asked: AskedPicture, viewpoint: Viewpoint, made: MadePicture
) -> Row:
    width, height = tools.job.size
    seen = (made.pose.body_score > 0) & np.isfinite(made.pose.body).all(axis=1)
    points = np.where(seen[:, None], made.pose.body, 0.0)
    joints = np.concatenate([points, 2.0 * seen[:, None]], axis=1).round(2)
    ys, xs = np.nonzero(made.silhouette)
    box = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1] if len(xs) else []
    pose = "source" if asked.pose is None else tools.poses.names[asked.pose]
    cluster = source["cluster"]
    if asked.pose is not None:
        cluster = int(tools.clusters.members[asked.pose])
    return {
        "number": asked.number, "person": source["person"], "source": source["path"],
        "pose": pose, "cluster": cluster, "azimuth": round(viewpoint.azimuth_deg, 2),
        "elevation": round(viewpoint.elevation_deg, 2), "distance": round(viewpoint.distance, 3),
        "seed": tools.job.seed, "way": made.way, "joints": joints.tolist(),
        "box": box or [0, 0, width, height],
    }  # fmt: skip


def _write_jpeg(path: Path, made: MadePicture, quality: int) -> None:
    content = io.BytesIO()
    Image.fromarray(made.picture).save(content, "JPEG", quality=quality)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content.getvalue())
    except OSError as error:
        raise unwritable(path, error) from error
