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

from magicpose_cli.benchmarks.tracking_benchmark import FPS, drawn_motions, measure_tracking
from magicpose_cli.errors import MagicPoseError
from magicpose_cli.evaluation.cases import MadeSample, Sample
from magicpose_cli.evaluation.pairs import FIRST_SEED, drawn_pairs, to_uint8
from magicpose_cli.evaluation.pose_following import body_error, face_error
from magicpose_cli.pose.detection.detect import DETECTORS, detect_one, load_detector, pick_detector
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent

SIZE = 512  # pixels, the side of the pictures
FILM_FRAMES = 48
HANDS = ("left_hand", "right_hand")
MIN_S = 0.5  # a stage is repeated for so long, for a rate that means something


@dataclass(frozen=True)
class ErrorSpread:
    """Mean and 95th percentile over the pictures in which there was something to measure."""

    mean: float
    p95: float


@dataclass(frozen=True)
class Exactness:
    """How near the found points are to the true ones.

    body and hands: mean distance of the points that truth and detector both show, in % of the body
    height; face: in % of the distance between the eyes; None where nothing was found. The rest is
    in % of what could be found: people, body joints, and hands that are wholly in the picture.
    """

    body: ErrorSpread | None
    face: ErrorSpread | None
    hands: ErrorSpread | None
    people_found: float
    joints_found: float
    hands_found: float | None


@dataclass(frozen=True)
class DetectorResult:
    """A detector on single pictures and on films; lack: why it could not run, else empty."""

    name: str
    lack: str = ""
    pictures: Exactness | None = None
    pictures_per_s: float | None = None
    films: Exactness | None = None
    frames_per_s: float | None = None


@dataclass(frozen=True)
class PoseBenchmark:
    """Everything measured. stages: frames a second; tracking: see `measure_tracking`."""

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

    people: single pictures. films: clips of FILM_FRAMES frames. All are held in memory, 0.8 MB a
    picture. detectors: names, all by default. Raises ConfigError for a name that is not known.
    """
    from magicpose_cli.synthetic.people import TEST_SEEDS

    names = [pick_detector(name) for name in detectors] or list(DETECTORS)
    seed = TEST_SEEDS + FIRST_SEED
    total = people + films * FILM_FRAMES
    cases: list[Sample] = []
    for case in drawn_pairs(people, (SIZE, SIZE)).open():
        cases.append(case)
        on_progress(Progress("drawing", len(cases), total, "pictures"))
    clips: list[list[Sample]] = []
    for number in range(films):
        clips.append(draw_film(number, FILM_FRAMES))
        on_progress(Progress("drawing", people + len(clips) * FILM_FRAMES, total, "pictures"))
    results = [measure_detector(name, cases, clips, on_progress) for name in names]
    (driver, _), (other, _) = drawn_motions(2, FILM_FRAMES, seed)
    return PoseBenchmark(
        people=people,
        films=films,
        film_frames=FILM_FRAMES,
        size=SIZE,
        detectors=results,
        tracking=measure_tracking(films, seed),
        stages=measure_stages(driver, other[0]),
    )


def draw_film(number: int, frames: int, size: int = SIZE) -> list[Sample]:
    """One person of the test seeds who moves smoothly, another one for each number."""
    import torch

    from magicpose_cli.synthetic.casting import animate_motions, sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    generator = torch.Generator().manual_seed(TEST_SEEDS + FIRST_SEED + number)
    identity = sample_identities(1, size, generator)
    motion = animate_motions(1, frames, generator)
    cases = []
    for frame in range(frames):  # one at a time: every row has its own background in memory
        people = render(identity, motion.rows(slice(frame, frame + 1)))
        name = f"film {number:04d}"
        picture, pose = to_uint8(people.images)[0], people.poses()[0]
        cases.append(Sample(f"{name} {frame:04d}", name, reference=None, truth=picture, pose=pose))
    return cases


def measure_detector(
    name: str,
    cases: Sequence[Sample],
    films: Sequence[Sequence[Sample]],
    on_progress: OnProgress = silent,
) -> DetectorResult:
    """Single pictures by a detector for single pictures, each film by one for films."""
    total = len(cases) + sum(map(len, films))
    looked = count(1)

    def tick() -> None:
        on_progress(Progress(f"detecting, {name}", next(looked), total, "pictures"))

    try:
        pictures, picture_s = _look(name, cases, True, tick)
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
    """Over all pictures, each as much as any other; every case has a pose, every picture a found
    one, empty where nobody was found."""
    pairs = [(one.case.pose, one.found) for one in seen if one.case.pose and one.found]
    true_joints = sum(int((true.body_score > 0).sum()) for true, _ in pairs)
    joints = sum(int(((true.body_score > 0) & (f.body_score > 0)).sum()) for true, f in pairs)
    shown = [
        bool((getattr(found, f"{hand}_score") > 0).any())
        for true, found in pairs
        for hand in HANDS
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
    asked, found = seen.case.pose, seen.found
    height = None if asked is None else body_height(asked)
    if asked is None or found is None or height is None:
        return None
    apart = np.concatenate([getattr(asked, hand) - getattr(found, hand) for hand in HANDS])
    distances = np.hypot(*apart.T)
    distances = distances[np.isfinite(distances)]
    return 100 * float(distances.mean()) / height if len(distances) else None


def measure_stages(poses: Sequence[Pose], target: Pose) -> dict[str, float]:
    """Frames a second of everything between detection and diffusion, on one clip."""
    from magicpose_cli.pose.pose_map import pose_map
    from magicpose_cli.pose.retargeting.retarget import MODES, retarget
    from magicpose_cli.pose.tracking.track import Detection, track

    detections = [[Detection(pose)] for pose in poses]
    stages: dict[str, Callable[[], object]] = {"track": lambda: track(detections, FPS)}
    for mode in MODES:
        if mode not in ("auto", "none"):
            stages[f"retarget, {mode}"] = partial(retarget, poses, target, mode)
    stages["pose maps"] = lambda: [pose_map(pose, SIZE) for pose in poses]
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
    name: str, cases: Sequence[Sample], still: bool, tick: Callable[[], None]
) -> tuple[list[MadeSample], list[float]]:
    """What a new detector finds, and the seconds for each picture but the first, with which the
    models still warm up. Raises MagicPoseError where it cannot be loaded."""
    seen: list[MadeSample] = []
    seconds: list[float] = []
    detector = load_detector(name, still=still)
    try:
        for case in cases:
            start = time.perf_counter()
            found = detect_one(detector, case.truth)
            seconds.append(time.perf_counter() - start)
            seen.append(MadeSample(case, case.truth, found=found))
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
