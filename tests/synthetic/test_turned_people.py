import pytest
import torch

from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.synthetic.rendered.turned_people import render_turned

FACE, BODY = POSE_SLICES["face"], POSE_SLICES["body"]
NOSE, JAW = 30, (0, 16)


def nose_off(points):
    """How far the nose is from the middle of the jaw, in widths of the face, (F,)."""
    face = points[:, FACE]
    width = (face[0, JAW[1]] - face[0, JAW[0]]).norm()
    return (face[:, NOSE, 0] - face[:, list(JAW), 0].mean(1)) / width


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_a_face_turns_as_it_is_told_and_the_light_stays(whole):
    clip = render_turned(7, (0.0, -30.0, 30.0), 64, whole=whole)
    ahead, left, right = nose_off(clip.points)
    assert abs(ahead) < 0.1 and left < ahead - 0.2 and right > ahead + 0.2
    shoulders = clip.points[:, BODY][:, [2, 5]]
    moved = (shoulders[1] - shoulders[0]).norm(dim=1).max()
    assert (
        (moved > 3) if whole else (moved < 0.3)
    )  # the skin of the shoulders is pulled along a little
    corner = clip.images[:, :, :6, :6]
    assert torch.allclose(corner[0].mean(), corner[1].mean(), atol=0.02)
