"""Rendered people who hug, whose joints are known, read by MediaPipe's detector."""

from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("mediapipe.python.solutions")

from magicpose_cli.pose.detection.mediapipe_holistic import MediaPipeHolistic
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.synthetic.rendered.rendered_people import RenderedClip, render_clip

FRAMES, SIZE, WIDTH = 20, 256, 560
LEGS = [BODY_JOINTS.index(f"{side}_{name}") for side in ("right", "left")
        for name in ("knee", "ankle")]  # fmt: skip


def laid(clip: RenderedClip, frame: int, x: float, picture: np.ndarray) -> np.ndarray:
    """Put a person into the picture, the middle of the hips at x; returns their joints there."""
    points = clip.points[frame, :18].numpy()
    left = round(x - (points[8, 0] + points[11, 0]) / 2)
    mask = clip.labels[frame].numpy() > 0
    image = (clip.images[frame].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    picture[:, left : left + SIZE][mask] = image[mask]
    return points + np.array([left, 0])


@pytest.mark.slow
def test_who_hug_are_both_read() -> None:
    """They come together, one half before the other, and stay so."""
    clips = [
        render_clip(TEST_SEEDS + seed, FRAMES, SIZE, "gesture", "full", rate=12.5)
        for seed in (3, 8)
    ]
    mixed, found = 0, 0
    with closing(MediaPipeHolistic()) as detector:
        for frame in range(FRAMES):
            apart = max(100 - 10 * frame, 30)
            picture = np.full((SIZE, WIDTH, 3), 120, np.uint8)
            truth = [
                laid(clip, frame, WIDTH / 2 + side * apart, picture)
                for clip, side in zip(clips, (-1, 1), strict=True)
            ]
            people = detector.detect(picture)
            assert len(detector.touching) in (0, 2)
            for pose in people:
                off = [np.hypot(*(pose.body - joints).T) for joints in truth]
                own = int(np.nanmedian(off[1]) < np.nanmedian(off[0]))
                found += bool(np.nanmedian(off[own]) < 0.05 * SIZE)
                mixed += bool((off[1 - own][LEGS] < 0.4 * off[own][LEGS]).any())
    assert found >= 2 * FRAMES - 2
    assert mixed <= 4
