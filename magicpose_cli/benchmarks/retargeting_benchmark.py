"""How near each way of retargeting comes to the truth: the same motion on two different people.

    python -m magicpose_cli.benchmarks.retargeting_benchmark --pairs 20

Drawn people are flat, their bones shortened by numbers of their own; bodies in space are seen by a
camera; of rendered people films and pictures are made, in which the detector finds the points. All
are measured with a reference that stands as the driver does in one of its frames, and with one that
stands as it never does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats, Picture, Pictures, to_pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError
from magicpose_cli.evaluation.pairs import FIRST_SEED
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import Pose

if TYPE_CHECKING:
    from magicpose_cli.synthetic.rendered.rendered_people import RenderedIdentity

COMPARED_MODES = ("align", "skeleton", "chain")
FILM_FPS = 25.0
PICTURE_PX = 512
FIRST_RENDERED_SEED = 3_600_000_000  # of people that nothing was tuned on
JOINTS_SHARE = 0.9  # of a person's height, from the ankles to the eyes
OTHER_SEEDS = 100_000  # of the motion in which a reference stands that stands in another way


@dataclass(frozen=True)
class RetargetingPair:
    """One motion on two people.

    Attributes:
        driver: The motion on the driver's person.
        truth: The same on the reference's person.
        alike: The reference's person as in one of these frames.
        other: The same in another motion.
        height_px: Of the reference's person.
    """

    driver: PoseClip
    truth: PoseClip
    alike: Pose
    other: Pose
    height_px: float


@dataclass(frozen=True)
class RetargetingError:
    """Means over pairs, in % of the person's height.

    Attributes:
        body: Distance of the body's joints from the truth.
        shape: The same where each clip is shifted as a whole to lie best.
        hands: Distance of the hands' points, shifted so.
        face: Distance of the face's points, shifted so.
        seconds: For a clip.
    """

    body: float
    shape: float
    hands: float
    face: float
    seconds: float


def drawn_pair(number: int, frames: int) -> RetargetingPair:
    """Two drawn people in one motion, all points known."""
    import torch

    from magicpose_cli.synthetic.casting import animate_motions, sample_identities
    from magicpose_cli.synthetic.drawn_skeleton import place_points
    from magicpose_cli.synthetic.people import TEST_SEEDS, DrawnMotion, Identity

    def moves(seed: int) -> DrawnMotion:
        return animate_motions(1, frames, torch.Generator().manual_seed(seed))

    def clip(person: Identity, motion: DrawnMotion) -> PoseClip:
        rows = torch.zeros(len(motion.lean), dtype=torch.long)
        found = place_points(person.rows(rows), motion)
        right, left = found.hands[:, 0], found.hands[:, 1]
        points = torch.cat([found.body, found.face, left, right], dim=1).numpy()
        scores = np.ones(points.shape[:2], np.float32)
        return PoseClip(PICTURE_PX, PICTURE_PX, points.astype(np.float32), scores, fps=FILM_FPS)

    seed = TEST_SEEDS + FIRST_SEED + number
    generator = torch.Generator().manual_seed(seed)
    both = sample_identities(2, PICTURE_PX, generator, framing="full")
    one, other = both.rows(slice(0, 1)), both.rows(slice(1, 2))
    motion = moves(seed)
    truth, apart = clip(other, motion), clip(other, moves(seed + OTHER_SEEDS))
    height_px = float(other.camera[0, 0])
    return RetargetingPair(clip(one, motion), truth, truth[frames // 2], apart[0], height_px)


def body_pair(number: int, frames: int) -> RetargetingPair:
    """Two bodies in space in one motion, seen by a camera, all points known."""
    import torch

    from magicpose_cli.body.cameras import Camera
    from magicpose_cli.body.model import Body
    from magicpose_cli.body.reference_body import REFERENCE_LAYERS

    body = Body.load(REFERENCE_LAYERS)
    generator = np.random.default_rng(FIRST_SEED + number)
    shapes = torch.from_numpy(generator.normal(0, 1, (2, 1, 8))).float()
    camera = Camera(PICTURE_PX, PICTURE_PX, distance_m=0.0, focal_px=1.2 * PICTURE_PX)

    def clip(shape: object, turns: object) -> PoseClip:
        rest = body.rest(shape).vertices[0, :, 1]  # type: ignore[arg-type]
        root = torch.tensor([0.0, -0.9 - float(rest.min()), -2.9]).expand(len(turns), 3)  # type: ignore[arg-type]
        points = body.key_points(*body(shape, None, turns, root)).pose  # type: ignore[arg-type]
        pixels = camera.project(points).pixels.numpy().astype(np.float32)
        scores = np.ones(pixels.shape[:2], np.float32)
        return PoseClip(PICTURE_PX, PICTURE_PX, pixels, scores, fps=FILM_FPS)

    turns = _random_turns(body, frames, generator)
    apart = _random_turns(body, 1, generator)
    truth = clip(shapes[1], turns)
    height_px = 1.7 * 1.2 * PICTURE_PX / 2.9
    return RetargetingPair(
        clip(shapes[0], turns), truth, truth[frames // 2], clip(shapes[1], apart)[0], height_px
    )


def _random_turns(body: object, frames: int, generator: np.random.Generator) -> object:
    """(F, J, 3, 3) smooth random turns of arms, legs, trunk and head within what people do."""
    import torch

    from magicpose_cli.body.fit_rig import make_rig
    from magicpose_cli.body.joint_groups import GROUP_NAMES, JOINT_GROUPS
    from magicpose_cli.body.rotations import matrix_from_axis_angle

    rig = make_rig(body, [0], GROUP_NAMES)  # type: ignore[arg-type]
    times = np.arange(frames) / FILM_FPS
    angles = np.zeros((frames, len(GROUP_NAMES), 3))
    for number, name in enumerate(GROUP_NAMES):
        group = JOINT_GROUPS[name]
        spread = np.array(group.spread_deg if name != "root" else (6.0, 30.0, 4.0))
        waves = generator.uniform(0.2, 0.9, 3), generator.uniform(0, 2 * np.pi, 3)
        swing = np.sin(2 * np.pi * times[:, None] * waves[0] + waves[1])
        turned = np.array(group.usual_deg) + 0.8 * spread * (swing + generator.normal(0, 0.5, 3))
        turned = np.clip(turned, group.low_deg, group.high_deg)
        angles[:, number] = np.radians(turned @ rig.axes[number].double().numpy().T)
    vectors = torch.from_numpy(angles).float()
    return rig.rotations(matrix_from_axis_angle(vectors[:, 0]), vectors)


def rendered_pair(number: int, frames: int) -> RetargetingPair:
    """Two rendered people in one motion: driver and references as the detector finds them.

    Raises:
        DetectionError: Nobody is found in a film or a picture.
    """
    import torch

    from magicpose_cli.body.layout import LAYERS
    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.joint_motion import BodyClip, sample_body_clip
    from magicpose_cli.synthetic.rendered.rendered_people import (
        RenderedClip,
        rendered_motion,
        sample_identity,
    )
    from magicpose_cli.synthetic.rendered.walking import with_planted_feet

    body, seed = Body.load(LAYERS), FIRST_RENDERED_SEED + number
    chance = [np.random.default_rng([seed, part]) for part in range(3)]
    one, other = sample_identity(body, chance[0]), sample_identity(body, chance[0])
    times_s = np.arange(frames) / FILM_FPS
    moves, apart = (
        sample_body_clip(body, body.rest(one.shape), chance[part], times, "dance")
        for part, times in ((1, times_s), (2, times_s[:1]))
    )

    def clip(who: RenderedIdentity, drawn: Sequence[int]) -> RenderedClip:
        planted = with_planted_feet(body, who.shape, moves)
        both = BodyClip(  # the pose of the other reference comes last
            torch.cat([planted.rotations, apart.rotations]),
            torch.cat([planted.expression, apart.expression]),
            torch.cat([planted.root, planted.root[-1:]]),
        )
        where = np.random.default_rng([seed, 3])  # the same view of both
        return rendered_motion(body, who, both, where, PICTURE_PX, "full", seed, drawn)

    driver, reference = clip(one, range(frames)), clip(other, (frames // 2, frames))
    points = reference.points[:frames].numpy().astype(np.float32)
    scores = np.isfinite(points).all(axis=-1).astype(np.float32)
    truth = PoseClip(PICTURE_PX, PICTURE_PX, points, scores, fps=FILM_FPS)
    alike, other_pose = (_found_in(picture) for picture in to_pictures(reference.images))
    tall = np.ptp(points[:, PART_COLUMNS["body"], 1], axis=1)
    height_px = float(np.nanmedian(tall)) / JOINTS_SHARE
    return RetargetingPair(
        _found_in_film(to_pictures(driver.images)), truth, alike, other_pose, height_px
    )


def _found_in(picture: Picture) -> Pose:
    from magicpose_cli.motion.detections import detect_in_picture

    people = detect_in_picture(picture, "auto")
    if not people:
        raise DetectionError("nobody was found in a rendered picture")
    return people[0]


def _found_in_film(pictures: Pictures) -> PoseClip:
    from magicpose_cli.benchmarks.known_motion import write_known_film
    from magicpose_cli.motion.body_motion import poses_of_person
    from magicpose_cli.run.temporary import temporary_folder

    with temporary_folder() as folder:
        write_known_film(folder / "film.mp4", pictures)
        return poses_of_person(folder / "film.mp4", Preset().motion)[0]


def measure_retargeting(
    pairs: Sequence[RetargetingPair], mode: str, *, alike: bool
) -> RetargetingError:
    """Lay each driver onto its reference and compare with the truth."""
    settings = Preset().with_options(motion__retarget=mode).motion
    rows: list[list[float]] = []
    for pair in pairs:
        start = time.perf_counter()
        target = pair.alike if alike else pair.other
        laid = retarget_person(pair.driver, FILM_FPS, target, settings).poses
        seconds = time.perf_counter() - start
        apart = (laid.points - pair.truth.points).astype(np.float64) * 100 / pair.height_px
        body = apart[:, PART_COLUMNS["body"]]
        shift = np.nanmedian(body, axis=(0, 1))
        hands = apart[:, PART_COLUMNS["left_hand"].start :]
        face = apart[:, PART_COLUMNS["face"]]
        parts = (body, body - shift, hands - shift, face - shift)
        rows.append([*map(_mean_length, parts), seconds])
    return RetargetingError(*(float(value) for value in np.nanmean(rows, axis=0)))


def _pairs(
    make: Callable[[int, int], RetargetingPair], count: int, frames: int
) -> Iterator[RetargetingPair]:
    """As many pairs as are found of `count`."""
    for number in range(count):
        try:
            yield make(number, frames)
        except DetectionError as error:
            sys.stderr.write(f"pair {number}: {error}\n")


PAIR_KINDS = {"drawn": drawn_pair, "space": body_pair, "rendered": rendered_pair}


def _mean_length(vectors: Floats) -> float:
    return float(np.nanmean(np.linalg.norm(vectors, axis=-1)))


def print_retargeting(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=20, help="how many pairs of people")
    parser.add_argument("--frames", type=int, default=48, help="frames of a clip")
    parser.add_argument("--kinds", default=",".join(PAIR_KINDS), help="which, by commas")
    options = parser.parse_args(arguments)
    out = sys.stdout
    out.write("| people | the reference stands | way | body | shape | hands | face | seconds |\n")
    out.write("|---|---|---|---|---|---|---|---|\n")
    for kind in options.kinds.split(","):
        pairs = list(_pairs(PAIR_KINDS[kind], options.pairs, options.frames))
        for alike in (True, False):
            stands = "as in a frame" if alike else "in another way"
            for mode in COMPARED_MODES:
                found = measure_retargeting(pairs, mode, alike=alike)
                cells = (found.body, found.shape, found.hands, found.face, found.seconds)
                numbers = " | ".join(f"{value:.2f}" for value in cells)
                out.write(f"| {kind} | {stands} | {mode} | {numbers} |\n")
                out.flush()


if __name__ == "__main__":
    print_retargeting()
