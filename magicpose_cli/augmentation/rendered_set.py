"""People who are rendered in given poses from given viewpoints, for tests and for the benchmark.

A camera here is a place: its own room or street, light, sensor and height. The person turns before
it, as people do before a camera that hangs at a wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture, to_pictures
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.body.cameras import Camera, camera_around
from magicpose_cli.body.laid_motion import turns_about

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
    from magicpose_cli.synthetic.rendered.scenes import Scene

ROOM_SEED, PERSON_SEED = 1, 2
CROP_MARGIN = 0.06  # around the person, as a detector's boxes have it


@dataclass(frozen=True, eq=False)
class RenderedPerson:
    """Somebody, dressed, who can be posed.

    Attributes:
        body: The body with all layers.
        shape: (1, K).
        mesh: Of skin, clothes and hair.
        joints: (J, 3) at rest.
        seed: Of the person.
    """

    body: Body
    shape: Tensor
    mesh: SurfaceMesh
    joints: Tensor
    seed: int


def dress_person(seed: int) -> RenderedPerson:
    """Make somebody from a seed; see synthetic.rendered."""
    from magicpose_cli.body.layout import LAYERS
    from magicpose_cli.body.model import Body
    from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
    from magicpose_cli.synthetic.rendered.rendered_people import dressed, sample_identity

    body = Body.load(LAYERS)
    identity = sample_identity(body, np.random.default_rng([seed, PERSON_SEED]))
    rest = body.rest(identity.shape)
    surfaces = dressed(body, identity, rest.vertices, rest.joints[0], "full")
    mesh = SurfaceMesh.of(surfaces, body.joint_names)
    return RenderedPerson(body, identity.shape, mesh, rest.joints[0], seed)


def render_views(
    person: RenderedPerson,
    rotations: Tensor,
    viewpoints: Sequence[Viewpoint],
    cameras: Sequence[int],
    size: tuple[int, int],
) -> list[Picture]:
    """Render somebody, cropped as a detector of people would.

    Args:
        person: Who is shown.
        rotations: (n, J, 3, 3) local, the root facing ahead.
        viewpoints: n of them.
        cameras: n numbers of places.
        size: (width, height) of the pictures in pixels.

    Returns:
        n pictures (H, W, 3) uint8 RGB.
    """
    import torch

    from magicpose_cli.synthetic.rendered.scene_renderer import SceneRenderer

    with torch.no_grad():
        vertices = _standing(person, rotations, viewpoints)
        pictures = []
        for number, (each, viewpoint, place) in enumerate(
            zip(vertices, viewpoints, cameras, strict=True)
        ):
            scene = _scene(place, each, viewpoint, size)
            seed = (person.seed * 1009 + number * 31 + place) % (1 << 31)
            image = SceneRenderer(person.mesh, scene, seed).frame(each).image
            pictures.append(to_pictures(image[None])[0])
    return pictures


def _standing(person: RenderedPerson, rotations: Tensor, viewpoints: Sequence[Viewpoint]) -> Tensor:
    """(n, N, 3) vertices of people who stand on the floor, turned by their viewpoints."""
    import torch

    from magicpose_cli.body.skinning import skinning_matrices

    yaw = -np.radians([view.azimuth_deg for view in viewpoints])
    turned = rotations.clone()
    turned[:, 0] = turns_about("y", yaw) @ rotations[:, 0]
    rest = person.joints[None]
    world, placed = person.body.transforms(rest, turned)
    matrices = skinning_matrices(rest, world, placed, torch.zeros(len(turned), 3))
    vertices = person.mesh.posed(matrices)
    vertices[..., 1] -= vertices[..., 1].amin(1, keepdim=True)
    return vertices


def _scene(number: int, vertices: Tensor, viewpoint: Viewpoint, size: tuple[int, int]) -> Scene:
    """The place of this number, its camera directed at the person."""
    width, height = size
    view = {"elevation_deg": viewpoint.elevation_deg, "distance_m": 5.0 * viewpoint.distance}
    camera: Camera = camera_around(vertices[::29], width, height, CROP_MARGIN, **view)
    return replace(_place(number), camera=camera)


@cache
def _place(number: int) -> Scene:
    """A room or a street, the same for everybody who comes by."""
    import torch

    from magicpose_cli.synthetic.rendered.scenes import sample_scene

    rng = np.random.default_rng([number, ROOM_SEED])
    room = torch.tensor([[x, y, z] for x in (-0.8, 0.8) for y in (0.0, 1.8) for z in (-0.8, 0.8)])
    scene = sample_scene(rng, room, torch.tensor([[0.0, 1.7, 0.0]]), 256, "full")
    return replace(scene, blur_px=min(scene.blur_px, 2.0))
