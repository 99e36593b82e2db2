import json
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from magicpose_cli.compositing.background import Background
from magicpose_cli.config.preset import Preset
from magicpose_cli.dataset.build import make_dataset
from magicpose_cli.dataset.clips import open_clips
from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.diffusion.checkpoint.loading import MINI
from magicpose_cli.errors import ConfigError, InputError, OutputError
from magicpose_cli.evaluation.disentangling import grid, grid_samples
from magicpose_cli.evaluation.evaluation import evaluate_models, evaluate_videos
from magicpose_cli.evaluation.evaluation_report import write_report
from magicpose_cli.evaluation.generate import ModelPredictor, unique_names
from magicpose_cli.evaluation.metrics import COPY, TRUTH
from magicpose_cli.evaluation.pairs import data_pairs, synthetic_pairs
from magicpose_cli.evaluation.strips import SampleGrid
from magicpose_cli.evaluation.table import table_rows
from magicpose_cli.evaluation.warped_samples import WarpedSamples
from magicpose_cli.rendering.local import Renderer
from magicpose_cli.video import write_picture, write_video


@pytest.fixture
def sample_grid():
    sample_grid = SampleGrid()
    yield sample_grid
    sample_grid.close()


@pytest.fixture(scope="module")
def fast():
    return Preset().with_options(sampling__steps="2", model__batch_size=3)


def test_drawn_pairs_are_the_same_people_in_other_poses_and_fixed(fast):
    few, more = synthetic_pairs("drawn", 3, (64, 64)), synthetic_pairs("drawn", 9, (64, 64))
    first, again = list(few.open()), list(more.open())
    assert (len(first), len(again)) == (3, 9)
    for one, other in zip(first, again, strict=False):
        assert np.array_equal(one.truth, other.truth) and one.pose.equals(other.pose)
        assert not np.array_equal(one.reference, one.truth)
        corner = np.abs(one.reference[0, 0].astype(int) - one.truth[0, 0]).max()
        assert corner <= 1 or one.mask[0, 0]
    assert len({sample.truth.tobytes() for sample in again}) == 9
    with pytest.raises(ConfigError, match="64x128"):
        synthetic_pairs("drawn", 3, (64, 128))


@pytest.mark.slow
def test_a_batch_of_references_gives_what_each_alone_gives(tiny_model, fast):
    preset = fast.with_options(model__name=str(tiny_model))
    predictor = ModelPredictor("tiny", tiny_model, preset, (64, 64))
    samples = list(synthetic_pairs("drawn", 3, (64, 64)).open())
    together = [picture for _, picture in predictor.predict(samples)]
    for sample, picture in zip(samples, together, strict=True):
        (alone,) = predictor.pictures([sample])
        assert np.abs(picture.astype(int) - alone).max() <= 1
    same_person = [replace(sample, reference=samples[0].reference) for sample in samples]
    from magicpose_cli.pose.pose_map import pose_map

    renderer = Renderer(predictor.pipeline, samples[0].reference, preset)
    maps = np.stack(
        [pose_map(sample.pose, predictor.pipeline.config.pose_canvas) for sample in samples]
    )
    for rendered, (_, made) in zip(
        renderer.make(maps), predictor.predict(same_person), strict=True
    ):
        assert np.abs(rendered.astype(int) - made).max() <= 1


@pytest.mark.slow
def test_a_model_may_keep_the_references_background(tiny_model, fast, any_color):
    preset = fast.with_options(model__name=str(tiny_model))
    samples = list(synthetic_pairs("drawn", 3, (64, 64)).open())
    plain = ModelPredictor("tiny", tiny_model, preset, (64, 64))
    keeps = ModelPredictor(
        "tiny", tiny_model, preset.with_options(frame__keep_background=True), (64, 64)
    )
    assert not plain.metadata["keep_background"] and keeps.metadata["keep_background"]
    for sample, bare, kept in zip(
        samples, plain.pictures(samples), keeps.pictures(samples), strict=True
    ):
        expected = Background(sample.reference, sample.reference_pose).keep(bare, sample.pose)
        assert np.array_equal(kept, expected) and not np.array_equal(kept, bare)
    (unknown,) = keeps.pictures([replace(samples[0], reference_pose=None)])
    assert np.array_equal(unknown, plain.pictures(samples[:1])[0])


@pytest.mark.slow
def test_a_model_may_move_the_references_own_pixels(tiny_model, fast, any_color):
    preset = fast.with_options(model__name=str(tiny_model), frame__keep_background=True)
    samples = list(synthetic_pairs("drawn", 3, (128, 128)).open())
    predictors = {
        warp: ModelPredictor("tiny", tiny_model, preset.with_options(frame__warp=warp), (128, 128))
        for warp in ("auto", "on", "off")
    }
    assert [predictor.metadata["warp"] for predictor in predictors.values()] == [False, True, False]
    made = {warp: predictor.pictures(samples) for warp, predictor in predictors.items()}
    assert np.array_equal(made["auto"], made["off"])
    assert not np.array_equal(made["on"], made["off"])
    # without poses there is nothing to move: the network's picture, its background as it is kept
    for unknown in ({"reference_pose": None}, {"reference": np.zeros_like(samples[0].reference)}):
        (one,), (other,) = (
            predictors[warp].pictures([replace(samples[0], **unknown)]) for warp in ("on", "off")
        )
        assert np.array_equal(one, other)
    assert WarpedSamples(False, 1.0).of(replace(samples[0], pose=None)) is None


@pytest.mark.slow
def test_a_network_that_is_not_trusted_shows_what_the_reference_does_not():
    preset = Preset().with_options(model__name="mini", sampling__steps="1", frame__size=128)
    samples = list(synthetic_pairs("drawn", 2, (128, 128)).open())
    predictor = ModelPredictor("mini", MINI, preset, (128, 128))
    assert predictor.metadata["warp"] is True and predictor.metadata["keep_background"] is True
    for sample, picture in zip(samples, predictor.pictures(samples), strict=True):
        prepared = WarpedSamples(False, 1.0).of(sample)
        black, white = (prepared.fused(sample, np.full_like(picture, c)) for c in (0, 255))
        sure = (black == white).all(-1)  # all but hands and forearms that the reference lacks
        assert sure.mean() > 0.8 and np.array_equal(picture[sure], black[sure])
        behind = sure & (prepared.warp(sample.pose).cover == 0) & (prepared.warp.hole == 0)
        assert behind.mean() > 0.1
        assert np.array_equal(picture[behind], sample.reference[behind])


@pytest.mark.slow
def test_the_cases_of_a_clip_share_what_is_made_of_their_reference():
    first, second = synthetic_pairs("drawn", 2, (128, 128)).open()
    warped = WarpedSamples(False, 1.0)
    prepared = warped.of(first)
    copied = replace(first, reference=first.reference.copy(), pose=first.reference_pose)
    assert warped.of(copied) is prepared
    assert warped.of(second) is not prepared


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.outside, self.pictures = set(), [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                inside = value.startswith(("#", "data:image/"))
                self.pictures += value.startswith("data:image/jpeg;base64,")
                self.outside += [] if inside else [value]


@pytest.mark.slow
def test_two_models_on_drawn_pairs(tiny_model, fast, sample_grid, tmp_path):
    other = tmp_path / "other"
    other.symlink_to(tiny_model)
    evaluation = evaluate_models(
        [str(tiny_model), str(other)], fast, sample_grid, drawn=4, detector="none",
        grid=tmp_path / "grid.png",
    )  # fmt: skip
    one, two = evaluation.models
    assert one.rows == two.rows and len(one.rows) == 4
    assert (two.name, two.metadata["steps"], two.metadata["sha256"]) == (
        "other",
        2,
        one.metadata["sha256"],
    )
    assert [row.name for row in table_rows(evaluation)] == [one.name, "other", COPY]
    total = evaluation.totals(one)["psnr_inside"]
    copied = evaluation.totals(evaluation.baselines[COPY])["psnr_inside"]
    assert total.against == pytest.approx(total.mean - copied.mean)
    assert "body" not in evaluation.totals(one)
    assert (tmp_path / "grid.png").exists()

    folder = tmp_path / "report"
    written = write_report(folder, evaluation, sample_grid, {"command": "magicpose <b>"}, False)
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert not page.outside and not page.tags & {"script", "link", "iframe", "object"}
    assert "@import" not in text and "url(http" not in text and "<b>" not in text
    assert page.pictures == 16 and "svg" in page.tags  # four a model, side by side and alone
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers == json.loads(json.dumps(written))
    assert len(numbers["models"]) == 2 and len(numbers["pictures"]) == 4
    assert set(numbers["models"][0]["totals"]) <= set(numbers["protocol"])
    assert numbers["models"][0]["color_against_pose"]["count"] == 4
    assert set(numbers["not_measured"]) >= {"fid", "lpips"}
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "report.html"]

    with pytest.raises(OutputError, match="--overwrite"):
        write_report(folder, evaluation, sample_grid, {}, False)
    write_report(folder, evaluation, sample_grid, {}, True)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt"):
        write_report(folder, evaluation, sample_grid, {}, True)


@pytest.mark.slow
@pytest.mark.parametrize("warp", ["on", "off"])
def test_mini_keeps_the_clothes_better_than_chance(sample_grid, warp):
    preset = Preset().with_options(sampling__steps="4", frame__warp=warp)
    evaluation = evaluate_models(["mini"], preset, sample_grid, drawn=4)
    totals = evaluation.totals(evaluation.models[0])
    assert totals["psnr_inside"].against > 1  # dB above copying
    assert totals["color"].mean < 25
    truth = evaluation.totals(evaluation.baselines[TRUTH])
    assert truth["found"].mean > 50 and truth["body"].mean < 5
    assert all(pose["pose_distance"] > 0 for pose in evaluation.poses)


@pytest.mark.slow
def test_the_clips_of_a_data_folder(tiny_model, fast, sample_grid, tmp_path):
    settings = DatasetSettings().with_options(frames__size=128, drawn__frames=4)
    make_dataset([], tmp_path / "data", settings, synthetic=2, workers=1)
    clips = open_clips(tmp_path / "data")
    samples = data_pairs(tmp_path / "data", (64, 64))
    assert samples.count == sum(len(clip) - 1 for clip in clips)
    first, second, *_ = samples.open()
    assert first.truth.shape == (64, 64, 3) and first.labels.shape == (64, 64)
    assert first.reference is second.reference and not np.array_equal(first.truth, second.truth)
    assert first.before is None and second.before is first.truth
    on_person = first.pose.body[[1, 2, 5]].round().astype(int)
    assert all(first.labels[y, x] for x, y in on_person)
    evaluation = evaluate_models(
        [str(tiny_model)], fast, sample_grid, data=tmp_path / "data", detector="none"
    )
    totals = evaluation.totals(evaluation.models[0])
    assert totals["psnr_inside"].count == samples.count and totals["psnr_inside"].low is not None
    assert totals["flicker"].count == samples.count - len(clips)
    with pytest.raises(InputError, match="no data folder"):
        data_pairs(tmp_path, (64, 64))


def test_a_missing_package_is_said_before_the_work(tiny_model, fast, sample_grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ConfigError, match=r"'skimage'.*pip install 'magicpose\[train\]'"):
        evaluate_models([str(tiny_model)], fast, sample_grid, drawn=2)


def test_models_of_different_sizes_need_a_size(tiny_model, sample_grid):
    with pytest.raises(ConfigError, match="give one --size"):
        evaluate_models(["mini", str(tiny_model)], Preset(), sample_grid, drawn=2)


def test_names_are_as_short_as_they_can_be(tmp_path):
    assert unique_names([tmp_path / "a/model", tmp_path / "b/model"]) == ["a/model", "b/model"]
    assert unique_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert unique_names([tmp_path / "a"] * 2) == ["1 a", "2 a"]


@pytest.mark.slow
def test_a_video_against_itself(media, sample_grid):
    dance = media / "dance.mp4"
    evaluation = evaluate_videos(dance, dance, sample_grid, reference=media / "ref.png")
    totals = evaluation.totals(evaluation.models[0])
    assert totals["psnr"].mean == 100 and totals["psnr"].low is None  # one clip
    assert totals["flicker"].against == pytest.approx(1) and totals["flicker"].count == 7
    assert totals["body"].mean == 0 and totals["found"].against == 1
    distances = [pose["pose_distance"] for pose in evaluation.poses]
    assert distances[0] < 2 < max(distances)
    assert "color" not in totals  # no masks


@pytest.mark.slow
def test_folders_of_clips_are_matched_by_name(frames, sample_grid, tmp_path):
    for name in ("one", "two"):
        write_video(tmp_path / f"true/{name}.mp4", iter(frames[:3]), 8, crf=0)
        for index, frame in enumerate(frames[:3]):
            darker = (frame * 0.5).astype(np.uint8)
            write_picture(tmp_path / f"made/{name}/{index}.png", darker[::2, ::2])
    evaluation = evaluate_videos(tmp_path / "made", tmp_path / "true", sample_grid, detector="none")
    assert evaluation.clips == ["one"] * 3 + ["two"] * 3
    totals = evaluation.totals(evaluation.models[0])
    assert totals["l1"].mean == pytest.approx(frames[:3].mean() / 2, rel=0.05)
    assert totals["flicker"].against == pytest.approx(0.5, rel=0.2)
    assert totals["psnr"].against is None  # no reference
    report = write_report(tmp_path / "report", evaluation, sample_grid, {}, False)
    assert set(report["models"][0]["clips"]) == {"one", "two"}


def test_clips_that_do_not_match_are_named(frames, sample_grid, tmp_path):
    write_video(tmp_path / "true/one.mp4", iter(frames[:3]), 8)
    write_video(tmp_path / "true/two.mp4", iter(frames[:3]), 8)
    write_video(tmp_path / "made/three.mp4", iter(frames[:3]), 8)
    write_video(tmp_path / "short/one.mp4", iter(frames[:2]), 8)
    write_video(tmp_path / "short/two.mp4", iter(frames[:2]), 8)
    with pytest.raises(InputError, match="no clip 'three'"):
        evaluate_videos(tmp_path / "made", tmp_path / "true", sample_grid)
    with pytest.raises(InputError, match=r"2 frames, but .* has 3"):
        evaluate_videos(tmp_path / "short", tmp_path / "true", sample_grid)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither videos nor pictures"):
        evaluate_videos(tmp_path / "empty", tmp_path / "true", sample_grid)


def test_the_grid_shows_one_person_and_one_pose():
    one_person, one_pose = grid_samples(64)
    assert len({sample.reference.tobytes() for sample in one_person}) == 1
    assert len({sample.reference.tobytes() for sample in one_pose}) == 8
    picture = grid(one_person, one_pose, lambda samples: ((c, c.truth) for c in samples))
    assert picture.shape[1] == 9 * 132 + 4 and picture.shape[0] == 6 * 152
