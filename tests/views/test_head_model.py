import json
import struct

import numpy as np
import pytest

from magicpose_cli.body.model import Body
from magicpose_cli.views.head_file import write_head
from magicpose_cli.views.head_model import build_head_model
from magicpose_cli.views.view_renderer import ViewRenderer


@pytest.fixture(scope="module")
def model(subject):
    renderer = ViewRenderer(subject)
    return build_head_model(subject, renderer.solid, renderer.textures)


def test_a_head_has_the_facial_actions_of_the_body(model):
    assert list(model.head.shapes_m) == list(Body.load().expression_names)
    jaw = model.head.shapes_m["jawOpen"]
    assert jaw.shape == model.head.vertices_m.shape and jaw[:, 1].min() < -0.005


def test_the_face_is_textured_by_its_own_pixels(model, subject, head_points):
    """The vertex nearest to the camera is the tip of the nose, and so is its texture."""
    tip = np.argmax(model.head.vertices_m[:, 2])
    height, width = model.texture.shape[:2]
    pad = (width // 2 - subject.picture.shape[1]) // 2
    place = model.head.uv[tip] * (width, height) - 0.5 - pad
    assert np.linalg.norm(place - head_points[4, :2]) < 8


def test_the_back_is_looked_up_on_the_back(model):
    behind = model.head.vertices_m[:, 2] < model.head.vertices_m[:, 2].mean() - 0.07
    assert (model.head.uv[behind, 0] > 0.5).mean() > 0.8
    assert model.hair.faces.max() == len(model.hair.vertices_m) - 1


def test_what_is_written_keeps_to_the_specification(model, tmp_path):
    write_head(tmp_path / "head.glb", model)
    content = (tmp_path / "head.glb").read_bytes()
    assert struct.unpack_from("<4sII", content) == (b"glTF", 2, len(content))
    size = struct.unpack_from("<I", content, 12)[0]
    document, binary = json.loads(content[20 : 20 + size]), content[28 + size :]
    head = document["meshes"][0]
    assert head["extras"]["targetNames"] == list(model.head.shapes_m)
    primitive = head["primitives"][0]
    assert len(primitive["targets"]) == len(head["weights"]) == 52
    count = document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    assert {document["accessors"][t["POSITION"]]["count"] for t in primitive["targets"]} == {count}
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    picture = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert picture.startswith(b"\x89PNG")
