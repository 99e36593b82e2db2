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

Whether made pictures still show their person is asked of a network that was trained on all real
pictures of one half of the people: it looks for the others, from made pictures, among real pictures
from everywhere. So it does from real ones of the same cameras, which is the most to be reached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.augmentation.augment_job import AugmentJob
from magicpose_cli.augmentation.augment_run import AugmentResult, augment_set
from magicpose_cli.augmentation.augment_settings import AugmentSettings
from magicpose_cli.augmentation.reid_network import (
    ReidPictures,
    ReidScores,
    find_people,
    train_network,
)
from magicpose_cli.benchmarks.augment_sets import (
    TRAIN_CAMERAS,
    BenchScale,
    made_pictures,
    render_test_set,
    render_training_sets,
    source_cameras,
)
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import OutputError
from magicpose_cli.files import write_json
from magicpose_cli.progress import OnProgress, Progress, silent

ARMS = ("none", "again", "real", "viewpoint", "pose", "both", "everything")
MADE_ARMS = {"viewpoint": (True, False), "pose": (False, True), "both": (False, False)}
"""Of the sets that are made: whether pictures keep their source's pose, and its viewpoint."""
IDENTITY_ARMS = ("none", *MADE_ARMS, "everything")
BENCHMARK_FILE = "benchmark.json"


@dataclass
class AugmentBenchmark:
    """What was measured.

    Attributes:
        scale: Of the comparison.
        counts: Pictures of each set.
        scores: For each set the scores of every seed.
        made: Totals of the runs of augment.
        identity: How well people are found again from the pictures that each set adds, and from
            those of the training set; see `identity_kept`.
    """

    scale: BenchScale
    counts: dict[str, int] = field(default_factory=dict)
    scores: dict[str, list[ReidScores]] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, ReidScores] = field(default_factory=dict)

    def means(self) -> dict[str, tuple[float, float, float]]:
        """For each set: mAP and rank 1 in percent, means, and the standard deviation of mAP."""
        found = {}
        for name, scores in self.scores.items():
            maps = 100 * np.array([score.mean_average_precision for score in scores])
            firsts = 100 * np.array([score.rank_1 for score in scores])
            found[name] = (float(maps.mean()), float(firsts.mean()), float(maps.std()))
        return found

    def order(self) -> dict[str, bool]:
        """Whether the paper's order holds, by the means of mAP; of sets that are measured."""
        value = {name: mean for name, (mean, _, _) in self.means().items()}
        pairs = {
            "both >= pose": ("both", "pose"), "both >= viewpoint": ("both", "viewpoint"),
            "pose > none": ("pose", "none"), "viewpoint > none": ("viewpoint", "none"),
            "both > real at equal count": ("both", "real"),
        }  # fmt: skip
        return {
            text: value[more] >= value[less] if ">=" in text else value[more] > value[less]
            for text, (more, less) in pairs.items()
            if more in value and less in value
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        scores = {name: [asdict(one) for one in own] for name, own in self.scores.items()}
        return {
            "scale": asdict(self.scale), "counts": self.counts, "scores": scores,
            "means": {n: list(m) for n, m in self.means().items()}, "order": self.order(),
            "made": self.made, "identity": {n: asdict(one) for n, one in self.identity.items()},
        }  # fmt: skip


def measure_augmenting(
    folder: Path, scale: BenchScale, preset: Preset, on_progress: OnProgress = silent
) -> AugmentBenchmark:
    """Render the sets, augment one, train on all, test.

    Args:
        folder: For pictures and figures, which a later run of the same scale goes on with: what is
            rendered, made or trained is not done again.
        scale: How large the comparison is.
        preset: Which model draws.
        on_progress: Told of the stages "rendering", "people" and "training".

    Raises:
        OutputError: The folder is of a comparison of another scale, or made with another model.
    """
    result = _begun(folder, scale)
    base, real, everything = render_training_sets(folder, scale, on_progress)
    test = render_test_set(folder, scale, on_progress)
    added: dict[str, ReidPictures] = {"real": real, "everything": everything}
    same_cameras = np.flatnonzero(np.isin(everything.cameras, TRAIN_CAMERAS))
    asking = {"none": base, "everything": everything.rows(same_cameras)}
    for name in MADE_ARMS:
        made = _augmented(folder, name, scale, preset, on_progress)
        result.made[name] = made.totals()
        added[name] = made_pictures(made, scale)
        asking[name] = replace(added[name], cameras=source_cameras(made))
    most = max(len(added[name]) for name in MADE_ARMS)
    repeated = base.rows(np.arange(most) % len(base))
    sets = {"none": base, "again": base.joined(repeated)}
    sets |= {name: base.joined(own) for name, own in added.items()}
    for name in ARMS:
        result.counts[name] = len(sets[name])
        _train_on(result, folder, name, sets[name], test, on_progress)
    if set(result.identity) != set(IDENTITY_ARMS):
        known = base.joined(real).joined(everything)
        result.identity = identity_kept(known, asking, everything, scale, on_progress)
    write_json(folder / BENCHMARK_FILE, result.as_dict())
    return result


def identity_kept(
    real: ReidPictures,
    asking: Mapping[str, ReidPictures],
    gallery: ReidPictures,
    scale: BenchScale,
    on_progress: OnProgress = silent,
) -> dict[str, ReidScores]:
    """Ask whether pictures show their person, by a network that knows real pictures of others.

    The first half of the people train it, the others are looked for. A picture's own camera is left
    out for its person, so that no background helps; the camera of a made picture is its source's.

    Args:
        real: Pictures of all people.
        asking: By name, the pictures whose person is looked for.
        gallery: Real pictures in which they are looked for.
        scale: Whose steps the training takes.
        on_progress: Told of the stage "training".
    """

    def tell(step: int) -> None:
        on_progress(Progress("training: identity", step, scale.steps, "steps"))

    people = np.unique(real.people)
    known = people[: len(people) // 2]

    def others(pictures: ReidPictures) -> ReidPictures:
        return pictures.rows(np.flatnonzero(~np.isin(pictures.people, known)))

    training = real.rows(np.flatnonzero(np.isin(real.people, known)))
    network = train_network(training, steps=scale.steps, seed=0, on_step=tell)
    return {
        name: find_people(network, others(asking[name]), others(gallery)) for name in IDENTITY_ARMS
    }


def _begun(folder: Path, scale: BenchScale) -> AugmentBenchmark:
    """What a former run in the folder has measured that still holds."""
    path = folder / BENCHMARK_FILE
    result = AugmentBenchmark(scale)
    if not path.exists():
        return result
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        former = BenchScale(**(found["scale"] | {"size": tuple(found["scale"]["size"])}))
        scores = {name: [ReidScores(**one) for one in own] for name, own in found["scores"].items()}
        identity = {name: ReidScores(**one) for name, one in found.get("identity", {}).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}); remove it to train again, or choose another folder"
        ) from error
    if replace(former, steps=scale.steps, seeds=scale.seeds) != scale:
        raise OutputError(
            f"{folder} holds a comparison of another scale ({former}); choose another folder"
        )
    if former.steps == scale.steps:
        result.scores = {name: own[: scale.seeds] for name, own in scores.items()}
        result.identity = identity
    return result


def _augmented(
    folder: Path, name: str, scale: BenchScale, preset: Preset, on_progress: OnProgress
) -> AugmentResult:
    keeps_pose, keeps_view = MADE_ARMS[name]
    job = AugmentJob(
        per_person=scale.made, size=scale.size,
        settings_json=AugmentSettings().model_dump_json(),
        preset_json=preset.model_dump_json(), keeps_pose=keeps_pose, keeps_view=keeps_view,
    )  # fmt: skip
    return augment_set(folder / "base", folder / name, job, kind="folders", on_progress=on_progress)


def _train_on(
    result: AugmentBenchmark, folder: Path, name: str, training: ReidPictures, test: ReidPictures,
    on_progress: OnProgress,
) -> None:  # fmt: skip
    """Train and test with the seeds that are left; what is measured is written at once."""
    scale = result.scale
    queries = np.concatenate(
        [np.flatnonzero(test.people == person)[:2] for person in np.unique(test.people)]
    )
    scores = result.scores.setdefault(name, [])
    for seed in range(len(scores), scale.seeds):

        def tell(step: int, before: int = seed * scale.steps) -> None:
            done, total = before + step, scale.seeds * scale.steps
            on_progress(Progress(f"training: {name}", done, total, "steps"))

        network = train_network(training, steps=scale.steps, seed=seed, on_step=tell)
        scores.append(find_people(network, test.rows(queries), test))
        write_json(folder / BENCHMARK_FILE, result.as_dict())
