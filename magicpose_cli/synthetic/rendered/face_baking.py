"""Bake the face model: `python -m magicpose_cli.synthetic.rendered.face_baking OUT.npz [PEOPLE]`.

A tool for developers. Where MediaPipe's 468 points lie on the body's skin is found by looking:
rendered people whose body is known are shown to the detector, and each point that it tells is
followed back onto the skin in front of it. The points then move as the skin does, with the shape of
a person and with ARKit's 52 facial actions. How much of an action the detector shows is measured on
one person. Six people take about a minute on a free core.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Floats, Points
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.face_model import EYE_CORNERS, FACE_SIDES, IRIS_ROWS
from magicpose_cli.body.layout import LAYERS
from magicpose_cli.body.model import Body
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES, opposite_name
from magicpose_cli.body.skinning import skinning_matrices
from magicpose_cli.errors import InputError
from magicpose_cli.files import whole_file
from magicpose_cli.pose.detection.detect import detect_settled, load_detector
from magicpose_cli.pose.keypoints import MESH_POINTS
from magicpose_cli.pose.retargeting.mesh import RIGID, rigid_change
from magicpose_cli.synthetic.rendered.face_surface import SKIN_POINTS, FaceHits
from magicpose_cli.synthetic.rendered.joint_turns import JointTurns
from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
from magicpose_cli.synthetic.rendered.rendered_people import dressed, sample_identity
from magicpose_cli.synthetic.rendered.scene_renderer import SceneRenderer
from magicpose_cli.synthetic.rendered.scenes import sample_scene

SEED, PEOPLE, VIEWS = 5100, 6, 7
SIDE_PX, FIELD_M = 256, 0.34
KEPT_FACE_COMPONENTS = 20  # of the body's shape
IRIS_M, IRIS_RADIUS_M = 0.0135, 0.0059  # from the eyeball's middle, as the detector sees it move
LEAST_GAIN = 0.4
MOVING = 0.15  # of an action's largest step: points that move less tell no gain
_DOWN_AND_IN = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class SeenFaces:
    """A rendered person and what the detector told of the frames.

    Attributes:
        meshes: (F, 478, 3) pixels; NaN where nobody was found.
        vertices: (F, V, 3) of the posed body, meters.
        camera: Of all pictures.
    """

    meshes: Points
    vertices: Floats
    camera: Camera


def bake_face(arguments: list[str]) -> None:
    """Bake the model and write the file that is given first.

    Raises:
        InputError: The arguments are others.
    """
    if not 1 <= len(arguments) <= 2:
        raise InputError(f"{len(arguments)} arguments given; expected OUT.npz and how many people")
    people = int(arguments[1]) if len(arguments) > 1 else PEOPLE
    body = Body.load(("skin", "eyes"))
    hits = FaceHits(body)
    first: SeenFaces | None = None
    still = torch.zeros(VIEWS, len(body.expression_names))
    for number in range(people):
        seen = look_at(SEED + number, still)
        first = first or seen
        for mesh, vertices in zip(seen.meshes, seen.vertices, strict=True):
            hits.add(mesh, vertices, seen.camera)
    assert first is not None
    arrays = _model_arrays(body, hits, first.meshes)
    arrays["gains"] = _gains(arrays, look_at(SEED - 100, _single_actions(body)).meshes)
    with whole_file(Path(arguments[0]), overwrite=True) as hidden, hidden.open("wb") as file:
        np.savez_compressed(file, **arrays)
    spread = 1000 * arrays["spread"][:SKIN_POINTS]
    sys.stdout.write(f"{people} people; points differ by {np.median(spread):.1f} mm (median)\n")


def look_at(seed: int, expressions: Tensor) -> SeenFaces:
    """Render a bald person close by with these expressions (F, 52), and detect the face."""
    body = Body.load(LAYERS)
    who, where = (np.random.default_rng([seed, part]) for part in range(2))
    identity, frames = sample_identity(body, who), len(expressions)
    turns = JointTurns(body, frames)
    turns.turn("neck", where.normal(0, 1, (frames, 3)) * [4, 9, 2])
    rest = body.rest(identity.shape, expressions)
    surfaces = dressed(body, identity, rest.vertices, rest.joints[0], "face")
    bald = [each for each in surfaces if each.kind != "hair"]
    mesh = SurfaceMesh.of(bald, body.joint_names)
    world, placed = body.transforms(rest.joints, turns.rotations)
    matrices = skinning_matrices(rest.joints, world, placed, torch.zeros(frames, 3))
    posed = body(identity.shape, expressions, turns.rotations, torch.zeros(frames, 3))
    head = placed[:, [body.joint("eye.L"), body.joint("eye.R")]].mean((0, 1))
    x, y, z = head.tolist()
    scene = sample_scene(where, posed.vertices[0, ::29], head[None], SIDE_PX, "face")
    camera = Camera(
        SIDE_PX, SIDE_PX, azimuth_deg=float(where.normal(0, 8)),
        elevation_deg=float(where.normal(0, 5)), distance_m=1.0, target=(x, y - 0.03, z),
        focal_px=SIDE_PX / FIELD_M,
    )  # fmt: skip
    renderer = SceneRenderer(mesh, replace(scene, camera=camera, blur_px=0.0), seed)
    detector, meshes = load_detector("mediapipe", still=True), []
    for vertices in mesh.posed(matrices):
        image = renderer.frame(vertices).image
        picture = (255 * image.permute(1, 2, 0)).round().byte().numpy()
        people = detect_settled(detector, "mediapipe", picture)
        found = people[0].face_mesh if people else None
        meshes.append(np.full((MESH_POINTS, 3), np.nan) if found is None else found)
    detector.close()
    skin = Body.load(("skin", "eyes")).vertex_count
    return SeenFaces(np.stack(meshes), posed.vertices[:, :skin].double().numpy(), camera)


def _single_actions(body: Body) -> Tensor:
    """(VIEWS + 52, 52): faces at rest, then each action alone, in the order of ARKIT_CURVES."""
    actions = torch.zeros(VIEWS + len(ARKIT_CURVES), len(body.expression_names))
    for number, name in enumerate(ARKIT_CURVES):
        actions[VIEWS + number, body.expression_names.index(name)] = 1.0
    return actions


def _model_arrays(body: Body, hits: FaceHits, meshes: Points) -> dict[str, AnyArray]:
    """The file's arrays but for the gains; meshes: of one person, to tell left from right."""
    triangles, shares, spread = hits.places(meshes)

    def at(values: Floats) -> Floats:  # (..., V, 3) -> (..., 478, 3), y down and z in
        own = np.einsum("nk,...nkc->...nc", shares, values[..., triangles, :]) @ _DOWN_AND_IN
        whole = np.zeros((*own.shape[:-2], MESH_POINTS, 3))
        whole[..., :SKIN_POINTS, :] = own
        return whole

    count = body.vertex_count
    every = body.mean.double().numpy()
    mean = at(every[:count])
    origin = mean[RIGID].mean(axis=0)
    eyes = every[count:][[body.joint("eye.R"), body.joint("eye.L")]] @ _DOWN_AND_IN - origin
    basis = body.shape_basis[:KEPT_FACE_COMPONENTS].double().numpy()
    identity = at(basis.reshape(KEPT_FACE_COMPONENTS, -1, 3)[:, :count])
    moved = np.zeros((len(ARKIT_CURVES), count, 3))
    order = [body.expression_names.index(name) for name in ARKIT_CURVES]
    offsets = body.expression_basis.double().numpy().reshape(len(order), -1, 3)[order]
    moved[:, body.expression_vertices.numpy()] = offsets
    mean -= origin
    rim = np.array([(0, 0, 0), (1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)]) * IRIS_RADIUS_M
    for side, eye in zip(FACE_SIDES, eyes, strict=True):
        rows = slice(IRIS_ROWS[side], IRIS_ROWS[side] + 5)
        mean[rows] = eye - np.array([0, 0, IRIS_M]) + rim
        identity[:, rows] = identity[:, list(EYE_CORNERS[side])].mean(axis=1, keepdims=True)
    spread_m = np.append(spread, np.full(MESH_POINTS - SKIN_POINTS, 0.002))
    return {
        "mean": mean.astype(np.float32), "identity": identity.astype(np.float16),
        "actions": at(moved).astype(np.float16), "spread": spread_m.astype(np.float32),
        "eyes": eyes.astype(np.float32), "iris_m": np.float32(IRIS_M),
    }  # fmt: skip


def _gains(arrays: dict[str, AnyArray], meshes: Points) -> Floats:
    """(52,) how much of each action the detector shows; meshes: of `_single_actions`."""
    rest = next(mesh for mesh in meshes[:VIEWS] if np.isfinite(mesh).all()).astype(np.float64)
    mean, gains = arrays["mean"].astype(np.float64), np.ones(len(ARKIT_CURVES))
    size = np.linalg.norm(rest[33] - rest[263]) / np.linalg.norm(mean[33] - mean[263])
    for number, action in enumerate(arrays["actions"].astype(np.float64)):
        mesh = meshes[VIEWS + number].astype(np.float64)
        if not np.isfinite(mesh).all() or not np.abs(action).max() > 0:
            continue
        turn, grown = rigid_change(mesh, rest)
        laid = grown * turn.apply(mesh - mesh[RIGID].mean(axis=0)) + rest[RIGID].mean(axis=0)
        length = np.linalg.norm(action[:, :2], axis=1)
        moving = length > MOVING * length.max()
        known, seen = size * action[moving, :2], (laid - rest)[moving, :2]
        gains[number] = (known * seen).sum() / np.square(known).sum()
    other = [ARKIT_CURVES.index(opposite_name(name, ARKIT_CURVES)) for name in ARKIT_CURVES]
    return np.clip((gains + gains[other]) / 2, LEAST_GAIN, 1.0).astype(np.float32)


if __name__ == "__main__":
    bake_face(sys.argv[1:])
