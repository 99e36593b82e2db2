"""The pictures of `bench augment`: rendered people for training, others for the test.

    base        two cameras, front views, a few poses: what is augmented
    real        more of its kind
    everything  the same people from all sides, in all poses, before all cameras
    test        others from all sides, in all poses, before other cameras

A picture that is there is not rendered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Integers
from magicpose_cli.augmentation.augment_run import AugmentResult
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.pose_library import built_in_poses
from magicpose_cli.augmentation.reid_names import market_name, parse_name
from magicpose_cli.augmentation.reid_network import ReidPictures
from magicpose_cli.augmentation.rendered_set import dress_person, render_views
from magicpose_cli.progress import OnProgress, Progress
from magicpose_cli.video.picture import read_picture, write_picture

TRAIN_CAMERAS, TEST_CAMERAS = (1, 2), (3, 4, 5, 6)
FRONT_DEG = 20.0  # of the training set's views
FEW_POSES = 6  # of the training set
TRAIN_SEED, TEST_SEED = 50_000, 90_000


@dataclass(frozen=True)
class BenchScale:
    """How large the comparison is.

    Attributes:
        people: Of the training set.
        test_people: Others.
        pictures: Of each in the training set.
        test_pictures: Of each in the test set; the first two are queries.
        made: Pictures made of each.
        steps: Of training.
        seeds: Trainings of each set.
        size: (width, height) in pixels.
    """

    people: int = 100
    test_people: int = 50
    pictures: int = 6
    test_pictures: int = 12
    made: int = 8
    steps: int = 1500
    seeds: int = 3
    size: tuple[int, int] = (64, 128)


def render_training_sets(
    folder: Path, scale: BenchScale, on_progress: OnProgress
) -> tuple[ReidPictures, ReidPictures, ReidPictures]:
    """Render the training set, other pictures of its kind, and pictures from everywhere."""
    count = scale.pictures + 2 * scale.made
    for number in range(scale.people):
        rng = np.random.default_rng([TRAIN_SEED, number])
        alike = scale.pictures + scale.made
        front = rng.uniform(-FRONT_DEG, FRONT_DEG, alike) % 360
        azimuths = np.concatenate([front, rng.uniform(0, 360, scale.made)])
        low = np.concatenate([rng.uniform(0, 8, alike), rng.uniform(0, 30, scale.made)])
        poses = np.concatenate([_few(rng, alike), _any(rng, scale.made)])
        places = np.array(TRAIN_CAMERAS + TEST_CAMERAS)
        cameras = np.concatenate([np.arange(alike) % 2 + 1, rng.choice(places, scale.made)])
        folders = ["base"] * scale.pictures + ["real"] * scale.made + ["everything"] * scale.made
        _render_missing(
            folder, folders, TRAIN_SEED + number, number + 1, (azimuths, low, poses, cameras),
            scale,
        )  # fmt: skip
        on_progress(Progress("rendering", (number + 1) * count, scale.people * count, "pictures"))
    return (
        _read_set(folder / "base", scale), _read_set(folder / "real", scale),
        _read_set(folder / "everything", scale),
    )  # fmt: skip


def render_test_set(folder: Path, scale: BenchScale, on_progress: OnProgress) -> ReidPictures:
    """Render pictures of other people, from all sides in all poses."""
    count = scale.test_pictures
    for number in range(scale.test_people):
        rng = np.random.default_rng([TEST_SEED, number])
        azimuths = (np.arange(count) * 360 / count + rng.uniform(0, 360)) % 360
        cameras = np.array(TEST_CAMERAS)[np.arange(count) % len(TEST_CAMERAS)]
        values = (rng.permutation(azimuths), rng.uniform(0, 30, count), _any(rng, count), cameras)
        _render_missing(folder, ["test"] * count, TEST_SEED + number, number + 1, values, scale)
        done = (number + 1) * count
        on_progress(Progress("rendering the test", done, scale.test_people * count, "pictures"))
    return _read_set(folder / "test", scale)


def _few(rng: np.random.Generator, count: int) -> Integers:
    """Indices of poses of the training set: people who stand and walk."""
    return np.asarray(rng.choice(np.linspace(0, 110, FEW_POSES).astype(int), count))


def _any(rng: np.random.Generator, count: int) -> Integers:
    """Indices of poses of the test set: the whole library but what the training set has."""
    from magicpose_cli.body.model import Body
    from magicpose_cli.body.reference_body import REFERENCE_LAYERS

    total = len(built_in_poses(Body.load(REFERENCE_LAYERS)))
    others = np.setdiff1d(np.arange(total), np.linspace(0, 110, FEW_POSES).astype(int))
    return np.asarray(rng.choice(others, count))


def _render_missing(
    folder: Path,
    folders: Sequence[str],
    seed: int,
    person: int,
    values: tuple[Any, Any, Any, Any],
    scale: BenchScale,
) -> None:
    """Render one person's pictures, unless a former run has."""
    azimuths, elevations, poses, cameras = values
    paths = [
        folder / where / market_name(person, int(camera), number)
        for number, (where, camera) in enumerate(zip(folders, cameras, strict=True))
    ]
    if all(path.exists() for path in paths):
        return
    somebody = dress_person(seed)
    views = [Viewpoint(float(a), float(e)) for a, e in zip(azimuths, elevations, strict=True)]
    rotations = built_in_poses(somebody.body).rotations[poses]
    pictures = render_views(somebody, rotations, views, cameras.tolist(), scale.size)
    for path, picture in zip(paths, pictures, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, picture, overwrite=True)


def _read_set(folder: Path, scale: BenchScale) -> ReidPictures:
    paths = sorted(folder.glob("*.jpg"))
    named = [parse_name(path) for path in paths]
    return _stacked(
        paths, [int(n.person) for n in named if n], [n.camera for n in named if n], scale
    )


def made_pictures(made: AugmentResult, scale: BenchScale) -> ReidPictures:
    """The kept pictures of a run of augment, with their new cameras."""
    rows = made.kept
    paths = [made.folder / row["file"] for row in rows]
    return _stacked(paths, [int(row["person"]) for row in rows], [row["camera"] for row in rows],
                    scale)  # fmt: skip


def source_cameras(made: AugmentResult) -> Integers:
    """The cameras of the kept pictures' sources, whose background they have."""
    named = [parse_name(Path(row["source"])) for row in made.kept]
    return np.array([name.camera if name else 0 for name in named])


def _stacked(
    paths: Sequence[Path], people: Sequence[int], cameras: Sequence[int], scale: BenchScale
) -> ReidPictures:
    width, height = scale.size
    pictures = np.zeros((len(paths), height, width, 3), np.uint8)
    for number, path in enumerate(paths):
        pictures[number] = read_picture(path)
    return ReidPictures(pictures, np.array(people), np.array(cameras))
