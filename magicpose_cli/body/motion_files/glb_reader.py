"""Binary glTF 2.0 as SkeletalMotion: the first skin's joints and the first animation.

What nodes above the skeleton do is put into its root. Sizes of nodes (scale) are put into the
offsets, and so is how the nodes are turned at rest: where the motion's rotations are none, the
skeleton is in the pose of the nodes, with all joints along the axes of the world. Keys that are not
even in time are sampled anew. Files of VRM (.vrm, .vrma) are GLB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import ancestors, humanoid_joints
from magicpose_cli.body.motion_files.checks import (
    check_counts,
    check_rate,
    checked_motion,
    known_curve,
    rate_near,
    unique_joint_names,
)
from magicpose_cli.body.motion_files.glb_container import GlbDocument
from magicpose_cli.body.motion_files.glb_nodes import GlbNode, joints_of, read_nodes
from magicpose_cli.body.skeletal_motion import SkeletalMotion

GLB_FPS = 30.0
ANIMATED_KINDS = {"translation": "VEC3", "rotation": "VEC4"}
MOVED_M = 1e-3


@dataclass
class _Keys:
    """times: (K,) seconds, ascending. values: (K, width). step: nothing lies between two keys."""

    times: AnyArray
    values: AnyArray
    step: bool


@dataclass
class _Animation:
    tracks: dict[tuple[int, str], _Keys] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_glb(path: Path, *, fps: float | None = None) -> SkeletalMotion:
    """Read a GLB file.

    Args:
        path: the file.
        fps: frames a second; by default those of the keys.

    Errors: InputError of one line.
    """
    document = GlbDocument(path)
    nodes = read_nodes(document)
    animation = _read_animation(document, nodes)
    joints = joints_of(document, nodes, {node for node, what in animation.tracks
                                         if what != "weights"})  # fmt: skip
    joints = _from_hips(nodes, joints, animation)
    start, count, rate = _timing(path, animation, fps)
    check_counts(path, len(joints) + len(animation.tracks), count)
    times = start + np.arange(count) / float(rate)
    parents = [-1] + [joints.index(nodes[joint].parent) for joint in joints[1:]]
    offsets, size = _offsets(nodes, joints, parents, animation)
    rotations = np.stack([_rotations(nodes, animation, joint, times) for joint in joints], axis=1)
    root = _translations(nodes, animation, joints[0], times)
    root, rotations[:, 0] = _above(nodes, animation, joints[0], times, root, rotations[:, 0])
    offsets, rotations = _from_rest(nodes, joints, parents, offsets * size[:, None], rotations)
    return checked_motion(
        path,
        unique_joint_names([nodes[joint].name for joint in joints]),
        parents,
        offsets,
        rotations,
        root,
        rate,
        curves=_curves(document, nodes, animation, times),
        notes=tuple(animation.notes),
    )


def _read_animation(document: GlbDocument, nodes: list[GlbNode]) -> _Animation:
    result = _Animation()
    animations = document.objects(document.json, "animations")
    if not animations:
        result.notes.append("the file has no animation: one frame of its pose is taken")
        return result
    if len(animations) > 1:
        name = str(animations[0].get("name", "unnamed"))[:40]
        result.notes.append(f"of {len(animations)} animations the first is taken ({name})")
    samplers = document.objects(animations[0], "samplers")
    odd = set()
    for channel in document.objects(animations[0], "channels"):
        target = document.child(channel, "target")
        what = target.get("path")
        if "node" not in target or what not in ("translation", "rotation", "weights"):
            if what == "scale":
                odd.add("sizes that change are left out")
            continue
        node = document.index(target["node"], "target's node", len(nodes))
        number = document.index(channel.get("sampler"), "sampler", len(samplers))
        keys, cubic = _read_keys(document, samplers[number], str(what))
        result.tracks[node, str(what)] = keys
        if cubic:
            odd.add("keys along cubic curves are joined by the shortest way")
    result.notes += sorted(odd)
    return result


def _read_keys(document: GlbDocument, sampler: dict[str, Any], what: str) -> tuple[_Keys, bool]:
    times = document.array(sampler.get("input"), "input", ("SCALAR",))
    if (np.diff(times) <= 0).any() or times[0] < 0:
        document.refuse("animation", "times that grow", "others")
    values = document.array(sampler.get("output"), "output", (ANIMATED_KINDS.get(what, "SCALAR"),))
    way = sampler.get("interpolation", "LINEAR")
    if way not in ("LINEAR", "STEP", "CUBICSPLINE"):
        document.refuse("interpolation", "LINEAR, STEP or CUBICSPLINE", way)
    cubic = way == "CUBICSPLINE"
    if len(values) % (len(times) * (3 if cubic else 1)) or (
        what != "weights" and len(values) != len(times) * (3 if cubic else 1)
    ):
        document.refuse("animation", f"values for {len(times)} times", len(values))
    rows = values.reshape(len(times), -1)
    if cubic:  # a slope, the value, a slope
        rows = rows.reshape(len(times), 3, -1)[:, 1]
    if what == "rotation":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (lengths > 1e-3).all():
            document.refuse("rotation", "unit quaternions", "zeros")
        rows = rows / lengths
    return _Keys(times, rows, way == "STEP"), cubic


def _from_hips(nodes: list[GlbNode], joints: list[int], animation: _Animation) -> list[int]:
    """The joints from the hips down where those travel below another joint."""
    parents = [-1] + [joints.index(nodes[joint].parent) for joint in joints[1:]]
    bones = humanoid_joints([nodes[joint].name for joint in joints], parents)
    hips = bones.get("hips", 0)
    keys = animation.tracks.get((joints[hips], "translation"))
    if hips == 0 or keys is None or float(np.ptp(keys.values, axis=0).max()) < MOVED_M:
        return joints
    name = nodes[joints[hips]].name
    animation.notes.append(f"{name:.40} travels, and is the root in place of others above")
    return [
        j for place, j in enumerate(joints) if place == hips or hips in ancestors(place, parents)
    ]


def _timing(path: Path, animation: _Animation, fps: float | None) -> tuple[float, int, float]:
    """When the animation starts, the number of frames and their rate."""
    tracks = animation.tracks.values()
    if not tracks:
        return 0.0, 1, float(check_rate(path, fps or GLB_FPS))
    start = min(float(keys.times[0]) for keys in tracks)
    end = max(float(keys.times[-1]) for keys in tracks)
    times = max((keys.times for keys in tracks), key=len)
    if fps is None:
        fps = GLB_FPS
        if len(times) > 1:
            steps = np.diff(times)
            even = np.ptp(steps) < 0.05 * steps.mean()
            own = 1 / (steps.mean() if even else np.median(steps))
            fps = float(rate_near(min(float(own), 1e6), 2e-4))
            if not even:
                fps = min(fps, 120.0)
                animation.notes.append(f"the keys are not even in time: sampled {fps:g} a second")
    rate = float(check_rate(path, fps))
    return start, int(min((end - start) * rate, 1e9) + 1e-3) + 1, rate


def _sampled(keys: _Keys, times: AnyArray, turns: bool) -> AnyArray:
    """(N, width) at these times, held before the first key and after the last."""
    if len(keys.times) == len(times) and np.abs(keys.times - times).max() < 1e-3 * (
        times[-1] - times[0] + 1e-9
    ) / len(times):
        return keys.values
    within = np.clip(times, keys.times[0], keys.times[-1])
    if keys.step or len(keys.times) == 1:
        index = np.searchsorted(keys.times, within + 1e-6, side="right") - 1
        return np.asarray(keys.values[np.maximum(index, 0)])
    if turns:
        return np.asarray(Slerp(keys.times, Rotation.from_quat(keys.values))(within).as_quat())
    columns = [np.interp(within, keys.times, column) for column in keys.values.T]
    return np.stack(columns, axis=1)


def _rotations(nodes: list[GlbNode], animation: _Animation, node: int, times: AnyArray) -> AnyArray:
    keys = animation.tracks.get((node, "rotation"))
    if keys is None:
        return np.tile(nodes[node].rotation, (len(times), 1))
    return _sampled(keys, times, turns=True)


def _translations(
    nodes: list[GlbNode], animation: _Animation, node: int, times: AnyArray
) -> AnyArray:
    keys = animation.tracks.get((node, "translation"))
    if keys is None:
        return np.tile(nodes[node].translation, (len(times), 1))
    return _sampled(keys, times, turns=False)


def _offsets(
    nodes: list[GlbNode], joints: list[int], parents: list[int], animation: _Animation
) -> tuple[AnyArray, AnyArray]:
    """(J, 3) offsets at rest, and (J,) the size that the nodes above give to each."""
    offsets = np.stack([nodes[joint].translation for joint in joints])
    size = np.ones(len(joints))
    size[0] = float(np.prod([nodes[node].scale for node in _line(nodes, joints[0])]))
    stretched = False
    for place, joint in enumerate(joints[1:], 1):
        parent = parents[place]
        size[place] = size[parent] * nodes[joints[parent]].scale
        keys = animation.tracks.get((joint, "translation"))
        if keys is not None:
            offsets[place] = np.median(keys.values, axis=0)
            moved = float(np.ptp(keys.values, axis=0).max()) * abs(float(size[place]))
            stretched = stretched or moved > MOVED_M
    if stretched:
        animation.notes.append("bones stretch; they keep their median")
    return offsets, size


def _line(nodes: list[GlbNode], node: int) -> list[int]:
    """The nodes above, the nearest first."""
    line = []
    while (node := nodes[node].parent) >= 0:
        line.append(node)
    return line


def _above(
    nodes: list[GlbNode],
    animation: _Animation,
    joint: int,
    times: AnyArray,
    root: AnyArray,
    turns: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """Place and rotations of the root in the world."""
    own = Rotation.from_quat(turns)
    for node in _line(nodes, joint):
        turn = Rotation.from_quat(_rotations(nodes, animation, node, times))
        place = _translations(nodes, animation, node, times)
        root = place + turn.apply(root * nodes[node].scale)
        own = turn * own
    return root, np.asarray(own.as_quat())


def _from_rest(
    nodes: list[GlbNode],
    joints: list[int],
    parents: list[int],
    offsets: AnyArray,
    rotations: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """Offsets and rotations of joints whose axes are the world's in the nodes' pose.

    With B a joint's rotation in the world at rest and p its parent, the offset t becomes B_p t and
    the rotation R becomes B_p R B^-1; the root's, in the world already, becomes R B^-1.
    """
    offsets, rotations = offsets.copy(), rotations.copy()
    place, own = nodes[joints[0]].translation, Rotation.from_quat(nodes[joints[0]].rotation)
    for node in _line(nodes, joints[0]):
        turn = Rotation.from_quat(nodes[node].rotation)
        place = nodes[node].translation + turn.apply(place * nodes[node].scale)
        own = turn * own
    rest = [own]
    offsets[0] = place
    turned = Rotation.from_quat(rotations[:, 0]) * own.inv()
    rotations[:, 0] = turned.as_quat()
    for joint in range(1, len(joints)):
        above = rest[parents[joint]]
        own = above * Rotation.from_quat(nodes[joints[joint]].rotation)
        rest.append(own)
        offsets[joint] = above.apply(offsets[joint])
        turned = above * Rotation.from_quat(rotations[:, joint]) * own.inv()
        rotations[:, joint] = turned.as_quat()
    return offsets, rotations


def _curves(
    document: GlbDocument, nodes: list[GlbNode], animation: _Animation, times: AnyArray
) -> dict[str, AnyArray]:
    """Weights of shapes that have ARKit's names."""
    meshes = document.objects(document.json, "meshes")
    curves: dict[str, AnyArray] = {}
    for (node, what), keys in animation.tracks.items():
        if what != "weights" or nodes[node].mesh is None:
            continue
        mesh = meshes[document.index(nodes[node].mesh, "mesh", len(meshes))]
        names = document.child(mesh, "extras").get("targetNames", [])
        if not isinstance(names, list) or len(names) != keys.values.shape[1]:
            continue
        values = _sampled(keys, times, turns=False)
        for column, name in enumerate(names):
            if known := known_curve(str(name)):
                curves[known] = values[:, column]
    return curves
