"""Make the built-in poses out of walks through the body's joint space; no recording is used.

Run `python -m magicpose_cli.augmentation.pose_making` to write poses.npz anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.body.joint_groups import BODY_GROUPS, JOINT_GROUPS
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import axis_angle_from_matrix, matrix_from_axis_angle

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.synthetic.rendered.joint_turns import JointTurns

LIBRARY_SEED = 20240616
FAMILY_COUNTS = {
    "standing": 56, "walking": 96, "running": 32, "gesturing": 56, "dancing": 40,
    "bending": 24, "carrying": 24, "sitting": 16,
}  # fmt: skip
STILL_TIMES_S = np.array([0.0, 1.3, 2.7])
POSE_JOINTS = tuple(j for g in BODY_GROUPS if g != "root" for j in JOINT_GROUPS[g].joints)
"""The joints of a pose, in the order of its numbers; fingers are as the picture shows them."""


def make_library(seed: int = LIBRARY_SEED) -> dict[str, AnyArray]:
    """Make the poses of all families.

    Args:
        seed: Fixes everything.

    Returns:
        "axis_angles" (P, joints, 3) float16 radians, local to the parent, of POSE_JOINTS;
        "root" (P, 3) float16 axis-angle of how the hips lean, without their turn about the
        vertical; "family" (P,) names; "joints" their names.
    """
    import torch

    body = Body.load(("skin",))
    rng = np.random.default_rng(seed)
    found: list[Tensor] = []
    families: list[str] = []
    for family, count in FAMILY_COUNTS.items():
        found.append(_family(body, rng, family, count))
        families += [family] * count
    rotations = torch.cat(found)
    own = [body.joint(name) for name in POSE_JOINTS]
    return {
        "axis_angles": axis_angle_from_matrix(rotations[:, own]).numpy().astype(np.float16),
        "root": axis_angle_from_matrix(rotations[:, 0]).numpy().astype(np.float16),
        "family": np.array(families),
        "joints": np.array(POSE_JOINTS),
    }


def _family(body: Body, rng: np.random.Generator, family: str, count: int) -> Tensor:
    """(count, J, 3, 3) local rotations."""
    from magicpose_cli.synthetic.rendered.joint_turns import JointTurns

    if family in ("gesturing", "dancing"):
        return _sampled(body, rng, "gesture" if family == "gesturing" else "dance", count)
    if family == "standing":
        return _sampled(body, rng, "talk", count)
    turns = JointTurns(body, count)
    _MOVERS[family](turns, rng, count)
    return turns.rotations


def _sampled(body: Body, rng: np.random.Generator, style: str, count: int) -> Tensor:
    """Poses of people who stand, gesture or dance, facing ahead."""
    import torch

    from magicpose_cli.synthetic.rendered.joint_motion import sample_body_clip

    rest = body.rest(torch.zeros(1, body.component_count))
    clips = -(-count // len(STILL_TIMES_S))
    found = [
        sample_body_clip(body, rest, rng, STILL_TIMES_S, style).rotations for _ in range(clips)
    ]
    rotations = torch.cat(found)[:count]
    rotations[:, 0] = torch.eye(3)
    return rotations


def _angles(*columns: Floats | float, count: int) -> Floats:
    """(count, 3) degrees out of numbers and (count,) columns."""
    found: Floats = np.stack([np.broadcast_to(np.asarray(c, float), count) for c in columns], 1)
    return found


def _legs(turns: JointTurns, left: tuple[Floats, Floats], right: tuple[Floats, Floats]) -> None:
    """Turn hips and knees: (flexion, bend) in degrees of each side, the foot kept level."""
    for side, (flexion, knee) in (("left", left), ("right", right)):
        count = len(flexion)
        sign = 1 if side == "left" else -1
        turns.turn(f"{side}_upper_leg", _angles(-flexion, 0, -3.0 * sign, count=count))
        turns.turn(f"{side}_lower_leg", _angles(knee, 0, 0, count=count))
        foot = 0.8 * np.clip(flexion - knee, -30, 30)
        turns.turn(f"{side}_foot", _angles(foot, 0, 0, count=count))


def _arms(
    turns: JointTurns, side: str, swing: Floats, bend: Floats, aside: Floats | float = 0.0
) -> None:
    """Let an arm hang: swing forward, elbow's bend and how far aside, all in degrees."""
    import torch

    count, sign = len(swing), 1 if side == "left" else -1
    letter = side[0].upper()
    down = _angles(0, 0, -sign * (38.0 - np.asarray(aside)), count=count)
    forward = _angles(-swing, 0, 0, count=count)
    first, second = (
        matrix_from_axis_angle(torch.from_numpy(np.radians(values)).float())
        for values in (forward, down)
    )
    turns.set(f"upperarm01.{letter}", first @ second)
    turns.turn(f"{side}_lower_arm", _angles(0, bend, 0, count=count))


def _gait(turns: JointTurns, rng: np.random.Generator, count: int, *, runs: bool) -> None:
    """Phases of walking or running: legs in turn, arms against them, the trunk leaning."""
    phase = (np.arange(count) + rng.random(count)) / count * 2 * np.pi
    phase = rng.permutation(phase)
    reach = rng.uniform(28, 46, count) if runs else rng.uniform(14, 30, count)
    lift = rng.uniform(70, 100, count) if runs else rng.uniform(38, 58, count)
    legs = []
    for shift in (0.0, np.pi):
        swing = np.cos(phase + shift)
        flexion = reach * swing + (12 if runs else 4)
        # The knee bends while the leg comes forward, and a little as it takes the weight.
        knee = lift * np.clip(-np.sin(phase + shift + 0.5), 0, 1) ** 1.5 + (14 if runs else 6)
        legs.append((flexion, knee))
    _legs(turns, legs[0], legs[1])
    arm = rng.uniform(28, 45, count) if runs else rng.uniform(8, 26, count)
    bend = rng.uniform(75, 105, count) if runs else rng.uniform(-4, 16, count)
    _arms(turns, "left", -arm * np.cos(phase), bend, rng.uniform(0, 8, count))
    _arms(turns, "right", arm * np.cos(phase), bend, rng.uniform(0, 8, count))
    lean = rng.uniform(6, 16, count) if runs else rng.uniform(0, 7, count)
    twist = 7 * np.cos(phase)
    turns.turn("spine", _angles(lean, twist, rng.normal(0, 2, count), count=count))
    turns.turn("neck", _angles(rng.normal(2, 8, count), rng.normal(0, 16, count), 0, count=count))


def _walk(turns: JointTurns, rng: np.random.Generator, count: int) -> None:
    _gait(turns, rng, count, runs=False)


def _run(turns: JointTurns, rng: np.random.Generator, count: int) -> None:
    _gait(turns, rng, count, runs=True)


def _carry(turns: JointTurns, rng: np.random.Generator, count: int) -> None:
    """Walk with one arm at a strap, a telephone or a bag."""
    _gait(turns, rng, count, runs=False)
    for side in ("left", "right"):
        own = rng.random(count) < 0.75
        swing = np.where(own, rng.uniform(5, 45, count), rng.uniform(-12, 12, count))
        bend = np.where(own, rng.uniform(70, 135, count), rng.uniform(5, 25, count))
        _arms(turns, side, swing, bend, rng.uniform(0, 12, count))


def _bend(turns: JointTurns, rng: np.random.Generator, count: int) -> None:
    """Bend over, reach down or crouch."""
    import torch

    depth = rng.uniform(0.25, 1, count)
    hips = depth * rng.uniform(20, 60, count)
    knee = hips * rng.uniform(0.2, 1.6, count)
    _legs(turns, (hips, knee), (hips * rng.uniform(0.8, 1.2, count), knee))
    turns.turn("spine", _angles(30 * depth, rng.normal(0, 10, count), 0, count=count))
    for side in ("left", "right"):
        swing = rng.uniform(20, 70, count) * depth
        _arms(turns, side, swing, rng.uniform(5, 50, count), rng.uniform(0, 10, count))
    lean = _angles(0.5 * hips, 0, 0, count=count)
    turns.set("root", matrix_from_axis_angle(torch.from_numpy(np.radians(lean)).float()))


def _sit(turns: JointTurns, rng: np.random.Generator, count: int) -> None:
    """Sit, on something that is not shown."""
    left, right = rng.uniform(68, 92, count), rng.uniform(68, 92, count)
    _legs(turns, (left, left * rng.uniform(0.8, 1.1, count)), (right, right))
    turns.turn("spine", _angles(rng.uniform(-5, 25, count), rng.normal(0, 8, count), 0,
                                count=count))  # fmt: skip
    for side in ("left", "right"):
        _arms(turns, side, rng.uniform(10, 45, count), rng.uniform(20, 90, count))


_MOVERS: dict[str, Callable[[JointTurns, np.random.Generator, int], None]] = {
    "walking": _walk, "running": _run, "carrying": _carry, "bending": _bend, "sitting": _sit,
}  # fmt: skip


def _write() -> None:
    from magicpose_cli.augmentation.pose_library import LIBRARY_FILE
    from magicpose_cli.files import whole_file

    with whole_file(LIBRARY_FILE, overwrite=True) as hidden, hidden.open("wb") as file:
        np.savez_compressed(file, **make_library())


if __name__ == "__main__":
    _write()
