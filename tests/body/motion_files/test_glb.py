"""Binary glTF, read and written."""

import json
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.motion_files.glb_reader import read_glb
from magicpose_cli.body.motion_files.glb_writer import SkinnedMesh, mesh_normals, write_glb
from magicpose_cli.body.skeletal_motion import forward_kinematics, rest_positions
from magicpose_cli.errors import InputError
from tests.body.skeletons import LIMBS, directions, walk


def parts(path):
    """The JSON and the binary chunk, taken apart by the specification."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON" and size % 4 == 0
    binary_size, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0" and 28 + size + binary_size == length
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def joined(path, document, binary=b""):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    length = 28 + len(text) + len(binary)
    path.write_bytes(
        struct.pack("<4sII", b"glTF", 2, length) + struct.pack("<I4s", len(text), b"JSON") + text
        + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )  # fmt: skip
    return path


def box_person(motion) -> SkinnedMesh:
    """A tetrahedron at every joint, and one shape that opens the jaw."""
    corners = np.array([[0, 0, 0], [0.05, 0, 0], [0, 0.05, 0], [0, 0, 0.05]])
    places = rest_positions(motion.parents, motion.rest_offsets_m)
    vertices = (places[:, None] + corners).reshape(-1, 3)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    count = len(places)
    all_faces = (faces[None] + 4 * np.arange(count)[:, None, None]).reshape(-1, 3)
    weights = np.repeat(np.eye(count), 4, axis=0)
    weights[:, 0] += 0.25
    return SkinnedMesh(vertices, all_faces, weights, {"jawOpen": np.full(vertices.shape, 0.01)})


@pytest.mark.parametrize("fps", [24, 30, Fraction(30000, 1001), 120, 7.5])
def test_there_and_back(fps, tmp_path):
    motion = walk(17, fps)
    write_glb(tmp_path / "walk.glb", motion)
    again = read_glb(tmp_path / "walk.glb")
    assert again.names == motion.names and again.notes == ()
    assert float(again.fps) == pytest.approx(float(fps), rel=1e-6)
    assert np.abs(forward_kinematics(again) - forward_kinematics(motion)).max() < 1e-6
    assert np.allclose(again.rest_offsets_m, motion.rest_offsets_m, atol=1e-7)


def test_what_is_written_keeps_to_the_specification(tmp_path):
    motion = replace(walk(9), curves={"jawOpen": np.linspace(0, 1, 9)})
    mesh = box_person(motion)
    write_glb(tmp_path / "walk.glb", motion, mesh)
    document, binary = parts(tmp_path / "walk.glb")
    assert document["asset"]["version"] == "2.0"
    assert document["buffers"] == [{"byteLength": len(binary)}]
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)
    primitive = document["meshes"][0]["primitives"][0]
    place = document["accessors"][primitive["attributes"]["POSITION"]]
    assert np.allclose(place["min"], mesh.vertices_m.min(axis=0), atol=1e-6)
    assert np.allclose(place["max"], mesh.vertices_m.max(axis=0), atol=1e-6)
    skin = document["skins"][0]
    view = document["bufferViews"][document["accessors"][skin["inverseBindMatrices"]]["bufferView"]]
    matrices = np.frombuffer(binary, "<f4", 22 * 16, view["byteOffset"]).reshape(22, 4, 4)
    world = rest_positions(motion.parents, motion.rest_offsets_m)
    assert np.allclose(matrices[:, 3, :3], -world, atol=1e-6)  # columns come first in glTF
    weights = document["accessors"][primitive["attributes"]["WEIGHTS_0"]]
    start = document["bufferViews"][weights["bufferView"]]["byteOffset"]
    rows = np.frombuffer(binary, "<f4", len(mesh.vertices_m) * 4, start).reshape(-1, 4)
    assert np.allclose(rows.sum(axis=1), 1, atol=1e-6)
    times = document["accessors"][document["animations"][0]["samplers"][0]["input"]]
    assert times["min"] == [0.0] and times["max"] == pytest.approx([8 / 30])


def test_curves_go_along_with_shapes(tmp_path):
    motion = replace(walk(9), curves={"jawOpen": np.linspace(0, 1, 9), "tongueOut": np.ones(9)})
    write_glb(tmp_path / "walk.glb", motion, box_person(motion))
    again = read_glb(tmp_path / "walk.glb")
    assert list(again.curves) == ["jawOpen"]
    assert np.allclose(again.curves["jawOpen"], motion.curves["jawOpen"], atol=1e-6)


def test_normals_point_outward():
    mesh = box_person(walk(1))
    normals = mesh_normals(mesh.vertices_m, mesh.faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    outward = mesh.vertices_m.reshape(-1, 4, 3) - mesh.vertices_m.reshape(-1, 4, 3).mean(
        axis=1, keepdims=True
    )
    assert (np.sum(normals.reshape(-1, 4, 3) * outward, axis=-1) > 0).all()


@pytest.fixture
def centimeters_lying(tmp_path):
    """A walk as of a program with z up and centimeters: an armature above that turns and scales."""
    motion = walk(9)
    write_glb(tmp_path / "walk.glb", motion)
    document, binary = parts(tmp_path / "walk.glb")
    data = bytearray(binary)
    down = Rotation.from_euler("X", 90, degrees=True)
    for channel in document["animations"][0]["channels"]:
        if channel["target"]["node"] != 0:
            continue
        sampler = document["animations"][0]["samplers"][channel["sampler"]]
        accessor = document["accessors"][sampler["output"]]
        start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        if channel["target"]["path"] == "translation":
            values = down.apply(motion.root_m) * 100
        else:
            values = (down * Rotation.from_quat(motion.rotations[:, 0])).as_quat()
        packed = values.astype("<f4").tobytes()
        data[start : start + len(packed)] = packed
    for number, node in enumerate(document["nodes"]):
        node["translation"] = [100 * value for value in node["translation"]]
        if number == 0:
            node["rotation"] = down.as_quat().tolist()
            node["translation"] = down.apply(node["translation"]).tolist()
    document["nodes"].append({"name": "Armature", "children": [0], "scale": [0.01] * 3,
                              "rotation": down.inv().as_quat().tolist()})  # fmt: skip
    document["scenes"] = [{"nodes": [22]}]
    return joined(tmp_path / "armature.glb", document, bytes(data))


def test_what_is_above_the_skeleton_counts(centimeters_lying):
    motion, again = walk(9), read_glb(centimeters_lying)
    assert again.names == motion.names
    assert np.abs(forward_kinematics(again) - forward_kinematics(motion)).max() < 1e-5
    assert np.allclose(again.rest_offsets_m, motion.rest_offsets_m, atol=1e-5)


def test_uneven_keys_and_steps(tmp_path):
    motion = walk(9)
    write_glb(tmp_path / "walk.glb", motion)
    document, binary = parts(tmp_path / "walk.glb")
    data = bytearray(binary)
    sampler = document["animations"][0]["samplers"][0]
    view = document["bufferViews"][document["accessors"][sampler["input"]]["bufferView"]]
    times = np.array([0, 1, 2, 3, 4, 6, 8, 9, 10], "<f4") / 30
    data[view["byteOffset"] : view["byteOffset"] + 36] = times.tobytes()
    again = read_glb(joined(tmp_path / "uneven.glb", document, bytes(data)))
    assert len(again) == 11 and float(again.fps) == pytest.approx(30)
    assert "not even in time" in again.notes[0]
    assert np.allclose(again.root_m[[0, 4, 6, 10]], motion.root_m[[0, 4, 5, 8]], atol=1e-5)
    assert np.allclose(again.root_m[5], motion.root_m[4:6].mean(axis=0), atol=1e-5)
    for one in document["animations"][0]["samplers"]:
        one["interpolation"] = "STEP"
    held = read_glb(joined(tmp_path / "held.glb", document, bytes(data)))
    assert np.allclose(held.root_m[5], motion.root_m[4], atol=1e-5)


def test_a_skeleton_without_a_skin_or_an_animation(tmp_path):
    motion = walk(5)
    write_glb(tmp_path / "walk.glb", motion)
    document, binary = parts(tmp_path / "walk.glb")
    skin = document.pop("skins")
    animated = read_glb(joined(tmp_path / "a.glb", document, binary))
    assert animated.names == motion.names and len(animated) == 5
    document["skins"] = skin
    del document["animations"]
    still = read_glb(joined(tmp_path / "b.glb", document, binary), fps=25)
    assert len(still) == 1 and still.fps == 25 and "no animation" in still.notes[0]


def test_hips_that_travel_below_a_root(tmp_path):
    motion = walk(5)
    write_glb(tmp_path / "walk.glb", motion)
    document, binary = parts(tmp_path / "walk.glb")
    document["nodes"].append({"name": "root", "children": [0]})
    document["skins"][0]["joints"].append(22)
    again = read_glb(joined(tmp_path / "a.glb", document, binary))
    assert set(again.names) == set(motion.names) and "hips travels" in again.notes[0]
    assert np.allclose(directions(again, LIMBS), directions(motion, LIMBS), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["nodes"][0].update(children=[0]), "a tree"),
        (lambda d: d["nodes"][1].update(children=[2, 2]), "one parent"),
        (lambda d: d["nodes"][3].update(children=[99]), "below 22"),
        (lambda d: d["nodes"][3].update(translation=[0, 1]), "3 numbers"),
        (lambda d: d["nodes"][3].update(rotation=[0, 0, 0, 0]), "unit quaternion"),
        (lambda d: d["skins"][0].update(joints=[]), "list of nodes"),
        (lambda d: d["accessors"][1].update(count=10**9), "expected"),
        (lambda d: d["accessors"][1].update(componentType=5130), "of component 5130"),
        (lambda d: d["bufferViews"][1].update(byteOffset=10**9), "byteOffset"),
        (lambda d: d["animations"][0]["channels"][0]["target"].update(node="a"), "below 22"),
        (lambda d: d["animations"][0]["samplers"][0].update(interpolation="X"), "CUBICSPLINE"),
        (lambda d: d.update(nodes=[]), "nodes"),
        (lambda d: d.update(nodes={}), "list of objects"),
    ],
)
def test_what_is_no_glb(change, said, tmp_path):
    write_glb(tmp_path / "walk.glb", walk(3))
    document, binary = parts(tmp_path / "walk.glb")
    change(document)
    with pytest.raises(InputError) as raised:
        read_glb(joined(tmp_path / "odd.glb", document, binary))
    assert said in str(raised.value) and str(raised.value).isprintable()


def test_other_bytes(tmp_path):
    for content in (b"", b"glTF", b"glTF" + b"\0" * 40, b"HIERARCHY" * 9):
        (tmp_path / "a.glb").write_bytes(content)
        with pytest.raises(InputError):
            read_glb(tmp_path / "a.glb")


def test_the_validator_of_khronos_finds_nothing(tmp_path):
    """Where Node.js has the package gltf-validator; NODE_PATH says where that is."""
    node = shutil.which("node")
    code = (
        "const v=require('gltf-validator'),fs=require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(r=>console.log(JSON.stringify(r.issues)))"
    )
    motion = replace(walk(9), curves={"jawOpen": np.linspace(0, 1, 9)})
    write_glb(tmp_path / "walk.glb", motion, box_person(motion))
    if node is None or "NODE_PATH" not in os.environ:
        pytest.skip("no Node.js with a NODE_PATH")
    run = subprocess.run([node, "-e", code, str(tmp_path / "walk.glb")], capture_output=True,
                         text=True, check=False, timeout=120)  # fmt: skip
    if "Cannot find module" in run.stderr:
        pytest.skip("gltf-validator is not installed")
    issues = json.loads(run.stdout)
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


@pytest.mark.slow
def test_blender_sees_the_same_places(tmp_path):
    bpy = pytest.importorskip("bpy")
    motion = walk(25, 24)
    write_glb(tmp_path / "walk.glb", motion, box_person(motion))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 24
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "walk.glb"))
    armature = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    places = forward_kinematics(motion)
    for frame in (0, 10, 24):
        bpy.context.scene.frame_set(frame)
        for joint, name in enumerate(motion.names):
            x, y, z = armature.matrix_world @ armature.pose.bones[name].head
            assert np.allclose([x, z, -y], places[frame, joint], atol=1e-4)  # z is up in Blender
