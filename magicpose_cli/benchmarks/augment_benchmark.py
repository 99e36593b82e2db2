"""Does augmenting help? Rendered people, a small re-identification network, equal-size controls.

A training set of two cameras, front views and a few poses; a test set of other people in other
poses, from all sides, before other cameras. Sets of the same count are compared:

    none        the training set
    again       the training set, repeated to the count of the augmented ones
    real        other real pictures of its kind: the same cameras, views and poses
    viewpoint   made pictures: the source's pose, other viewpoints
    pose        made pictures: the source's viewpoint, other poses
    both        made pictures: other poses from other viewpoints
    everything  real pictures from everywhere in all poses: what augmenting could reach at best

Every set gets as many steps of training. Pose-dIVE (arXiv 2406.16042) finds both >= pose ~
viewpoint > none, and on Market-1501 augmented > real of equal count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Integers
from magicpose_cli.augmentation.augment_job import AugmentJob
from magicpose_cli.augmentation.augment_run import AugmentResult, augment_set
from magicpose_cli.augmentation.augment_settings import AugmentSettings
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.pose_library import built_in_poses
from magicpose_cli.augmentation.reid_names import market_name, parse_name
from magicpose_cli.augmentation.reid_network import ReidPictures, ReidScores, train_and_test
from magicpose_cli.augmentation.rendered_set import dress_person, render_views
from magicpose_cli.config.preset import Preset
from magicpose_cli.files import write_json
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video.picture import read_picture, write_picture

TRAIN_CAMERAS, TEST_CAMERAS = (1, 2), (3, 4, 5, 6)
FRONT_DEG = 20.0  # of the training set's views
FEW_POSES = 6  # of the training set
TRAIN_SEED, TEST_SEED = 50_000, 90_000
ARMS = ("none", "again", "real", "viewpoint", "pose", "both", "everything")
MADE_ARMS = {"viewpoint": (True, False), "pose": (False, True), "both": (False, False)}
"""Of the sets that are made: whether pictures keep their source's pose, and its viewpoint."""


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


@dataclass
class AugmentBenchmark:
    """What was measured.

    Attributes:
        scale: Of the comparison.
        counts: Pictures of each set.
        scores: For each set the scores of every seed.
        made: Totals of the runs of augment.
    """

    scale: BenchScale
    counts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, list[ReidScores]] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    def means(self) -> dict[str, tuple[float, float, float]]:
        """For each set: mAP and rank 1 in percent, means, and the standard deviation of mAP."""
        found = {}
        for name, scores in self.scores.items():
            maps = 100 * np.array([score.mean_average_precision for score in scores])
            firsts = 100 * np.array([score.rank_1 for score in scores])
            found[name] = (float(maps.mean()), float(firsts.mean()), float(maps.std()))
        return found

    def order(self) -> dict[str, bool]:
        """Whether the paper's order holds, by the means of mAP."""
        value = {name: mean for name, (mean, _, _) in self.means().items()}
        return {
            "both >= pose": value["both"] >= value["pose"],
            "both >= viewpoint": value["both"] >= value["viewpoint"],
            "pose > none": value["pose"] > value["none"],
            "viewpoint > none": value["viewpoint"] > value["none"],
            "both > real at equal count": value["both"] > value["real"],
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        scores = {name: [asdict(one) for one in own] for name, own in self.scores.items()}
        return {
            "scale": asdict(self.scale), "counts": self.counts, "scores": scores,
            "means": {n: list(m) for n, m in self.means().items()}, "order": self.order(),
            "made": self.made,
        }  # fmt: skip


def measure_augmenting(
    folder: Path, scale: BenchScale, preset: Preset, on_progress: OnProgress = silent
) -> AugmentBenchmark:
    """Render the sets, augment one, train on all, test.

    Args:
        folder: For the pictures, which a later run of the same scale goes on with.
        scale: How large the comparison is.
        preset: Which model draws.
        on_progress: Told of the stages "rendering", "people" and "training".
    """
    base, real, everything = _training_sets(folder, scale, on_progress)
    test = _test_set(folder, scale, on_progress)
    result = AugmentBenchmark(scale)
    added: dict[str, ReidPictures] = {"real": real, "everything": everything}
    for name, (keeps_pose, keeps_view) in MADE_ARMS.items():
        job = AugmentJob(
            per_person=scale.made, size=scale.size,
            settings_json=AugmentSettings().model_dump_json(),
            preset_json=preset.model_dump_json(), keeps_pose=keeps_pose, keeps_view=keeps_view,
        )  # fmt: skip
        made = augment_set(
            folder / "base", folder / name, job, kind="folders", on_progress=on_progress
        )
        result.made[name] = made.totals()
        added[name] = _made_pictures(made, scale)
    most = max(len(added[name]) for name in MADE_ARMS)
    repeated = base.rows(np.arange(most) % len(base))
    sets = {"none": base, "again": base.joined(repeated)}
    sets |= {name: base.joined(own) for name, own in added.items()}
    queries = np.concatenate(
        [np.flatnonzero(test.people == person)[:2] for person in np.unique(test.people)]
    )
    for name in ARMS:
        result.counts[name] = len(sets[name])
        result.scores[name] = _trained(sets[name], test, queries, scale, name, on_progress)
    write_json(folder / "benchmark.json", result.as_dict())
    return result


def _trained(
    training: ReidPictures, test: ReidPictures, queries: Integers, scale: BenchScale, name: str,
    on_progress: OnProgress,
) -> list[ReidScores]:  # fmt: skip
    total = scale.seeds * scale.steps
    scores = []
    for seed in range(scale.seeds):

        def tell(step: int, before: int = seed * scale.steps) -> None:
            on_progress(Progress(f"training: {name}", before + step, total, "steps"))

        scores.append(
            train_and_test(
                training, test.rows(queries), test, steps=scale.steps, seed=seed, on_step=tell
            )
        )
    return scores


def _training_sets(
    folder: Path, scale: BenchScale, on_progress: OnProgress
) -> tuple[ReidPictures, ReidPictures, ReidPictures]:
    """The training set, other pictures of its kind, and pictures from everywhere."""
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


def _test_set(folder: Path, scale: BenchScale, on_progress: OnProgress) -> ReidPictures:
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


def _made_pictures(made: AugmentResult, scale: BenchScale) -> ReidPictures:
    rows = made.kept
    paths = [made.folder / row["file"] for row in rows]
    return _stacked(paths, [int(row["person"]) for row in rows], [row["camera"] for row in rows],
                    scale)  # fmt: skip


def _stacked(
    paths: Sequence[Path], people: Sequence[int], cameras: Sequence[int], scale: BenchScale
) -> ReidPictures:
    width, height = scale.size
    pictures = np.zeros((len(paths), height, width, 3), np.uint8)
    for number, path in enumerate(paths):
        pictures[number] = read_picture(path)
    return ReidPictures(pictures, np.array(people), np.array(cameras))
