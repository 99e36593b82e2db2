"""Pose maps and body maps in step, as films, folders and pictures."""

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.body.maps import BODY_PART_COLORS
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.motion.map_films import write_maps
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.draw import draw
from magicpose_cli.pose.files.read_write import read_clip, write_people
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import probe, read_frames, read_picture, write_picture

MOTION = Preset().motion
SIDE = 96


def small(pose: Pose) -> Pose:
    return pose.map_points(lambda points: points * (SIDE / 256), SIDE, SIDE)


@pytest.fixture(scope="module")
def poses(people):
    return [small(pose) for pose in people.poses()[:3]]


@pytest.fixture
def poses_file(poses, tmp_path):
    write_people(tmp_path / "dance.npz", PeopleClip.of(poses, 8))
    return tmp_path / "dance.npz"


def frames_of(path):
    return list(read_frames(probe(path)))


@pytest.mark.slow
def test_maps_are_in_step_with_the_poses(poses_file, poses, tmp_path):
    stages = []
    written = write_maps(
        poses_file, tmp_path / "maps.mp4", MOTION, ["parts", "silhouette"],
        on_progress=lambda progress: stages.append((progress.stage, progress.done)),
    )  # fmt: skip
    assert list(written.files) == ["pose", "parts", "silhouette"]
    assert written.files["parts"] == tmp_path / "maps_parts.mp4"
    for path in written.files.values():
        film = probe(path)
        assert (film.width, film.height, film.frame_count, film.rate) == (SIDE, SIDE, 3, 8)
    assert [step for step in stages if step[0] == "maps"] == [("maps", n) for n in (1, 2, 3)]
    for shown, pose in zip(frames_of(tmp_path / "maps.mp4"), poses, strict=True):
        assert np.abs(shown.astype(int) - draw(pose)).max() <= 2
    parts, covered = (frames_of(written.files[name]) for name in ("parts", "silhouette"))
    table = np.array([*BODY_PART_COLORS.values(), (0, 0, 0)])
    for one, whole, pose in zip(parts, covered, poses, strict=True):
        apart = np.abs(one[:, :, None].astype(int) - table).max(axis=3)
        assert apart.min(axis=2).max() <= 2  # each pixel is one of the table's colors
        assert ((apart.argmin(axis=2) < len(BODY_PART_COLORS)) == (whole[..., 0] > 127)).all()
        seen = pose.body[np.isfinite(pose.body).all(axis=1)].astype(int).clip(0, SIDE - 1)
        assert (whole[seen[:, 1], seen[:, 0], 0] > 127).mean() > 0.8  # it covers the joints


def test_a_folder_has_depth_of_16_bits(poses_file, tmp_path):
    written = write_maps(poses_file, tmp_path / "maps", MOTION, ["depth"])
    names = ["000000.png", "000001.png", "000002.png"]
    for folder in (tmp_path / "maps", tmp_path / "maps_depth"):
        assert sorted(file.name for file in folder.iterdir()) == names
    with Image.open(tmp_path / "maps_depth" / "000001.png") as picture:
        depth = np.asarray(picture)
    assert depth.dtype.itemsize * 8 >= 16 and depth.max() > 40_000
    assert len(np.unique(depth)) > 256
    assert (depth[depth > 0] >= 8224).all() and (depth == 0).any()
    assert any("depth is white at" in note for note in written.notes)


@pytest.mark.slow
def test_on_the_persons_place_of_a_reference(poses_file, poses, tmp_path):
    moved = poses[0].map_points(lambda points: points * 0.5 + (70, 10), 128, 112)
    write_people(tmp_path / "me.json", PeopleClip.of([moved], None))
    written = write_maps(
        poses_file, tmp_path / "maps.mp4", MOTION, ["silhouette"], retarget_to=tmp_path / "me.json"
    )
    assert written.extracted.retargeted is not None
    shown = np.stack(frames_of(tmp_path / "maps_silhouette.mp4"))[..., 0] > 127
    assert shown.shape[1:] == (112, 128)
    columns = np.flatnonzero(shown.any(axis=(0, 1)))
    assert columns[0] > 50  # all of it at the right, where the reference's person is


@pytest.mark.slow
def test_frames_that_show_nobody_are_held(poses, tmp_path):
    nobody = Pose.of(SIDE, SIDE)
    write_people(tmp_path / "gap.npz", PeopleClip.of([*poses[:2], *[nobody] * 6], 8))
    write_maps(tmp_path / "gap.npz", tmp_path / "maps.mp4", MOTION, ["silhouette"])
    for name in ("maps.mp4", "maps_silhouette.mp4"):
        shown = np.stack(frames_of(tmp_path / name))
        assert len(shown) == 8 and (shown > 127).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    ("out", "names", "error", "said"),
    [
        ("maps.mp4", ["heat"], InputError, "there is no map heat"),
        ("maps.json", ["depth"], OutputError, "choose .mp4, .mov, .webm or a folder"),
        ("maps.gif", ["depth"], OutputError, "choose .mp4, .mov, .webm or a folder"),
        ("maps.png", [], OutputError, "choose .mp4, .mov, .webm or a folder"),
        ("there.mp4", ["depth"], OutputError, "there_depth.mp4 exists"),
        ("full", ["depth"], OutputError, "full_depth holds other files|full_depth exists"),
        ("dance.npz/maps.mp4", ["depth"], OutputError, "is not a folder"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(poses_file, tmp_path, out, names, error, said):
    (tmp_path / "there_depth.mp4").write_text("mine")
    (tmp_path / "full_depth").mkdir()
    (tmp_path / "full_depth" / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    stages = []
    with pytest.raises(error, match=said):
        write_maps(poses_file, tmp_path / out, MOTION, names, on_progress=stages.append)
    assert sorted(tmp_path.rglob("*")) == before and not stages


def test_one_name_for_two_things_is_refused(poses_file, tmp_path):
    with pytest.raises(OutputError, match="named twice"):
        write_maps(
            poses_file, tmp_path / "a.mp4", MOTION, ["depth"], plot_to=tmp_path / "a_depth.mp4"
        )


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_map_by_its_name(poses_file, tmp_path):
    def stop(progress):
        if progress.stage == "maps" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_maps(poses_file, tmp_path / "maps.mp4", MOTION, ["parts"], on_progress=stop)
    left = sorted(path.name for path in tmp_path.iterdir() if path != poses_file)
    assert left == ["maps.partial.mp4", "maps_parts.partial.mp4"]
    assert [probe(tmp_path / name).frame_count for name in left] == [2, 2]


def test_former_maps_are_replaced_when_asked(poses_file, tmp_path):
    for name in ("maps.mp4", "maps_parts.mp4"):
        (tmp_path / name).write_text("former")
    write_maps(poses_file, tmp_path / "maps.mp4", MOTION, ["parts"], overwrite=True)
    assert probe(tmp_path / "maps_parts.mp4").frame_count == 3


@pytest.mark.slow
def test_a_film_and_a_picture_end_to_end(media, frames, tmp_path):
    settings = Preset().with_options(motion__end_s=0.25).motion
    names = ["depth", "normal", "normal-bae", "parts", "silhouette"]
    written = write_maps(
        media / "dance.mp4", tmp_path / "maps.mp4", settings, names,
        retarget_to=media / "ref.png", overlay_to=tmp_path / "over.mp4",
    )  # fmt: skip
    films = [probe(path) for path in written.files.values()]
    assert {(film.frame_count, film.width, film.height) for film in films} == {(2, 256, 256)}
    write_picture(tmp_path / "one.png", frames[0])
    written = write_maps(tmp_path / "one.png", tmp_path / "still.png", MOTION, ["depth", "normal"])
    with Image.open(tmp_path / "still_depth.png") as picture:
        assert np.asarray(picture).max() > 40_000
    assert read_picture(tmp_path / "still_normal.png").shape == frames[0].shape
    assert read_picture(tmp_path / "still.png").any()
    with pytest.raises(OutputError, match=r"choose a name with \.png"):
        write_maps(tmp_path / "one.png", tmp_path / "still.mp4", MOTION, ["depth"])


def test_without_names_the_poses_alone_are_drawn(poses_file, poses, tmp_path):
    written = write_maps(poses_file, tmp_path / "maps.gif", MOTION)
    assert list(written.files) == ["pose"] and probe(tmp_path / "maps.gif").frame_count == 3
    assert len(read_clip(poses_file).people) == 3
