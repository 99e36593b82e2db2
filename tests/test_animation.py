"""The main job with the real detector, the real encoder and a tiny model of the real classes."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli import files
from magicpose_cli.animation import animate
from magicpose_cli.config.preset import MotionSettings, Preset
from magicpose_cli.errors import ConfigError, DetectionError, InputError, ModelError, OutputError
from magicpose_cli.motion.extract import extract_poses
from magicpose_cli.rendering.local import Renderer
from magicpose_cli.run.preflight import make_plan
from magicpose_cli.run.run_record import poses_path, sidecar_path
from magicpose_cli.video import probe, read_frames, read_picture, write_picture, write_video


@pytest.fixture
def preset(tiny_model) -> Preset:
    return Preset().with_options(
        model__name=str(tiny_model), model__device="cpu", sampling__steps=2
    )


@pytest.fixture
def short(preset) -> Preset:
    """Of the driver's first two frames."""
    return preset.with_options(motion__end_s=0.25)


@pytest.fixture(scope="module")
def dance_poses(media, tmp_path_factory) -> Path:
    """The poses of dance.mp4, as they are found and followed."""
    file = tmp_path_factory.mktemp("poses") / "dance.npz"
    extract_poses(media / "dance.mp4", file, MotionSettings())
    return file


@pytest.mark.slow
def test_from_two_files_to_a_video(media, preset, tmp_path):
    seen = []
    out = tmp_path / "out.mp4"
    result = animate(media / "ref.png", media / "dance.mp4", out, preset, on_progress=seen.append)
    clip = probe(out)
    assert (clip.frame_count, clip.width, clip.height, float(clip.rate)) == (8, 64, 64, 8.0)
    assert result.frames == 8 and result.motion.track.missing == ()
    assert (result.motion.detector, result.motion.retarget) == ("mediapipe", "skeleton")
    assert [p.done for p in seen if p.stage == "render"] == list(range(9))
    stages = {"model", "reference", "poses", "draw", "render", "keep", "encode"}
    assert result.seconds.keys() == stages
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]


@pytest.mark.slow
def test_the_sidecar_makes_it_again(media, short, tmp_path, resources):
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    animate(media / "ref.png", media / "dance.mp4", first, short, resources=resources)
    notes = json.loads(sidecar_path(first).read_text())
    assert notes["plan"]["seed"] == 42 and len(notes["model_sha256"]) == 64
    assert {"magicpose", "python", "torch", "diffusers", "mediapipe"} <= notes["versions"].keys()
    again = Preset.model_validate(notes["preset"])
    animate(notes["plan"]["reference"], notes["plan"]["driver"], second, again)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_compare_lays_reference_pose_and_result_side_by_side(media, short, tmp_path, resources):
    plain, _ = (
        animate(
            media / "ref.png", media / "dance.mp4", tmp_path / name,
            short.with_options(output__compare=compare), resources=resources,
        )
        for name, compare in (("plain", False), ("wide", True))
    )  # fmt: skip
    for number in range(plain.frames):
        wide = next_picture(tmp_path / "wide", number)
        assert wide.shape == (64, 192, 3)
        assert np.array_equal(wide[:, 128:], next_picture(tmp_path / "plain", number))
        assert wide[:, 64:128].max() > 100  # the pose is drawn on black
        assert np.median(wide[:, 64:128]) == 0


def next_picture(folder, number):
    return read_picture(folder / f"{number:06d}.png")


@pytest.mark.slow
def test_poses_instead_of_a_film_give_the_same(media, dance_poses, preset, tmp_path, resources):
    for name, driver in (("film", media / "dance.mp4"), ("file", dance_poses)):
        animate(media / "ref.png", driver, tmp_path / name, preset, resources=resources)
    film, file = (list(read_frames(probe(tmp_path / name))) for name in ("film", "file"))
    assert len(film) == 8
    assert all(np.array_equal(a, b) for a, b in zip(film, file, strict=True))


@pytest.mark.slow
def test_pasted_back_the_person_moves_inside_the_whole_picture(media, short, tmp_path, resources):
    person = read_picture(media / "ref.png")
    wide = np.full((300, 640, 3), 90, np.uint8)
    wide[20:276, 200:456] = person
    write_picture(tmp_path / "wide.png", wide)
    result = animate(
        tmp_path / "wide.png", media / "dance.mp4", tmp_path / "out",
        short.with_options(frame__paste_back=True), resources=resources,
    )  # fmt: skip
    left, top, right, bottom = result.motion.window
    made = next_picture(tmp_path / "out", 0)
    assert made.shape == wide.shape
    outside = np.ones(wide.shape[:2], bool)
    outside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
    assert outside.any() and np.array_equal(made[outside], wide[outside])
    assert not np.array_equal(made, wide)


def test_ready_drawn_maps_are_shown_as_they_are(media, preset, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for i in range(3):
        drawn = np.zeros((100, 60, 3), np.uint8)
        drawn[40 + 5 * i : 50 + 5 * i, 20:40] = 255, 0, 0
        write_picture(maps / f"{i}.png", drawn)
    preset = preset.with_options(motion__driver_kind="pose-maps", output__compare=True)
    animate(media / "ref.png", maps, tmp_path / "out", preset)
    shown = next_picture(tmp_path / "out", 1)[:, 64:128]
    # the middle square of 60x100 is scaled to 64x64
    assert shown[32, 32].tolist() == [255, 0, 0] and shown[5, 32].tolist() == [0, 0, 0]


def test_pose_maps_hold_no_poses_to_save(media, preset, tmp_path):
    preset = preset.with_options(
        motion__driver_kind="pose-maps", output__save_poses=True, motion__end_s=0.25
    )
    out = tmp_path / "out.mp4"
    made = animate(media / "ref.png", media / "dance.mp4", out, preset)
    assert made.poses is None and not poses_path(out).exists()
    assert "no poses to save" in str(made.motion.notes)


@pytest.mark.slow
def test_compared_and_pasted_back_all_are_as_large_as_the_picture(
    media, short, tmp_path, resources
):
    preset = short.with_options(output__compare=True, frame__paste_back=True)
    result = animate(
        media / "ref.png", media / "dance.mp4", tmp_path / "out", preset, resources=resources
    )
    first = read_picture(sorted((tmp_path / "out").glob("*.png"))[0])
    reference = read_picture(media / "ref.png")
    height, width = reference.shape[:2]
    assert first.shape == (height, 3 * width, 3)
    assert np.array_equal(first[:, :width], reference)
    left, top, right, bottom = (round(side) for side in result.motion.window)
    drawn = first[:, width : 2 * width].copy()
    assert drawn[top:bottom, left:right].any()
    drawn[top:bottom, left:right] = 0
    assert not drawn.any()  # black around the window


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motion__detector": "bogus"}, "'bogus' is not known"),
        ({"motion__anchor": "8"}, "frame 8 is beyond the last, 7"),
    ],
)
def test_a_plan_knows_detector_and_anchor(media, preset, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        make_plan(
            media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4",
            preset.with_options(**options),
        )  # fmt: skip


@pytest.mark.slow
def test_the_background_of_the_reference_is_kept(media, short, tmp_path, any_color, resources):
    kept = short.with_options(frame__keep_background=True, output__compare=True)
    plain, result = (
        animate(
            media / "ref.png", media / "dance.mp4", tmp_path / name, preset, resources=resources
        )
        for name, preset in (("plain", short), ("kept", kept))
    )
    assert not plain.plan.keep_background
    assert result.plan.keep_background
    for number in range(result.frames):
        wide = next_picture(tmp_path / "kept", number)
        reference, picture = wide[:, :64], wide[:, 128:]
        made = next_picture(tmp_path / "plain", number)
        exact, person = (picture == reference).all(2), (picture == made).all(2)
        assert exact[:10, :10].all() and exact.mean() > 0.1 and person.mean() > 0.3
        assert (exact | person).mean() > 0.8  # the rest fades


def test_a_model_may_keep_the_background_by_itself(media, preset, tiny_model, tmp_path):
    import shutil

    model = shutil.copytree(tiny_model, tmp_path / "model")
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {"keep_background": True}))
    preset = preset.with_options(model__name=str(model))

    def keeps(**options):
        plan, *_ = make_plan(
            media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4",
            preset.with_options(**options),
        )  # fmt: skip
        return plan.keep_background

    assert keeps() and not keeps(frame__keep_background=False)
    assert not keeps(motion__retarget="none")  # where the reference's person is is not looked for
    assert keeps(motion__retarget="none", frame__keep_background=True)
    assert not keeps(motion__driver_kind="pose-maps")
    with pytest.raises(ConfigError, match="leave --keep-background out"):
        keeps(motion__driver_kind="pose-maps", frame__keep_background=True)


@pytest.mark.parametrize("words", ["prompt", "negative_prompt"])
def test_words_that_nobody_reads_are_told_before_any_work(media, preset, tmp_path, words):
    asked = preset.with_options(**{f"sampling__{words}": "a queen"})
    with pytest.raises(ConfigError, match="it reads no words"):
        animate(media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4", asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_with_a_background_kept_a_run_goes_on_to_the_same(
    media, preset, tmp_path, any_color, resources
):
    preset = preset.with_options(
        model__batch_size=2, frame__keep_background=True, motion__retarget="none"
    )
    reference, driver, out = media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        animate(reference, driver, out, preset, on_progress=interrupted_at(3), resources=resources)
    assert animate(reference, driver, out, preset).resumed >= 4
    animate(reference, driver, tmp_path / "whole.mp4", preset, resources=resources)
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.slow
def test_saved_poses_lie_beside_the_video_and_fit_it(media, short, tmp_path, resources):
    preset = short.with_options(output__save_poses=True)
    result = animate(
        media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4", preset, resources=resources
    )
    entries = json.loads((tmp_path / "out.poses.json").read_text())
    assert result.poses == str(tmp_path / "out.poses.json")
    assert [(e["canvas_width"], e["canvas_height"]) for e in entries] == [(64, 64)] * 2


@pytest.mark.slow
def test_a_blank_frame_is_filled_and_reported(media, frames, preset, tmp_path, resources):
    damaged = frames[:4].copy()
    damaged[:2] = 80  # before the tracker has found anybody
    write_video(tmp_path / "gap.mp4", iter(damaged), 8)
    result = animate(
        media / "ref.png", tmp_path / "gap.mp4", tmp_path / "out.mp4", preset, resources=resources
    )
    assert result.frames == 4 and result.motion.track.missing == (0, 1)


@pytest.mark.slow
def test_nothing_is_left_behind_by_what_cannot_be_used(media, preset, tmp_path):
    def refused(error, match, reference=media / "ref.png", driver=media / "dance.mp4", **options):
        with pytest.raises(error, match=match) as caught:
            animate(reference, driver, tmp_path / "out.mp4", preset.with_options(**options))
        assert "\n" not in str(caught.value)

    text = tmp_path / "text.mp4"
    text.write_text("not a film")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    blank = tmp_path / "blank.png"
    write_picture(blank, np.full((96, 96, 3), 128, np.uint8))
    refused(InputError, r"text\.mp4", driver=text)
    refused(InputError, r"empty\.mp4", driver=empty)
    refused(InputError, "does not exist", driver=tmp_path / "none.mp4")
    refused(InputError, r"text\.mp4", reference=text)
    refused(DetectionError, "--retarget none", reference=blank)
    refused(ModelError, "nowhere", model__name="nowhere")
    assert not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".*"))
    animate(blank, media / "dance.mp4", tmp_path / "out.mp4",
            preset.with_options(motion__retarget="none", motion__end_s=0.125))  # fmt: skip
    with pytest.raises(OutputError, match="--overwrite"):
        make_plan(media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4", preset)


def interrupted_at(frame):
    def interrupt(progress):
        if (progress.stage, progress.done) == ("render", frame):
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.slow
def test_an_interrupted_run_keeps_its_frames_and_goes_on(media, preset, tmp_path, resources):
    from magicpose_cli.video import partials_of

    reference, driver, out = media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4"
    preset = preset.with_options(model__batch_size=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        animate(reference, driver, out, preset, on_progress=interrupted_at(3), resources=resources)
    [partial] = partials_of(caught.value)
    assert partial.frames == probe(partial.path).frame_count == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4.part"]
    stages = []
    result = animate(reference, driver, out, preset, on_progress=lambda p: stages.append(p.stage))
    assert result.resumed >= 4 and "poses" not in stages  # two batches, and the motion
    animate(reference, driver, tmp_path / "whole.mp4", preset, resources=resources)
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_what_is_kept_of_another_job_is_not_used(media, preset, tmp_path, resources):
    reference, driver, out = media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4"
    preset = preset.with_options(model__batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        animate(reference, driver, out, preset, on_progress=interrupted_at(3), resources=resources)
    other = preset.with_options(sampling__seed=7)
    result = animate(reference, driver, out, other, resources=resources)
    assert result.resumed == 0 and "sampling.seed" in result.notes[0]
    animate(reference, driver, tmp_path / "whole.mp4", other, resources=resources)
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.slow
def test_a_new_look_needs_no_new_frames(media, preset, tmp_path, resources):
    reference, driver, out = media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        animate(reference, driver, out, preset, on_progress=interrupted_at(8), resources=resources)
    wide = preset.with_options(output__compare=True, output__crf=30)
    assert animate(reference, driver, out, wide).resumed == 8
    assert probe(out).width == 192


@pytest.mark.slow
def test_frames_in_the_same_pose_are_made_once(
    media, dance_poses, preset, tmp_path, monkeypatch, resources
):
    from magicpose_cli.pose.files.read_write import read_clip, write_clip

    poses = [people[0] for people in read_clip(dance_poses).people]
    write_clip(tmp_path / "slow.npz", [pose for pose in poses for _ in range(3)], 24)
    made = []

    def count(renderer, maps, make=Renderer.make):
        made.append(len(maps))
        return make(renderer, maps)

    monkeypatch.setattr(Renderer, "make", count)
    preset = preset.with_options(model__batch_size=3)
    animate(
        media / "ref.png", tmp_path / "slow.npz", tmp_path / "slow", preset, resources=resources
    )
    assert made == [3, 3, 3]  # 8 poses, and one to fill the last batch
    shown = [next_picture(tmp_path / "slow", i) for i in range(24)]
    assert all(np.array_equal(shown[i], shown[i - i % 3]) for i in range(24))
    assert not np.array_equal(shown[0], shown[3])


@pytest.mark.slow
def test_what_stands_is_not_overwritten_by_what_is_resumed(media, preset, tmp_path, resources):
    reference, driver, out = media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        animate(reference, driver, out, preset, on_progress=interrupted_at(3), resources=resources)
    out.write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match="--overwrite"):
        animate(reference, driver, out, preset)
    assert out.read_bytes() == b"somebody else's" and (tmp_path / "out.mp4.part").is_dir()
    assert animate(reference, driver, out, preset, overwrite=True).frames == 8


@pytest.mark.slow
@pytest.mark.parametrize("linked", [False, True])
def test_what_a_run_reads_is_never_written_over(media, preset, tmp_path, linked):
    driver, reference = tmp_path / "me.mp4", tmp_path / "ref.png"
    shutil.copy(media / "dance.mp4", driver)
    shutil.copy(media / "ref.png", reference)
    out = driver
    if linked:
        out = tmp_path / "link.mp4"
        out.symlink_to(driver)
    before = driver.read_bytes()
    with pytest.raises(OutputError, match="is the driver of this run"):
        animate(reference, driver, out, preset, overwrite=True)
    assert driver.read_bytes() == before
    poses = tmp_path / "clip.mp4.json"  # the name of the settings beside clip.mp4
    extract_poses(driver, poses, MotionSettings(end_s=0.125))
    before = poses.read_bytes()
    with pytest.raises(OutputError, match="is the driver of this run"):
        animate(reference, poses, tmp_path / "clip.mp4", preset, overwrite=True)
    assert poses.read_bytes() == before


def test_somebody_elses_file_beside_the_output_stays(media, preset, tmp_path):
    foreign = tmp_path / "out.mp4.json"
    for content in ('{"my": "notes"}', "[1, 2]", "not JSON"):
        foreign.write_text(content)
        with pytest.raises(OutputError, match="not the settings of a run"):
            animate(media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4", preset)
        assert foreign.read_text() == content
    foreign.unlink()
    foreign.mkdir()
    with pytest.raises(OutputError, match="not the settings of a run"):
        animate(media / "ref.png", media / "dance.mp4", tmp_path / "out.mp4", preset)


@pytest.mark.slow
def test_settings_that_cannot_be_written_cost_no_frame(
    media, short, tmp_path, monkeypatch, resources
):
    out = tmp_path / "out.mp4"

    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken, pytest.raises(OutputError, match="is finished") as caught:
        broken.setattr(files, "write_bytes", full)  # of what is written for others to see
        animate(media / "ref.png", media / "dance.mp4", out, short, resources=resources)
    assert "No space left" in str(caught.value) and probe(out).frame_count == 2
    again = animate(media / "ref.png", media / "dance.mp4", out, short)
    assert again.resumed == 2 and sidecar_path(out).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.json"]
