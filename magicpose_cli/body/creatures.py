"""Other bodies than a person's, as TOML: their bones, and which bone of a person drives each.

Files that ship lie in `presets/creatures/`. Space is that of SkeletalMotion: meters, y up, x to the
creature's left, z forward, everything as it is at rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from magicpose_cli.arrays import Floats
from magicpose_cli.body.humanoid_names import VRM_PARENTS
from magicpose_cli.body.motion_files.bvh_parser import END
from magicpose_cli.config.sections import (
    Section,
    Tables,
    find_toml,
    presets_folder,
    read_toml,
    validated,
)
from magicpose_cli.errors import ConfigError

MAX_BONES = 200
MAX_OFFSET_M = 100.0
SHORTEST_BONE_M = 1e-3
_MAX_MISTAKES = 5  # of the tree that one message tells


def _tupled(value: Any) -> Any:
    """TOML's array as the tuple that a frozen setting holds."""
    return tuple(value) if isinstance(value, list) else value


Meters = Annotated[float, Field(ge=-MAX_OFFSET_M, le=MAX_OFFSET_M, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Vector3 = Annotated[tuple[Meters, Meters, Meters], BeforeValidator(_tupled)]
SignedAxis = Literal["x", "y", "z", "-x", "-y", "-z"]
AxisMap = Annotated[tuple[SignedAxis, SignedAxis, SignedAxis], BeforeValidator(_tupled)]
AngleRange = Annotated[tuple[Degrees, Degrees], BeforeValidator(_tupled)]


class CreatureRoot(Section):
    """How the creature goes over the ground."""

    travel: Literal["legs"] | Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = "legs"
    """The creature's way as a share of the person's; "legs": as their heights at rest are."""
    height: Literal["feet", "source", "rest"] = "feet"
    """What the root's height follows: the creature's lowest foot, which then stands on the ground
    while one of the person's does; the person's hips; or nothing."""
    heading: bool = True
    """Whether the creature turns with the person."""


class CreatureBone(Section):
    """One bone: where it is and what drives it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
    parent: str | None = None
    """The bone above; the first bone has none."""
    offset_m: Vector3
    """From the parent's joint to this one; of the first bone, its place above the ground."""
    end_m: Vector3 | None = None
    """From the joint to the tip; bones without a child need one."""
    human: str | None = None
    """The VRM bone of the person that drives this one; without it, the bone keeps its rest."""
    gain: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 1.0
    """By what the person's turn is multiplied."""
    axes: AxisMap | None = None
    """What the person's x, y and z axes become; without it, the shortest turn that lays the
    person's bone on this one is taken."""
    bend_deg: AngleRange | None = None
    """Limits of the swing about the left-right axis (about z of bones that point sideways)."""
    side_deg: AngleRange | None = None
    """Limits of the swing about the axis across the bone and the bend's axis."""
    twist_deg: AngleRange | None = None
    """Limits of the turn about the bone itself."""
    foot: bool = False
    """Whether this bone may stand on the ground."""
    radius_m: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    """Of the bone's capsule in a GLB; 0.12 of the bone's length without it."""


class Creature(Tables):
    """A skeleton of any kind that a person's motion drives."""

    description: str = ""
    root: CreatureRoot = CreatureRoot()
    human_pose: dict[str, Vector3] = Field(default_factory=dict)
    """Directions of the person's bones in the pose that is the creature's rest, where they are not
    those of a T-pose; bones below go along."""
    bones: Annotated[tuple[CreatureBone, ...], BeforeValidator(_tupled)]

    def parents(self) -> list[int]:
        """Numbers of the bones' parents, -1 for the first bone."""
        numbers = {bone.name: number for number, bone in enumerate(self.bones)}
        return [-1 if bone.parent is None else numbers[bone.parent] for bone in self.bones]


def load_creature(name: str) -> Creature:
    """Load a shipped creature by its name, or any TOML file by its path.

    Raises:
        ConfigError: There is no such creature, or it has mistakes; the message lists them.
    """
    path = find_toml(name, presets_folder() / "creatures", "creature")
    return creature_from(read_toml(path, "creature"), f"creature {path}")


def creature_from(data: Mapping[str, Any], origin: str) -> Creature:
    """Check the tables of a creature.

    Args:
        data: As TOML has them.
        origin: What messages name as their source.

    Raises:
        ConfigError: Settings are wrong, or the bones are no tree; the message lists the mistakes.
    """
    bones = data.get("bones")
    if isinstance(bones, list) and not 1 <= len(bones) <= MAX_BONES:
        raise ConfigError(f"{origin}: bones: expected 1 to {MAX_BONES} of them, got {len(bones)}")
    creature = validated(Creature, dict(data), origin)
    mistakes = _tree_mistakes(creature.bones) or _bone_mistakes(creature)
    if mistakes:
        more = len(mistakes) - _MAX_MISTAKES
        told = mistakes[:_MAX_MISTAKES] + ([f"and {more} more mistakes"] if more > 0 else [])
        raise ConfigError(f"{origin}: {'; '.join(told)}")
    return creature


def bone_directions(creature: Creature) -> Floats:
    """(B, 3) unit directions of the bones at rest: to the tip, else to the first child."""
    ways = [bone.end_m for bone in creature.bones]
    for number, parent in enumerate(creature.parents()):
        if parent >= 0 and ways[parent] is None:
            ways[parent] = creature.bones[number].offset_m
    directions = np.array([(0.0, 0.0, 0.0) if way is None else way for way in ways], np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions / np.maximum(lengths, 1e-12))


def axis_matrix(axes: Sequence[str]) -> Floats:
    """(3, 3) the matrix that takes x, y and z to these axes."""
    columns = [(-1.0 if "-" in axis else 1.0) * np.eye(3)["xyz".index(axis[-1])] for axis in axes]
    return np.stack(columns, axis=1)


def _tree_mistakes(bones: tuple[CreatureBone, ...]) -> list[str]:
    """What keeps the bones from being one tree with parents first, a sentence each."""
    mistakes = []
    above = {bone.name: bone.parent for bone in bones}
    seen: set[str] = set()
    for number, bone in enumerate(bones):
        where = f"bones.{number} {bone.name!r}"
        if bone.name in seen:
            mistakes.append(f"{where}: expected names that differ, this one is there twice")
        elif bone.name.endswith(END):
            mistakes.append(f"{where}: expected a name that does not end in {END}")
        elif bone.parent is None and number > 0:
            mistakes.append(f"{where}: expected a parent; only the first bone has none")
        elif bone.parent is not None and bone.parent not in above:
            mistakes.append(f"{where}: no bone {bone.parent!r:.80} to be its parent")
        elif bone.parent is not None and _hangs_at_itself(bone.name, above):
            mistakes.append(f"{where}: hangs at itself by way of {bone.parent!r}")
        elif bone.parent is not None and bone.parent not in seen:
            mistakes.append(f"{where}: expected after its parent {bone.parent!r}")
        seen.add(bone.name)
    return mistakes


def _hangs_at_itself(name: str, above: Mapping[str, str | None]) -> bool:
    parent = above[name]
    for _ in above:
        if parent is None or parent == name:
            break
        parent = above.get(parent)
    return parent == name


def _bone_mistakes(creature: Creature) -> list[str]:
    """What is wrong with bones of a tree, a sentence each."""
    mistakes = [f"human_pose.{problem}" for bone, way in creature.human_pose.items()
                if (problem := _human_mistake(bone) or _short(bone, way))]  # fmt: skip
    with_child = set(creature.parents())
    lengths = np.linalg.norm(bone_directions(creature), axis=1)
    for number, bone in enumerate(creature.bones):
        where = f"bones.{number} {bone.name!r}"
        if bone.human is not None and (problem := _human_mistake(bone.human)):
            mistakes.append(f"{where}: human: {problem}")
        if bone.end_m is None and number not in with_child:
            mistakes.append(f"{where}: expected end_m, as no bone hangs at it")
        elif bone.end_m is not None and (problem := _short("end_m", bone.end_m)):
            mistakes.append(f"{where}: {problem}")
        elif lengths[number] < 0.5:
            mistakes.append(f"{where}: expected end_m, as its first child is at its own joint")
        if bone.axes is not None and np.linalg.det(axis_matrix(bone.axes)) < 0.5:
            mistakes.append(f"{where}: axes: {list(bone.axes)}: expected three different axes that "
                            'make a turn, such as ["x", "z", "-y"]')  # fmt: skip
        for setting in ("bend_deg", "side_deg", "twist_deg"):
            limits = getattr(bone, setting)
            if limits is not None and not limits[0] <= 0 <= limits[1]:
                mistakes.append(f"{where}: {setting}: {list(limits)}: expected [low, high] with "
                                "the rest, 0, between them")  # fmt: skip
    if creature.root.height == "feet" and not any(bone.foot for bone in creature.bones):
        mistakes.append('root.height: "feet": expected a bone with foot = true')
    return mistakes


def _short(what: str, way: Sequence[float]) -> str:
    if np.linalg.norm(way) >= SHORTEST_BONE_M:
        return ""
    return f"{what}: {list(way)}: expected a length of {SHORTEST_BONE_M} at least"


def _human_mistake(bone: str) -> str:
    if bone in VRM_PARENTS:
        return ""
    near = get_close_matches(bone[:60], VRM_PARENTS, 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else ", such as hips, chest or leftUpperArm"
    return f"{bone!r:.80}: no bone of VRM's humanoid{hint}"
