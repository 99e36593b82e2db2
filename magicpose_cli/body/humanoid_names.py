"""Which joint of a skeleton is which bone of VRM's humanoid, whoever has named them.

Known are the names of CMU's takes (as converted for MotionBuilder and for DAZ), LaFAN1, Mixamo,
Rokoko, MocapNET, MakeHuman, SMPL-X and VRM itself. Spines are told by where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from magicpose_cli.arrays import AnyArray

# The bones of VRM 1.0 by their parents; those that a skeleton lacks are passed over.
CENTER_BONES = {
    "hips": None,
    "spine": "hips",
    "chest": "spine",
    "upperChest": "chest",
    "neck": "upperChest",
    "head": "neck",
    "jaw": "head",
}
SIDE_BONES = {
    "Eye": "head",
    "UpperLeg": "hips",
    "LowerLeg": "UpperLeg",
    "Foot": "LowerLeg",
    "Toes": "Foot",
    "Shoulder": "upperChest",
    "UpperArm": "Shoulder",
    "LowerArm": "UpperArm",
    "Hand": "LowerArm",
    "ThumbMetacarpal": "Hand",
    "ThumbProximal": "ThumbMetacarpal",
    "ThumbDistal": "ThumbProximal",
} | {
    f"{finger}{segment}": parent
    for finger in ("Index", "Middle", "Ring", "Little")
    for segment, parent in (
        ("Proximal", "Hand"),
        ("Intermediate", f"{finger}Proximal"),
        ("Distal", f"{finger}Intermediate"),
    )
}
FINGER_NUMBERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "little": 5}


def _vrm_parents() -> dict[str, str | None]:
    parents: dict[str, str | None] = dict(CENTER_BONES)
    for side in ("left", "right"):
        for bone, parent in SIDE_BONES.items():
            parents[f"{side}{bone}"] = f"{side}{parent}" if parent in SIDE_BONES else parent
    return parents


VRM_PARENTS = _vrm_parents()
"""Every bone of the humanoid and its parent, parents first."""

CENTER_ALIASES = {
    "hips": ("hips", "hip", "pelvis"),
    "neck": ("neck", "neck1", "neck01"),
    "head": ("head",),
    "jaw": ("jaw", "jaw00"),
}
SIDE_ALIASES = {
    "Eye": ("eye", "eyesmplhf"),
    "UpperLeg": ("upperleg", "upleg", "thigh", "hip", "upperleg01"),
    "LowerLeg": ("lowerleg", "leg", "shin", "knee", "calf", "lowerleg01"),
    "Foot": ("foot", "ankle"),
    "Toes": ("toes", "toe", "toebase", "toe21", "toe11", "footend"),
    "Shoulder": ("shoulder", "collar", "clavicle"),
    "UpperArm": ("upperarm", "arm", "shldr", "upperarm01"),
    "LowerArm": ("lowerarm", "forearm", "elbow", "lowerarm01"),
    "Hand": ("hand", "wrist"),
}
# What a name means depends on others: where there is an elbow, the shoulder is the upper arm's
# joint, and where there is an ankle, the foot is the joint of the toes.
WITH_ELBOW = {"Shoulder": ("collar", "clavicle"), "UpperArm": ("shoulder",)}
WITH_ANKLE = {"Foot": ("ankle",), "Toes": ("toes", "toe", "toebase", "foot", "ankleend")}


def _finger_aliases() -> dict[str, tuple[str, ...]]:
    aliases: dict[str, tuple[str, ...]] = {}
    for finger, number in FINGER_NUMBERS.items():
        thumb = finger == "thumb"
        segments = (
            ("Metacarpal", "Proximal", "Distal")
            if thumb
            else ("Proximal", "Intermediate", "Distal")
        )
        for place, segment in enumerate(segments, 1):
            words = {"middle": ("middle", "mid"), "little": ("little", "pinky")}.get(
                finger, (finger,)
            )
            names = [f"{word}{place}" for word in words]
            names += [f"hand{word}{place}" for word in words]
            names += [f"{word}{segment.lower()}" for word in words]
            names += [f"finger{number}{place}", f"finger{number}{segment.lower()}"]
            if place == 1:
                names += [word for word in words if thumb]
            aliases[f"{finger.capitalize()}{segment}"] = tuple(names)
    return aliases


SIDE_ALIASES |= _finger_aliases()


def plain_name(name: str) -> str:
    """The name without a namespace ("mixamorig:"), separators and capitals."""
    name = re.sub(r"^(?:.*[:|]|mixamorig\d*_?)", "", name)
    return re.sub(r"[^a-z0-9]", "", name.lower())


def humanoid_joints(names: Sequence[str], parents: Sequence[int] | AnyArray) -> dict[str, int]:
    """The numbers of the joints that are bones of VRM's humanoid.

    Args:
        names: of all joints.
        parents: their parents' numbers, -1 for the root.

    Returns:
        VRM's names and joints, parents first. Empty where hips, a head, or an upper leg and arm of
        either side are lacking: that is no person.
    """
    plain: dict[str, int] = {}
    for joint, name in enumerate(names):
        plain.setdefault(plain_name(name), joint)
    found = _by_names(plain)
    found |= _spine(found, parents)
    needed = ["hips", "head", *(f"{side}Upper{limb}" for side in ("left", "right")
                                for limb in ("Leg", "Arm"))]  # fmt: skip
    if not set(needed) <= found.keys():
        return {}
    chain = {bone: set(ancestors(joint, parents)) for bone, joint in found.items()}
    if any(found["hips"] not in line for bone, line in chain.items() if bone != "hips"):
        return {}
    kept: dict[str, int] = {}
    for bone in VRM_PARENTS:  # each must hang below the bone that it has as its parent
        parent = bone_above(bone, kept)
        if bone in found and (parent is None or kept[parent] in chain[bone]):
            kept[bone] = found[bone]
    return kept if set(needed) <= kept.keys() else {}


def bone_above(bone: str, there: dict[str, int] | set[str]) -> str | None:
    """The nearest bone above that is there; None for the hips."""
    above = VRM_PARENTS[bone]
    while above is not None and above not in there:
        above = VRM_PARENTS[above]
    return above


def ancestors(joint: int, parents: Sequence[int] | AnyArray) -> list[int]:
    """The joints above, the nearest first."""
    line = []
    while (joint := int(parents[joint])) >= 0:
        line.append(joint)
    return line


def _by_names(plain: dict[str, int]) -> dict[str, int]:
    found = {}
    for bone, aliases in CENTER_ALIASES.items():
        if alias := next((alias for alias in aliases if alias in plain), None):
            found[bone] = plain[alias]
    for side in ("left", "right"):
        first = side[0]
        known = dict(SIDE_ALIASES)
        for word, meant in (("elbow", WITH_ELBOW), ("ankle", WITH_ANKLE)):
            if any(form in plain for form in _forms(word, side, first)):
                known |= meant
        for bone, aliases in known.items():
            forms = [form for alias in aliases for form in _forms(alias, side, first)]
            if name := next((form for form in forms if form in plain), None):
                found[f"{side}{bone}"] = plain[name]
    return found


def _forms(alias: str, side: str, first: str) -> tuple[str, ...]:
    return f"{side}{alias}", f"{first}{alias}", f"{alias}{side}", f"{alias}{first}"


def _spine(found: dict[str, int], parents: Sequence[int] | AnyArray) -> dict[str, int]:
    """Hips where no name tells them, and the spine's bones by their place between hips and neck."""
    legs = [found.get(f"{side}UpperLeg") for side in ("left", "right")]
    head = found.get("head")
    if head is None or legs[0] is None or legs[1] is None:
        return {}
    lines = [set(ancestors(joint, parents)) for joint in (legs[0], legs[1])]
    above = ancestors(head, parents)
    shared = next((joint for joint in above if all(joint in line for line in lines)), None)
    hips = found.get("hips", shared)
    if shared is None or hips is None:
        return {}
    if hips not in above or hips in lines[0] ^ lines[1]:
        hips = shared
    spine = {"hips": hips}
    path = above[: above.index(hips)][::-1]  # from the hips up
    arms = [found[bone] for bone in ("leftUpperArm", "rightUpperArm") if bone in found]
    below = [joint for joint in path if all(joint in ancestors(arm, parents) for arm in arms)]
    if found.get("neck") in below:
        below = below[: below.index(found["neck"])]
    elif "neck" not in found and arms and len(below) < len(path):
        spine["neck"] = path[len(below)]
    path = below
    if path:
        spine["spine"] = path[0]
    if len(path) > 1:
        spine["chest" if len(path) == 2 else "upperChest"] = path[-1]
    if len(path) > 2:
        spine["chest"] = path[(len(path) - 1) // 2]
    return spine
