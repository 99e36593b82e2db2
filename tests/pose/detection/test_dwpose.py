"""DWPose's pre- and post-processing, on networks of its shapes whose answers lie in the picture.

The finder sees a person around each 32 x 32 block (of its 640 x 640) by the block's color: blue
for how sure, green for how wide, red for how high. The reader has every third point follow the
brightest red, green or blue spot of its crop.
"""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from magicpose_cli import models as catalog
from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.detection import dwpose, dwpose_mm
from magicpose_cli.pose.detection.detect import load_detector
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS

onnx = pytest.importorskip("onnx")
pytest.importorskip("rtmlib")
pytest.importorskip("onnxruntime")

CELL = 32  # finder pixels
RED, GREEN, BLUE = range(3)
WEIGHTS = np.full(133, 0.9, np.float32)
WEIGHTS[[9, 20, 30, 95, 120]] = 0.29, 0.9, 0.3, 1.4, 0.31  # left wrist, a foot, face, two hands
WEIGHTS[[6, 12]] = 0.4, 0.0  # right shoulder, right hip


def graph(nodes, inputs, outputs, constants):
    helper, tensor = onnx.helper, onnx.TensorProto.FLOAT
    infos = [
        [helper.make_tensor_value_info(name, tensor, shape) for name, shape in group.items()]
        for group in (inputs, outputs)
    ]
    values = [onnx.numpy_helper.from_array(np.array(v), name) for name, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "planted", *infos, values),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def finder(person_class=0):
    """1x3x640x640 -> 1x8400x85 before decoding, of which the last 400 cells are 32 pixels wide."""
    node = onnx.helper.make_node
    classes = np.zeros((1, 400, 80), np.float32)
    classes[..., person_class] = 1
    nodes = [
        node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
        node("Reshape", ["cells", "rows"], ["flat"]),  # 1, 3, 400
        node("Transpose", ["flat"], ["colors"], perm=[0, 2, 1]),
        node("Split", ["colors"], ["blue", "green", "red"], axis=2),
        node("Concat", ["green", "red"], ["sizes"], axis=2),
        node("Div", ["sizes", "full"], ["shares"]),  # of 20 cells
        node("Log", ["shares"], ["logs"]),
        node("Sub", ["blue", "least"], ["above"]),
        node("Div", ["above", "span"], ["score"]),
        node("Clip", ["score", "zero"], ["object"]),
        node("Concat", ["middle", "logs", "object", "classes"], ["found"], axis=2),
        node("ConstantOfShape", ["empty_shape"], ["nothing"]),
        node("Concat", ["nothing", "found"], ["output"], axis=1),
    ]
    constants = {
        "rows": np.array([1, 3, 400]),
        "full": np.float32(255 / 20),
        "least": np.float32(128),
        "span": np.float32(72),
        "zero": np.float32(0),
        "middle": np.full((1, 400, 2), 0.5, np.float32),
        "classes": classes,
        "empty_shape": np.array([1, 8000, 85]),
    }
    return graph(nodes, {"images": [1, 3, 640, 640]}, {"output": [1, 8400, 85]}, constants)


def reader(people):
    """Nx3x384x288 -> simcc_x Nx133x576, simcc_y Nx133x768; `people` is N, a number or a name."""
    node = onnx.helper.make_node
    mean, spread = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    nodes = [
        node("Mul", ["input", "spread"], ["scaled"]),
        node("Add", ["scaled", "mean"], ["colors"]),  # 0..1
        node("Gather", ["colors", "channel"], ["points"], axis=1),  # N, 133, 384, 288
        node("ReduceMax", ["points"], ["columns"], axes=[2], keepdims=0),
        node("ReduceMax", ["points"], ["rows"], axes=[3], keepdims=0),
        node("Mul", ["columns", "weights"], ["x"]),
        node("Mul", ["rows", "weights"], ["y"]),
        node("Resize", ["x", "", "twice"], ["simcc_x"], mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        node("Resize", ["y", "", "twice"], ["simcc_y"], mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ]  # fmt: skip
    constants = {
        "mean": np.array(mean, np.float32).reshape(1, 3, 1, 1) / np.float32(255),
        "spread": np.array(spread, np.float32).reshape(1, 3, 1, 1) / np.float32(255),
        "channel": np.arange(133) % 3,
        "weights": WEIGHTS[None, :, None],
        "twice": np.array([1, 1, 2], np.float32),
    }
    return graph(
        nodes,
        {"input": [people, 3, 384, 288]},
        {"simcc_x": [people, 133, 576], "simcc_y": [people, 133, 768]},
        constants,
    )


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Installs the two networks and loads the detector."""
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    opened = []

    def load_with(find=None, read=None):
        folder = catalog.weights_folder("dwpose")
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(find or finder(), folder / dwpose.FINDER)
        onnx.save(read or reader("people"), folder / dwpose.READER)
        opened.append(dwpose.DWPose())
        return opened[-1]

    yield load_with
    for detector in opened:
        detector.close()


def picture(width, height, *people):
    """People as (x, y, wide, high, sure, spots) in pixels; spots: x, y for red, green, blue."""
    scale = max(width, height) / 640
    rows, columns = np.mgrid[:height, :width]
    canvas = np.zeros((height, width, 3))
    for x, y, wide, high, sure, spots in people:
        color = high / scale / 640 * 255, wide / scale / 640 * 255, 128 + 72 * sure
        left, top = (round(v / scale) // CELL * CELL * scale for v in (x, y))
        block = (slice(round(v), round(v + CELL * scale)) for v in (top, left))
        canvas[tuple(block)] = color
        for channel, (spot_x, spot_y) in enumerate(spots):
            # Wide enough that the crop's own grid hardly misses the top.
            spot = 255 * np.exp(-((columns - spot_x) ** 2 + (rows - spot_y) ** 2) / 200)
            canvas[..., channel] = np.maximum(canvas[..., channel], spot)
    return canvas.round().astype(np.uint8)


def spots_near(x, y):
    return (x - 90, y - 150), (x + 80, y + 140), (x + 70, y - 130)


@pytest.mark.parametrize("size", [(1280, 960), (640, 640), (720, 1280)])
def test_points_come_back_from_where_they_are_in_the_picture(load, size):
    width, height = size
    x, y = width * 0.475, height * 0.525  # in the middle of a cell, or near to it
    spots = spots_near(x, y)
    (pose,) = load().detect(picture(width, height, (x, y, 240, 400, 0.9, spots)))
    assert (pose.width, pose.height) == size
    for name, source in (("nose", 0), ("left_shoulder", 5), ("right_ankle", 16), ("left_eye", 1)):
        np.testing.assert_allclose(pose.body[BODY_JOINTS.index(name)], spots[source % 3], atol=2)
    np.testing.assert_allclose(pose.face[4], spots[27 % 3], atol=2)
    np.testing.assert_allclose(pose.left_hand[0], spots[91 % 3], atol=2)
    np.testing.assert_allclose(pose.right_hand[0], spots[112 % 3], atol=2)


def test_scores_tell_what_is_seen(load):
    width, height = 1280, 960
    spots = spots_near(608, 480)
    (pose,) = load().detect(picture(width, height, (608, 480, 240, 400, 0.9, spots)))
    unseen = {"left_wrist", "right_hip"}
    for index, name in enumerate(BODY_JOINTS):
        assert (pose.body_score[index] == 0) == (name in unseen), name
        assert np.isnan(pose.body[index]).all() == (name in unseen)
    assert pose.body_score[BODY_JOINTS.index("right_shoulder")] == pytest.approx(0.4, abs=0.01)
    # The neck is the middle of the shoulders and as sure as the less sure one.
    neck, *shoulders = (
        BODY_JOINTS.index(name) for name in ("neck", "right_shoulder", "left_shoulder")
    )
    assert pose.body_score[neck] == pose.body_score[shoulders].min()
    np.testing.assert_allclose(pose.body[neck], pose.body[shoulders].mean(axis=0), atol=1e-3)
    assert np.flatnonzero(pose.face_score == 0).tolist() == [30 - 23]
    assert pose.left_hand_score[95 - 91] == 1.0  # clipped
    assert pose.right_hand_score[120 - 112] == pytest.approx(0.31, abs=0.01)


def test_without_a_shoulder_there_is_no_neck():
    points = np.arange(266.0).reshape(133, 2)
    scores = np.ones(133)
    scores[5] = 0.3
    pose = dwpose.pose_from_133(300, 300, points, scores)
    assert np.flatnonzero(pose.body_score == 0).tolist() == [
        BODY_JOINTS.index("neck"), BODY_JOINTS.index("left_shoulder"),
    ]  # fmt: skip


def test_the_order_of_the_joints():
    """Point k of COCO-WholeBody at (k, 1000 + k), by the names of its data set."""
    head = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    joints = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = head + [f"{side}_{joint}" for joint in joints for side in ("left", "right")]
    index = np.arange(133.0)
    pose = dwpose.pose_from_133(9, 9, np.column_stack([index, 1000 + index]), np.ones(133))
    for source, name in enumerate(names):
        assert pose.body[BODY_JOINTS.index(name)].tolist() == [source, 1000 + source], name
    assert pose.body[BODY_JOINTS.index("neck")].tolist() == [5.5, 1005.5]
    assert pose.face[:, 0].tolist() == list(range(23, 91))
    assert pose.left_hand[:, 0].tolist() == list(range(91, 112))
    assert pose.right_hand[:, 0].tolist() == list(range(112, 133))


@pytest.mark.slow
@pytest.mark.parametrize("people", ["people", 1])
def test_everybody_the_largest_first(load, people):
    """In one batch, or one by one where the network takes one only; spots tell who is who."""
    there = [(224, 480, 160, 300), (608, 480, 240, 420), (1056, 480, 200, 360)]
    persons = []
    for x, y, wide, high in there:
        reach = high / 400
        spots = [(x + reach * (sx - x), y + reach * (sy - y)) for sx, sy in spots_near(x, y)]
        persons.append((x, y, wide, high, 0.9, spots))
    found = load(read=reader(people)).detect(picture(1280, 960, *persons))
    assert len(found) == 3
    for pose, index in zip(found, (1, 2, 0), strict=True):
        np.testing.assert_allclose(pose.body[0], persons[index][5][RED], atol=2)
        np.testing.assert_allclose(pose.face[4], persons[index][5][RED], atol=2)


def test_a_person_at_the_edge(load):
    """The crop reaches beyond the picture, and points stay where they are."""
    spots = (20, 400), (120, 640), (60, 500)
    (pose,) = load().detect(picture(1280, 960, (32, 480, 200, 400, 0.9, spots)))
    np.testing.assert_allclose(pose.body[0], spots[RED], atol=2)
    np.testing.assert_allclose(pose.body[BODY_JOINTS.index("left_eye")], spots[GREEN], atol=2)


@pytest.mark.parametrize(("sure", "count"), [(0.28, 0), (0.33, 1)])
def test_how_sure_the_finder_must_be(load, sure, count):
    person = (608, 480, 240, 400, sure, spots_near(608, 480))
    assert len(load().detect(picture(1280, 960, person))) == count


def test_only_people_count(load):
    person = (608, 480, 240, 400, 0.9, spots_near(608, 480))
    assert load(find=finder(person_class=16)).detect(picture(1280, 960, person)) == []  # a dog


@pytest.mark.parametrize("size", [(320, 240), (97, 161), (1, 9), (2000, 2)])
def test_nobody(load, size):
    assert load().detect(np.full((size[1], size[0], 3), 50, np.uint8)) == []


@pytest.mark.slow
def test_two_boxes_of_one_person(load):
    """Overlapping by more than 0.45 of their union the less sure box goes, by less both stay."""
    one = (544, 480, 300, 500, 0.9, spots_near(544, 480))
    same = (608, 480, 300, 500, 0.8, ())  # 64 of 300 pixels aside: 0.65
    other = (736, 480, 300, 500, 0.8, ())  # 192 pixels: 0.22
    detector = load()
    assert len(detector.detect(picture(1280, 960, one, same))) == 1
    assert len(detector.detect(picture(1280, 960, one, other))) == 2


def test_loading_and_detecting_are_silent(load, capfd):
    load().detect(picture(640, 480, (304, 240, 150, 300, 0.9, spots_near(304, 240))))
    assert capfd.readouterr() == ("", "")


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"run: magicpose models fetch dwpose$") as error:
        load_detector("dwpose")
    assert "yolox_l.onnx" in str(error.value) and "\n" not in str(error.value)


def test_without_openmmlab_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmcv", None)
    with pytest.raises(ConfigError, match=r"'dwpose-mm' needs the package .*mmcv mmdet mmpose$"):
        load_detector("dwpose-mm")


def test_controlnet_aux_order_is_the_same():
    """Its own steps on 133 points, neck and order, then ours: the same as ours on the 133."""
    generator = np.random.default_rng(7)
    points, scores = generator.uniform(0, 300, (133, 2)), generator.uniform(0.1, 1, 133)
    scores[[5, 6]] = 0.8
    with_neck = np.insert(np.column_stack([points, scores]), 17, 0, axis=0)
    with_neck[17] = *points[[5, 6]].mean(axis=0), 1
    with_neck[[1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17]] = with_neck[
        [17, 6, 8, 10, 7, 9, 12, 14, 16, 13, 15, 2, 1, 4, 3]
    ]
    theirs = dwpose_mm.pose_from_134(300, 300, with_neck[:, :2], with_neck[:, 2])
    ours = dwpose.pose_from_133(300, 300, points, scores)
    theirs.body_score[BODY_JOINTS.index("neck")] = ours.body_score[BODY_JOINTS.index("neck")]
    assert theirs.equals(ours)


@given(
    arrays(np.float32, (133, 2), elements=st.floats(width=32)),
    arrays(np.float32, 133, elements=st.floats(width=32)),
)
def test_whatever_the_network_says_a_pose_is_well_formed(points, scores):
    pose = dwpose.pose_from_133(64, 48, points, scores)
    for part in PARTS:
        score = getattr(pose, f"{part}_score")
        assert ((score >= 0) & (score <= 1)).all()
        assert (np.isnan(getattr(pose, part)).any(axis=1) == (score == 0)).all()
