"""A drawn person before a wall that a camera sees moving, by a way that is known exactly."""

import cv2
import numpy as np

from magicpose_cli.warping.camera_motion import CameraMotion
from tests.warping.conftest import Drawn
from tests.warping.people import SIZE

WALL = 640  # pixels of its side; a frame shows the middle


def textured_wall(seed: int = 0) -> np.ndarray:
    """(640, 640, 3) uint8, blots of many sizes."""
    rng = np.random.default_rng(seed)
    wall = np.full((WALL, WALL, 3), 120.0)
    for sigma, strength in ((2, 80), (5, 250), (16, 900)):
        wall += strength * cv2.GaussianBlur(rng.normal(0, 1, wall.shape), (0, 0), sigma)
    return np.clip(wall, 0, 255).astype(np.uint8)


def camera_matrix(x=0.0, y=0.0, zoom=1.0, turn_deg=0.0, tilt=0.0) -> np.ndarray:
    """(3, 3): where pixels of a frame come from in the frame that the camera began with."""
    turn = np.deg2rad(turn_deg)
    middle = (SIZE - 1) / 2
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    moved = np.array(
        [
            [zoom * np.cos(turn), -zoom * np.sin(turn), x],
            [zoom * np.sin(turn), zoom * np.cos(turn), y],
            [tilt, 0, 1],
        ]
    )
    return np.linalg.inv(to_middle) @ moved @ to_middle


def seen_by(wall: np.ndarray, matrix: np.ndarray, person: Drawn | None = None) -> np.ndarray:
    """(256, 256, 3) uint8: the wall by a camera, and the person before it, who goes along."""
    first = (WALL - SIZE) / 2
    shown = cv2.warpPerspective(
        wall, np.array([[1, 0, first], [0, 1, first], [0, 0, 1]]) @ matrix, (SIZE, SIZE),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    return shown if person is None else np.where(person.shown[..., None], person.picture, shown)


def error_px(motion: CameraMotion, matrix: np.ndarray, shown: np.ndarray) -> float:
    """The mean distance to where the background really comes from, beside the person."""
    y, x = np.nonzero(~cv2.dilate(shown.astype(np.uint8), np.ones((9, 9))).astype(bool))
    places = np.stack([x, y], 1).astype(np.float64)
    true = cv2.perspectiveTransform(places[:, None], matrix)[:, 0]
    return float(np.linalg.norm(motion.all_come_from()[y, x] - true, axis=1).mean())
