import re
from pathlib import Path

import pytest

from magicpose_cli.augmentation.reid_data import PersonPicture, ReidData
from magicpose_cli.augmentation.written_set import names_for

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
