"""Motion files of every kind, made up and damaged."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.body.motion_files.checks import MAX_JOINTS, MAX_METERS
from magicpose_cli.body.motion_files.files import read_motion_file, write_motion_file
from magicpose_cli.body.motion_files.glb_writer import write_glb
from magicpose_cli.body.motion_summary import summarize_motion
from magicpose_cli.body.skeletal_motion import forward_kinematics
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError
from magicpose_cli.motion.face_driver import lay_curves, read_face_file
from tests.body.faces import face_pose, meshes
from tests.body.skeletons import LAFAN1, MIXAMO, bvh_text, walk
from tests.fuzz.conftest import changed, damaged, fuzzed, read_or_refused, words

FACE = face_pose(meshes(np.zeros((1, 52)))[0])
KINDS = ("a.bvh", "b.bvh", "a.glb", "a.npz", "amass.npz", "a.csv", "a.arkit.csv")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> dict[str, bytes]:
    """A short walk as each kind of file has it."""
    folder = tmp_path_factory.mktemp("motions")
    motion = replace(walk(4), curves={"jawOpen": np.linspace(0, 1, 4)})
    for kind in ("a.npz", "a.csv", "a.arkit.csv", "a.glb"):
        write_motion_file(folder / kind, motion)
    (folder / "a.bvh").write_text(bvh_text(walk(3), MIXAMO))
    (folder / "b.bvh").write_text(bvh_text(walk(3), LAFAN1))
    np.savez(folder / "amass.npz", poses=np.full((4, 156), 0.1), trans=np.ones((4, 3)),
             mocap_framerate=np.array(60.0))  # fmt: skip
    return {kind: (folder / kind).read_bytes() for kind in KINDS}


def check(path) -> None:
    """What is read is a motion of sound numbers, and can be summarized."""
    motion = read_or_refused(lambda: read_motion_file(path))
    if motion is None:
        return
    assert 1 <= len(motion.names) <= MAX_JOINTS and 0.001 <= motion.fps <= 1000
    assert np.allclose(np.linalg.norm(motion.rotations, axis=-1), 1)
    assert (np.abs(motion.root_m) <= MAX_METERS).all()
    assert np.isfinite(forward_kinematics(motion)).all()
    assert all(np.isfinite(curve).all() for curve in motion.curves.values())
    assert all(note.strip() for note in motion.notes)
    told = summarize_motion(motion)
    assert np.isfinite([told.height_m, told.traveled_m, *told.speed]).all()


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "a.bvh" else kind
             for kind in KINDS]
)  # fmt: skip
def test_any_damage_is_read_or_refused(shipped, kind, tmp_path):
    @fuzzed
    @given(content=damaged(shipped[kind]))
    def holds(content: bytes) -> None:
        (tmp_path / kind).write_bytes(content)
        check(tmp_path / kind)

    holds()


LINES = st.lists(
    st.sampled_from(
        ["HIERARCHY", "ROOT hips", "ROOT", "JOINT head", "JOINT leftLeg", "End Site", "{", "}",
         "}}", "OFFSET 0 1 0", "OFFSET 1e308 1 0", "OFFSET nan 0 0", "OFFSET 1", "CHANNELS 0",
         "CHANNELS 3 Xrotation Yrotation Zrotation", "CHANNELS 1 Wrotation", "CHANNELS 9",
         "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "MOTION",
         "CHANNELS 1 Xposition", "JOINT {{{", "MOTION\nFrames: 1\nFrame Time: 0.1\n" + "0 " * 9]
    ),
    max_size=14,
)  # fmt: skip
NUMBERS = st.sampled_from(["0", "1.5", "-90", "90", "nan", "inf", "1e308", "-1e-320", "1e7", "x",
                           "0x1", "1_0", "９", "9" * 400])  # fmt: skip


@fuzzed
@given(
    lines=LINES,
    frames=NUMBERS,
    time=NUMBERS,
    rows=st.lists(st.lists(NUMBERS, max_size=7), max_size=4),
)
def test_any_bvh_is_read_or_refused(tmp_path_factory, lines, frames, time, rows):
    path = tmp_path_factory.getbasetemp() / "any.bvh"
    numbers = "\n".join(" ".join(row) for row in rows)
    text = "\n".join(lines) + f"\nMOTION\nFrames: {frames}\nFrame Time: {time}\n{numbers}\n"
    path.write_text(text, encoding="utf-8")
    check(path)


@pytest.mark.slow
@fuzzed
@given(values=st.lists(NUMBERS, min_size=3, max_size=3), place=st.integers(0, 60), text=words)
def test_any_number_in_a_sound_bvh_is_read_or_refused(
    shipped, tmp_path_factory, values, place, text
):
    path = tmp_path_factory.getbasetemp() / "number.bvh"
    parts = shipped["b.bvh"].decode().split("OFFSET ")
    number = 1 + place % (len(parts) - 1)
    parts[number] = f"{' '.join(values)}\n" + parts[number].split("\n", 1)[1]
    path.write_text("OFFSET ".join(parts).replace("LeftLeg", f"Left{text}Leg"), encoding="utf-8")
    check(path)


@pytest.mark.parametrize("depth", [10**4, 10**5])
def test_a_very_deep_tree_is_refused(depth, tmp_path):
    (tmp_path / "deep.bvh").write_text("HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\n" * depth)
    with pytest.raises(InputError, match="1024 joints at most, 256 in a chain"):
        read_motion_file(tmp_path / "deep.bvh")


def glb(document: object, binary: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


@pytest.mark.slow
def test_any_change_of_a_glbs_json_is_read_or_refused(tmp_path):
    bones = ["hips", "spine", "head", "leftUpperLeg", "rightUpperLeg", "leftUpperArm",
             "rightUpperArm"]  # fmt: skip
    write_glb(tmp_path / "a.glb", walk(3, bones=bones))
    content = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack_from("<I", content, 12)[0]
    document, binary = json.loads(content[20 : 20 + size]), content[28 + size :]

    @fuzzed
    @given(other=changed(document))
    def holds(other) -> None:
        (tmp_path / "b.glb").write_bytes(glb(other, binary))
        check(tmp_path / "b.glb")

    holds()


@pytest.mark.slow
def test_a_glb_of_very_many_nodes_is_refused(tmp_path):
    nodes = [{"children": [number + 1]} for number in range(20000)] + [{}]
    for count in (4000, 20001):
        document = {"nodes": [*nodes[: count - 1], {}], "skins": [{"joints": list(range(count))}]}
        (tmp_path / "a.glb").write_bytes(glb(document, b""))
        with pytest.raises(InputError, match=r"at most|1 to 4096"):
            read_motion_file(tmp_path / "a.glb")


SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 4, 66, 156]), max_size=3)
ARRAYS = st.builds(
    lambda shape, kind, value: np.full(shape, value).astype(kind),
    SHAPES,
    st.sampled_from(["f4", "f8", "f2", ">f4", "i4", "u8", "?", "c8", "U3", "S3", "O", "M8[s]"]),
    st.sampled_from([0, 1, 0.5, -1, np.nan, np.inf, 1e300]),
)  # fmt: skip
NAMES = st.sampled_from(
    ["poses", "trans", "mocap_framerate", "fps", "names", "parents", "rotations", "rest_offsets_m",
     "root_m", "magicpose_motion", "curves", "curve_names", "euler_orders", "a/b", "\x1b[31m"]
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(
    arrays=st.dictionaries(NAMES, ARRAYS, max_size=4), whole=st.sampled_from(["ours", "amass", ""])
)
def test_any_arrays_are_read_or_refused(tmp_path_factory, arrays, whole):
    path = tmp_path_factory.getbasetemp() / "any.npz"
    sound: dict[str, np.ndarray] = {}
    if whole == "amass":
        sound = {"poses": np.zeros((2, 66)), "trans": np.zeros((2, 3))}
    elif whole == "ours":
        sound = {"magicpose_motion": np.array(1), "fps": np.array(30.0),
                 "names": np.array(["a", "b"]), "parents": np.array([-1, 0]),
                 "rest_offsets_m": np.ones((2, 3)), "rotations": np.ones((2, 2, 4)),
                 "root_m": np.zeros((2, 3))}  # fmt: skip
    np.savez(path, **(sound | arrays))
    check(path)


CELLS = st.sampled_from(
    ["0", "1", "0.5", "-1", "nan", "inf", "1e300", "", "x", "00:00:00:01.000", "00:00:00:02.5",
     "99:99:99:99.9", "23:59:59:59", '"', "9" * 300, "1,2"]
)  # fmt: skip
HEADS = st.sampled_from(["Timecode", "time", "frame", "BlendshapeCount", "JawOpen", "jaw_open",
                         "EyeBlinkLeft", "HeadYaw", "LeftEyePitch", "x"])  # fmt: skip


@fuzzed
@given(header=st.lists(HEADS, max_size=5), rows=st.lists(st.lists(CELLS, max_size=5), max_size=5))
def test_any_table_is_read_or_refused(tmp_path_factory, header, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]), encoding="utf-8")
    check(path)
    read_or_refused(lambda: read_face_file(path, 25.0, 5, None))


@pytest.mark.slow
@fuzzed
@given(values=st.lists(st.tuples(*[st.floats(-999, 999)] * 4), min_size=2, max_size=4))
def test_any_curves_are_laid_onto_a_face(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "wild.csv"
    rows = [",".join(map(str, (number / 10, *row))) for number, row in enumerate(values)]
    path.write_text("time,jawOpen,eyeBlinkLeft,HeadYaw,LeftEyePitch\n" + "\n".join(rows))
    moved = lay_curves(read_motion_file(path), FACE, MotionSettings()).poses
    assert np.isfinite(moved.face_mesh).all() and np.isfinite(moved.part("face")).all()
