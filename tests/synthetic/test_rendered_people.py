from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import LAYERS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import rasterize
from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.arm_room import ArmRoom
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.garments import dress, sample_tailoring, top_field
from magicpose_cli.synthetic.rendered.joint_motion import sample_body_clip
from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
from magicpose_cli.synthetic.rendered.rendered_people import (
    RenderedClip,
    dressed,
    render_clip,
    render_people,
    sample_identity,
)

FRAMES, SIZE = 2, 64


@pytest.fixture(scope="module")
def clip() -> RenderedClip:
    return render_clip(5, FRAMES, SIZE, "gesture", "full")


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(LAYERS)


@pytest.fixture(scope="module")
def figure(body: Body) -> Figure:
    rest = body.rest(torch.zeros(1, 4))
    return Figure.of(body, rest.vertices[0], rest.joints[0])


def tensors(clip: RenderedClip) -> list[Tensor]:
    return [clip.images, clip.labels, clip.depth, clip.normals, clip.points, clip.points_m]


def on_person(clip: RenderedClip, frame: int, points: Tensor, margin: int = 1) -> list[bool]:
    """Whether points (n, 2) lie on the silhouette or within a margin of it."""
    person = clip.labels[frame] > 0
    found = []
    for x, y in points.floor().long().tolist():
        rows = slice(max(y - margin, 0), y + margin + 1)
        found.append(bool(person[rows, max(x - margin, 0) : x + margin + 1].any()))
    return found


@pytest.mark.slow
def test_a_seed_fixes_every_byte_on_any_number_of_threads(clip: RenderedClip) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        again = render_clip(5, FRAMES, SIZE, "gesture", "full")
    finally:
        torch.set_num_threads(before)
    for first, second in zip(tensors(clip), tensors(again), strict=True):
        assert torch.equal(torch.nan_to_num(first), torch.nan_to_num(second))


@pytest.mark.slow
def test_another_seed_is_somebody_else_somewhere_else(clip: RenderedClip) -> None:
    other = render_clip(6, FRAMES, SIZE, "gesture", "full")
    assert (clip.images - other.images).abs().mean() > 0.05


@pytest.mark.slow
def test_pictures_and_maps_agree(clip: RenderedClip) -> None:
    assert clip.images.shape == (FRAMES, 3, SIZE, SIZE)
    assert 0 <= clip.images.min() < clip.images.max() <= 1
    person = clip.labels > 0
    assert torch.equal(person, clip.depth.isfinite())
    assert 0.03 < person.float().mean() < 0.7
    assert torch.allclose(clip.normals[person].norm(dim=1), torch.ones(int(person.sum())))
    assert not clip.normals[~person].any()
    for name in ("skin", "top", "bottom", "shoes"):
        assert (clip.labels == LABELS.index(name)).any(), name


@pytest.mark.slow
def test_joints_lie_on_the_person(clip: RenderedClip) -> None:
    for frame in range(FRAMES):
        assert all(on_person(clip, frame, clip.points[frame, POSE_SLICES["body"]][:14]))
        assert all(on_person(clip, frame, clip.points[frame, POSE_SLICES["left_hand"]]))


@pytest.mark.slow
def test_points_of_a_face_lie_on_skin_or_hair() -> None:
    clip = render_clip(9, 1, SIZE, "talk", "face")
    face = clip.points[0, POSE_SLICES["face"]]
    assert face.isfinite().all()
    x, y = face.floor().long().clamp(0, SIZE - 1).unbind(1)
    labels = clip.labels[0, y, x]
    shown = (labels == LABELS.index("skin")) | (labels == LABELS.index("hair"))
    assert shown.float().mean() > 0.9


@pytest.mark.slow
def test_people_come_as_drawn_ones_do() -> None:
    people = render_people(3, 2, 1, 48)
    assert people.images.shape == (2, 3, 48, 48)
    assert people.points.hands.shape == (2, 2, 21, 2)


def test_a_hem_is_cut_straight(figure: Figure) -> None:
    cloth = figure.cloth("tights", 5)
    height = 0.0321
    cut = cloth.cut(cloth.rest[:, 1] - height)
    low = cut.rest[:, 1] - height
    assert low.min() > -1e-5
    hem = low.abs() < 1e-5
    assert hem.sum() > 40
    assert torch.allclose(cut.weights.sum(1), torch.ones(len(cut.rest)), atol=1e-5)


def test_a_cut_takes_and_leaves_what_is_there(figure: Figure) -> None:
    cloth = figure.cloth("tights")
    field = cloth.rest[:, 0] - 0.0123
    parts = [cloth.cut(field), cloth.cut(-field)]

    def area(faces: Tensor, rest: Tensor) -> float:
        a, b, c = (rest[faces[:, i]].double() for i in range(3))
        return float(torch.linalg.cross(b - a, c - a).norm(dim=1).sum())

    total = sum(area(part.faces, part.rest) for part in parts)
    assert total == pytest.approx(area(cloth.faces, cloth.rest), rel=1e-5)


def bare_share(body: Body, seed: int) -> float:
    """How much of a person's trunk and thighs shows skin, from before and behind, at rest."""
    identity = sample_identity(body, np.random.default_rng(seed))
    rest = body.rest(identity.shape)
    figure = Figure.of(body, rest.vertices[0], rest.joints[0])
    surfaces = dressed(body, identity, rest.vertices, rest.joints[0], "full")
    mesh = SurfaceMesh.of(surfaces, body.joint_names)
    vertices = torch.cat([each.rest[0] for each in mesh.surfaces])[None]
    middle = vertices[0, mesh.faces].mean(1)
    own = (middle[:, 1] < figure.neck[1] - 0.25) & (middle[:, 1] > figure.hip_m - 0.1)
    own &= middle[:, 0].abs() < 0.16
    bare, total = 0, 0
    for azimuth in (0.0, 180.0):
        camera = Camera(96, 160, azimuth_deg=azimuth, pixels_per_m=90.0)
        seen = rasterize(vertices, mesh.faces, camera, cull_back=True).triangles[0]
        trunk = (seen >= 0) & own[seen.clamp_min(0)]
        skin = trunk & (mesh.surface[seen.clamp_min(0)] == 0)
        bare, total = bare + int(skin.sum()), total + int(trunk.sum())
    assert total > 500
    return bare / total


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_everybody_is_dressed(body: Body, seed: int) -> None:
    assert bare_share(body, seed) < 0.02


def test_what_is_hidden_lies_under_the_top(figure: Figure) -> None:
    rng = np.random.default_rng(2)
    tailoring = sample_tailoring(rng, is_woman=False)
    garments, hidden = dress(figure, tailoring, rng)
    assert {LABELS[each.label] for each in garments} == {"top", "bottom", "shoes"}
    covered = top_field(figure, figure.skin(), tailoring, tailoring.sleeve) > 0.03
    assert hidden[covered].all()
    head = figure.fields[:, 2] > 0.9
    assert not hidden[head].any()


def test_a_suit_and_shoes_from_elsewhere_are_not_cut(figure: Figure) -> None:
    rng = np.random.default_rng(2)
    garments, hidden = dress(figure, sample_tailoring(rng, True), rng, ("suit", "shoes"))
    assert not garments
    assert not hidden.any()


def test_arms_keep_out_of_the_body(body: Body) -> None:
    rest = body.rest(torch.zeros(1, 4))
    room = ArmRoom(body, rest)
    folded = body.identity(1)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    folded[0, body.joint("upperarm01.L")] = turn.T  # the left arm goes down and through the legs
    assert room.depth_m(body.identity(1)) == 0
    assert room.depth_m(folded) > 0.01
    depths = [
        room.depth_m(
            sample_body_clip(body, rest, np.random.default_rng(seed), np.zeros(1), "talk").rotations
        )
        for seed in range(4)
    ]
    assert sum(depth < 0.02 for depth in depths) >= 3


def test_frames_of_a_rate_follow_each_other():
    body = Body.load(LAYERS)
    rest = body.rest(torch.zeros(1, body.component_count))
    close, far = (
        sample_body_clip(body, rest, np.random.default_rng(4), np.array([0.0, step]), "dance")
        for step in (0.01, 0.5)
    )
    moved = [float((clip.rotations[1] - clip.rotations[0]).abs().max()) for clip in (close, far)]
    assert 0 < moved[0] < 0.1 * moved[1]
