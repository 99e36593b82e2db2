"""A head that turns aside hides its far cheek, and what is behind the face."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.pose.retargeting.mesh import RIGID
from magicpose_cli.warping import eyes, head
from magicpose_cli.warping.warp import ReferenceWarp
from tests.pose.drawn import at_rest
from tests.warping.people import drawn, matte_of, mesh_on

FAR, NEAR, HAIR = (0, 0, 255), (255, 0, 0), (0, 255, 0)


@pytest.fixture(scope="module")
def domed():
    """Somebody whose face is half a ball, blue where 50 degrees hide it, before green hair."""
    picture, pose, shown = drawn(at_rest(), seed=0, framing="portrait")[0]
    mesh = mesh_on(pose.face).astype(np.float64)
    middle, half = mesh[:468, :2].mean(0), np.ptp(mesh[:468, :2], axis=0) / 2
    out = np.linalg.norm((mesh[:, :2] - middle) / half, axis=1).clip(0, 1)
    mesh[:, 2] = -half[0] * np.sqrt(1 - out**2)
    pose = replace(pose, face_mesh=mesh.astype(np.float32))
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    across, down = (x - middle[0]) / half[0], (y - middle[1]) / half[1]
    inside = across**2 + down**2 < 1
    ahead = np.sqrt(np.maximum(1 - across**2 - down**2, 0))
    turn = np.radians(50)
    far = inside & (np.cos(turn) * ahead - np.sin(turn) * across < 0)
    picture = picture.copy()
    picture[shown] = HAIR
    picture[inside] = NEAR
    picture[far] = FAR
    return ReferenceWarp(picture, pose, matte_of(picture, shown | inside)), pose


def turned(pose, degrees):
    mesh = pose.face_mesh.astype(np.float64)
    middle = mesh[RIGID].mean(0)
    turn = Rotation.from_euler("y", degrees, degrees=True)
    return replace(pose, face_mesh=(turn.apply(mesh - middle) + middle).astype(np.float32))


def blue_pixels(warp, pose):
    """Beside eyes, nose and mouth; the chin's edge is between both."""
    picture = warp(pose).picture[: int(pose.face[:, 1].max()) - 12]
    return int((np.linalg.norm(picture - np.array(FAR), axis=2) < 120).sum())


def test_the_far_cheek_is_hidden(domed, monkeypatch):
    warp, pose = domed
    aside = turned(pose, -50)
    assert blue_pixels(warp, pose) > 500
    hidden = blue_pixels(warp, aside)
    monkeypatch.setattr(head, "TURNED", 2.0)  # never
    assert hidden < 30 < blue_pixels(warp, aside) / 2


def test_a_head_that_hardly_turns_hides_nothing(domed, monkeypatch):
    warp, pose = domed
    picture = warp(turned(pose, 8)).picture
    monkeypatch.setattr(head, "TURNED", 2.0)
    assert np.array_equal(warp(turned(pose, 8)).picture, picture)


@pytest.mark.parametrize(("degrees", "share"), [(0, 1.0), (63, 0.5), (75, 0.0)])
def test_an_eye_seen_from_the_side_is_not_repainted(degrees, share):
    corners = np.array([[10.0, 5.0, 0.0], [30.0, 5.0, 0.0]])
    aside = Rotation.from_euler("y", degrees, degrees=True).apply(corners)
    assert eyes._shown(aside) == pytest.approx(share, abs=0.1)
