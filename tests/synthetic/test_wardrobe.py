from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magicpose_cli.body.layout import LAYERS
from magicpose_cli.body.model import Body
from magicpose_cli.body.shipped import vertex_of_base
from magicpose_cli.errors import InputError
from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.mhclo import read_garment
from magicpose_cli.synthetic.rendered.rendered_people import render_clip, sample_identity
from magicpose_cli.synthetic.rendered.wardrobe import (
    bare_share,
    fitted,
    garment_picture,
    library_surfaces,
    read_wardrobe,
)

CLOTHES = """# a comment
name square
tag Shoes
obj_file square.obj
material square.mhmat
x_scale 100 200 1.0
verts 0
100
200
300
100 200 300 0.5 0.25 0.25 1.0 0 -2.0
delete_verts
5 7 - 9
"""
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 4/3 3/1\n"


def write_square(folder: Path, clothes: str = CLOTHES, obj: str = OBJ) -> Path:
    own = folder / "clothes" / "square"
    own.mkdir(parents=True, exist_ok=True)
    (own / "square.obj").write_text(obj)
    (own / "square.mhmat").write_text("diffuseTexture square.png\n")
    path = own / "square.mhclo"
    path.write_text(clothes)
    return path


def write_suit(folder: Path, body: Body) -> None:
    """A suit that is the body's own tights, 2 cm before it."""
    faces = body.faces[body.layers["tights"]]
    used, index = torch.unique(faces, return_inverse=True)
    base = np.full(body.vertex_count, -1)
    ours = vertex_of_base()
    base[ours[ours >= 0]] = np.flatnonzero(ours >= 0)
    rows = "\n".join(str(base[vertex]) for vertex in used.tolist())
    own = folder / "clothes" / "tights"
    own.mkdir(parents=True)
    (own / "tights.mhclo").write_text(f"obj_file tights.obj\nverts 0\n{rows}\n")
    lines = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in index.tolist()]
    (own / "tights.obj").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load(LAYERS)


def test_a_garment_is_read_and_fitted(tmp_path: Path, body: Body) -> None:
    garment = read_garment(write_square(tmp_path), tmp_path)
    assert garment.tags == {"shoes"}
    assert garment.faces.tolist() == [[0, 1, 3], [0, 3, 2]]
    assert garment.uv[0].tolist() == [[0, 0], [1, 0], [0, 1]]
    ours = vertex_of_base()
    assert garment.hidden.tolist() == ours[[5, 7, 8, 9]].tolist()
    rest = body.mean[None, : body.vertex_count]
    a, b, c = (rest[0, ours[i]] for i in (100, 200, 300))
    found = fitted(garment, rest)[0]
    assert torch.allclose(found[:3], torch.stack([a, b, c]))
    growth = float((a[0] - b[0]).abs()) * 10
    offset = torch.tensor([0.1 * growth, 0, -0.2])
    assert torch.allclose(found[3], 0.5 * a + 0.25 * b + 0.25 * c + offset, atol=1e-6)
    twice = fitted(garment, 2 * rest)[0]
    assert torch.allclose(twice[:3], 2 * found[:3])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("obj_file square.obj\n", "", "no line 'obj_file'"),
        ("obj_file square.obj", "obj_file ../../../secret.obj", "outside"),
        ("material square.mhmat", "material /etc/passwd", "outside"),
        ("obj_file square.obj", "obj_file other.obj", "cannot be read"),
        ("300\n100", "300000\n100", "'300000' is no index"),
        ("0.25 0.25", "0.25 nan", "'nan' is no usable number"),
        ("0.25 0.25", "0.25", "expected 1 or 9"),
        ("x_scale 100 200", "x_scale 100 -2", "'-2' is no index"),
        ("7 - 9", "7 - many", "'many' is no index"),
        ("100\n200\n300\n", "", "no index"),
        (CLOTHES, "\x00\x01\n", "no vertices"),
    ],
)
def test_a_broken_garment_gives_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    library = tmp_path / "library"
    path = write_square(library, CLOTHES.replace(old, new))
    with pytest.raises(InputError, match=said) as error:
        read_garment(path, library)
    assert "square" in str(error.value) or "secret" in str(error.value) or "etc" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("obj", "said"), [("", "no faces"), ("f 1 2 9\n", "no index"), ("f a b c\n", "no index")]
)
def test_a_broken_mesh_gives_one_line(tmp_path: Path, obj: str, said: str) -> None:
    path = write_square(tmp_path, obj=obj)
    with pytest.raises(InputError, match=said):
        read_garment(path, tmp_path)


def test_a_link_out_of_the_library_is_not_followed(tmp_path: Path) -> None:
    library = tmp_path / "library"
    path = write_square(library)
    secret = tmp_path / "secret.obj"
    secret.write_text(OBJ)
    (path.parent / "square.obj").unlink()
    (path.parent / "square.obj").symlink_to(secret)
    with pytest.raises(InputError, match="outside"):
        read_garment(path, library)


def test_a_folder_without_garments_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no garment"):
        read_wardrobe(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        read_wardrobe(tmp_path / "nowhere")


def test_pictures_are_tinted_and_broken_ones_replaced(tmp_path: Path) -> None:
    path = write_square(tmp_path)
    rng = np.random.default_rng(0)
    picture = Image.new("RGBA", (8, 8), (120, 120, 120, 255))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.save(path.parent / "square.webp", lossless=True)  # not the .png that is named
    garment = read_garment(path, tmp_path)
    assert garment.texture and garment.texture.suffix == ".webp"
    red = garment_picture(garment, "hair", np.array([0.8, 0.2, 0.1]), rng)
    assert red[-1, -1, 0] > 3 * red[-1, -1, 1]
    assert red[-1, -1, 3] == 1
    (tmp_path / "clothes" / "square" / "square.png").write_bytes(b"no picture")
    broken = read_garment(path, tmp_path)
    assert broken.texture and broken.texture.suffix == ".png"
    fabric = garment_picture(broken, "suit", None, rng)
    assert fabric.shape[2] == 4 and (fabric[..., 3] == 1).all()


@pytest.mark.slow
def test_clothes_that_leave_people_bare_are_not_worn_alone(tmp_path: Path, body: Body) -> None:
    write_suit(tmp_path, body)
    skimpy = write_square(tmp_path, CLOTHES.replace("tag Shoes", "tag Hat"))
    wardrobe = read_wardrobe(tmp_path)
    assert [each.name for each in wardrobe.suits] == ["tights"]
    assert bare_share(read_garment(skimpy, tmp_path)) > 0.9


@pytest.mark.slow
def test_half_of_the_people_wear_a_suit_with_top_and_bottom(tmp_path: Path, body: Body) -> None:
    write_suit(tmp_path, body)
    wardrobe = read_wardrobe(tmp_path)
    people = [sample_identity(body, np.random.default_rng(seed), wardrobe) for seed in range(40)]
    wearers = [each for each in people if "suit" in each.pieces.garments]
    assert 5 < len(wearers) < 25
    suit = wardrobe.suits[0]
    rest = body.mean[None, : body.vertex_count]
    parts = library_surfaces(suit, body, rest, "suit", torch.ones(2, 2, 4))
    assert [LABELS[part.label] for part in parts] == ["bottom", "top"]
    assert sum(len(part.faces) for part in parts) == len(suit.faces)
    clip = render_clip(0, 1, 48, "talk", "full", wardrobe=tmp_path)
    assert (clip.labels > 0).any()
