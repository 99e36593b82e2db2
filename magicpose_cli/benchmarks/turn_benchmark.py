"""How true turned views are, on rendered people whose other sides are known.

Three ways are compared with a render of the same person, turned in the same light: `turn`, the warp
of pixels along the turned face's points (as `animate` does it), and showing the picture unturned.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture, to_pictures
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478, HEAD_FROM_478
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.views.angles import ViewAngles

if TYPE_CHECKING:
    from magicpose_cli.evaluation.identity import FaceIdentity
    from magicpose_cli.evaluation.samples import Sample
    from magicpose_cli.pose.detection.detect import PoseDetector
    from magicpose_cli.views.subject import Subject
    from magicpose_cli.views.view_renderer import ViewRenderer

FIRST_TURN_SEED = 3_000_000_000  # no training has seen people of these seeds
TURNED_PICTURE_PX = 512
YAWS_DEG = (-45.0, -30.0, -15.0, 15.0, 30.0, 45.0)
TURN, WARP, UNTURNED = WAYS = ("turn", "warp", "copy")
MARKED_EYE_CORNERS = (39, 42)  # inner ones, of the 68 points
NEAR_SHARE = 0.2  # of their distance, within which a point is correct
SAME_FACE = 0.6  # distance of dlib's numbers, below which two faces are one person's


@dataclass(frozen=True)
class TurnScore:
    """One view, or the means of many of one way and angle; None where nothing could be measured.

    Attributes:
        way: One of WAYS.
        yaw_deg: Absolute.
        psnr: dB over the whole picture.
        psnr_inside: dB where the reference's or the truth's person is.
        ssim: As in the evaluation.
        pck: % of 68 points within NEAR_SHARE of the inner eye corners' distance in the truth, both
            read by the detector; a view without a face has none.
        pck_in_place: The same after the faces' middles are laid on each other: the shape alone.
        identity: Distance of dlib's numbers.
        same: % of the views below SAME_FACE, of those whose truth shows dlib a face.
    """

    way: str
    yaw_deg: float
    psnr: float
    psnr_inside: float
    ssim: float
    pck: float | None
    pck_in_place: float | None
    identity: float | None
    same: float | None


@dataclass(frozen=True)
class TurnBenchmark:
    """The fields are keys of `bench turn --json`.

    Attributes:
        people: How many were measured.
        failed: In how many pictures nobody was found or cut out.
        size: Side of the pictures in pixels.
        orbit: The whole person turned.
        seconds_per_view: Of `turn`, the mean.
        scores: Way by way, angle by angle.
    """

    people: int
    failed: int
    size: int
    orbit: bool
    seconds_per_view: float
    scores: tuple[TurnScore, ...]


def measure_turns(
    people: int, *, orbit: bool = False, detector: str = "auto", on_progress: OnProgress = silent
) -> TurnBenchmark:
    """Turn rendered people and compare.

    Args:
        people: How many, of seeds that no training has seen.
        orbit: The whole person turns, else the head.
        detector: As of animate.
        on_progress: Is told each person.

    Raises:
        MagicPoseError: The detector is not known.
    """
    from magicpose_cli.evaluation.identity import FaceIdentity
    from magicpose_cli.pose.detection.detect import load_detector, pick_detector

    loaded = load_detector(pick_detector(detector), still=True)
    faces = FaceIdentity(detector=True)
    measured: list[TurnScore] = []
    seconds: list[float] = []
    failed = 0
    try:
        for number in range(people):
            on_progress(Progress("people", number, people, "people"))
            try:
                measured += _person(number, orbit, detector, loaded, faces, seconds)
            except (DetectionError, InputError):
                failed += 1
        on_progress(Progress("people", people, people, "people"))
    finally:
        loaded.close()
    return TurnBenchmark(
        people - failed, failed, TURNED_PICTURE_PX, orbit, mean(seconds) if seconds else 0.0,
        tuple(_scores(measured)),
    )  # fmt: skip


def _person(
    number: int,
    orbit: bool,
    detector: str,
    loaded: PoseDetector,
    faces: FaceIdentity,
    seconds: list[float],
) -> list[TurnScore]:
    """Measure one person from all sides; `seconds` of the views are added."""
    from magicpose_cli.evaluation.samples import Sample
    from magicpose_cli.synthetic.rendered.turned_people import render_turned
    from magicpose_cli.views.subject import find_subject
    from magicpose_cli.views.view_renderer import ViewRenderer
    from magicpose_cli.warping.warp import ReferenceWarp, as_bytes

    clip = render_turned(FIRST_TURN_SEED + number, (0.0, *YAWS_DEG), TURNED_PICTURE_PX, whole=orbit)
    pictures, labels = to_pictures(clip.images), clip.labels.numpy()
    subject = find_subject(
        Path(f"rendered person {number}"), pictures[0], TURNED_PICTURE_PX, detector
    )
    renderer = ViewRenderer(subject, orbit=orbit)
    warp = ReferenceWarp(subject.picture, subject.pose, subject.matte)
    found = []
    for yaw, truth, label in zip(YAWS_DEG, pictures[1:], labels[1:], strict=True):
        sample = Sample(
            f"{number}", f"{number}", pictures[0], truth, labels=label, reference_labels=labels[0]
        )
        true_pose = _face_pose(loaded, truth)
        start = time.perf_counter()
        view = renderer(ViewAngles(yaw, 0.0)).picture
        seconds.append(time.perf_counter() - start)
        made = {TURN: view, UNTURNED: subject.picture}
        turned = turned_pose(subject, renderer, ViewAngles(yaw, 0.0))
        if turned is not None:
            made[WARP] = as_bytes(warp(turned).picture)
        for way, picture in made.items():
            found.append(_compared(way, yaw, picture, sample, true_pose, loaded, faces))
    return found


def turned_pose(subject: Subject, renderer: ViewRenderer, angles: ViewAngles) -> Pose | None:
    """The pose of a person whose head is turned about the neck; None without a face's mesh."""
    from magicpose_cli.views.sheets import rotation
    from magicpose_cli.warping.head import EAR_POINTS

    pose = subject.pose
    if pose.face_mesh is None:
        return None
    pivot = renderer.solid.head_pivot.copy()
    pivot[2] += pose.face_mesh[list(EAR_POINTS), 2].mean()
    mesh = ((pose.face_mesh - pivot) @ rotation(angles).T + pivot).astype(np.float32)
    body = pose.body.copy()
    for name, row in HEAD_FROM_478.items():
        joint = BODY_JOINTS.index(name)
        if np.isfinite(body[joint]).all():
            body[joint] = mesh[row, :2]
    return replace(pose, body=body, face=mesh[list(FACE_FROM_478), :2], face_mesh=mesh)


def _compared(
    way: str,
    yaw: float,
    picture: Picture,
    sample: Sample,
    true_pose: Pose | None,
    loaded: PoseDetector,
    faces: FaceIdentity,
) -> TurnScore:
    from magicpose_cli.evaluation import pixels
    from magicpose_cli.evaluation.samples import MadeSample

    pose = _face_pose(loaded, picture)
    made = MadeSample(sample, picture, found=pose, truth_found=true_pose)
    inside = pixels.psnr_inside(made)
    pck = in_place = None
    if true_pose is not None:
        pck = correct_points(pose, true_pose)
        in_place = correct_points(pose, true_pose, in_place=True)
    numbers = faces.face_numbers(picture, pose) if not faces.missing else None
    true_numbers = faces.face_numbers(sample.truth, true_pose) if not faces.missing else None
    apart = None
    if numbers is not None and true_numbers is not None:
        apart = float(np.linalg.norm(numbers - true_numbers))
    same = None
    if true_numbers is not None:
        same = 100.0 if apart is not None and apart < SAME_FACE else 0.0
    assert inside is not None  # labels tell where the person is
    return TurnScore(
        way, abs(yaw), pixels.psnr(made), inside, pixels.ssim(made), pck, in_place, apart, same
    )


def correct_points(pose: Pose | None, truth: Pose, *, in_place: bool = False) -> float:
    """% of the 68 points of a face that lie near the truth's; 0 where there is no face.

    Args:
        pose: Read off a view.
        truth: Read off the truth.
        in_place: Lay the middles of both faces on each other before.
    """
    if pose is None:
        return 0.0
    one, other = truth.face[list(MARKED_EYE_CORNERS)]
    steps = pose.face - truth.face
    if in_place:
        steps = steps - steps.mean(0)
    apart = np.linalg.norm(steps, axis=1)
    return float(100 * (apart <= NEAR_SHARE * np.linalg.norm(one - other)).mean())


def _face_pose(loaded: PoseDetector, picture: Picture) -> Pose | None:
    """The largest person's pose, if it has a whole face."""
    people = loaded.detect(picture)
    if not people or not np.isfinite(people[0].face).all():
        return None
    return people[0]


def _scores(measured: list[TurnScore]) -> Iterator[TurnScore]:
    for way in WAYS:
        for yaw in sorted({abs(angle) for angle in YAWS_DEG}):
            rows = [each for each in measured if (each.way, each.yaw_deg) == (way, yaw)]
            if rows:
                yield TurnScore(
                    way, yaw,
                    *(mean(getattr(row, name) for row in rows)
                      for name in ("psnr", "psnr_inside", "ssim")),
                    *(_known_mean([getattr(row, name) for row in rows])
                      for name in ("pck", "pck_in_place", "identity", "same")),
                )  # fmt: skip


def _known_mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
