"""One drawn person whose every point and pixel is known, and a mesh for any face of 68 points."""

from dataclasses import replace

import numpy as np
import torch

from magicpose_cli.arrays import to_pictures
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.synthetic.casting import sample_identities
from magicpose_cli.synthetic.people import TEST_SEEDS, DrawnMotion, DrawnPoints, render
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.warping.eyes import LEFT_EYE, RIGHT_EYE
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.mouth import CHEEK_POINTS, LOWER_LIP, UPPER_LIP
from tests.pose.drawn import joined

SIZE = 256
MIRRORED_BODY = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
# Of the 478, those around the face, from the right temple over the forehead to the left one.
BROW_LINE = (234, 127, 162, 21, 54, 67, 109, 10, 338, 297, 284, 251, 389, 356, 454)
BRIDGE = (168, 6, 197, 195)


def drawn(*motions: DrawnMotion, seed: int = 3, framing: str = "full") -> list[tuple]:
    """(picture (256, 256, 3) uint8, pose, who is there (256, 256) bool) for each motion."""
    generator = torch.Generator().manual_seed(TEST_SEEDS + seed)
    identity = sample_identities(1, SIZE, generator, framing=framing)
    rows = torch.zeros(len(motions), dtype=torch.long)
    people = render(identity.rows(rows), joined(*motions))
    pictures = (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    shown = people.labels.numpy() > 0
    return list(zip(pictures, people.poses(), shown, strict=True))


def rendered(seed: int, size: int) -> tuple[np.ndarray, Pose, np.ndarray]:
    """One of the rendered people, seen whole: picture, pose, who is there."""
    clip = render_clip(seed, 1, size, shot="full")
    hands = torch.stack([clip.points[:, 107:], clip.points[:, 86:107]], 1)  # the right one first
    pose = DrawnPoints(clip.points[:, :18], clip.points[:, 18:86], hands).pose(0, size)
    return to_pictures(clip.images)[0], pose, clip.labels[0].numpy() > 0


def matte_of(picture: np.ndarray, shown: np.ndarray) -> Matte:
    """The exact one."""
    return Matte(shown.astype(np.float32), picture.astype(np.float32))


def with_mesh(pose: Pose, opened: float = 0.0) -> Pose:
    """The pose with a mesh that fits its face; opened: pixels that the lower lip goes down."""
    return replace(pose, face_mesh=mesh_on(pose.face, opened))


def mesh_on(face: np.ndarray, opened: float = 0.0) -> np.ndarray:
    """(478, 3) float32 around 68 points: eyes and lips on them, the rest spread over the oval."""
    face = face.astype(np.float64)
    low, high = face.min(0), face.max(0)
    forehead = 0.55 * (high[1] - low[1])
    center = np.array([(low[0] + high[0]) / 2, (low[1] - forehead + high[1]) / 2])
    half = np.array([(high[0] - low[0]) / 2, (high[1] - low[1] + forehead) / 2])
    turn = np.arange(478) * 2.399963  # a sunflower's seeds
    disc = np.sqrt((np.arange(478) + 0.5) / 478)[:, None] * np.stack(
        [np.cos(turn), np.sin(turn)], 1
    )
    mesh = np.zeros((478, 3))
    mesh[:, :2] = center + disc * half
    around = np.linspace(np.pi, 2 * np.pi, len(BROW_LINE))
    mesh[list(BROW_LINE), :2] = center + half * np.stack([np.cos(around), np.sin(around)], 1)
    mesh[list(BRIDGE), :2] = face[27:31]
    for (outline, iris, rim), lids in (
        (RIGHT_EYE, face[36:42]),
        (LEFT_EYE, face[[45, 44, 43, 42, 47, 46]]),
    ):
        below, above = lids[[0, 5, 4, 3]], lids[[3, 2, 1, 0]]
        mesh[list(outline), :2] = np.concatenate([_along(below, 9)[:8], _along(above, 9)[:8]])
        mesh[iris, :2] = lids.mean(0)
        radius = 0.45 * np.linalg.norm(lids[1] - lids[5])
        mesh[list(rim), :2] = lids.mean(0) + radius * np.array([(1, 0), (0, -1), (-1, 0), (0, 1)])
    mesh[list(UPPER_LIP), :2] = _along(face[[60, 61, 62, 63, 64]], len(UPPER_LIP))
    lower = _along(face[[60, 67, 66, 65, 64]], len(LOWER_LIP))
    lower[1:-1, 1] += opened
    mesh[list(LOWER_LIP[1:-1]), :2] = lower[1:-1]
    cheeks = np.array([(-0.5, 0.1), (0.5, 0.1), (-0.45, 0.3), (0.45, 0.3)])
    mesh[list(CHEEK_POINTS), :2] = center + half * cheeks
    deep = ((mesh[:, :2] - center) / half) ** 2
    mesh[:, 2] = -half[0] * np.sqrt(np.clip(1 - deep.sum(1), 0, 1))
    return mesh.astype(np.float32)


def _along(points: np.ndarray, count: int) -> np.ndarray:
    """So many points spread evenly along a line of a few."""
    at, wanted = np.linspace(0, 1, len(points)), np.linspace(0, 1, count)
    return np.stack([np.interp(wanted, at, points[:, axis]) for axis in (0, 1)], 1)


def shifted(pose: Pose, x: float, y: float = 0.0) -> Pose:
    return pose.map_points(lambda points: points + np.float32([x, y]), pose.width, pose.height)


def without(pose: Pose, *parts: str) -> Pose:
    """The pose with these parts unseen."""
    empty = Pose.of(pose.width, pose.height)
    names = [name for part in parts for name in (part, f"{part}_score")]
    return replace(pose, **{name: getattr(empty, name) for name in names})


def quality(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = ((one.astype(np.float64) - other) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-12)))
