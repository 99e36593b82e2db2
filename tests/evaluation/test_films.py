"""Films that act themselves again."""

import json

import numpy as np
import pytest

from magicpose_cli.animation import animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError, ModelError
from magicpose_cli.evaluation.evaluation import evaluate_films
from magicpose_cli.evaluation.evaluation_report import write_report
from magicpose_cli.evaluation.films import as_shown, films_in
from magicpose_cli.evaluation.metrics import COPY
from magicpose_cli.evaluation.pixels import decibel
from magicpose_cli.evaluation.readings import Reading, widened_person_mask
from magicpose_cli.evaluation.strips import SampleGrid
from magicpose_cli.evaluation.table import clip_rows, heads
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import read_picture, write_picture, write_video
from magicpose_cli.video.picture import pictures_in


@pytest.fixture
def sample_grid():
    sample_grid = SampleGrid()
    yield sample_grid
    sample_grid.close()


@pytest.fixture
def fast(tiny_model):
    return Preset().with_options(
        model__name=str(tiny_model), sampling__steps="1", motion__detector="mediapipe"
    )


@pytest.fixture
def films(media, tmp_path):
    """A folder of a film, one without a person, one of a single frame, and one that is broken."""
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "dance.mp4").write_bytes((media / "dance.mp4").read_bytes())
    gray = np.full((4, 128, 128, 3), 128, np.uint8)
    write_video(folder / "empty.mp4", iter(gray), 8)
    write_video(folder / "one.mp4", iter(gray[:1]), 8)
    (folder / "broken.mp4").write_bytes(b"no film" * 100)
    return folder


def test_films_are_found_by_name(films, media):
    found = films_in([films, media / "dance.mp4"])
    assert list(found)[:4] == ["broken", "dance", "empty", "one"]
    assert found[str(media / "dance.mp4")] == media / "dance.mp4"  # the name is taken
    (films / "none").mkdir()
    with pytest.raises(InputError, match="neither videos nor pictures"):
        films_in([films / "none"])


def test_a_frame_is_shown_in_the_results_window(texture):
    whole = Framing((0, 0, 96, 96), 96, 96)
    assert np.array_equal(as_shown(texture, whole), texture)
    part = as_shown(texture, Framing((10, 20, 58, 84), 48, 64))
    assert np.array_equal(part, texture[20:84, 10:58])
    halved = as_shown(texture, Framing((0, 0, 96, 96), 48, 48)).astype(float)
    wanted = texture.reshape(48, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(halved - wanted).max() <= 1


def test_a_mask_is_kept_in_bits():
    mask = np.random.default_rng(0).random((13, 7)) < 0.5
    reading = Reading(None, np.packbits(mask).tobytes())
    assert np.array_equal(reading.mask(np.zeros((13, 7, 3), np.uint8)), mask)
    assert Reading(None, None).mask(np.zeros((13, 7, 3), np.uint8)) is None


@pytest.mark.slow
def test_the_mask_holds_the_person_and_not_the_whole_picture(people, frames):
    drawn = people.labels[0].cpu().numpy() > 0
    mask = widened_person_mask(frames[0], people.poses()[0])
    assert mask[drawn].mean() > 0.95 and mask[~drawn].mean() < 0.7
    assert widened_person_mask(frames[0], Pose.of(256, 256)) is None


@pytest.mark.slow
def test_a_film_is_measured_and_the_others_are_named(films, fast, sample_grid, tmp_path):
    said = []
    evaluation = evaluate_films([films], fast, sample_grid, on_failed=said.append)
    assert evaluation.names == [f"dance {index:05d}" for index in range(1, 8)]
    assert list(evaluation.failed) == ["broken", "empty", "one"]
    assert said == list(evaluation.failed.values())
    words = ("broken.mp4", "no person was found at 0 s", "only frame")
    for line, word in zip(said, words, strict=True):
        assert word in line and "\n" not in line
        assert str(films) in line and "reference.png" not in line
    (model,) = evaluation.models
    totals = evaluation.totals(model)
    assert {"psnr", "psnr_moved", "ssim_gray", "sharpness", "background", "psnr_mouth"} <= set(
        totals
    )
    assert totals["flicker_error"].count == 6 and totals["psnr"].count == 7
    copied = evaluation.totals(evaluation.baselines[COPY])
    assert copied["body"].mean > 1 and copied["mouth"].mean > 1
    assert totals["psnr"].against == pytest.approx(totals["psnr"].mean - copied["psnr"].mean)

    report = write_report(tmp_path / "report", evaluation, sample_grid, {}, False)
    assert report["kind"] == "films" and list(report["failed"]) == list(evaluation.failed)
    film = report["models"][0]["films"]["dance"]
    assert film["size"] == [64, 64] and film["window"] == [0, 0, 256, 256]
    json.dumps(report)
    page = (tmp_path / "report/report.html").read_text()
    assert "broken.mp4" in page and "PSNR moved" in page
    (row,) = clip_rows(evaluation, model, 100)
    cells = dict(zip([head.key for head in heads(evaluation)], row.cells, strict=True))
    assert row.name == "dance" and float(cells["psnr"].against) == pytest.approx(
        copied["psnr"].mean, abs=0.01
    )


@pytest.mark.slow
def test_what_is_measured_is_what_animate_makes(media, frames, sample_grid, fast, tmp_path):
    film = media / "dance.mp4"
    preset = fast.with_options(motion__every=2, frame__warp="on", frame__size="128")
    evaluation = evaluate_films([film], preset, sample_grid, at_s=0.5, detector="none")
    assert evaluation.names == ["dance 00000", "dance 00001", "dance 00003"]  # 2 is frame 4
    assert set(evaluation.totals(evaluation.models[0])) == {
        "psnr", "psnr_moved", "ssim_gray", "sharpness", "flicker", "flicker_error"
    }  # fmt: skip
    from magicpose_cli.video import probe, read_frames

    truths = list(read_frames(probe(film)))
    write_picture(tmp_path / "reference.png", truths[4])
    record = animate(tmp_path / "reference.png", film, tmp_path / "made", preset)
    whole = Framing(record.motion.window, record.plan.width, record.plan.height)
    made = [read_picture(path) for path in pictures_in(tmp_path / "made")]
    for row, copied, index in zip(
        evaluation.models[0].rows, evaluation.baselines[COPY].rows, (0, 1, 3), strict=True
    ):
        truth, reference = (as_shown(truths[i], whole) for i in (2 * index, 4))
        for value, picture in ((row, made[index]), (copied, reference)):
            square = np.square(picture.astype(np.float64) - truth).mean()
            assert value["psnr"] == pytest.approx(decibel(square), abs=1e-4)


@pytest.mark.slow
def test_no_film_at_all_is_an_error(films, fast, sample_grid):
    for name in ("dance.mp4", "one.mp4"):
        (films / name).unlink()
    with pytest.raises(InputError, match=r"none of 2 films.*broken\.mp4"):
        evaluate_films([films], fast, sample_grid)
    with pytest.raises(InputError, match=r"no person was found at 0 s.*--at"):
        evaluate_films([films / "empty.mp4"], fast, sample_grid)
    with pytest.raises(InputError, match=r"no frame at 9 s, it is 0\.500 s long"):
        evaluate_films([films / "empty.mp4"], fast, sample_grid, at_s=9.0)
    with pytest.raises(ModelError, match="nowhere"):  # said once, not of each film
        evaluate_films([films], fast.with_options(model__name="nowhere"), sample_grid)
