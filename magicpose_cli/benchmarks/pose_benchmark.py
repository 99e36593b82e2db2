"""The stages before the diffusion, measured: how exact the detectors are, how fast everything is.

The people are drawn from test seeds, so every point is known to a fraction of a pixel. Some of the
true points are hidden (an arm behind the trunk, a hand in a fist); no detector finds them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np

from magicpose_cli.arrays import to_pictures
from magicpose_cli.benchmarks.tracking_benchmark import TRACKED_FPS, drawn_motions, measure_tracking
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.evaluation.pairs import FIRST_SEED, synthetic_pairs
from magicpose_cli.evaluation.pose_following import body_error, face_error
from magicpose_cli.evaluation.samples import MadeSample, Sample
from magicpose_cli.pose.detection.detect import DETECTORS, detect_one, load_detector, pick_detector
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import HAND_PARTS, Pose
from magicpose_cli.progress import OnProgress, Progress, silent

DETECTED_PICTURE_PX = 512  # pixels, the side of the pictures
FILM_FRAMES = 48
MIN_S = 0.5  # a stage is repeated for so long, for a rate that means something


@dataclass(frozen=True)
class ErrorSpread:
    """Mean and 95th percentile over the pictures in which there was something to measure."""

    mean: float
    p95: float


@dataclass(frozen=True)
class Exactness:
    """How near the found points are to the true ones.

    Distances are means over the points that truth and detector both show; None where nothing was
    found.

    Attributes:
        body: Distance in % of the body height.
        face: Distance in % of the distance between the eyes.
        hands: Distance in % of the body height.
        people_found: Share of the people, in %.
        joints_found: Share of the body joints, in %.
        hands_found: Share of the hands that are wholly in the picture, in %.
    """

    body: ErrorSpread | None
    face: ErrorSpread | None
    hands: ErrorSpread | None
    people_found: float
    joints_found: float
    hands_found: float | None


@dataclass(frozen=True)
class DetectorResult:
    """A detector on single pictures and on films.

    Attributes:
        name: Of the detector.
        lack: Why it could not run, else empty.
        pictures: How exact it is on single pictures.
        pictures_per_s: How fast it is on them.
        films: How exact it is on films.
        frames_per_s: How fast it is on them.
    """

    name: str
    lack: str = ""
    pictures: Exactness | None = None
    pictures_per_s: float | None = None
    films: Exactness | None = None
    frames_per_s: float | None = None


@dataclass(frozen=True)
class PoseBenchmark:
    """Everything measured; the fields are keys of `bench poses --json`.

    Attributes:
        people: How many single pictures.
        films: How many films.
        film_frames: Frames of a film.
        size: Side of the pictures in pixels.
        detectors: Their results.
        tracking: See `measure_tracking`.
        stages: Frames a second of everything else.
    """

    people: int
    films: int
    film_frames: int
    size: int
    detectors: list[DetectorResult]
    tracking: dict[str, float]
    stages: dict[str, float]


def measure_poses(
    people: int,
    films: int,
    detectors: Sequence[str] = (),
    *,
    on_progress: OnProgress = silent,
) -> PoseBenchmark:
    """Measure the detectors (all that are known, by default), tracking, retargeting and drawing.

    All pictures are held in memory, 0.8 MB each.

    Args:
        people: How many single pictures.
        films: How many clips of FILM_FRAMES frames.
        detectors: Names; all by default.
        on_progress: Is told each picture.

    Raises:
        ConfigError: A name is not known.
    """
    from magicpose_cli.synthetic.people import TEST_SEEDS

    names = [pick_detector(name) for name in detectors] or list(DETECTORS)
    seed = TEST_SEEDS + FIRST_SEED
    total = people + films * FILM_FRAMES
    samples: list[Sample] = []
    for sample in synthetic_pairs(
        "drawn", people, (DETECTED_PICTURE_PX, DETECTED_PICTURE_PX)
    ).open():
        samples.append(sample)
        on_progress(Progress("drawing", len(samples), total, "pictures"))
    clips: list[list[Sample]] = []
    for number in range(films):
        clips.append(draw_film(number, FILM_FRAMES))
        on_progress(Progress("drawing", people + len(clips) * FILM_FRAMES, total, "pictures"))
    results = [measure_detector(name, samples, clips, on_progress) for name in names]
    (driver, _), (other, _) = drawn_motions(2, FILM_FRAMES, seed)
    return PoseBenchmark(
        people=people,
        films=films,
        film_frames=FILM_FRAMES,
        size=DETECTED_PICTURE_PX,
        detectors=results,
        tracking=measure_tracking(films, seed),
        stages=measure_stages(driver, other[0]),
    )


def draw_film(number: int, frames: int, size: int = DETECTED_PICTURE_PX) -> list[Sample]:
    """One person of the test seeds who moves smoothly, another one for each number."""
    import torch

    from magicpose_cli.synthetic.casting import animate_motions, sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    generator = torch.Generator().manual_seed(TEST_SEEDS + FIRST_SEED + number)
    identity = sample_identities(1, size, generator)
    motion = animate_motions(1, frames, generator)
    samples = []
    for frame in range(frames):  # one at a time: every row has its own background in memory
        people = render(identity, motion.rows(slice(frame, frame + 1)))
        name = f"film {number:04d}"
        picture, pose = to_pictures(people.images)[0], people.poses()[0]
        samples.append(
            Sample(f"{name} {frame:04d}", name, reference=None, truth=picture, pose=pose)
        )
    return samples


def measure_detector(
    name: str,
    samples: Sequence[Sample],
    films: Sequence[Sequence[Sample]],
    on_progress: OnProgress = silent,
) -> DetectorResult:
    """Single pictures by a detector for single pictures, each film by one for films."""
    total = len(samples) + sum(map(len, films))
    looked = count(1)

    def tick() -> None:
        on_progress(Progress(f"detecting, {name}", next(looked), total, "pictures"))

    try:
        pictures, picture_s = _look(name, samples, True, tick)
        filmed: list[MadeSample] = []
        frame_s: list[float] = []
        for film in films:
            seen, seconds = _look(name, film, False, tick)
            filmed += seen
            frame_s += seconds
    except MagicPoseError as error:
        return DetectorResult(name, lack=str(error))
    return DetectorResult(
        name,
        pictures=exactness(pictures),
        pictures_per_s=_rate(picture_s),
        films=exactness(filmed),
        frames_per_s=_rate(frame_s),
    )


def exactness(seen: Sequence[MadeSample]) -> Exactness:
    """Sum up over all pictures, each as much as any other.

    Args:
        seen: Every sample has a pose, every picture a found one, empty where nobody was found.
    """
    pairs = [(one.sample.pose, one.found) for one in seen if one.sample.pose and one.found]
    true_joints = sum(int((true.body_score > 0).sum()) for true, _ in pairs)
    joints = sum(int(((true.body_score > 0) & (f.body_score > 0)).sum()) for true, f in pairs)
    shown = [
        bool((getattr(found, f"{hand}_score") > 0).any())
        for true, found in pairs
        for hand in HAND_PARTS
        if (getattr(true, f"{hand}_score") > 0).all()
    ]
    return Exactness(
        body=_spread(body_error(one) for one in seen),
        face=_spread(face_error(one) for one in seen),
        hands=_spread(hand_error(one) for one in seen),
        people_found=100 * float(np.mean([not found.is_empty for _, found in pairs])),
        joints_found=100 * joints / max(1, true_joints),
        hands_found=100 * float(np.mean(shown)) if shown else None,
    )


def hand_error(seen: MadeSample) -> float | None:
    """Mean distance of the points of both hands, in % of the asked person's body height."""
    asked, found = seen.sample.pose, seen.found
    height = None if asked is None else body_height(asked)
    if asked is None or found is None or height is None:
        return None
    apart = np.concatenate([getattr(asked, hand) - getattr(found, hand) for hand in HAND_PARTS])
    distances = np.hypot(*apart.T)
    distances = distances[np.isfinite(distances)]
    return 100 * float(distances.mean()) / height if len(distances) else None


def measure_stages(poses: Sequence[Pose], target: Pose) -> dict[str, float]:
    """Frames a second of everything between detection and diffusion, on one clip."""
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.pose.retargeting.retarget import MODES, retarget
    from magicpose_cli.pose.tracking.linking import Detection
    from magicpose_cli.pose.tracking.track import track

    detections = [[Detection(pose)] for pose in poses]
    stages: dict[str, Callable[[], object]] = {"track": lambda: track(detections, TRACKED_FPS)}
    for mode in MODES:
        if mode not in ("auto", "none"):
            stages[f"retarget, {mode}"] = partial(retarget, poses, target, mode)
    stages["pose maps"] = lambda: [pose_map(pose, DETECTED_PICTURE_PX) for pose in poses]
    return {name: len(poses) / _seconds(stage) for name, stage in stages.items()}


def _seconds(stage: Callable[[], object]) -> float:
    """Of one run, the mean of as many as MIN_S holds; the first does not count."""
    stage()
    runs, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < MIN_S:
        stage()
        runs += 1
    return passed / runs


def _look(
    name: str, samples: Sequence[Sample], still: bool, tick: Callable[[], None]
) -> tuple[list[MadeSample], list[float]]:
    """Let a new detector look at pictures.

    Returns:
        What it finds, and the seconds for each picture but the first, with which the models still
        warm up.

    Raises:
        MagicPoseError: The detector cannot be loaded.
    """
    seen: list[MadeSample] = []
    seconds: list[float] = []
    detector = load_detector(name, still=still)
    try:
        for sample in samples:
            start = time.perf_counter()
            found = detect_one(detector, sample.truth)
            seconds.append(time.perf_counter() - start)
            seen.append(MadeSample(sample, sample.truth, found=found))
            tick()
    finally:
        detector.close()
    return seen, seconds[1:]


def _rate(seconds: Sequence[float]) -> float | None:
    return len(seconds) / sum(seconds) if seconds else None


def _spread(values: Iterable[float | None]) -> ErrorSpread | None:
    measured = [value for value in values if value is not None]
    if not measured:
        return None
    return ErrorSpread(float(np.mean(measured)), float(np.percentile(measured, 95)))
