"""Generated pictures against the truth, from the samples to every number of the report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from magicpose_cli.arrays import Picture
from magicpose_cli.config.extras import check_extras
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, printable
from magicpose_cli.evaluation.identity import FaceIdentity
from magicpose_cli.evaluation.learned_metrics import Frechet, LearnedMetrics
from magicpose_cli.evaluation.metrics import COPY, FILM_METRICS, METRICS, TRUTH, Metric
from magicpose_cli.evaluation.pose_following import PoseReader, body_distance
from magicpose_cli.evaluation.samples import MadeSample, Sample, SampleSet
from magicpose_cli.evaluation.strips import SampleGrid
from magicpose_cli.evaluation.totals import MetricRow, Total, total
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent

REAL_PEOPLE = ("videos", "films")  # kinds of samples whose faces a network knows to tell apart


class Predictor(Protocol):
    """Whatever gives pictures for samples: a model at work, or videos made before.

    Attributes:
        name: As it stands in the table.
        metadata: What the report tells about it.
    """

    name: str
    metadata: dict[str, Any]

    def predict(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, Picture]]:
        """Give each sample with its picture, in order."""


@dataclass
class EvaluatedModel:
    """One row of the table: a model, a set of videos, or a baseline.

    Attributes:
        name: Of the row.
        metadata: What the report tells about it.
        rows: Values of each picture, in the order of the samples.
        sets: Values of the metrics over all pictures at once, by key.
    """

    name: str
    metadata: dict[str, Any]
    rows: list[MetricRow] = field(default_factory=list)
    sets: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Evaluation:
    """Every number of a run; names, clips and poses go with the rows of each model.

    Attributes:
        kind: Of the samples: "drawn", "rendered", "data", "videos" or "films".
        description: Of the samples, for people.
        metrics: What is measured picture by picture.
        missing: What was not measured, and why, by key.
        names: Of the samples.
        clips: That the samples belong to.
        poses: pose_distance, between the reference's and the asked pose in % of body height, and
            person_height in pixels.
        baselines: By COPY and TRUTH.
        models: Models or videos, in the order they were given.
        failed: Films that could not be measured, and why, by name.
    """

    kind: str
    description: str
    metrics: tuple[Metric, ...]
    missing: dict[str, str]
    names: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    poses: list[MetricRow] = field(default_factory=list)
    baselines: dict[str, EvaluatedModel] = field(default_factory=dict)
    models: list[EvaluatedModel] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def totals(self, model: EvaluatedModel) -> dict[str, Total]:
        """Sum up the metrics that were measured, by key; each film counts as much as any other."""
        found = {}
        for metric in self.metrics:
            base = self.baselines.get(metric.baseline or "")
            other = None if base is None or base is model else base.rows
            by_clip = self.kind == "films"
            if summed := total(metric, model.rows, self.clips, other, by_clip=by_clip):
                found[metric.key] = summed
        return found

    def totals_of_clip(self, model: EvaluatedModel, clip: str) -> dict[str, float]:
        """Take the means over one clip, by key of the metric."""
        rows = [row for row, name in zip(model.rows, self.clips, strict=True) if name == clip]
        found = {}
        for metric in self.metrics:
            if summed := total(metric, rows, [clip] * len(rows), None):
                found[metric.key] = summed.mean
        return found


def evaluate_models(
    models: Sequence[str],
    preset: Preset,
    sample_grid: SampleGrid,
    *,
    drawn: int | None = None,
    rendered: int | None = None,
    data: Path | None = None,
    detector: str = "auto",
    grid: Path | None = None,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Let each model make the same pairs and measure it against their truth.

    Args:
        models: Names or folders.
        preset: Device, size, steps, guidance, seed and batch size for all models.
        sample_grid: Keeps strips of the pictures.
        drawn: How many pairs of drawn people.
        rendered: Or how many of rendered ones.
        data: A folder of `magicpose dataset` instead.
        detector: A name, or "none" to go without pose following.
        grid: Where to draw one person in eight poses and eight people in one, by the first model.
        on_progress: Is told each picture.

    Raises:
        MagicPoseError: Something is wrong that the user can mend.
    """
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model
    from magicpose_cli.evaluation.disentangling import draw_grid
    from magicpose_cli.evaluation.generate import ModelPredictor, unique_names
    from magicpose_cli.evaluation.pairs import data_pairs, synthetic_pairs
    from magicpose_cli.rendering.local import pick_device

    _check_for_pairs(preset)
    folders = [resolve_model(name) for name in models]
    size = _common_size(folders, preset)
    if data is not None:
        samples = data_pairs(data, size)
    elif rendered:
        samples = synthetic_pairs("rendered", rendered, size)
    else:
        samples = synthetic_pairs("drawn", drawn or 0, size)

    def predictor(name: str, folder: Path) -> Callable[[], Predictor]:
        own = preset.with_options(model__name=str(folder))
        return lambda: ModelPredictor(name, folder, own, size)

    names = unique_names(folders)
    predictors = [predictor(name, folder) for name, folder in zip(names, folders, strict=True)]
    device = pick_device(preset.model.device)
    evaluation = _measured(samples, predictors, device, detector, sample_grid, on_progress)
    if grid is not None:
        draw_grid(grid, predictors[0]().predict, size[0])
    return evaluation


def _check_for_pairs(preset: Preset) -> None:
    """Raise ConfigError for what only films can have."""
    if (ready := preset.model.ready_body_maps) is not None:
        raise ConfigError(
            f"body-map {ready}: bodies are fitted to the pairs; expected auto, on or off"
        )
    if preset.model.is_steady:
        raise ConfigError(
            "steady: pairs are single pictures, which no others follow; leave --steady out, or "
            "give --films"
        )


def evaluate_videos(
    result: Path,
    truth: Path,
    sample_grid: SampleGrid,
    *,
    reference: Path | None = None,
    device: str = "auto",
    detector: str = "auto",
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Measure finished videos against true ones.

    Without masks and without a reference there is no baseline of copying. The pose asked for is
    the one the detector reads off the truth.

    Args:
        result: A video, or a folder, see `videos.match_videos`.
        truth: Likewise.
        sample_grid: Keeps strips of the pictures.
        reference: That the result was made of.
        device: A device of torch.
        detector: A name, or "none" to go without pose following.
        on_progress: Is told each picture.

    Raises:
        MagicPoseError: Something is wrong that the user can mend.
    """
    from magicpose_cli.evaluation.videos import VideoPredictor, match_videos, video_samples
    from magicpose_cli.rendering.local import pick_device

    matches = match_videos(result, truth)
    with ExitStack() as stack:
        reader = _reader(detector, stack) if reference is not None else None
        samples = video_samples(matches, reference, reader)
    predictor = VideoPredictor(printable(result.stem if result.is_file() else result.name), matches)
    return _measured(
        samples, [lambda: predictor], pick_device(device), detector, sample_grid, on_progress
    )


def evaluate_films(
    films: Sequence[Path],
    preset: Preset,
    sample_grid: SampleGrid,
    *,
    at_s: float = 0.0,
    detector: str = "auto",
    on_progress: OnProgress = silent,
    on_failed: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Let films of real people act themselves again, and measure that against what they show.

    The reference is one frame of a film, the driver the film itself, the truth its other frames.

    Args:
        films: Files and folders of films.
        preset: All settings of the runs; `motion` chooses the frames.
        sample_grid: Keeps strips of the pictures.
        at_s: Where in the films their reference stands, in seconds.
        detector: A name, or "none" to go without what needs poses in truth and result.
        on_progress: Is told each step.
        on_failed: Is told the line of each film that cannot be measured; the others go on.

    Raises:
        MagicPoseError: Something is wrong that the user can mend, or no film can be measured.
    """
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model
    from magicpose_cli.evaluation.films import FilmPredictor, film_samples, films_in, reenact_films
    from magicpose_cli.rendering.local import pick_device
    from magicpose_cli.run.temporary import temporary_folder

    check_extras()
    resolve_model(preset.model.name)
    found = films_in(films)
    if detector != "none":
        preset = preset.with_options(motion__detector=detector)
    with temporary_folder() as folder:
        with ExitStack() as stack:
            made, failed = reenact_films(
                found, folder, preset, _reader(detector, stack),
                at_s=at_s, on_progress=on_progress, on_failed=on_failed,
            )  # fmt: skip
        evaluation = _measured(
            film_samples(made, at_s), [lambda: FilmPredictor(made)],
            pick_device(preset.model.device), detector, sample_grid, on_progress,
        )  # fmt: skip
    evaluation.failed = failed
    return evaluation


def _measured(
    samples: SampleSet,
    predictors: Sequence[Callable[[], Predictor]],
    device: str,
    detector: str,
    sample_grid: SampleGrid,
    on_progress: OnProgress,
) -> Evaluation:
    """First the truth and the copied reference, then one predictor after the other."""
    check_extras()
    learned = LearnedMetrics(device, detector != "none")
    metrics = (FILM_METRICS if samples.kind == "films" else METRICS) + learned.metrics
    missing = dict(learned.missing)
    if samples.kind in REAL_PEOPLE:
        identity = FaceIdentity(detector != "none")
        metrics += identity.metrics
        missing |= identity.missing
    evaluation = Evaluation(samples.kind, samples.description, metrics, missing)
    with ExitStack() as stack:
        reader = _reader(detector, stack)
        found = _measure_truth(evaluation, samples, reader, on_progress)
        for new_predictor in predictors:
            predictor = new_predictor()
            evaluation.models.append(
                _measure(
                    evaluation,
                    samples,
                    predictor,
                    found,
                    reader,
                    learned.frechet(),
                    sample_grid,
                    on_progress,
                )
            )
            del predictor  # one model in memory at a time
            gc.collect()
    return evaluation


def _measure_truth(
    evaluation: Evaluation, samples: SampleSet, reader: PoseReader | None, on_progress: OnProgress
) -> list[Pose | None]:
    """Fill in the baselines; the detector's poses in the truth, which are needed again."""
    copy, truth = EvaluatedModel(COPY, {}), EvaluatedModel(TRUTH, {})
    poses: list[Pose | None] = []
    on_progress(Progress("truth", 0, samples.count))
    for sample in samples.open():
        found = sample.pose
        if not samples.has_truth_poses:
            found = None if reader is None else reader.read(sample.truth)
        poses.append(found)
        made = MadeSample(sample, sample.truth, sample.labels, found, found, sample.before)
        truth.rows.append(_row(evaluation.metrics, made, TRUTH))
        row: MetricRow = {}
        if sample.reference is not None:
            reference, pose = sample.reference, sample.reference_pose
            former = None if sample.before is None else reference
            copied = MadeSample(sample, reference, sample.reference_labels, pose, found, former)
            row = _row(evaluation.metrics, copied, COPY)
        copy.rows.append(row)
        evaluation.names.append(sample.name)
        evaluation.clips.append(sample.clip)
        asked = sample.pose or found
        evaluation.poses.append(
            {
                "pose_distance": body_distance(asked, sample.reference_pose),
                "person_height": None if asked is None else body_height(asked),
            }
        )
        on_progress(Progress("truth", len(poses), samples.count))
    evaluation.baselines = {COPY: copy, TRUTH: truth}
    return poses


def _measure(
    evaluation: Evaluation,
    samples: SampleSet,
    predictor: Predictor,
    truth_found: list[Pose | None],
    reader: PoseReader | None,
    sets: list[Frechet],
    sample_grid: SampleGrid,
    on_progress: OnProgress,
) -> EvaluatedModel:
    """Let one predictor make all samples, and measure them."""
    model = EvaluatedModel(predictor.name, predictor.metadata)
    before: tuple[str, Picture] | None = None
    on_progress(Progress(predictor.name, 0, samples.count))
    for index, (sample, picture) in enumerate(predictor.predict(samples.open())):
        sample.pose = sample.pose or truth_found[index]
        made = MadeSample(
            sample,
            picture,
            sample.labels,
            None if reader is None else reader.read(picture),
            truth_found[index],
            before[1] if before is not None and before[0] == sample.clip else None,
        )
        model.rows.append(_row(evaluation.metrics, made))
        for accumulated in sets:
            accumulated.update(made)
        sample_grid.keep(predictor.name, index, samples.count, made)
        before = sample.clip, picture
        on_progress(Progress(predictor.name, index + 1, samples.count))
    model.sets = {accumulated.metric: accumulated.compute() for accumulated in sets}
    return model


def _row(metrics: Sequence[Metric], made: MadeSample, baseline: str | None = None) -> MetricRow:
    """All metrics of a picture, or those that are held against the baseline."""
    return {
        metric.key: metric.function(made)
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
