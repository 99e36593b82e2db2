"""Generated against truth, from the cases to the report; it reads like the help text."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, printable
from magicpose_cli.evaluation.cases import Cases, MadeSample, Sample
from magicpose_cli.evaluation.extras import check_extras
from magicpose_cli.evaluation.learned_metrics import Frechet, Learned
from magicpose_cli.evaluation.metrics import COPY, METRICS, TRUTH, Metric
from magicpose_cli.evaluation.pose_following import PoseReader, body_distance
from magicpose_cli.evaluation.strips import SampleGrid
from magicpose_cli.evaluation.totals import Row, Total, total
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent


class Maker(Protocol):
    """Whatever gives pictures for cases: a model at work, or videos made before."""

    name: str
    facts: dict[str, Any]

    def make(self, cases: Iterable[Sample]) -> Iterator[tuple[Sample, np.ndarray]]:
        """Each case with its picture (H, W, 3) uint8 RGB, in order."""


@dataclass
class EvaluatedModel:
    """One row of the table: a model, a set of videos, or a baseline.

    rows: one for each case. sets: metrics over all pictures at once.
    """

    name: str
    facts: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    sets: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Evaluation:
    """Every number of a run. names, clips and poses go with the rows of each subject.

    poses: pose_distance, between the reference's and the asked pose in % of body height, and
    person_height in pixels.
    baselines: by COPY and TRUTH. missing: what was not measured, and why.
    """

    kind: str
    description: str
    metrics: tuple[Metric, ...]
    missing: dict[str, str]
    names: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    poses: list[Row] = field(default_factory=list)
    baselines: dict[str, EvaluatedModel] = field(default_factory=dict)
    subjects: list[EvaluatedModel] = field(default_factory=list)

    def totals(self, subject: EvaluatedModel) -> dict[str, Total]:
        """Totals by metric key, those that were measured."""
        found = {}
        for metric in self.metrics:
            base = self.baselines.get(metric.baseline or "")
            other = None if base is None or base is subject else base.rows
            if summed := total(metric, subject.rows, self.clips, other):
                found[metric.key] = summed
        return found

    def totals_of_clip(self, subject: EvaluatedModel, clip: str) -> dict[str, float]:
        """Means by metric key over one clip."""
        rows = [row for row, name in zip(subject.rows, self.clips, strict=True) if name == clip]
        found = {}
        for metric in self.metrics:
            if summed := total(metric, rows, [clip] * len(rows), None):
                found[metric.key] = summed.mean
        return found


def evaluate_models(
    models: Sequence[str],
    preset: Preset,
    album: SampleGrid,
    *,
    drawn: int | None = None,
    data: Path | None = None,
    detector: str = "auto",
    grid: Path | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Let each model make the same pairs and measure it against their truth.

    drawn: how many pairs of drawn people; data: a folder of `magicpose dataset` instead.
    preset: device, size, steps, guidance, seed and batch size for all models. detector: a name, or
    "none" to go without pose following. grid: where to draw one person in eight poses and eight
    people in one, by the first model.

    Raises a MagicPoseError for everything the user can mend.
    """
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model
    from magicpose_cli.evaluation.disentangling import draw_grid
    from magicpose_cli.evaluation.generate import ModelMaker, unique_names
    from magicpose_cli.evaluation.pairs import data_pairs, drawn_pairs
    from magicpose_cli.rendering.local import pick_device

    folders = [resolve_model(name) for name in models]
    size = _common_size(folders, preset)
    cases = drawn_pairs(drawn or 0, size) if data is None else data_pairs(data, size)

    def maker(name: str, folder: Path) -> Callable[[], Maker]:
        own = preset.with_options(model__name=str(folder))
        return lambda: ModelMaker(name, folder, own, size)

    names = unique_names(folders)
    makers = [maker(name, folder) for name, folder in zip(names, folders, strict=True)]
    device = pick_device(preset.model.device)
    evaluation = _measured(cases, makers, device, detector, album, on_progress)
    if grid is not None:
        draw_grid(grid, makers[0]().make, size[0])
    return evaluation


def evaluate_videos(
    result: Path,
    truth: Path,
    album: SampleGrid,
    *,
    reference: Path | None = None,
    device: str = "auto",
    detector: str = "auto",
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Measure finished videos against true ones; see `videos.match_videos` for what may be given.

    Without masks and without a reference there is no baseline of copying. The pose asked for is
    the one the detector reads off the truth.
    """
    from magicpose_cli.evaluation.videos import VideoMaker, match_videos, video_cases
    from magicpose_cli.rendering.local import pick_device

    matches = match_videos(result, truth)
    with ExitStack() as stack:
        reader = _reader(detector, stack) if reference is not None else None
        cases = video_cases(matches, reference, reader)
    maker = VideoMaker(printable(result.stem if result.is_file() else result.name), matches)
    return _measured(cases, [lambda: maker], pick_device(device), detector, album, on_progress)


def _measured(
    cases: Cases,
    makers: Sequence[Callable[[], Maker]],
    device: str,
    detector: str,
    album: SampleGrid,
    on_progress: OnProgress,
) -> Evaluation:
    """First the truth and the copied reference, then one maker after the other."""
    check_extras()
    learned = Learned(device, detector != "none")
    metrics = METRICS + learned.metrics
    evaluation = Evaluation(cases.kind, cases.description, metrics, learned.missing)
    with ExitStack() as stack:
        reader = _reader(detector, stack)
        found = _measure_truth(evaluation, cases, reader, on_progress)
        for new_maker in makers:
            maker = new_maker()
            evaluation.subjects.append(
                _measure(evaluation, cases, maker, found, reader, learned.frechet(), album,
                         on_progress)
            )  # fmt: skip
            del maker  # one model in memory at a time
            gc.collect()
    return evaluation


def _measure_truth(
    evaluation: Evaluation, cases: Cases, reader: PoseReader | None, on_progress: OnProgress
) -> list[Pose | None]:
    """Fill in the baselines; the detector's poses in the truth, which every maker needs again."""
    copy, truth = EvaluatedModel(COPY, {}), EvaluatedModel(TRUTH, {})
    poses: list[Pose | None] = []
    on_progress(Progress("truth", 0, cases.count))
    for case in cases.open():
        found = None if reader is None else reader.read(case.truth)
        poses.append(found)
        seen = MadeSample(case, case.truth, case.labels, found, found, case.before)
        truth.rows.append(_row(evaluation.metrics, seen, TRUTH))
        row: Row = {}
        if case.reference is not None:
            copied = MadeSample(case, case.reference, case.reference_labels, None, found)
            row = _row(evaluation.metrics, copied, COPY)
        copy.rows.append(row)
        evaluation.names.append(case.name)
        evaluation.clips.append(case.clip)
        asked = case.pose or found
        evaluation.poses.append(
            {
                "pose_distance": body_distance(asked, case.reference_pose),
                "person_height": None if asked is None else body_height(asked),
            }
        )
        on_progress(Progress("truth", len(poses), cases.count))
    evaluation.baselines = {COPY: copy, TRUTH: truth}
    return poses


def _measure(
    evaluation: Evaluation,
    cases: Cases,
    maker: Maker,
    truth_found: list[Pose | None],
    reader: PoseReader | None,
    sets: list[Frechet],
    album: SampleGrid,
    on_progress: OnProgress,
) -> EvaluatedModel:
    """One maker over all cases."""
    subject = EvaluatedModel(maker.name, maker.facts)
    before: tuple[str, np.ndarray] | None = None
    on_progress(Progress(maker.name, 0, cases.count))
    for index, (case, picture) in enumerate(maker.make(cases.open())):
        case.pose = case.pose or truth_found[index]
        seen = MadeSample(
            case,
            picture,
            case.labels,
            None if reader is None else reader.read(picture),
            truth_found[index],
            before[1] if before is not None and before[0] == case.clip else None,
        )
        subject.rows.append(_row(evaluation.metrics, seen))
        for accumulated in sets:
            accumulated.update(seen)
        album.keep(maker.name, index, cases.count, seen)
        before = case.clip, picture
        on_progress(Progress(maker.name, index + 1, cases.count))
    subject.sets = {accumulated.metric: accumulated.compute() for accumulated in sets}
    return subject


def _row(metrics: Sequence[Metric], seen: MadeSample, baseline: str | None = None) -> Row:
    """All metrics of a picture, or those that are held against the baseline."""
    return {
        metric.key: metric.function(seen)
        for metric in metrics
        if baseline is None or metric.baseline == baseline
    }


def _reader(detector: str, stack: ExitStack) -> PoseReader | None:
    return None if detector == "none" else stack.enter_context(closing(PoseReader(detector)))


def _common_size(folders: Sequence[Path], preset: Preset) -> tuple[int, int]:
    """The size of all pictures: as asked for, or the models' own, which must then agree."""
    from magicpose_cli.diffusion.checkpoint.loading import read_index

    sizes = {folder: preset.size_for(read_index(folder)["sample_size"]) for folder in folders}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{folder} {w}x{h}" for folder, (w, h) in sizes.items())
        raise ConfigError(f"the models make pictures of different sizes ({said}); give one --size")
    return sizes[folders[0]]
