"""Maps of the body from end to end: off is off, and the same frames whoever makes them."""

from pathlib import Path

import numpy as np
import pytest

from magicpose_cli import Resources, animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.body_control import new_body_controlnet
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.motion.map_films import write_maps
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import write_people
from magicpose_cli.run.resources import WorkerConfig
from magicpose_cli.run.run_record import read_run_record
from magicpose_cli.run_report.page import write_page
from magicpose_cli.video import read_picture, write_picture
from tests.diffusion.test_body_control import learned

FRAMES, SIZE = 6, 64


@pytest.fixture(scope="module")
def given(people, tmp_path_factory) -> Path:
    """ref.png and dance.npz of a drawn person."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(3)
    write_picture(folder / "ref.png", random.integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    poses = [
        pose.map_points(lambda points: points * (SIZE / 256), SIZE, SIZE)
        for pose in people.poses()[:FRAMES]
    ]
    write_people(folder / "dance.npz", PeopleClip.of(poses, 8))
    return folder


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory) -> dict[str, Path]:
    """One model: without the network, with a new one, with one at work, and that one by itself."""
    folder = tmp_path_factory.mktemp("models")
    found = {"none": tiny_model}
    for name in ("new", "learned"):
        pipeline = load_pipeline(tiny_model)
        body = new_body_controlnet(pipeline.pose_controlnet, 1)
        if name == "learned":
            learned(body, 0.3).save_pretrained(folder / "depth")
        pipeline.register_modules(body_controlnet=body)
        pipeline.register_to_config(body_maps=["depth"])
        pipeline.save_pretrained(folder / name)
        found[name] = folder / name
    return found | {"alone": folder / "depth"}


def preset(model: Path, body_map="on", **options) -> Preset:
    return Preset().with_options(
        model__name=str(model), model__device="cpu", model__batch_size=2, sampling__steps="2",
        motion__retarget="none", **{"model__body_map": str(body_map), **options},
    )  # fmt: skip


def made(given: Path, out: Path, settings: Preset, **options):
    record = animate(given / "ref.png", given / "dance.npz", out, settings, **options)
    return np.stack([read_picture(path) for path in sorted(out.glob("*.png"))]), record


@pytest.fixture(scope="module")
def mapped(given, models, tmp_path_factory) -> np.ndarray:
    out = tmp_path_factory.mktemp("mapped") / "frames"
    frames, record = made(given, out, preset(models["learned"]))
    assert read_run_record(out).plan.body_maps == record.plan.body_maps == ("depth",)
    return frames


@pytest.mark.slow
def test_the_page_about_a_run_tells_them(given, models, mapped, tmp_path):
    made(given, tmp_path / "frames", preset(models["learned"]))
    page = Path(write_page(tmp_path / "frames").page)
    assert "depth of a fitted body" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_off_and_new_networks_change_no_byte(given, models, mapped, tmp_path):
    alone, _ = made(given, tmp_path / "alone", preset(models["none"], "off"))
    for name, model, switch in (
        ("off", "learned", "off"),
        ("auto", "learned", "auto"),
        ("new", "new", "on"),
    ):
        frames, record = made(given, tmp_path / name, preset(models[model], switch))
        np.testing.assert_array_equal(frames, alone)
        assert bool(record.plan.body_maps) is (name == "new")
    assert (mapped != alone).any(axis=(1, 2, 3)).all()


@pytest.mark.slow
def test_a_network_of_others_in_place_of_the_models_own(given, models, mapped, tmp_path):
    settings = preset(models["none"], "auto", model__body_map_model=str(models["alone"]))
    frames, record = made(given, tmp_path / "frames", settings)
    np.testing.assert_array_equal(frames, mapped)
    assert record.plan.body_maps == ("depth",)
    assert record.files_sha256
    fainter = settings.with_options(model__body_map_scale=0.5)
    assert (made(given, tmp_path / "fainter", fainter)[0] != mapped).any()


@pytest.mark.slow
def test_ready_maps_in_place_of_fitted_ones(given, models, mapped, tmp_path):
    motion = Preset().with_options(motion__retarget="none").motion
    (tmp_path / "maps").mkdir()
    write_maps(given / "dance.npz", tmp_path / "maps" / "pose", motion, ["depth"])
    settings = preset(models["learned"], tmp_path / "maps")
    frames, record = made(given, tmp_path / "frames", settings)
    assert np.abs(frames.astype(int) - mapped).mean() < 1
    assert record.files_sha256


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 4])
def test_an_interrupted_run_goes_on_to_the_same_bytes(given, models, mapped, tmp_path, at):
    out, settings = tmp_path / "frames", preset(models["learned"])

    def interrupt(progress):
        if progress.stage == "render" and progress.done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(given, out, settings, on_progress=interrupt)
    frames, _ = made(given, out, settings)
    np.testing.assert_array_equal(frames, mapped)


@pytest.mark.slow
def test_two_workers_make_what_one_process_makes(given, models, mapped, tmp_path):
    with Resources(WorkerConfig(count=2)) as workers:
        frames, _ = made(given, tmp_path / "w", preset(models["learned"]), resources=workers)
    np.testing.assert_array_equal(frames, mapped)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.5, None])
def test_beside_pictures_that_frames_begin_from(media, models, tmp_path, start):
    """The channels of the maps and of the warped reference do not take each other's place."""
    settings = preset(
        models["new"], frame__size="64", frame__warp="on", motion__end_s=0.3,
        sampling__start_from_warp=start,
    )  # fmt: skip
    frames = []
    for switch in ("on", "off"):
        out = tmp_path / switch
        asked = settings.with_options(model__body_map=switch)
        animate(media / "ref.png", media / "dance.mp4", out, asked)
        frames.append(np.stack([read_picture(path) for path in sorted(out.glob("*.png"))]))
    np.testing.assert_array_equal(*frames)


def test_what_cannot_be_had_is_one_line_before_the_work(given, models, media, tmp_path):
    (tmp_path / "network").mkdir()
    alone = preset(models["none"], model__body_map_model=str(tmp_path / "network"))
    drawn = preset(models["learned"], motion__driver_kind="pose-maps")
    for settings, driver, error, said in (
        (preset(models["none"]), given / "dance.npz", ConfigError, "has no ControlNet for maps"),
        (alone, given / "dance.npz", ConfigError, "name its map with --body-map-kind"),
        (preset(models["learned"], tmp_path / "no"), given / "dance.npz", InputError, "no such"),
        (drawn, media / "dance.mp4", ConfigError, "no body is fitted"),
    ):
        with pytest.raises(error, match=said) as caught:
            animate(given / "ref.png", driver, tmp_path / "out", settings)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
