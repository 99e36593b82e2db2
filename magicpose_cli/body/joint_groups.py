"""Which joints the fit turns together, how people turn them, and how far they can."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magicpose_cli.body.model import Body

if TYPE_CHECKING:
    from torch import Tensor


class JointGroup(NamedTuple):
    """Joints that turn together, each by its share of the group's turn.

    spread_deg: the standard deviation of its three angles around the rest pose, where nothing is
    seen: about the axes below. low_deg, high_deg: what it can do, around the same axes.
    frame: "world" axes, or "bone": along the bone, the way it bends, across.
    usual_deg: where the angles are at ease; the rest pose's arms and fingers are straight.
    """

    joints: tuple[str, ...]
    share: float
    spread_deg: tuple[float, float, float]
    low_deg: tuple[float, float, float]
    high_deg: tuple[float, float, float]
    frame: str = "world"
    usual_deg: tuple[float, float, float] = (0, 0, 0)


def _sides(name: str, group: JointGroup) -> dict[str, JointGroup]:
    """The group at the left; at the right its mirror image, which turns about y and z reversed."""
    found = {}
    for side, letter in (("left", "L"), ("right", "R")):
        low, high = group.low_deg, group.high_deg
        if side == "right" and group.frame == "world":
            low, high = (low[0], -high[1], -high[2]), (high[0], -low[1], -low[2])
        joints = tuple(f"{joint}.{letter}" for joint in group.joints)
        found[f"{side}_{name}"] = group._replace(joints=joints, low_deg=low, high_deg=high)
    return found


# The first group is the root. Angles are about x (to the left), y (up), z (to the front): bending
# forward, turning to the left, and leaning to the right are positive. Limits are wide: dancers and
# gymnasts are people, too.
JOINT_GROUPS: dict[str, JointGroup] = {
    "root": JointGroup(("root",), 1.0, (180,) * 3, (-1e3,) * 3, (1e3,) * 3),
    "spine": JointGroup(
        ("spine05", "spine04", "spine03", "spine02", "spine01"), 0.2,
        (25, 20, 15), (-40, -50, -40), (90, 50, 40),
    ),
    "neck": JointGroup(
        ("neck01", "neck02", "neck03", "head"), 0.25, (20, 30, 15), (-60, -85, -45), (60, 85, 45)
    ),
}  # fmt: skip
for _name, _group in {
    "clavicle": JointGroup(
        ("clavicle", "shoulder01"), 0.5, (6,) * 3, (-20, -30, -15), (20, 30, 50)
    ),
    "upper_arm": JointGroup(("upperarm01",), 1.0, (45,) * 3, (-170,) * 3, (170,) * 3),
    "lower_arm": JointGroup(
        ("lowerarm01",), 1.0, (40, 45, 5), (-90, -5, -10), (90, 155, 10), "bone", (0, 25, 0)
    ),
    "wrist": JointGroup(("wrist",), 1.0, (30,) * 3, (-80,) * 3, (80,) * 3),
    "upper_leg": JointGroup(("upperleg01",), 1.0, (35, 15, 15), (-150, -50, -40), (45, 60, 90)),
    "lower_leg": JointGroup(("lowerleg01",), 1.0, (35, 6, 3), (-5, -30, -8), (155, 30, 8)),
    "foot": JointGroup(("foot",), 1.0, (8, 6, 6), (-40, -30, -30), (50, 30, 30)),
}.items():
    JOINT_GROUPS |= _sides(_name, _group)
BODY_GROUPS = tuple(JOINT_GROUPS)
for _finger in range(1, 6):
    JOINT_GROUPS |= _sides(
        f"finger_{_finger}",
        JointGroup(
            tuple(f"finger{_finger}-{_joint}" for _joint in (1, 2, 3)),
            1.0, (4, 25, 5), (-10, -15, -15), (10, 85, 15), "bone", (0, 12, 0),
        ),
    )  # fmt: skip
GROUP_NAMES = tuple(JOINT_GROUPS)


def limit_axes(body: Body, group: JointGroup) -> Tensor:
    """(3, 3): the axes of the group's angles as columns."""
    import torch
    from torch.nn.functional import normalize

    if group.frame == "world":
        return torch.eye(3)
    rest = body.mean[body.vertex_count :]
    first = rest[body.joint(group.joints[0])]
    if len(group.joints) == 3:  # a finger, which is bent a little at rest
        middle, last = (rest[body.joint(name)] for name in group.joints[1:])
        along = normalize(middle - first, dim=0)
        bend = normalize(torch.linalg.cross(along, last - middle), dim=0)
    else:  # a lower arm, which bends to the front
        along = normalize(rest[body.joint("wrist" + group.joints[0][-2:])] - first, dim=0)
        bend = normalize(torch.linalg.cross(along, torch.tensor([0.0, 0, 1])), dim=0)
    return torch.stack([along, bend, torch.linalg.cross(along, bend)], dim=1)
