"""Maps of a fitted body: what a generator reads off them."""

import numpy as np
import pytest
import torch

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.fit import FittedClip
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.maps import (
    BODY_MAP_NAMES,
    BODY_PART_COLORS,
    MAP_LAYERS,
    DepthRange,
    check_map_names,
    depth_levels,
    depth_picture,
    depth_range,
    draw_body_maps,
)
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import rasterize
from magicpose_cli.errors import InputError

COLORS = np.array([*BODY_PART_COLORS.values(), (0, 0, 0)])
NEAR_M, FAR_M = 4.0, 6.0


@pytest.fixture(scope="module")
def body():
    return Body.load(MAP_LAYERS)


@pytest.fixture(scope="module")
def fitted(body):
    """A person at rest who stands at 4 m, then at 6 m."""
    rotations = body.identity(2)
    root = torch.tensor([[0.0, 0.0, -NEAR_M], [0.0, 0.0, -FAR_M]])
    camera = Camera(96, 128, distance_m=0.0, focal_px=230.0)
    return FittedClip(torch.zeros(1, 4), rotations, root, camera, torch.zeros(2))


@pytest.fixture(scope="module")
def maps(body, fitted):
    depths = depth_range(body, fitted)
    return [draw_body_maps(body, fitted, frame, BODY_MAP_NAMES, depths) for frame in range(2)]


def middle(picture):
    """A map where the camera's axis meets the pelvis."""
    return picture[64, 48]


def test_all_maps_show_the_same_pixels(maps):
    for drawn in maps:
        assert set(drawn) == set(BODY_MAP_NAMES)
        covered = drawn["silhouette"][..., 0] == 255
        assert 0.02 < covered.mean() < 0.5
        assert set(np.unique(drawn["silhouette"])) == {0, 255}
        for name, picture in drawn.items():
            shown = picture if picture.ndim == 2 else picture.max(axis=2)
            assert ((shown > 0) == covered).all(), name


def test_depth_is_scaled_over_the_whole_clip(body, fitted, maps):
    depths = depth_range(body, fitted)
    assert NEAR_M - 0.5 < depths.near_m < NEAR_M < FAR_M < depths.far_m < FAR_M + 0.5
    near, far = (drawn["depth"] for drawn in maps)
    assert near.dtype == np.uint16
    assert near.max() > 250 * 257 and far[far > 0].min() < 60 * 257
    assert middle(near) > middle(far) + 20_000
    # the formula of the docs leads back to meters
    share = (middle(near).astype(float) - 8224) / (65535 - 8224)
    meters = depths.far_m - share * (depths.far_m - depths.near_m)
    posed = body(fitted.shape, None, fitted.rotations[:1], fitted.root[:1])
    seen = rasterize(posed.vertices, body.faces, fitted.camera, cull_back=True)
    assert meters == pytest.approx(float(middle(seen.depth[0])), abs=1e-4)


def test_depth_levels_hold_their_ends():
    meters = np.array([2.0, 3.0, 1.0, 9.0, np.inf])
    levels = depth_levels(meters, DepthRange(2.0, 3.0))
    assert levels.tolist() == [65535, 8224, 65535, 8224, 0]
    assert depth_levels(np.array([2.0]), DepthRange(2.0, 2.0)).tolist() == [8224]
    assert depth_picture(levels[None])[0, :, 0].tolist() == [255, 32, 255, 32, 0]


def test_normals_tell_left_from_right_and_up_from_down(maps):
    normal, bae = (maps[0][name].astype(int) for name in ("normal", "normal-bae"))
    assert middle(normal)[2] > 220 and middle(bae)[2] > 220  # toward the camera
    rows = np.nonzero(normal.any(axis=2))[0]
    row = 64
    inside = np.flatnonzero(normal[row].any(axis=1))
    first, last = inside[0], inside[-1]
    assert normal[row, first, 0] < 90 and normal[row, last, 0] > 165  # right is red
    assert bae[row, first, 0] > 165 and bae[row, last, 0] < 90  # left is red
    crown = rows.min()
    assert (normal[crown][normal[crown].any(axis=1), 1] > 165).all()  # up is green
    shown = normal.any(axis=2)
    np.testing.assert_allclose(normal[shown][:, 0], 255 - bae[shown][:, 0], atol=1)
    np.testing.assert_array_equal(normal[shown][:, 1:], bae[shown][:, 1:])


def test_parts_have_the_colors_of_the_table(maps):
    found = {tuple(color) for color in maps[0]["parts"].reshape(-1, 3).tolist()}
    assert found <= {*BODY_PART_COLORS.values(), (0, 0, 0)}
    assert {BODY_PART_COLORS[part] for part in BODY_PARTS if part not in ("eyes", "mouth")} <= found
    left, right = (
        np.nonzero((maps[0]["parts"] == BODY_PART_COLORS[f"{side}_hand"]).all(axis=2))[1].mean()
        for side in ("left", "right")
    )
    assert right < 48 < left  # the person faces the camera
    assert tuple(middle(maps[0]["parts"])) == BODY_PART_COLORS["torso"]


def test_colors_of_parts_are_far_apart():
    assert tuple(BODY_PART_COLORS) == BODY_PARTS
    apart = np.abs(COLORS[:, None] - COLORS[None]).max(axis=2)
    assert apart[~np.eye(len(COLORS), dtype=bool)].min() >= 127


def test_a_person_out_of_the_picture_has_a_range_too(body, fitted):
    away = FittedClip(
        fitted.shape, fitted.rotations, fitted.root + torch.tensor([9.0, 0, 0]),
        fitted.camera, fitted.reprojection_px,
    )  # fmt: skip
    depths = depth_range(body, away)
    assert depths.near_m < NEAR_M < FAR_M < depths.far_m
    assert not draw_body_maps(body, away, 0, ["depth"], depths)["depth"].any()


def test_names_are_checked():
    assert check_map_names(["parts", "depth", "parts"]) == ("parts", "depth")
    with pytest.raises(InputError, match=r"no map heat; expected some of depth, normal"):
        check_map_names(["depth", "heat"])
    with pytest.raises(InputError, match="without a name"):
        check_map_names([])
