"""A folder as Wan-Animate's generator takes it."""

import re

import cv2
import numpy as np
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, InputError, OutputError
from magicpose_cli.motion.wan_animate import WAN_FILE_PATTERN, write_wan_inputs
from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.video import partials_of, probe, read_frames, read_picture, write_video

AREA = (160, 160)
MOTION = Preset().with_options(motion__end_s=0.125).motion
ANIMATION = ["src_face.mp4", "src_pose.mp4", "src_ref.png"]
REPLACEMENT = ["src_bg.mp4", "src_face.mp4", "src_mask.mp4", "src_pose.mp4", "src_ref.png"]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def frames_of(path):
    return np.stack(list(read_frames(probe(path))))


@pytest.mark.slow
def test_for_animation_the_poses_are_on_the_reference(media, tmp_path):
    out = tmp_path / "wan"
    written = write_wan_inputs(media / "dance.mp4", media / "ref.png", out, MOTION, area=AREA)
    assert names_in(out) == sorted(written.files) == ANIMATION
    assert (written.width, written.height) == AREA
    pose, face = probe(out / "src_pose.mp4"), probe(out / "src_face.mp4")
    assert (pose.width, pose.height, pose.rate, pose.frame_count) == (*AREA, 30, 4)
    assert (face.width, face.height, face.rate, face.frame_count) == (512, 512, 30, 4)
    assert read_picture(out / "src_ref.png").shape == (160, 160, 3)
    drawn = frames_of(out / "src_pose.mp4")
    assert 0.005 < (drawn.max(axis=3) > 60).mean() < 0.2
    assert frames_of(out / "src_face.mp4").std() > 10


@pytest.mark.slow
def test_for_replacement_the_poses_stay_in_the_film(media, frames, tmp_path):
    wide = np.pad(frames[:2], ((0, 0), (96, 0), (96, 96), (0, 0)), mode="edge")
    write_video(tmp_path / "wide.mp4", iter(wide), 30)
    out, size = tmp_path / "wan", (320, 256)
    settings = Preset().motion
    write_wan_inputs(
        tmp_path / "wide.mp4", media / "ref.png", out, settings, replace_person=True, area=size
    )
    assert names_in(out) == REPLACEMENT
    films = {name: frames_of(out / f"src_{name}.mp4") for name in ("pose", "mask", "bg")}
    (shape,) = {film.shape for film in films.values()}
    assert shape[0] == 2 and shape[1] % 16 == shape[2] % 16 == 0
    mask = films["mask"][..., 0] > 127
    assert (np.abs(films["mask"].astype(int) - 255 * mask[..., None]) <= 3).all()
    drawn = films["pose"].max(axis=3) > 60
    assert drawn.any() and (mask & drawn).sum() > 0.95 * drawn.sum()  # it holds the person
    assert 0.1 < mask.mean() < 0.9
    inside = cv2.erode(mask[0].astype(np.uint8), np.ones((9, 9))) > 0
    assert films["bg"][0][inside].max() <= 16  # nothing of the person is left
    away = cv2.dilate(mask[0].astype(np.uint8), np.ones((9, 9))) == 0
    film = cv2.resize(wide[0], shape[2:0:-1], interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(films["bg"][0].astype(int) - film)[away].mean() < 6  # the film's background
    assert read_picture(out / "src_ref.png").shape == frames[0].shape  # as it was


@pytest.mark.slow
def test_without_retargeting_the_film_is_padded_into_the_frame(media, tmp_path):
    settings = Preset().with_options(motion__end_s=0.125, motion__retarget="none").motion
    written = write_wan_inputs(
        media / "dance.mp4", media / "ref.png", tmp_path / "wan", settings, area=AREA
    )
    assert names_in(tmp_path / "wan") == ANIMATION and written.extracted.retargeted is None
    assert frames_of(tmp_path / "wan" / "src_pose.mp4").max() > 100


@pytest.mark.slow
def test_a_stopped_run_leaves_nothing_and_a_former_one_stays(media, tmp_path):
    out = tmp_path / "wan"

    def stop(progress):
        if progress.stage == "maps" and progress.done == 2:
            raise KeyboardInterrupt

    out.mkdir()
    (out / "src_pose.mp4").write_text("former")
    with pytest.raises(KeyboardInterrupt) as caught:
        write_wan_inputs(
            media / "dance.mp4", media / "ref.png", out, MOTION, area=AREA,
            overwrite=True, on_progress=stop,
        )  # fmt: skip
    assert partials_of(caught.value) == ()
    assert names_in(tmp_path) == ["wan"] and (out / "src_pose.mp4").read_text() == "former"


@pytest.mark.parametrize(
    ("source", "reference", "out", "error", "said"),
    [
        ("poses.json", "ref.png", "wan", InputError, "needs the person's face in motion"),
        ("ref.png", "ref.png", "wan", InputError, "needs the person's face in motion"),
        ("dance.mp4", "poses.json", "wan", InputError, "expected a picture of them"),
        ("dance.mp4", "none.png", "wan", InputError, "none.png does not exist"),
        ("none.mp4", "ref.png", "wan", InputError, "none.mp4 does not exist"),
        ("dance.mp4", "ref.png", "wan.mp4", OutputError, "expected the name of a folder"),
        ("dance.mp4", "ref.png", "full", OutputError, "full exists"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    media, people, tmp_path, source, reference, out, error, said
):
    for name in ("dance.mp4", "ref.png"):
        (tmp_path / name).write_bytes((media / name).read_bytes())
    write_clip(tmp_path / "poses.json", people.poses()[:2], 8)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    stages = []
    with pytest.raises(error, match=re.escape(said)):
        write_wan_inputs(
            tmp_path / source, tmp_path / reference, tmp_path / out, MOTION,
            on_progress=stages.append,
        )  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before and not stages


def test_a_folder_of_others_is_never_replaced(media, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        write_wan_inputs(
            media / "dance.mp4", media / "ref.png", tmp_path / "full", MOTION, overwrite=True
        )


def test_an_area_without_room_is_refused(media, tmp_path):
    with pytest.raises(ConfigError, match="has no room"):
        write_wan_inputs(
            media / "dance.mp4", media / "ref.png", tmp_path / "wan", MOTION, area=(10, 10)
        )
    assert not (tmp_path / "wan").exists()


def test_names_are_those_of_the_generator():
    for name in REPLACEMENT:
        assert re.fullmatch(WAN_FILE_PATTERN, name)
    assert not re.fullmatch(WAN_FILE_PATTERN, "src_face.mp4.bak")
