import re
from pathlib import Path

import pytest

from magicpose_cli.augmentation.reid_data import PersonPicture, ReidData
from magicpose_cli.augmentation.written_set import names_for, write_lists

# As torchreid and fastreid look for person and camera in Market-1501's paths, and what they demand.
MARKET_PATTERN = re.compile(r"([-\d]+)_c(\d)")


def data_of(people: dict[str, list[int]]) -> ReidData:
    pictures = {
        name: tuple(PersonPicture(Path(f"{name}_c{c}s1_000001_00.jpg"), name, c) for c in cameras)
        for name, cameras in people.items()
    }
    return ReidData(Path("set"), pictures, ())


def test_market_names_load_unchanged():
    names, notes = names_for(data_of({"0002": [1, 2], "1500": [1]}), "market1501")
    assert not notes
    seen = set()
    for person in ("0002", "1500"):
        for azimuth in (0, 90, 180, 270, 359):
            camera = names.camera_for(azimuth, 1)
            name = names.made_name(person, camera, len(seen))
            found = MARKET_PATTERN.search(f"{names.folder}/{name}")
            assert found and int(found[1]) == int(person)
            assert 3 <= int(found[2]) <= 6  # new, and within what the loaders take
            seen.add(name)
    assert len(seen) == 10


def test_market_with_all_cameras_in_use_keeps_the_sources():
    names, notes = names_for(data_of({"0002": [1, 2, 3, 4, 5, 6]}), "market1501")
    assert names.camera_for(180, 5) == 5
    assert "--format msmt17" in notes[0]


@pytest.mark.parametrize(("cameras", "most"), [(8, 8), (15, 8)])
def test_market_names_have_no_camera_that_its_loaders_would_misread(cameras, most):
    data = data_of({"0002": list(range(1, cameras + 1))})
    names, notes = names_for(data, "market1501")
    assert ("cameras above 8" in " ".join(notes)) == (cameras > 8)
    for own in range(1, cameras + 1):
        name = names.made_name("0002", names.camera_for(180, own), own)
        assert MARKET_PATTERN.search(name)[2] == str(min(own, most))
    picture = PersonPicture(Path("0002_003_15_0303morning_0015_0.jpg"), "0002", cameras)
    assert MARKET_PATTERN.search(names.original_name(picture, 0))[2] == str(most)


def test_copies_get_the_number_of_their_person():
    names, _ = names_for(data_of({"1999": [1], "2": [1]}), "market1501")
    picture = PersonPicture(Path("1999_c1s1_000451_03.jpg"), "1999", 1)
    assert names.original_name(picture, 4) == "0001_c1s1_000004_00.jpg"
    # A table may tell another person or camera than the file's name.
    picture = PersonPicture(Path("0002_c1s1_000451_03.jpg"), "2", 3)
    assert names.original_name(picture, 4) == "0002_c3s1_000004_00.jpg"


def test_msmt_lists_hold_labels_that_loaders_take_as_they_stand(tmp_path):
    names, _ = names_for(data_of({"0002": [1], "0004": [1], "0007": [2]}), "msmt17")
    rows = [{"person": p, "file": f"{names.folder}/{names.made_name(p, 7, 0)}"} for p in ("0007",)]
    write_lists(tmp_path, names, rows, [(names.made_name("0002", 1, 3), "0002")], (64, 128))
    base = tmp_path / "MSMT17_V1"
    lines = (base / "list_train.txt").read_text().splitlines()
    assert [line.split(" ")[1] for line in lines] == ["0", "1"]
    # torchreid refuses lists without a picture; a set's own are never written over.
    for name in ("query", "gallery"):
        path = base / f"list_{name}.txt"
        shown, label = path.read_text().split()
        assert shown == f"../train/{lines[0].split()[0]}" and label == "0"
        assert shown.split("_")[2] == "01"  # where loaders look for the camera
        path.write_text("own")
    write_lists(tmp_path, names, rows, [], (64, 128))
    assert (base / "list_query.txt").read_text() == "own"


def test_msmt_names_have_room_for_new_cameras():
    names, _ = names_for(data_of({"0002": list(range(1, 7))}), "msmt17")
    camera = names.camera_for(180, 5)
    name = names.made_name("0002", camera, 3)
    assert int(name.split("_")[2]) == camera == 9  # where loaders of MSMT17 look


@pytest.mark.parametrize("people", [["anna", "bo"], ["1999", "2"]])
def test_people_without_a_number_of_the_set_get_one(people):
    names, _ = names_for(data_of({name: [1] for name in people}), "market1501")
    numbers = [int(MARKET_PATTERN.search(names.made_name(name, 3, 0))[1]) for name in people]
    assert len(set(numbers)) == 2
    assert max(numbers) <= 1501


def test_copies_keep_their_names():
    picture = PersonPicture(Path("0002_c1s1_000451_03.jpg"), "0002", 1)
    names, _ = names_for(data_of({"0002": [1]}), "market1501")
    assert names.original_name(picture, 0) == picture.path.name
