"""A tiny set like Market-1501 of rendered people goes in and out."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from magicpose_cli.augmentation.augment_job import AugmentJob, pictures_to_look_at
from magicpose_cli.augmentation.augment_report import write_augment_report
from magicpose_cli.augmentation.augment_run import augment_set, copy_data
from magicpose_cli.augmentation.augment_settings import AugmentSettings
from magicpose_cli.augmentation.camera_ranges import Viewpoint
from magicpose_cli.augmentation.judging import Judge
from magicpose_cli.augmentation.person_work import nearest_source
from magicpose_cli.augmentation.picture_maker import MadePicture
from magicpose_cli.augmentation.pose_library import built_in_poses
from magicpose_cli.augmentation.reid_data import PersonPicture, read_reid_data
from magicpose_cli.augmentation.rendered_set import dress_person, render_views
from magicpose_cli.augmentation.seen_person import PersonFinder, azimuth_apart
from magicpose_cli.augmentation.written_set import names_for
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError, OutputError
from magicpose_cli.motion.framing import Framing
from magicpose_cli.video import write_picture
from magicpose_cli.warping.matte import person_mask

STANDING = 58  # in the library


def all_pass() -> str:
    """The settings of a test of files, not of thresholds."""
    settings = AugmentSettings().with_options(
        judge__min_joints_found=0.0, judge__max_pose_error=1.0, judge__min_silhouette=0.0,
        judge__max_color_difference=100.0, judge__min_sharpness=0.0,
    )  # fmt: skip
    return settings.model_dump_json()


JOB = AugmentJob(
    per_person=1, size=(64, 128), settings_json=all_pass(),
    preset_json=Preset().with_options(model__name="mini").model_dump_json(),
)  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Two people, one of them in a single picture; noise, a torn file, a distractor."""
    root = tmp_path_factory.mktemp("set")
    folder = root / "bounding_box_train"
    folder.mkdir()
    for seed, name, azimuths in ((3, "0002", (0, 180)), (5, "0007", (20,))):
        person = dress_person(seed)
        count = len(azimuths)
        rotations = built_in_poses(person.body).rotations[[STANDING] * count]
        views = [Viewpoint(float(azimuth), 5.0) for azimuth in azimuths]
        pictures = render_views(person, rotations, views, [1] * count, (64, 128))
        for number, picture in enumerate(pictures):
            write_picture(folder / f"{name}_c{number + 1}s1_{number:06d}_00.jpg", picture)
    noise = np.random.default_rng(0).integers(0, 255, (128, 64, 3), np.uint8)
    write_picture(folder / "0009_c1s1_000000_00.jpg", noise)
    (folder / "0010_c1s1_000000_00.jpg").write_bytes(b"\xff\xd8\xff torn")
    write_picture(folder / "-1_c1s1_000000_00.jpg", noise)
    return root


def files_of(folder):
    """Contents by name, of all but the records."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "augment.json" and "work" not in path.parts
    }


@pytest.fixture(scope="module")
def made(market, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "set"
    result = augment_set(market, folder, JOB, copies_data=True)
    write_augment_report(result)
    return result


@pytest.mark.slow
def test_every_usable_person_is_drawn_again_and_the_rest_is_told(made):
    assert {row["person"] for row in made.kept} == {"0002", "0007"}
    reasons = {row["person"]: row["reason"] for row in made.looked if "reason" in row}
    assert "nobody was found" in reasons["0009"]
    assert reasons["0010"].count("\n") == 0 and "0010" in reasons["0010"]
    assert made.notes == ("-1_c1s1_000000_00.jpg: distractor",)


@pytest.mark.slow
def test_names_and_labels_are_those_of_a_loader(made):
    with (made.folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        person, camera = re.search(r"([-\d]+)_c(\d)", row["file"]).groups()
        assert person == row["person"]
        assert camera == row["camera"] and 3 <= int(camera) <= 6
        with Image.open(made.folder / row["file"]) as picture:
            assert picture.size == (64, 128)
        assert 0 <= float(row["azimuth"]) < 360 and 0 <= float(row["elevation"]) <= 30
    loaded = list((made.folder / "bounding_box_train").glob("*.jpg"))
    assert len(loaded) == 6  # 2 made, 4 copied: a loader would stop at the torn one
    for path in loaded:
        with Image.open(path) as picture:
            picture.load()


@pytest.mark.slow
def test_the_report_and_the_totals_tell_the_gap(made):
    totals = json.loads((made.folder / "augment.json").read_text())["totals"]
    assert totals["made"] >= totals["kept"] == 2
    assert totals["after"]["cells_per_person"] > totals["before"]["cells_per_person"]
    page = (made.folder / "report.html").read_text()
    assert page.count("<svg") == 1 and "azimuth" in page and "0009" in page


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_files(market, made, tmp_path):
    folder = tmp_path / "set"

    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.stage == "people" and progress.done == 1:
            raise Stopped

    with pytest.raises(Stopped):
        augment_set(market, folder, JOB, copies_data=True, on_progress=stop)
    assert not (folder / "labels.csv").exists()
    result = augment_set(market, folder, JOB, copies_data=True, workers=2)
    write_augment_report(result)
    assert files_of(folder) == files_of(made.folder)


@pytest.mark.slow
def test_another_run_does_not_write_over_it(market, made):
    other = replace(JOB, seed=1)
    with pytest.raises(OutputError, match="other settings"):
        augment_set(market, made.folder, other)
    with pytest.raises(OutputError, match="holds DATA"):
        augment_set(market, market, JOB)


def test_output_among_the_pictures_that_are_read(market_of_nobody):
    pictures = market_of_nobody / "bounding_box_train"
    for folder in (pictures, pictures / "out"):
        with pytest.raises(OutputError, match="which is read"):
            augment_set(market_of_nobody, folder, JOB)
        assert list(pictures.iterdir()) == [pictures / "0002_c1s1_000000_00.jpg"]
    with pytest.raises(OutputError, match=r"which is read|holds DATA"):
        augment_set(pictures, pictures / "out", JOB)


def test_copies_never_replace_what_is_made(tmp_path):
    names = ("anna/left/1.jpg", "anna/right/1.jpg", "anna/made_c01_000000.jpg")
    gray = np.full((16, 8, 3), 90, np.uint8)
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / "set" / name, gray)
    (tmp_path / "set/anna/torn.jpg").write_bytes(b"")
    data = read_reid_data(tmp_path / "set")
    folders, _ = names_for(data, "folders")
    kept = [{"file": "people/anna/made_c01_000000.jpg"}]
    copied, torn = copy_data(tmp_path / "out", data, folders, kept)
    own = {name for name, _ in copied}
    assert len(own) == 3 and "anna/made_c01_000000.jpg" not in own
    assert all((tmp_path / "out/people" / name).exists() for name in own)
    assert len(torn) == 1 and "torn.jpg" in torn[0][1]


@pytest.mark.slow
def test_viewpoints_are_seen_in_small_pictures(market):
    with PersonFinder(JOB.settings.source) as finder:
        folder = market / "bounding_box_train"
        found = {p.name[:7]: finder.find(p) for p in sorted(folder.glob("000[27]*"))}
        assert azimuth_apart(found["0002_c1"].viewpoint.azimuth_deg, 0) < 35
        assert azimuth_apart(found["0007_c1"].viewpoint.azimuth_deg, 20) < 35
        assert all(abs(seen.viewpoint.elevation_deg - 5) < 25 for seen in found.values())
        with pytest.raises(DetectionError, match="0009"):
            finder.find(folder / "0009_c1s1_000000_00.jpg")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 128), (512, 1024)])
def test_a_picture_is_as_sharp_as_its_source_at_any_size(market, size):
    with PersonFinder(JOB.settings.source) as finder:
        seen = finder.find(market / "bounding_box_train/0002_c1s1_000000_00.jpg")
        height, width = seen.crop.shape[:2]
        large = Framing((0, 0, width, height), *size)
        mask = person_mask(seen.crop, seen.crop_pose)
        shown = large.picture(np.asarray(255 * mask[..., None].repeat(3, axis=2), np.uint8)) > 127
        same = large.picture(seen.crop), large.pose(seen.crop_pose), shown[..., 0], "warp"
        sharpness = Judge(finder, seen, size).scores(MadePicture(*same)).sharpness
        assert 0.5 < sharpness < 2


def test_output_that_cannot_be_written(market_of_nobody, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        augment_set(market_of_nobody, tmp_path / "file" / "out", JOB)


@pytest.fixture
def market_of_nobody(tmp_path):
    write_folder = tmp_path / "data" / "bounding_box_train"
    write_folder.mkdir(parents=True)
    gray = np.full((128, 64, 3), 90, np.uint8)
    write_picture(write_folder / "0002_c1s1_000000_00.jpg", gray)
    return tmp_path / "data"


def test_backs_come_from_backs():
    rows = [{"path": "a", "azimuth": 10.0}, {"path": "b", "azimuth": 170.0}]
    assert nearest_source(rows, 350)["path"] == "a"
    assert nearest_source(rows, 200)["path"] == "b"


def test_pictures_of_all_cameras_are_looked_at(tmp_path):
    pictures = [PersonPicture(tmp_path / f"{i}.jpg", "1", 1 + (i >= 20)) for i in range(25)]
    chosen = pictures_to_look_at(pictures, 6)
    assert [p.camera for p in chosen] == [1, 1, 1, 2, 2, 2]
    assert pictures_to_look_at(pictures[:3], 6) == tuple(pictures[:3])
