import pytest
import torch

from magicpose_cli.body import shading
from magicpose_cli.body.cameras import Camera, camera_around
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.renderer import (
    NEAR_M,
    interpolate,
    normal_map,
    part_map,
    rasterize,
    silhouette,
    vertex_normals,
)

FLAT = Camera(8, 8, distance_m=4, pixels_per_m=1)  # a pixel is a meter, the middle is (4, 4)
DEEP = Camera(32, 32, distance_m=4, focal_px=32)
QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def square(low, high, z=0.0):
    """Counterclockwise as seen from before."""
    return torch.tensor([[low, low, z], [high, low, z], [high, high, z], [low, high, z]])


def test_a_square_covers_its_pixels_and_no_others():
    found = rasterize(square(-2.0, 1.0)[None], QUAD, FLAT)
    expected = torch.zeros(1, 8, 8, dtype=torch.bool)
    expected[0, 3:6, 2:5] = True  # y is up in the world and down in the picture
    assert torch.equal(silhouette(found), expected)
    assert (found.depth[expected] == 4).all() and found.depth[~expected].isinf().all()
    assert (found.triangles[~expected] == -1).all()
    torch.testing.assert_close(found.barycentric.sum(-1), expected.float())


def test_what_reaches_out_of_the_picture_is_cut():
    assert silhouette(rasterize(square(-50.0, 50.0)[None], QUAD, FLAT)).all()
    assert not silhouette(rasterize(square(5.0, 50.0)[None], QUAD, FLAT)).any()


@pytest.mark.parametrize("camera", [FLAT, Camera(8, 8, distance_m=4, focal_px=4)])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_one_is_seen(camera, order):
    squares = [square(-2.0, 2.0, 0.0), square(-1.0, 1.0, 1.0)]
    vertices = torch.cat([squares[i] for i in order])[None]
    found = rasterize(vertices, torch.cat([QUAD, QUAD + 4]), camera)
    middle = found.triangles[0, 3:5, 3:5] // 2
    assert (middle == order.index(1)).all()
    torch.testing.assert_close(found.depth[0, 3:5, 3:5], torch.full((2, 2), 3.0))


def test_barycentrics_are_true_in_space():
    """A floor that recedes: a value that is linear in space is so at every pixel's point."""
    floor = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 0.5, -20], [-1, 0.5, -20]])[None]
    found = rasterize(floor, QUAD, DEEP)
    hit = silhouette(found)[0]
    assert hit.sum() > 50
    points = interpolate(found, QUAD, floor)[0]
    rows, columns = hit.nonzero().T
    pixels = torch.stack([columns, rows], 1) + 0.5
    torch.testing.assert_close(DEEP.project(points[hit]).pixels, pixels, atol=2e-3, rtol=0)
    torch.testing.assert_close(DEEP.project(points[hit]).depth, found.depth[0][hit])


def test_backs_can_be_left_out():
    facing, away = square(-1.0, 1.0)[None], square(-1.0, 1.0).flip(0)[None]
    assert silhouette(rasterize(facing, QUAD, DEEP, cull_back=True)).any()
    assert not silhouette(rasterize(away, QUAD, DEEP, cull_back=True)).any()
    assert silhouette(rasterize(away, QUAD, DEEP)).any()


@pytest.mark.parametrize("camera", [FLAT, DEEP])
def test_what_is_too_near_is_left_out(camera):
    for z, seen in ((4 - 2 * NEAR_M, True), (4 - NEAR_M / 2, False), (5.0, False)):
        assert silhouette(rasterize(square(-1.0, 1.0, z)[None], QUAD, camera)).any() == seen


def test_a_batch_equals_single_bodies(body, posed):
    camera = camera_around(posed.vertices, 48, 48)
    both = rasterize(posed.vertices, body.faces, camera)
    normals = normal_map(both, posed.vertices, body.faces, camera)
    for i in range(2):
        own = posed.vertices[i : i + 1]
        alone = rasterize(own, body.faces, camera)
        for one, several in zip(alone, both, strict=True):
            assert torch.equal(one[0], several[i])
        torch.testing.assert_close(normal_map(alone, own, body.faces, camera)[0], normals[i])
    assert not torch.equal(both.triangles[0], both.triangles[1])


def test_the_body_has_no_cracks_and_shows_its_parts(body):
    from scipy.ndimage import binary_fill_holes

    rest = body.rest(torch.zeros(1, 1)).vertices
    camera = camera_around(rest, 128, 128, 0.05)
    found = rasterize(rest, body.faces, camera, cull_back=True)
    seen = silhouette(found)[0].numpy()
    assert (binary_fill_holes(seen) == seen).all()
    parts = part_map(found, body.face_parts)[0]
    assert torch.equal(parts >= 0, silhouette(found)[0])
    shown = {BODY_PARTS[i] for i in parts.unique().tolist() if i >= 0}
    assert shown >= set(BODY_PARTS[:14])
    left = (parts == BODY_PARTS.index("left_hand")).nonzero()[:, 1]
    assert left.min() > 64  # at the right of a picture from before


def test_normals_face_the_camera(body):
    rest = body.rest(torch.zeros(1, 1)).vertices
    outward = vertex_normals(rest, body.faces)[0]
    torch.testing.assert_close(outward.norm(dim=1), torch.ones(body.vertex_count))
    top = rest[0, :, 1].argmax()
    assert outward[top, 1] > 0.9
    camera = camera_around(rest, 96, 96, azimuth_deg=40)
    found = rasterize(rest, body.faces, camera, cull_back=True)
    normals = normal_map(found, rest, body.faces, camera)[silhouette(found)]
    assert (normals[:, 2] < 0.2).float().mean() > 0.99
    flat = rasterize(square(-1.0, 1.0)[None], QUAD, DEEP)
    toward = normal_map(flat, square(-1.0, 1.0)[None], QUAD, DEEP)[silhouette(flat)]
    torch.testing.assert_close(toward, torch.tensor([[0.0, 0, -1]]).expand(len(toward), 3))


def test_depth_has_gradients():
    vertices = square(-1.0, 1.0).double()[None].requires_grad_()

    def mean_depth(points):
        found = rasterize(points, QUAD, DEEP)
        return found.depth[silhouette(found)].mean()

    (slope,) = torch.autograd.grad(mean_depth(vertices), vertices)
    away = vertices.detach() - torch.tensor([0.0, 0, 1e-4])
    change = mean_depth(away) - mean_depth(vertices.detach())
    assert -1e-4 * slope[..., 2].sum().item() == pytest.approx(change.item(), rel=1e-3)


def test_light_comes_from_above():
    white = torch.ones(1, 1, 2, 3) * 0.5
    normals = torch.tensor([[[[0.0, -1, 0], [0, 1, 0]]]])
    up, down = shading.lit(white, normals)[0, 0, :, 0]
    assert up > down > 0.2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graphics_card_draws_the_same(body, shape, rotations, posed):
    camera = camera_around(posed.vertices, 96, 96)
    card = body.to("cuda")
    there = card(
        shape.cuda(),
        torch.full((2, 52), 0.1).cuda(),
        rotations.cuda(),
        torch.tensor([[0.0, 1, 0], [1, 0, 2]]).cuda(),
    )
    torch.testing.assert_close(there.vertices.cpu(), posed.vertices, atol=1e-4, rtol=0)
    seen = rasterize(there.vertices, card.faces, camera, cull_back=True)
    own = rasterize(posed.vertices, body.faces, camera, cull_back=True)
    same = (seen.triangles.cpu() == own.triangles).float().mean()
    assert same > 0.99
