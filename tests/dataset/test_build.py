import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.config.preset import presets_folder
from magicpose_cli.dataset.build import find_films, make_dataset
from magicpose_cli.dataset.clips import open_clips
from magicpose_cli.dataset.cut import cut_piece, draw_clip, plan_pieces, source_name
from magicpose_cli.dataset.data_folder import (
    begin,
    complete_folder,
    finish,
    open_folder,
    write_index,
)
from magicpose_cli.dataset.dataset_config import DatasetSettings, load_settings
from magicpose_cli.dataset.selection import (
    BLURRED,
    BODY,
    ENLARGED,
    NOBODY,
    SAME,
    SECOND,
    SHORT,
    SMALL,
    choose,
    has_second_person,
    square_crop,
)
from magicpose_cli.errors import ConfigError, DetectionError, InputError, OutputError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.synthetic.people import TEST_SEEDS, draw_people
from magicpose_cli.video import write_video

pytestmark = pytest.mark.slow  # each test needs what takes seconds to make

TOML = "[frames]\nsize = 64\nfps = 8.0\n[clips]\nmin_frames = 3\nmax_s = 0.5\n[drawn]\nframes = 2\n"


@pytest.fixture
def settings() -> DatasetSettings:
    return DatasetSettings().with_options(
        frames__size=64, frames__fps=8.0, clips__min_frames=3, clips__max_s=0.5, drawn__frames=2
    )


@pytest.fixture(scope="module")
def whole(media, tmp_path_factory) -> Path:
    """Data made of the drawn dancer in one go."""
    data, config = (tmp_path_factory.mktemp("whole") / name for name in ("data", "quick.toml"))
    config.write_text(TOML)
    make_dataset([media], data, load_settings(config), workers=1)
    return data


def draw(folder: Path, settings: DatasetSettings, *numbers: int, overwrite: bool = False) -> None:
    """Drawn people without starting processes."""
    open_folder(folder, settings, overwrite)
    begin(folder, settings)
    for number in numbers:
        draw_clip(number, folder, settings)
    finish(folder, settings)


NO_ONE = Pose.of(256, 256)


class Known:
    """A detector that knows the answers; in other pictures it finds `else_found`."""

    def __init__(self, frames, poses, else_found: Pose):
        self._answers = {f.tobytes(): pose for f, pose in zip(frames, poses, strict=True)}
        self._else_found = else_found
        self.asked_else = 0

    def detect(self, frame: np.ndarray) -> list[Pose]:
        self.asked_else += frame.tobytes() not in self._answers
        pose = self._answers.get(frame.tobytes(), self._else_found)
        return [] if pose.is_empty else [pose]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def poses(people) -> list[Pose]:
    return people.poses()


def chosen(frames, poses, else_found=NO_ONE, **options):
    usual = {"frames__size": 64, "clips__min_frames": 2}
    settings = DatasetSettings().with_options(**usual | options)
    found = choose(frames, Known(frames, poses, else_found), 8.0, settings)
    return [[one.tick for one in clip] for clip in found.clips], found.dropped


def unseen(pose: Pose, *joints: int) -> Pose:
    body = np.column_stack([pose.body, pose.body_score])
    body[list(joints), 2] = 0
    return Pose.of(pose.width, pose.height, body=body)


def test_a_person_who_moves_is_one_clip(frames, poses):
    assert chosen(frames, poses) == ([list(range(8))], Counter())


def test_every_filter_drops_and_counts(frames, poses):
    pictures, seen = list(frames), list(poses)
    seen[1] = NO_ONE
    seen[2] = unseen(seen[2], *range(6, 18))  # six joints stay
    pictures[4] = np.full_like(pictures[4], 128)
    pictures[6], seen[6] = pictures[5], seen[5]
    clips, dropped = chosen(pictures, seen)
    assert clips == [[0, 3, 5, 7]]
    assert dropped == {NOBODY: 1, BODY: 1, BLURRED: 1, SAME: 1}


def test_a_small_person_is_dropped(frames, poses):
    tiny = [pose.map_points(lambda p: p * 0.1 + 20, 256, 256) for pose in poses]
    assert chosen(frames, tiny) == ([], {SMALL: 8})
    unsharp = {f"person__{name}": 0.0 for name in ("min_area", "min_sharpness", "min_change",
                                                   "min_face_sharpness")}  # fmt: skip
    assert chosen(frames, tiny, frames__size=512, **unsharp) == ([], {ENLARGED: 8})


def test_a_blurred_face_is_seen_though_the_clothes_have_edges(frames, poses):
    import cv2

    pictures = [frame.copy() for frame in frames]
    face = poses[3].face[np.isfinite(poses[3].face).all(1)]
    (left, top), (right, bottom) = face.min(0).astype(int) - 4, face.max(0).astype(int) + 4
    pictures[3][top:bottom, left:right] = cv2.blur(pictures[3][top:bottom, left:right], (25, 25))
    assert chosen(pictures, poses)[1] == {BLURRED: 1}


def test_a_change_of_scene_ends_a_clip(frames, poses):
    pictures = [*frames[:4], *(255 - frames[4:])]
    assert chosen(pictures, poses)[0] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_jump_of_the_person_ends_a_clip_and_short_ones_go(frames, poses):
    jump = [pose.map_points(lambda p: p * 0.5 + 120, 256, 256) for pose in poses]
    seen = [*poses[:5], *jump[5:7], poses[7]]
    calm = {"person__min_change": 0.0, "person__min_face_sharpness": 0.0,
            "person__min_sharpness": 0.0, "clips__max_speed": 2.0}  # fmt: skip
    assert chosen(frames, seen, **calm) == ([[0, 1, 2, 3, 4], [5, 6]], {SHORT: 1})
    assert chosen(frames, seen, **calm | {"clips__max_speed": 1000.0})[0] == [list(range(8))]


def test_a_second_person_ends_a_clip(frames, poses):
    assert chosen(frames, poses, poses[0]) == ([], {SECOND: 8})
    assert chosen(frames, poses, unseen(poses[0], *range(6, 18)))[1] == {}  # too little to be one
    for every_s, looks in ((0.5, 2), (0.1, 8), (10.0, 1)):
        detector = Known(frames, poses, NO_ONE)
        settings = DatasetSettings().with_options(person__second_every_s=every_s)
        choose(frames, detector, 8.0, settings)
        assert detector.asked_else == looks


def test_the_real_detector_finds_the_second_person(frames):
    from magicpose_cli.pose.detection.detect import detect_one, load_detector

    settings = DatasetSettings().with_options(frames__size=64)
    detector = load_detector(still=True)
    try:
        alone = frames[0]
        both = np.concatenate([frames[0][:, 50:200], frames[3][:, 50:200]], axis=1)
        for picture, expected in ((alone, False), (both, True)):
            pose = detect_one(detector, picture)
            assert has_second_person(picture, pose, detector, settings) == expected
    finally:
        detector.close()


def test_a_long_gap_ends_a_clip(frames, poses):
    seen = [*poses[:2], *[NO_ONE] * 4, *poses[6:]]
    assert chosen(frames, seen, clips__max_gap_s=0.4)[0] == [[0, 1], [6, 7]]
    assert chosen(frames, seen, clips__max_gap_s=0.5)[0] == [[0, 1, 6, 7]]


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (300, 300)])
@pytest.mark.parametrize("center", [(0.1, 0.2), (0.5, 0.5), (0.95, 0.9)])
def test_the_crop_is_a_square_within_the_picture_that_holds_the_person(poses, size, center):
    width, height = size
    moved = [
        pose.map_points(lambda p: (p - 128) * 0.4 + np.multiply(center, size), width, height)
        for pose in poses
    ]
    crop = square_crop(moved, 0.1, "crop", 64)
    left, top, right, bottom = crop.window
    assert right - left == bottom - top == int(right - left)
    assert left >= 0 and top >= 0 and right <= width and bottom <= height
    points = np.concatenate([pose.body for pose in moved])
    points = points[np.isfinite(points).all(1)]
    inside = ((points >= 0) & (points < size)).all(1)
    assert ((points[inside] >= (left, top)) & (points[inside] < (right + 1, bottom + 1))).all()


def test_who_does_not_fit_keeps_the_head_or_gets_bars(poses):
    tall = [pose.map_points(lambda p: p * 1.6 + (-100, 60), 200, 1100) for pose in poses]
    nose = tall[0].body[0, 1]
    left, top, right, bottom = square_crop(tall, 0.1, "crop", 64).window
    assert (left, right) == (0, 200) and top < nose < bottom
    left, top, right, bottom = square_crop(tall, 0.1, "pad", 64).window
    assert left < 0 and right > 200 and bottom - top == right - left > 400


def test_a_film_becomes_clips_with_poses(media, whole, settings):
    report = make_dataset([media], whole, settings)[0]
    [record] = report.sources.values()
    assert record.file == "dance.mp4" and record.looked_at == 8
    assert record.kept + sum(record.dropped.values()) == record.looked_at
    clips = open_clips(whole)
    assert len(clips) == report.clips >= 1 and sum(map(len, clips)) == report.kept
    for clip in clips:
        about = json.loads((clip.path / "clip.json").read_text())
        assert (about["source"], about["source_size"]) == ("dance.mp4", [256, 256])
        left, top, right, bottom = about["crop"]
        assert right - left == bottom - top <= 256
        body = np.stack([clip.pose(i).body for i in range(len(clip))])
        assert np.nanmin(body[:, :8]) > -3 and np.nanmax(body[:, :8]) < 67  # the upper body is in


def test_running_again_does_nothing(media, whole, settings):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    report, new = make_dataset([media], whole, settings)
    assert new == 0 and report.clips == len(open_clips(whole))
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


def test_drawn_people_are_exact_and_fixed_by_their_number(settings, tmp_path):
    draw(tmp_path / "one", settings, 0, 1)
    draw(tmp_path / "two", settings, 1)
    one, two = open_clips(tmp_path / "one"), open_clips(tmp_path / "two")
    assert [clip.name for clip in one] == ["drawn-00000000", "drawn-00000001"]
    people = draw_people(1, 1, 2, 64)
    assert np.array_equal(one[1].labels(1), people.labels[1].numpy())
    assert one[1].pose(1).equals(people.poses()[1])
    assert np.abs(one[1].frame(1) / 255 - people.images[1].permute(1, 2, 0).numpy()).max() < 0.01
    for path in two[0].path.rglob("*"):
        same = one[1].path / path.relative_to(two[0].path)
        assert path.is_dir() or path.read_bytes() == same.read_bytes()


def test_held_out_people_are_of_the_test_seeds(settings, tmp_path):
    draw(tmp_path, settings.with_options(drawn__held_out=True), 3)
    [clip] = open_clips(tmp_path)
    assert clip.name == "held-out-00000003"
    wanted = draw_people(TEST_SEEDS + 3, 1, 2, 64).images[0].permute(1, 2, 0).numpy()
    assert np.abs(clip.frame(0) / 255 - wanted).max() < 0.01


def command(folder, data, config):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from magicpose_cli.dataset.build import make_dataset\n"
        "from magicpose_cli.dataset.dataset_config import load_settings\n"
        "if __name__ == '__main__':\n"
        "    make_dataset([Path(sys.argv[1])], Path(sys.argv[2]), load_settings(Path(sys.argv[3])),"
        " workers=1)\n"
    )
    return [sys.executable, "-c", code, str(folder), str(data), str(config)]


def test_killed_half_way_it_goes_on_to_the_same_bytes(media, whole, settings, tmp_path):
    config, killed = tmp_path / "quick.toml", tmp_path / "killed"
    config.write_text(TOML)
    assert load_settings(config) == settings
    run = subprocess.Popen(command(media, killed, config), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(killed.glob("pieces/*.json")) and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(0.5)  # its worker notices and ends
    with pytest.raises(InputError, match="not finished"):
        open_clips(killed)
    [done] = killed.glob("pieces/*.json")  # of two
    stamp = done.stat().st_mtime_ns
    left = killed / "clips" / "dance-00000000-0009-00"
    left.mkdir()  # a clip without a record
    (killed / "clips" / "dance-00000000-0009-01.partial").mkdir()
    make_dataset([media], killed, settings, workers=1)
    assert done.stat().st_mtime_ns == stamp
    files = {path.relative_to(whole) for path in whole.rglob("*")}
    assert files == {path.relative_to(killed) for path in killed.rglob("*")} and len(files) > 10
    assert all(
        (whole / name).read_bytes() == (killed / name).read_bytes()
        for name in files
        if (whole / name).is_file()
    )


def test_other_settings_need_a_word(settings, tmp_path):
    others = settings.with_options(drawn__frames=3)
    draw(tmp_path, settings, 0, 1)
    with pytest.raises(OutputError, match=r"drawn\.frames 2, now 3.*--overwrite"):
        make_dataset([], tmp_path, others, synthetic=2)
    assert [len(clip) for clip in open_clips(tmp_path)] == [2, 2]
    (tmp_path / "clips" / "mine").mkdir()
    draw(tmp_path, others, 0, overwrite=True)
    assert {path.name for path in (tmp_path / "clips").iterdir()} == {"drawn-00000000", "mine"}
    (tmp_path / "clips" / "mine").rmdir()
    assert [len(clip) for clip in open_clips(tmp_path)] == [3]


def test_a_killed_overwriting_is_gone_on_with(settings, tmp_path):
    draw(tmp_path, settings, 0)
    write_index(tmp_path, None)  # as it is while the old clips are removed
    draw(tmp_path, settings.with_options(drawn__frames=3), 1)
    assert [clip.name for clip in open_clips(tmp_path)] == ["drawn-00000001"]


def test_a_broken_film_is_told_and_the_rest_goes_on(settings, media, tmp_path):
    films = tmp_path / "films"
    (films / "more").mkdir(parents=True)
    (films / "more" / "broken.mp4").write_text("no film")
    (films / ".hidden.mp4").write_text("no film")
    (films / "notes.txt").write_text("no film")
    (films / "dance.MP4").write_bytes((media / "dance.mp4").read_bytes())
    assert [path.name for path in find_films([films])] == ["dance.MP4", "broken.mp4"]
    path = films / "more" / "broken.mp4"
    data = tmp_path / "data"
    open_folder(data, settings, overwrite=False)
    begin(data, settings)
    for film in find_films([films]):
        for piece in plan_pieces(film, source_name(film), data, settings):
            cut_piece(piece, data, settings)
    report = finish(data, settings)
    assert report.sources[source_name(path)].error.count("broken.mp4") == 1
    assert report.clips == len(open_clips(data)) >= 1


def test_nothing_usable_is_one_line(settings, tmp_path):
    write_video(tmp_path / "gray.mp4", iter(np.full((6, 64, 64, 3), 128, np.uint8)), 8)
    with pytest.raises(
        DetectionError, match=r"no clip with a person.*nobody found \(6\)"
    ) as caught:
        make_dataset([tmp_path / "gray.mp4"], tmp_path / "data", settings, workers=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(DetectionError, match="no clip with a person"):  # nor the second time
        make_dataset([tmp_path / "gray.mp4"], tmp_path / "data", settings, workers=1)
    with pytest.raises(InputError, match="holds no clips"):
        open_clips(tmp_path / "data")


def test_wrong_input_leaves_nothing(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    data = tmp_path / "data"

    def refused(error, match, videos=(), folder=data, synthetic=0):
        with pytest.raises(error, match=match) as caught:
            make_dataset(videos, folder, settings, synthetic=synthetic)
        assert "\n" not in str(caught.value)

    refused(InputError, "nothing to do")
    refused(InputError, "empty holds no videos", [tmp_path / "empty"])
    refused(InputError, "does not exist", [tmp_path / "none.mp4"])
    refused(OutputError, "holds other files", folder=tmp_path / "full", synthetic=1)
    refused(OutputError, "cannot be written", folder=Path("/proc/data"), synthetic=1)
    refused(OutputError, "cannot be written", folder=tmp_path / "full" / "letter.txt", synthetic=1)
    assert not data.exists()


def test_a_full_disk_is_one_line_and_leaves_no_half_clip(settings, tmp_path):
    open_folder(tmp_path, settings, overwrite=False)
    begin(tmp_path, settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="File too large") as caught:
            draw_clip(0, tmp_path, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and not list((tmp_path / "clips").iterdir())


def test_a_folder_appears_when_it_is_full(tmp_path):
    with pytest.raises(KeyboardInterrupt), complete_folder(tmp_path / "clip") as part:
        (part / "one").write_text("1")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_the_shipped_settings_are_the_defaults_and_complete():
    path = presets_folder() / "training" / "dataset.toml"
    assert load_settings(path) == DatasetSettings() == load_settings(None)
    from magicpose_cli.config.sections import read_toml

    shown = read_toml(path, "config")
    assert {s: set(v) for s, v in shown.items()} == {
        s: set(v) for s, v in DatasetSettings().model_dump().items()
    }


def test_every_mistake_in_the_settings_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[frames]\nsize = 500\ndetector = "x"\n[person]\nmin_joint = 3\n[clip]\nx = 1\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    for place in (
        "frames.size: 500",
        "frames.detector: 'x'",
        "person.min_joint: no such",
        "clip: no",
    ):
        assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_film_is_known_by_its_content(media, tmp_path):
    copy = tmp_path / "dance.mp4"
    copy.write_bytes((media / "dance.mp4").read_bytes())
    assert source_name(copy) == source_name(media / "dance.mp4")
    copy.write_bytes(copy.read_bytes() + b"x")
    assert source_name(copy) != source_name(media / "dance.mp4")
