"""How well two people are told apart who touch, hug, cross or hide each other.

Two rendered people, whose joints are known, are laid into one film, read by the detector and
followed, each in turn. `python -m magicpose_cli.benchmarks.touching_benchmark --pairs 2` takes some
minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture, to_pictures
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.motion.detections import detect_people
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.tracking.track import track
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.video import write_video

FRAMES, RATE, SPRITE_PX = 75, 25, 320
WIDTH, HEIGHT = 640, SPRITE_PX
MIDDLE = WIDTH / 2
STYLES_OF_PAIR = ("dance", "gesture")
# In body heights: a joint that is nearer to its truth is right; one that is farther, and so near to
# the same joint of the other person, is theirs.
RIGHT, OTHERS = 0.1, 0.08
SWAPPED = 0.6  # share of the seen joints that are the other's: all of the person is


class Sprite(NamedTuple):
    """A person to be laid into films: (F, S, S, 3) RGB, (F, S, S) bool, (F, 18, 2) pixels."""

    images: Picture
    masks: Mask
    joints: Floats


@dataclass
class ApartCounts:
    """How two people were told apart.

    Attributes:
        frames: Of each followed person.
        mixed: Frames with a joint, but not most of them, at the other's place.
        swapped: Frames in which the person is the other one.
        right: Mean share of joints at their place.
        wrong: Mean share of joints elsewhere.
    """

    frames: int = 0
    mixed: int = 0
    swapped: int = 0
    right: float = 0.0
    wrong: float = 0.0

    def add(self, other: ApartCounts) -> None:
        """Take the frames of another in."""
        total = max(self.frames + other.frames, 1)
        for name in ("right", "wrong"):
            both = getattr(self, name) * self.frames + getattr(other, name) * other.frames
            setattr(self, name, both / total)
        self.frames, self.mixed = self.frames + other.frames, self.mixed + other.mixed
        self.swapped += other.swapped


def _together(share: Floats, near_px: float) -> Floats:
    """How far from the middle two are who come, stay and part; share: of the film, 0..1."""
    way = np.clip(np.minimum(share, 1.0 - share) / 0.25, 0.0, 1.0).astype(np.float64)
    apart: Floats = 120.0 + (near_px - 120.0) * way * way * (3.0 - 2.0 * way)
    return apart


# Where the hips of both are over the film, the second one's scale, and whether the first is before.
SCENES: dict[str, tuple[Callable[[Floats], tuple[Floats, Floats]], float, bool]] = {
    "side": (lambda s: (MIDDLE - 50 + 0 * s, MIDDLE + 50 + 0 * s), 1.0, True),
    "touch": (lambda s: (MIDDLE - _together(s, 30), MIDDLE + _together(s, 30)), 1.0, False),
    "hug": (lambda s: (MIDDLE - _together(s, 18), MIDDLE + _together(s, 18)), 1.0, True),
    "behind": (lambda s: (MIDDLE + 0 * s, MIDDLE + _together(s, 15)), 0.92, True),
    "cross": (lambda s: (MIDDLE + 190 * (2 * s - 1), MIDDLE - 190 * (2 * s - 1)), 0.97, True),
    "pass": (lambda s: (MIDDLE + 0 * s, MIDDLE + 200 * (2 * s - 1)), 0.9, False),
}


def measure_touching(pairs: int, seed: int) -> dict[str, ApartCounts]:
    """Counts by scene, over pairs of people, half of them in the same clothes."""
    counts: dict[str, ApartCounts] = {}
    for pair in range(pairs):
        one, other = seed + 2 * pair, seed + 2 * pair + (pair % 2 == 0)
        sprites = [
            render_sprite(who, seed + 2 * pair + at, STYLES_OF_PAIR[at])
            for at, who in enumerate((one, other))
        ]
        for name in SCENES:
            frames, truth = lay_scene(name, sprites[0], sprites[1])
            for clip, who in _followed(frames, truth):
                counts.setdefault(name, ApartCounts()).add(judge(clip, truth, who))
    return counts


def render_sprite(identity_seed: int, motion_seed: int, style: str) -> Sprite:
    """A rendered person; equal identities wear the same clothes in whatever motion."""
    from magicpose_cli.body.layout import LAYERS
    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.joint_motion import sample_body_clip
    from magicpose_cli.synthetic.rendered.rendered_people import rendered_motion, sample_identity

    body = Body.load(LAYERS)
    who, what, where = (
        np.random.default_rng([number, at])
        for at, number in enumerate((identity_seed, motion_seed, TEST_SEEDS))
    )
    identity = sample_identity(body, who)
    times_s = np.arange(FRAMES) / RATE
    motion = sample_body_clip(body, body.rest(identity.shape), what, times_s, style)
    clip = rendered_motion(body, identity, motion, where, SPRITE_PX, "full", motion_seed)
    return Sprite(to_pictures(clip.images), clip.labels.numpy() > 0, clip.points[:, :18].numpy())


def lay_scene(name: str, one: Sprite, other: Sprite) -> tuple[Picture, Floats]:
    """A film (F, H, W, 3) of one of SCENES, and both people's joints in it, (F, 2, 18, 2)."""
    way, scale, first_before = SCENES[name]
    places = np.stack(way(np.linspace(0, 1, FRAMES)), axis=1)
    frames = np.full((FRAMES, HEIGHT, WIDTH, 3), 120, np.uint8)
    truth = np.empty((FRAMES, 2, 18, 2))
    for frame, picture in enumerate(frames):
        for at in (1, 0) if first_before else (0, 1):
            sprite = (one, other)[at]
            truth[frame, at] = _lay(sprite, frame, places[frame, at], (1.0, scale)[at], picture)
    return frames, truth


def _lay(sprite: Sprite, frame: int, x: float, scale: float, picture: Picture) -> Floats:
    """Lay a frame of a sprite into the picture, in place; its joints (18, 2) there."""
    import cv2

    joints = scale * sprite.joints[frame]
    shift = np.array([x - joints[[8, 11], 0].mean(), HEIGHT - 12 - np.nanmax(joints[:, 1])])
    matrix = np.column_stack([scale * np.eye(2), shift])
    mask = cv2.warpAffine(sprite.masks[frame].astype(np.uint8), matrix, (WIDTH, HEIGHT))
    image = cv2.warpAffine(sprite.images[frame], matrix, (WIDTH, HEIGHT))
    picture[mask > 0] = image[mask > 0]
    laid: Floats = joints + shift
    return laid


def _followed(frames: Picture, truth: Floats) -> Iterator[tuple[PoseClip, int]]:
    """Each person's clip, as followed from where they are first, and which one it is."""
    motion = MotionSettings()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_video(film, iter(frames), RATE, crf=10)
        found = detect_people(open_driver(film, motion), motion).people
    for who in (0, 1):
        x, y = truth[0, who, [1, 8, 11]].mean(axis=0)
        yield track(found, RATE, person=f"{x:.0f},{y:.0f}")[0], who


def judge(clip: PoseClip, truth: Floats, who: int) -> ApartCounts:
    """How a followed person meets the truth (frames, 2, 18, 2) of the two."""
    own, other = truth[:, who], truth[:, 1 - who]
    height = float(np.nanmedian(np.ptp(own[..., 1], axis=1)))
    joints, seen = clip.part("body"), clip.seen[:, :18]
    with np.errstate(invalid="ignore"):
        off, to_other = (np.linalg.norm(joints - at, axis=2) / height for at in (own, other))
        right = seen & (off < RIGHT)
        foreign = seen & ~right & (to_other < OTHERS) & (to_other < off / 2)
    swapped = foreign.sum(axis=1) > SWAPPED * np.maximum(seen.sum(axis=1), 1)
    mixed = foreign.any(axis=1) & ~swapped
    wrong = seen & ~right
    return ApartCounts(
        len(clip), int(mixed.sum()), int(swapped.sum()), float(right.mean()), float(wrong.mean())
    )


def measure_from_command_line() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=2, help="of people; each second pair alike")
    parser.add_argument("--seed", type=int, default=TEST_SEEDS)
    asked = parser.parse_args()
    counts, total = measure_touching(asked.pairs, asked.seed), ApartCounts()
    sys.stdout.write("scene    frames mixed swapped  right  wrong\n")
    for counted in counts.values():
        total.add(counted)
    for name, counted in (*counts.items(), ("all", total)):
        frames, mixed, swapped, right, wrong = astuple(counted)
        sys.stdout.write(
            f"{name:8} {frames:6} {mixed:5} {swapped:7} {100 * right:5.1f}% {100 * wrong:5.1f}%\n"
        )


if __name__ == "__main__":
    measure_from_command_line()
