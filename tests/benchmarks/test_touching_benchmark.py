"""The measure of two people who touch."""

import numpy as np
import pytest

from magicpose_cli.benchmarks.touching_benchmark import (
    FRAMES,
    HEIGHT,
    SCENES,
    SPRITE_PX,
    ApartCounts,
    Sprite,
    judge,
    lay_scene,
)
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose


@pytest.fixture
def two() -> list[Sprite]:
    """Columns of one color, with joints from top to bottom."""
    sprites = []
    for color in (40, 200):
        masks = np.zeros((FRAMES, SPRITE_PX, SPRITE_PX), bool)
        masks[:, 40:300, 130:190] = True
        joints = np.column_stack([np.full(18, 160.0), np.linspace(45, 295, 18)])
        images = np.full((FRAMES, SPRITE_PX, SPRITE_PX, 3), color, np.uint8)
        sprites.append(Sprite(images, masks, np.tile(joints, (FRAMES, 1, 1))))
    return sprites


@pytest.mark.parametrize("name", SCENES)
def test_people_are_laid_where_their_joints_are(two: list[Sprite], name: str) -> None:
    frames, truth = lay_scene(name, *two)
    before = 40 if SCENES[name][2] else 200
    seen = set()
    for frame, joints in zip(frames, truth, strict=True):
        for person, color in zip(joints, (40, 200), strict=True):
            x, y = person[9].round().astype(int)
            assert 0 <= y < HEIGHT and frame[y, x, 0] in (color, before)
            seen.add(int(frame[y, x, 0]))
    assert seen == {40, 200}


def test_what_is_counted(two: list[Sprite]) -> None:
    _, truth = lay_scene("side", *two)

    def counted(*exchanged: int) -> ApartCounts:
        joints = truth[:, 0].copy()
        joints[:30, list(exchanged)] = truth[:30, 1, list(exchanged)]
        poses = [Pose.of(640, 320, body=np.column_stack([p, np.ones(18)])) for p in joints]
        return judge(PoseClip.of(poses), truth, 0)

    assert counted() == ApartCounts(FRAMES, 0, 0, 1.0, 0.0)
    arm = counted(3, 4)
    assert (arm.mixed, arm.swapped) == (30, 0)
    assert arm.wrong == pytest.approx(2 / 18 * 30 / FRAMES)
    everything = counted(*range(18))
    assert (everything.mixed, everything.swapped) == (0, 30)
    arm.add(everything)
    assert (arm.frames, arm.mixed, arm.swapped) == (2 * FRAMES, 30, 30)
    assert arm.wrong == pytest.approx(20 / 18 / 2 * 30 / FRAMES)
