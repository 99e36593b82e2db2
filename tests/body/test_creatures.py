"""A person's motion on dogs, birds and whatever a TOML file tells."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from magicpose_cli.body.creature_mesh import capsule, creature_mesh
from magicpose_cli.body.creature_transfer import creature_motion, limit_frame
from magicpose_cli.body.creatures import MAX_BONES, bone_directions, creature_from, load_creature
from magicpose_cli.body.motion_conversion import MotionEdits, convert_motion
from magicpose_cli.body.motion_files.bvh_reader import read_bvh
from magicpose_cli.body.motion_files.bvh_writer import write_bvh
from magicpose_cli.body.motion_files.glb_reader import read_glb
from magicpose_cli.body.skeletal_motion import SkeletalMotion, forward_kinematics, world_rotations
from magicpose_cli.config.sections import presets_folder, tomllib
from magicpose_cli.errors import ConfigError, InputError
from tests.body.skeletons import MIXAMO, bvh_text, skeleton, walk

SHIPPED = sorted(path.stem for path in (presets_folder() / "creatures").glob("*.toml"))
DOCS = Path(__file__).parents[2] / "docs" / "motion.md"
ROD = {
    "bones": [
        {"name": "body", "offset_m": [0, 1, 0], "human": "hips"},
        {"name": "rod", "parent": "body", "offset_m": [0, 0.2, 0], "end_m": [0, 0.5, 0],
         "human": "leftUpperArm", "foot": True},
    ]
}  # fmt: skip


def rod(**settings):
    """The smallest creature, with these settings of its rod."""
    body, own = ROD["bones"]
    return creature_from({"bones": [body, {**own, **settings}]}, "rod")


def data_of(name):
    return tomllib.loads((presets_folder() / "creatures" / f"{name}.toml").read_text("utf-8"))


def person_creature(gain=1.0, **root):
    """The humanoid itself as a creature, every bone driven by its own."""
    names, parents, offsets = skeleton()
    bones = []
    for joint, name in enumerate(names):
        bone = {"name": name, "offset_m": offsets[joint].tolist(), "human": name, "gain": gain}
        if joint:
            bone["parent"] = names[parents[joint]]
        if joint not in parents:
            way = [0, 0.1, 0] if name == "head" else [0, 0, 0.1]
            side = 0.1 if name.startswith("left") else -0.1
            bone["end_m"] = [side, 0, 0] if name.endswith("Hand") else way
        bone["foot"] = name.endswith("Toes")
        bones.append(bone)
    return creature_from({"bones": bones, "root": root}, "person")


def wild(seed, frames, size=1.0, fps=30):
    """A person whose joints all turn anyhow from frame to frame."""
    names, parents, offsets = skeleton()
    generator = np.random.default_rng(seed)
    turns = generator.normal(0, size, (frames, len(names), 3)) * np.pi
    rotations = Rotation.from_rotvec(turns.reshape(-1, 3)).as_quat().reshape(frames, -1, 4)
    return SkeletalMotion(names, parents, offsets, rotations, generator.normal(size=(frames, 3)),
                          fps)  # fmt: skip


def joint_angles_deg(motion, creature, number):
    """(F, 3) bend, side and twist by their definition: the swing takes the bone where it points."""
    frame = limit_frame(creature, number)
    turns = Rotation.from_quat(motion.rotations[:, number])
    bone = frame[:, 2]
    now = turns.apply(bone)
    axis = np.cross(bone, now)
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, now @ bone)
    swing = axis / np.maximum(sine, 1e-12)[:, None] * angle[:, None]
    twist = (Rotation.from_rotvec(swing).inv() * turns).as_rotvec()
    return np.degrees(np.stack([swing @ frame[:, 0], swing @ frame[:, 1], twist @ bone], axis=1))


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.05, 0.3, 1.0]),
       fps=st.sampled_from([1, 30, 240]))  # fmt: skip
def test_no_joint_goes_beyond_its_limits(name, seed, size, fps):
    data = data_of(name)
    data["root"] = {"heading": False}  # it is no joint's
    creature = creature_from(data, name)
    moved = creature_motion(wild(seed, 6, size, fps), creature)
    assert np.isfinite(moved.rotations).all() and np.isfinite(moved.root_m).all()
    checked = 0
    for number, bone in enumerate(creature.bones):
        angles = joint_angles_deg(moved, creature, number)
        for column, limits in enumerate((bone.bend_deg, bone.side_deg, bone.twist_deg)):
            if limits is not None:
                checked += 1
                assert (angles[:, column] >= limits[0] - 1e-4).all(), bone.name
                assert (angles[:, column] <= limits[1] + 1e-4).all(), bone.name
    assert checked >= 3


def test_a_limit_is_reached():
    creature = rod(bend_deg=[-10, 20], side_deg=[0, 0], twist_deg=[0, 0])
    angles = joint_angles_deg(creature_motion(wild(1, 200, 0.1, 1), creature), creature, 1)
    assert angles[:, 0].min() == pytest.approx(-10) and angles[:, 0].max() == pytest.approx(20)
    assert np.abs(angles[:, 1:]).max() < 1e-6


def test_the_person_itself_moves_as_it_does():
    motion = walk(40)
    moved = creature_motion(motion, person_creature())
    places, own = forward_kinematics(moved), forward_kinematics(motion)
    for joint, name in enumerate(motion.names[1:], 1):
        ways = []
        for at, one in ((own, motion), (places, moved)):
            number = one.index(name)
            ways.append(at[:, number] - at[:, one.parents[number]])
        lengths = np.linalg.norm(ways[0], axis=1) * np.linalg.norm(ways[1], axis=1)
        assert ((ways[0] * ways[1]).sum(axis=1) / lengths > 0.999).all(), motion.names[joint]
    assert np.allclose(moved.root_m[:, [0, 2]], motion.root_m[:, [0, 2]])


def test_without_gain_it_stays_at_rest():
    creature = person_creature(0.0, heading=False, height="rest", travel=0)
    moved = creature_motion(wild(3, 10), creature)
    assert np.allclose(moved.rotations, [0, 0, 0, 1])
    assert np.allclose(moved.root_m, creature.bones[0].offset_m)


def test_a_gain_multiplies_the_turn_and_axes_lead_it():
    motion = walk(30)
    whole, half = (creature_motion(motion, rod(gain=gain)) for gain in (1, 0.5))
    angles = [Rotation.from_quat(one.rotations[:, 1]).magnitude() for one in (whole, half)]
    assert np.degrees(angles[0].max()) > 60
    assert (np.abs(angles[1] / angles[0] - 0.5) < 0.05).all()
    turned = creature_motion(motion, rod(axes=["y", "z", "x"]))
    kept = creature_motion(motion, rod(axes=["x", "y", "z"]))
    ways = [Rotation.from_quat(one.rotations[:, 1]).as_rotvec() for one in (kept, turned)]
    assert np.allclose(ways[0][:, [2, 0, 1]], ways[1])


def test_what_nothing_drives_keeps_its_rest_and_names_are_kept():
    creature = load_creature("dog")
    moved = creature_motion(walk(20), creature)
    undriven = [n for n, bone in enumerate(creature.bones) if bone.human is None]
    assert undriven and np.allclose(moved.rotations[:, undriven], [0, 0, 0, 1])
    assert moved.names[: len(creature.bones)] == tuple(bone.name for bone in creature.bones)
    assert float(moved.fps) == 30 and len(moved) == 20


@pytest.mark.parametrize("name", SHIPPED)
def test_feet_stand_on_the_ground_and_heads_are_above(name):
    creature = load_creature(name)
    moved = creature_motion(walk(60), creature)
    places = forward_kinematics(moved)
    standing = {bone.name for bone in creature.bones if bone.foot}
    feet = [n for n, joint in enumerate(moved.names) if joint.removesuffix("_end") in standing]
    assert places[:, feet, 1].min() >= -1e-9
    assert np.median(places[:, feet, 1].min(axis=1)) < 0.01
    top = moved.index("top" if name == "puppet" else "head")
    assert (places[:, top, 1] > places[:, feet, 1].max(axis=1)).all()
    assert moved.root_m[-1, 2] - moved.root_m[0, 2] > 0.3  # forward


def test_a_jump_takes_the_creature_off_the_ground():
    motion = walk(30)
    motion.root_m[10:15, 1] += 0.5
    moved = creature_motion(motion, load_creature("puppet"))
    lowest = forward_kinematics(moved)[..., 1].min(axis=1)
    assert lowest[12] > 0.1 and lowest[20] < 0.02
    still = load_creature("puppet").with_options(root__height="rest")
    assert np.allclose(creature_motion(motion, still).root_m[:, 1], 0.67)
    after = load_creature("puppet").with_options(root__height="source", root__travel=0.5)
    rise = np.diff(creature_motion(motion, after).root_m[[9, 10], 1])
    assert rise == pytest.approx(np.diff(motion.root_m[[9, 10], 1]) * 0.5)


def test_nothing_flips_where_an_arm_swings_over():
    """Round and round: at the limit it waits for the way back, and never jumps to the other."""
    names, parents, offsets = skeleton()
    rotations = np.zeros((120, len(names), 4))
    rotations[..., 3] = 1
    degrees = 200 * np.sin(np.linspace(0, 2 * np.pi, 120))
    arm = Rotation.from_rotvec(np.radians(degrees)[:, None] * [0, 0, 1])
    rotations[:, names.index("leftUpperArm")] = arm.as_quat()
    motion = SkeletalMotion(names, parents, offsets, rotations, np.tile(offsets[0], (120, 1)), 30)
    for limits in ({}, {"bend_deg": [-170, 170]}, {"side_deg": [-90, 90]}, {"gain": 0.7}):
        moved = creature_motion(motion, rod(**limits))
        own = moved.rotations[:, 1]
        assert (np.sum(own[1:] * own[:-1], axis=1) > 0.95).all(), limits


def test_the_dog_trots_by_arms_and_legs():
    motion, dog = walk(60), load_creature("dog")
    moved = creature_motion(motion, dog)
    places, own = forward_kinematics(moved), forward_kinematics(motion)
    for side in ("left", "right"):
        foot = places[:, moved.index(f"{side}_hind_foot"), 2] - moved.root_m[:, 2]
        ankle = own[:, motion.index(f"{side}Foot"), 2] - motion.root_m[:, 2]
        assert np.corrcoef(foot, ankle)[0, 1] > 0.8


@pytest.mark.parametrize("name", SHIPPED)
def test_bvh_and_back(name, tmp_path):
    moved = creature_motion(walk(30), load_creature(name))
    write_bvh(tmp_path / "moved.bvh", moved)
    again = read_bvh(tmp_path / "moved.bvh")
    assert any("taken for centimeters" in note for note in again.notes)
    assert set(again.names) == set(moved.names)
    order = [again.index(name) for name in moved.names]
    assert np.allclose(forward_kinematics(again)[:, order], forward_kinematics(moved), atol=1e-5)


def test_glb_has_capsules_and_files_are_made(tmp_path):
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(30), MIXAMO))
    out = tmp_path / "dog.glb"
    result = convert_motion(tmp_path / "walk.bvh", out, MotionEdits(onto="dog"),
                            plot_to=tmp_path / "dog.png")  # fmt: skip
    assert b'"meshes"' in out.read_bytes() and (tmp_path / "dog.png").is_file()
    again = read_glb(out)
    assert again.names == result.motion.names
    assert np.allclose(world_rotations(again) ** 2, world_rotations(result.motion) ** 2, atol=1e-5)
    mesh = creature_mesh(load_creature("dog"), result.motion)
    assert np.isfinite(mesh.vertices_m).all() and np.allclose(mesh.weights.sum(axis=1), 1)


def test_a_capsule_is_closed_and_looks_outward():
    points, faces = capsule(np.array([0.1, 0.2, 0.3]), np.array([0.1, 1.2, 0.5]), 0.2)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len({tuple(edge) for edge in edges}) == len(edges)
    assert {tuple(edge) for edge in edges} == {tuple(edge[::-1]) for edge in edges}
    a, b, c = points[faces].transpose(1, 0, 2)
    volume = np.sum(np.cross(a, b) * c) / 6
    ideal = np.pi * 0.2**2 * np.hypot(1, 0.2) + 4 / 3 * np.pi * 0.2**3
    assert 0.85 * ideal < volume < ideal


def test_face_curves_are_no_person(tmp_path):
    face = SkeletalMotion(("head",), [-1], np.zeros((1, 3)), np.tile([0, 0, 0, 1], (3, 1, 1)),
                          np.zeros((3, 3)), 30)  # fmt: skip
    with pytest.raises(InputError, match="not told as a person's"):
        creature_motion(face, load_creature("dog"))


def test_the_example_in_the_docs_is_a_creature():
    (example,) = re.findall(r"^```toml\n(.*?)^```", DOCS.read_text("utf-8"), re.DOTALL | re.M)
    creature = creature_from(tomllib.loads(example), "docs")
    moved = creature_motion(walk(20), creature)
    assert np.ptp(forward_kinematics(moved)[:, -1], axis=0).max() > 0.05
    assert np.allclose(np.linalg.norm(bone_directions(creature), axis=1), 1)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_creatures_tell_what_they_are(name):
    creature = load_creature(name)
    assert creature.description and len(SHIPPED) == 3
    assert not any(bone.radius_m and bone.radius_m > 0.15 for bone in creature.bones)


MISTAKES = {
    "cycle": (dict(parent="rod"), "hangs at itself"),
    "unknown parent": (dict(parent="bdoy"), "no bone 'bdoy' to be its parent"),
    "no parent": (dict(parent=None), "only the first bone has none"),
    "twice": (dict(name="body"), "there twice"),
    "end's name": (dict(name="rod_end"), "does not end in _end"),
    "unknown human": (dict(human="leftUperArm"), "did you mean leftUpperArm?"),
    "no human": (dict(human="wheel"), "no bone of VRM's humanoid"),
    "reversed": (dict(bend_deg=[20, -20]), "expected \\[low, high\\]"),
    "beside rest": (dict(twist_deg=[5, 20]), "the rest, 0, between"),
    "beyond": (dict(twist_deg=[-200, 20]), "twist_deg.0: -200"),
    "one limit": (dict(bend_deg=[20]), "bend_deg"),
    "NaN": (dict(gain=float("nan")), "gain: nan"),
    "far": (dict(offset_m=[0, float("inf"), 0]), "offset_m.1"),
    "short": (dict(end_m=[0, 0, 0]), "expected a length"),
    "no end": (dict(end_m=None), "expected end_m"),
    "axes": (dict(axes=["x", "y", "-z"]), "make a turn"),
    "axes twice": (dict(axes=["x", "x", "z"]), "make a turn"),
    "no foot": (dict(foot=False), "foot = true"),
    "text": (dict(gain="much"), "gain"),
    "setting": (dict(gian=1), "no such setting"),
    "name": (dict(name="a b"), "name"),
    "line": (dict(name="a\n"), "name"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_said_in_one_line(case):
    changes, says = MISTAKES[case]
    with pytest.raises(ConfigError, match=says) as told:
        rod(**changes)
    assert str(told.value).isprintable() and len(str(told.value)) < 400


def test_other_mistakes(tmp_path):
    body, own = ROD["bones"]
    pair = [body, {**own, "name": "a", "parent": "b"}, {**own, "name": "b", "parent": "a"}]
    late = [body, {**own, "name": "a", "parent": "b"}, {**own, "name": "b"}]
    many = [body, *({**own, "name": f"b{n}"} for n in range(10_000))]
    lonely = [body, *({**own, "name": f"b{n}", "parent": "c"} for n in range(50))]
    for data, says in (
        ({"bones": pair}, "'a': hangs at itself by way of 'b'"),
        ({"bones": late}, "expected after its parent"),
        ({"bones": many}, f"expected 1 to {MAX_BONES} of them, got 10001"),
        ({"bones": lonely}, "and 45 more mistakes"),
        ({"bones": []}, "got 0"),
        ({}, "bones"),
        ({**ROD, "human_pose": {"wing": [0, 1, 0]}}, "human_pose.'wing'"),
        ({**ROD, "human_pose": {"head": [0, 0, 0]}}, "human_pose.head"),
        ({**ROD, "root": {"height": "high"}}, "root.height"),
        ({**ROD, "root": {"travel": -1}}, "root.travel"),
    ):
        with pytest.raises(ConfigError, match=re.escape(says)) as told:
            creature_from(data, "creature")
        assert str(told.value).isprintable() and len(str(told.value)) < 1000
    with pytest.raises(ConfigError, match="expected one of bird, dog, puppet"):
        load_creature("cat")
