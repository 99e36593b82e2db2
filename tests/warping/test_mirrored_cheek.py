"""The cheek that is hardly seen looks as the other one does, mirrored, in its own light."""

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial.transform import Rotation

from magicpose_cli.pose.retargeting.mesh import TEMPLES
from magicpose_cli.warping.mirrored_cheek import MIDLINE, MirroredCheek

SIZE = 200
HIDDEN, SHADE = -1, 0.8  # the side of the picture, and its light over the other's


def face() -> np.ndarray:
    """(478, 3) a dome, as symmetric as a sunflower allows, its marks where they belong."""
    count = np.arange(239)
    radius, turn = np.sqrt((count + 0.5) / 239), count * 2.399963
    half = np.stack([np.abs(radius * np.cos(turn)), radius * np.sin(turn)], 1)
    flat = np.concatenate([half, half * (-1, 1)])
    free = [index for index in range(478) if index not in (*MIDLINE, *TEMPLES)]
    mesh = np.zeros((478, 3))
    mesh[free, :2] = flat[: len(free)]
    mesh[list(MIDLINE), 1] = np.linspace(-1, 1, len(MIDLINE))
    mesh[list(TEMPLES), 0] = -0.98, 0.98
    mesh[:, 2] = -np.sqrt(np.maximum(1 - (mesh[:, :2] ** 2).sum(1), 0))
    return mesh


def brightness(mesh: np.ndarray) -> np.ndarray:
    light = np.where(np.sign(mesh[:, 0]) == HIDDEN, SHADE, 1.0)
    return light * (120 + 90 * np.cos(5 * mesh[:, 0]))


def in_picture(mesh: np.ndarray, degrees: float) -> np.ndarray:
    turned = Rotation.from_euler("y", degrees, degrees=True).apply(mesh)
    return turned * 80 + (SIZE / 2, SIZE / 2, 0)


def picture(mesh: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What of the face is seen at its places; black elsewhere."""
    seen = places[:, 2] < 10
    y, x = np.mgrid[:SIZE, :SIZE]
    colors = LinearNDInterpolator(places[seen, :2], brightness(mesh)[seen])(x, y)
    return np.repeat(np.nan_to_num(colors)[..., None], 3, axis=2)


@pytest.mark.parametrize("degrees", [25, 35])
def test_it_is_the_other_cheek_in_its_own_light(degrees):
    mesh = face()
    aside = in_picture(mesh, degrees * -HIDDEN)
    ahead = in_picture(mesh, 0)
    cheek = MirroredCheek(aside, picture(mesh, aside))
    assert cheek.is_hidden
    made, alpha = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE, 1), np.float32)
    cheek.paint(made, alpha, ahead, (0, 0))
    wanted = picture(mesh, ahead)
    whole = alpha[..., 0] > 0.99
    columns = np.nonzero(whole)[1]
    assert whole.sum() > 500 and ((columns - SIZE / 2) * HIDDEN > 0).all()
    apart = np.abs(made - wanted)[whole & (wanted[..., 0] > 0)]
    assert np.median(apart) < 12


def test_where_nothing_is_stretched_nothing_is_painted():
    mesh = face()
    aside = in_picture(mesh, 25)
    cheek = MirroredCheek(aside, picture(mesh, aside))
    made, alpha = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE, 1), np.float32)
    cheek.paint(made, alpha, aside, (0, 0))
    assert not made.any() and not alpha.any()


def test_a_face_that_looks_ahead_hides_no_cheek():
    ahead = in_picture(face(), 4)
    cheek = MirroredCheek(ahead, picture(face(), ahead))
    assert not cheek.is_hidden
    made, alpha = np.zeros((SIZE, SIZE, 1), np.float32), np.zeros((SIZE, SIZE, 1), np.float32)
    cheek.paint(made, alpha, in_picture(face(), 40), (0, 0))
    assert not made.any()


def test_the_cheek_is_whole_to_its_edge():
    mesh = face()
    aside = in_picture(mesh, 25 * -HIDDEN)
    cheek = MirroredCheek(aside, picture(mesh, aside))
    made, alpha = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE, 1), np.float32)
    cheek.paint(made, alpha, in_picture(mesh, 0), (0, 0))
    y, x = (np.mgrid[:SIZE, :SIZE] - SIZE / 2) / 80
    edge = (x * HIDDEN > 0.7) & (np.hypot(x, y) < 0.9) & (y > 0.2)
    assert edge.sum() > 100 and (alpha[edge, 0] > 0.99).all()


def test_where_no_light_can_be_compared_the_cheek_keeps_its_own(recwarn):
    mesh = face()
    ahead = in_picture(mesh, 0)
    over = in_picture(mesh, 40) * (-1, -1, -1)  # as a detector may see a head upside down
    cheek = MirroredCheek(over, picture(mesh, ahead))
    assert cheek.is_hidden and (cheek._gain == 1).all()
    assert not recwarn.list
