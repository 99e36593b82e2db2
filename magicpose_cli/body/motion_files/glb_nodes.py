"""The tree of nodes in a glTF file, and which of them are joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.checks import MAX_JOINTS
from magicpose_cli.body.motion_files.glb_container import GlbDocument

MAX_NODES = 4 * MAX_JOINTS


@dataclass
class GlbNode:
    """A node at rest. scale: one for all axes (the geometric mean). mesh: whatever is told."""

    name: str
    translation: AnyArray
    rotation: AnyArray
    scale: float
    children: list[int]
    mesh: Any
    parent: int = -1


def read_nodes(document: GlbDocument) -> list[GlbNode]:
    """All nodes. Errors: InputError where they are no tree, or too many."""
    told = document.objects(document.json, "nodes")
    if not 1 <= len(told) <= MAX_NODES:
        document.refuse("nodes", f"1 to {MAX_NODES}", len(told))
    nodes = [_node(document, number, node, len(told)) for number, node in enumerate(told)]
    for number, node in enumerate(nodes):
        for child in node.children:
            if nodes[child].parent >= 0:
                document.refuse("nodes", "one parent each", f"two of {child}")
            nodes[child].parent = number
    below = [number for number, node in enumerate(nodes) if node.parent < 0]
    reached = 0
    while below:
        reached += 1
        below += nodes[below.pop()].children
    if reached != len(nodes):
        document.refuse("nodes", "a tree", "a ring")
    return nodes


def _node(document: GlbDocument, number: int, node: dict[str, Any], count: int) -> GlbNode:
    children = node.get("children", [])
    if not isinstance(children, list):
        document.refuse("children", "a list", children)
    children = [document.index(child, "children", count) for child in children]
    translation, rotation, scale = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), np.ones(3)
    if "matrix" in node:
        matrix = document.numbers(node["matrix"], "matrix", 16).reshape(4, 4).T
        translation = matrix[:3, 3]
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        if not (scale > 1e-9).all() or np.linalg.det(matrix[:3, :3] / scale) < 0.5:
            document.refuse("matrix", "a rotation and a size", "another")
        rotation = Rotation.from_matrix(matrix[:3, :3] / scale).as_quat()
    if "translation" in node:
        translation = document.numbers(node["translation"], "translation", 3)
    if "rotation" in node:
        rotation = document.numbers(node["rotation"], "rotation", 4)
    if "scale" in node:
        scale = document.numbers(node["scale"], "scale", 3)
    length = float(np.linalg.norm(rotation))
    if not 1e-3 < length < 1e3:
        document.refuse("rotation", "a unit quaternion", rotation.tolist())
    size = float(np.cbrt(np.abs(np.prod(scale))))
    name = str(node.get("name", f"node{number}"))
    return GlbNode(name, translation, rotation / length, size, children, node.get("mesh"))


def joints_of(document: GlbDocument, nodes: list[GlbNode], animated: set[int]) -> list[int]:
    """The nodes of the skeleton, the root first and parents before children.

    They are the first skin's joints and what is between those; without a skin, what is animated and
    what hangs below it.
    """
    skins = document.objects(document.json, "skins")
    told: Any = None
    if skins:
        told = skins[0].get("joints")
        if not isinstance(told, list) or not told:
            document.refuse("joints", "a list of nodes", told)
        wanted = {document.index(joint, "joints", len(nodes)) for joint in told}
    else:
        wanted = set(animated)
        for number in animated:
            waiting = list(nodes[number].children)
            while waiting:
                joint = waiting.pop()
                wanted.add(joint)
                waiting += nodes[joint].children
    if not wanted:
        document.refuse("joints", "a skin or an animation of nodes", "neither")
    if len(wanted) > MAX_JOINTS:
        document.refuse("joints", f"{MAX_JOINTS} at most", len(wanted))
    root = _root(nodes, wanted)
    kept = {root}
    for joint in wanted:
        line = [joint]
        while line[-1] != root and nodes[line[-1]].parent >= 0:
            line.append(nodes[line[-1]].parent)
        if line[-1] == root:
            kept.update(line)
    if len(kept) > MAX_JOINTS:
        document.refuse("joints", f"{MAX_JOINTS} at most", len(kept))
    own = list(dict.fromkeys(told)) if skins else sorted(kept)
    if set(own) == kept and _parents_first(nodes, own, root):
        return own
    order, waiting = [], [root]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += [child for child in reversed(nodes[joint].children) if child in kept]
    return order


def _parents_first(nodes: list[GlbNode], order: list[int], root: int) -> bool:
    place = {joint: number for number, joint in enumerate(order)}
    return order[0] == root and all(
        place[nodes[joint].parent] < number for joint, number in place.items() if joint != root
    )


def _root(nodes: list[GlbNode], wanted: set[int]) -> int:
    """The lowest node above or among them that has the most of them at or below it."""
    counts: dict[int, int] = {}
    depths: dict[int, int] = {}
    for joint in wanted:
        line = [joint]
        while nodes[line[-1]].parent >= 0:
            line.append(nodes[line[-1]].parent)
        for depth, node in enumerate(reversed(line)):
            counts[node] = counts.get(node, 0) + 1
            depths[node] = depth
    most = max(counts.values())
    return max((node for node in counts if counts[node] == most), key=lambda node: depths[node])
