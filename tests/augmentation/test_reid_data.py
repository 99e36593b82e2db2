from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.augmentation.reid_data import read_reid_data
from magicpose_cli.augmentation.reid_names import parse_name
from magicpose_cli.errors import InputError
from magicpose_cli.video import write_picture

GRAY = np.full((16, 8, 3), 128, np.uint8)


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(folder / name, GRAY)
    return folder


@pytest.mark.parametrize(
    ("name", "person", "camera"),
    [
        ("0002_c1s1_000451_03.jpg", "0002", 1),  # Market-1501
        ("-1_c3s2_000451_01.jpg", "-1", 3),
        ("0005_c2_f0046985.jpg", "0005", 2),  # DukeMTMC
        ("0000_000_01_0303morning_0015_0.jpg", "0000", 1),  # MSMT17
        ("0012_013_15_0303afternoon_0015_2_ex.jpg", "0012", 15),
        ("1_023_2_07.png", "1023", 2),  # CUHK03
    ],
)
def test_names_of_the_sets(name, person, camera):
    found = parse_name(Path(name))
    assert (found.person, found.camera) == (person, camera)


@pytest.mark.parametrize("name", ["holiday.jpg", "12.png", "person_c.jpg"])
def test_names_of_no_set(name):
    assert parse_name(Path(name)) is None


def test_market_folder_is_found_and_junk_left_out(tmp_path):
    put(
        tmp_path / "Market-1501-v15.09.15/bounding_box_train",
        *("0002_c1s1_000451_03.jpg", "0002_c2s1_000451_03.jpg", "0007_c3s1_000451_03.jpg"),
        *("-1_c1s1_000001_00.jpg", "0000_c1s1_000001_00.jpg", "note.jpg"),
    )
    put(tmp_path / "Market-1501-v15.09.15/query", "0900_c1s1_000451_03.jpg")
    data = read_reid_data(tmp_path)
    assert {name: len(own) for name, own in data.people.items()} == {"0002": 2, "0007": 1}
    assert data.cameras == (1, 2, 3)
    assert sorted(data.dropped) == [
        "-1_c1s1_000001_00.jpg: distractor",
        "0000_c1s1_000001_00.jpg: distractor",
        "note.jpg: name tells no person",
    ]


def test_folders_by_person(tmp_path):
    data = read_reid_data(put(tmp_path, "anna/1.jpg", "anna/x_c4.jpg", "bo/1.png", "loose.jpg"))
    assert {name: [p.camera for p in own] for name, own in data.people.items()} == {
        "anna": [0, 4],
        "bo": [0],
    }
    assert data.dropped == ("loose.jpg: in no person's folder",)


def test_csv_with_paths_beside_it(tmp_path):
    put(tmp_path, "a.jpg")
    table = tmp_path / "set.csv"
    table.write_text("path,person,camera\na.jpg,7,3\na.jpg,7,3\n,8,1\nb.jpg,9,x\n")
    data = read_reid_data(table)
    assert [(p.person, p.camera) for p in data.people["7"]] == [("7", 3)]
    assert list(data.people) == ["7"]
    assert data.dropped == (
        "set.csv line 4: no path, person or whole camera",
        "set.csv line 5: no path, person or whole camera",
        "a.jpg: named twice",
    )


def test_files_of_one_name_are_two_pictures_where_no_set_named_them(tmp_path):
    put(tmp_path, "anna/left/1.jpg", "anna/right/1.jpg")
    assert [p.path.parent.name for p in read_reid_data(tmp_path).people["anna"]] == [
        "left",
        "right",
    ]
    named = "0002_c1s1_000451_03.jpg"
    again = read_reid_data(put(tmp_path / "market", f"a/{named}", f"b/{named}"))
    assert len(again.people["0002"]) == 1
    assert again.dropped == (f"{named}: named twice",)


@pytest.mark.parametrize("person", ["../up", "a/b", "..", r"a\b"])
def test_csv_whose_people_would_be_written_elsewhere(tmp_path, person):
    table = tmp_path / "set.csv"
    table.write_text(f"path,person\na.jpg,{person}\na.jpg,7\n")
    data = read_reid_data(table)
    assert list(data.people) == ["7"]
    assert data.dropped == ("set.csv line 2: person is no name for a folder",)


def test_the_first_person_of_msmt17_is_no_distractor(tmp_path):
    put(tmp_path / "MSMT17_V1/train/0000", "0000_000_01_0303morning_0015_0.jpg")
    put(tmp_path / "MSMT17_V1/train/0001", "0001_000_15_0303morning_0015_0.jpg")
    data = read_reid_data(tmp_path)
    assert list(data.people) == ["0000", "0001"]
    assert data.dropped == ()


@pytest.mark.parametrize("text", ["", "file,who\na.jpg,1\n"])
def test_csv_without_its_columns(tmp_path, text):
    table = tmp_path / "set.csv"
    table.write_text(text)
    with pytest.raises(InputError, match="expected path, person, camera"):
        read_reid_data(table)


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_reid_data(tmp_path / "nowhere")
    with pytest.raises(InputError, match="names no person; "):
        read_reid_data(tmp_path)
    (tmp_path / "set.csv").write_text("path,person\na.jpg,\n")
    with pytest.raises(InputError, match=r"names no person \(set.csv line 2: "):
        read_reid_data(tmp_path / "set.csv")
