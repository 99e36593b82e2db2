"""From a picture to files, with the real detector."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.errors import InputError, MagicPoseError, OutputError
from magicpose_cli.video import probe, write_picture
from magicpose_cli.views.turn import TurnSettings, turn

SMALL = TurnSettings(views=3, yaw="-20..20", pitch="0")


@pytest.mark.slow
def test_a_film_begins_with_the_picture(media, tmp_path):
    result = turn(media / "ref.png", tmp_path / "turn.mp4", SMALL)
    clip = probe(tmp_path / "turn.mp4")
    assert (clip.frame_count, Fraction(clip.rate), clip.width) == (3, 24, 256)
    told = json.loads((tmp_path / "turn.mp4.json").read_text())
    assert told["angles"][0] == {"yaw_deg": 0.0, "pitch_deg": 0.0}
    assert result.seconds_per_view > 0 and len(result.angles) == 3
    with pytest.raises(OutputError, match="exists"):
        turn(media / "ref.png", tmp_path / "turn.mp4", SMALL)


@pytest.mark.slow
def test_a_folder_has_views_and_their_cameras(media, tmp_path):
    result = turn(media / "ref.png", tmp_path / "views", SMALL)
    record = json.loads((tmp_path / "views" / "transforms.json").read_text())
    assert [frame["file_path"] for frame in record["frames"]] == [
        "000000.png",
        "000001.png",
        "000002.png",
    ]
    names = {path.name for path in (tmp_path / "views").iterdir()}
    assert names == {"000000.png", "000001.png", "000002.png", *result.files}
    with (
        Image.open(tmp_path / "views" / "000000.png") as shown,
        Image.open(media / "ref.png") as reference,
    ):
        assert shown.mode == "RGBA"
        assert np.array_equal(np.array(shown)[..., :3], np.array(reference.convert("RGB")))
    (tmp_path / "views" / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"note\.txt"):
        turn(media / "ref.png", tmp_path / "views", SMALL, overwrite=True)
    assert (tmp_path / "views" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"views": 0}, "views is 0"),
        ({"yaw": "60..-60"}, "expected the lower angle first, -60..60"),
        ({"pitch": "0..80"}, "between -45 and 45"),
        ({"side_px": 8}, "size is 8"),
        ({"fps": 0.0}, "fps is 0"),
    ],
)
def test_a_wrong_number_is_refused_before_any_work(wrong, message, tmp_path):
    with pytest.raises(InputError, match=message):
        turn(tmp_path / "none.png", tmp_path / "out.mp4", TurnSettings(**wrong))


def test_a_film_of_another_kind_is_refused(media, tmp_path):
    with pytest.raises(OutputError, match=r"\.txt"):
        turn(media / "ref.png", tmp_path / "out.txt", SMALL)


@pytest.mark.slow
def test_nobody_is_one_line(tmp_path):
    gray = np.full((128, 128, 3), 90, np.uint8)
    write_picture(tmp_path / "gray.png", gray)
    with pytest.raises(MagicPoseError, match="no person was found"):
        turn(tmp_path / "gray.png", tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
