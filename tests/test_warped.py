"""The main job with the reference's own pixels moved: real detector, real encoder, a tiny model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import magicpose_cli.warping.matte
from magicpose_cli.animation import animate
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.extract import extract_poses
from magicpose_cli.motion.read_motion import read_motion
from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.run.finishing import WarpedFrames
from magicpose_cli.run.preflight import make_plan
from magicpose_cli.run.resources import Resources
from magicpose_cli.run.run_record import sidecar_path
from magicpose_cli.video import probe, read_frames, read_picture, write_picture, write_video
from magicpose_cli.warping.warp_points import BODY_SIDES
from tests.pose.drawn import at_rest
from tests.test_animation import interrupted_at
from tests.warping.conftest import Drawn, on_a_wall
from tests.warping.people import drawn, quality, without

HALF = {"frame__warp_strength": 0.5}  # where reference and network both decide what is seen


@pytest.fixture(scope="module")
def wave() -> list[Drawn]:
    """Somebody who raises the right forearm, in four frames."""
    motions = [at_rest() for _ in range(4)]
    for number, motion in enumerate(motions):
        motion.elbow[0, 0] = 0.3 + 0.6 * number
    return [on_a_wall(*one) for one in drawn(*motions, seed=5, framing="half")]


@pytest.fixture(scope="module")
def scene(wave, tmp_path_factory) -> Path:
    """ref.png and wave.mp4 of 8 frames a second, and wide.png of 333x256 pixels."""
    folder = tmp_path_factory.mktemp("scene")
    write_picture(folder / "ref.png", wave[0].picture)
    write_video(folder / "wave.mp4", (one.picture for one in wave), 8, crf=4)
    wide = np.pad(wave[0].picture, ((0, 0), (40, 37), (0, 0)), mode="edge")
    write_picture(folder / "wide.png", wide)
    return folder


@pytest.fixture(scope="module")
def mover(tiny_model, tmp_path_factory) -> Path:
    """A model whose own frames are shown only where the reference shows nothing."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("mover") / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"warp": True}))
    return folder


@pytest.fixture(scope="module")
def preset(mover) -> Preset:
    return Preset().with_options(
        model__name=str(mover), model__device="cpu", sampling__steps=1, motion__anchor="first",
        frame__secondary_motion=False,
    )  # fmt: skip


@pytest.fixture
def run(scene, preset, tmp_path, resources):
    """run(name, ...) -> (result, its pictures)."""

    def go(name, *, reference=scene / "ref.png", driver=scene / "wave.mp4", **options):
        settings = preset.with_options(**options)
        made = animate(reference, driver, tmp_path / name, settings, resources=resources)
        return made, np.stack(list(read_frames(probe(tmp_path / name))))

    return go


def plan_of(reference, driver, preset, **options):
    return make_plan(reference, driver, "nowhere.mp4", preset.with_options(**options))[0]


@pytest.mark.slow
def test_a_result_has_the_references_aspect(run, scene, tmp_path, tiny_model):
    options = {"model__name": str(tiny_model), "frame__warp": "on", "motion__end_s": 0.25}
    made, pictures = run("out.mp4", reference=scene / "wide.png", **options)
    assert pictures.shape == (2, 256, 332, 3)  # even, as video wants it
    notes = json.loads(sidecar_path(tmp_path / "out.mp4").read_text())
    plan = notes["plan"]
    assert plan["warp"] is True and plan["trusts_network"] is True
    assert (plan["width"], plan["height"]) == (332, 256)
    assert (plan["network_width"], plan["network_height"]) == (80, 64)
    assert notes["motion"]["window"] == [0, 0, 333, 256]
    assert notes["motion"]["network_window"] != notes["motion"]["window"]
    assert "warp" in notes["seconds"] and made.frames == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "expected", "extent", "network"),
    [("128", (128, 166), (333, 256), (80, 64)), ("96x128", (128, 96), (192, 256), (64, 64))],
)
def test_a_size_that_is_asked_for(run, scene, size, expected, extent, network):
    made, pictures = run(
        "out", reference=scene / "wide.png", frame__size=size, motion__end_s=0.125
    )  # fmt: skip
    assert pictures.shape[1:3] == expected
    left, top, right, bottom = made.motion.window
    assert (right - left, bottom - top) == extent
    assert (made.plan.network_width, made.plan.network_height) == network


@pytest.mark.slow
def test_a_still_film_is_the_reference(run, wave, tmp_path):
    write_video(tmp_path / "still.mp4", iter([wave[0].picture] * 3), 8, crf=1)
    made, pictures = run("out", driver=tmp_path / "still.mp4", frame__secondary_motion=True)
    assert made.plan.warp and not made.plan.trusts_network
    assert pictures.shape == (3, 256, 256, 3)
    # but for what a detector is off by from a picture to a film
    assert min(quality(shown, wave[0].picture) for shown in pictures) >= 45


@pytest.mark.slow
def test_the_persons_own_pixels_move(run, wave):
    _, pictures = run("out")
    wall = np.s_[:, :60, 190:]
    assert np.array_equal(pictures[wall], np.stack([wave[0].picture] * 4)[wall])
    before = quality(wave[0].picture, wave[3].picture)
    assert quality(pictures[3], wave[3].picture) > before + 5
    _, swinging = run("swinging", frame__secondary_motion=True)
    assert quality(swinging[3], wave[3].picture) > before + 5
    assert not np.array_equal(swinging[3], pictures[3])


def test_a_model_may_be_made_for_it(scene, preset, tiny_model):
    ends = scene / "ref.png", scene / "wave.mp4"
    by_itself = plan_of(*ends, preset)
    assert by_itself.warp and not by_itself.trusts_network
    assert not plan_of(*ends, preset, frame__warp="off").warp
    other = preset.with_options(model__name=str(tiny_model))
    assert not plan_of(*ends, other).warp
    asked = plan_of(*ends, other, frame__warp="on")
    assert asked.warp and asked.trusts_network
    # what cannot be warped is not, where nobody has asked for it
    plain = plan_of(*ends, preset, motion__driver_kind="pose-maps")
    assert not plain.warp and (plain.width, plain.height) == (64, 64)


@pytest.mark.slow
def test_off_is_the_same_as_no_word_of_it(run, tiny_model):
    model = {"model__name": str(tiny_model), "motion__end_s": 0.25}
    one, off = run("off", frame__warp="off", **model)
    other, auto = run("auto", **model)
    assert not one.plan.warp and not other.plan.warp
    assert off.shape == (2, 64, 64, 3) and np.array_equal(off, auto)
    _, weak = run("weak", frame__warp="off", frame__warp_strength=0.3, **model)
    assert np.array_equal(off, weak)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same(scene, wave, preset, tmp_path, resources):
    """With secondary motion, which looks at the frames around one."""
    preset = preset.with_options(model__batch_size=2, frame__secondary_motion=True, **HALF)
    reference, driver, out = scene / "ref.png", tmp_path / "fast.mp4", tmp_path / "out.mp4"
    write_video(driver, (wave[k].picture for k in (0, 1, 2, 3, 2, 1)), 50)

    def run(path, **options):
        return animate(reference, driver, path, preset, resources=resources, **options)

    with pytest.raises(KeyboardInterrupt):
        run(out, on_progress=interrupted_at(3))
    result = run(out)
    assert result.resumed >= 4 and not any("points alone" in note for note in result.notes)
    run(tmp_path / "whole.mp4")
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_frames_are_the_same_whatever_others_are_asked_for(
    scene, wave, preset, tmp_path, resources
):
    write_video(tmp_path / "fast.mp4", (wave[k].picture for k in (0, 1, 2, 3, 2, 1)), 50)
    picture = read_picture(scene / "ref.png")
    driver = open_driver(tmp_path / "fast.mp4", preset.motion)
    target = resources.people(scene / "ref.png", picture, preset.motion)[0]
    seen = resources.detections(driver, preset.motion)
    motion = read_motion(driver, target, picture, (64, 64), preset, seen, (256, 256))
    motion.reference_pose = motion.framing.pose(target)
    warp = resources.reference_warp(scene / "ref.png", picture, motion, preset.motion)
    wanted = [0, 1, 2, 4, 5]
    frames = WarpedFrames(warp, motion, driver, wanted, secondary=True)
    whole = dict(zip(wanted, (w.picture for w in frames.frames(wanted)), strict=True))
    assert not any("points alone" in note for note in frames.notes)
    for asked in ([0], [4, 5], [1, 2, 4]):
        part = [warped.picture for warped in frames.frames(asked)]
        assert all(np.array_equal(p, whole[i]) for p, i in zip(part, asked, strict=True))
    plain = WarpedFrames(warp, motion, driver, wanted, secondary=False)
    assert not np.array_equal(next(plain.frames([5])).picture, whole[5])


@pytest.mark.slow
def test_a_network_that_is_not_needed_is_not_loaded(scene, wave, preset, tmp_path):
    """Both hands show; with --compare its frames are asked for, and the result is the same."""
    assert all((getattr(wave[0].pose, f"{side}_hand_score") > 0).any() for side in BODY_SIDES)
    results = {}
    for name, compare in (("plain", False), ("row", True)):
        settings = preset.with_options(output__compare=compare)
        made = animate(scene / "ref.png", scene / "wave.mp4", tmp_path / name, settings)
        assert ("render" in made.seconds) == ("model" in made.seconds) == compare
        results[name] = np.stack(list(read_frames(probe(tmp_path / name))))
    assert np.array_equal(results["plain"], np.split(results["row"], 4, axis=2)[3])


@pytest.mark.slow
def test_how_frames_are_batched_changes_nothing(run):
    (_, one), (_, three) = (run(f"{size}", model__batch_size=size, **HALF) for size in (1, 3))
    assert np.abs(one.astype(int) - three).max() <= 2
    assert not np.array_equal(one[0], one[3])


@pytest.mark.slow
def test_compare_shows_what_was_made_as_well(run, wave):
    _, plain = run("plain", motion__end_s=0.25, **HALF)
    _, row = run("row", output__compare=True, motion__end_s=0.25, **HALF)
    assert row.shape == (2, 256, 4 * 256, 3)
    reference, pose, made, shown = np.split(row, 4, axis=2)
    assert np.array_equal(reference[1], wave[0].picture)
    assert np.median(pose) == 0 and pose.max() > 100
    assert np.array_equal(shown, plain)
    _, whole = run("whole", motion__end_s=0.25)
    middle = (whole.astype(float) + made) / 2  # the network's window is the whole square
    assert np.abs(shown - middle).mean() < 1
    assert np.abs(made.astype(float) - whole).mean() > 10


@pytest.mark.slow
def test_pasted_back_it_is_exact_around_the_window(run, wave, tmp_path):
    large = np.full((420, 640, 3), 90, np.uint8)
    large[164:420, 200:456] = wave[0].picture
    write_picture(tmp_path / "large.png", large)
    made, pictures = run(
        "out", reference=tmp_path / "large.png", frame__paste_back=True, motion__end_s=0.375
    )
    assert pictures.shape[1:] == large.shape
    left, top, right, bottom = (round(side) for side in made.motion.window)
    outside = np.ones(large.shape[:2], bool)
    outside[top : bottom + 1, left : right + 1] = False
    assert 0.2 < outside.mean() < 0.9
    assert all(np.array_equal(shown[outside], large[outside]) for shown in pictures)
    assert np.abs(pictures[2].astype(int) - large).max() > 60
    assert quality(pictures[0], large) > 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"motion__driver_kind": "pose-maps", "frame__warp": "on"}, "leave --warp and --start"),
        ({"motion__driver_kind": "pose-maps", "sampling__start_from_warp": 0.5}, "leave --warp"),
        ({"frame__warp": "off", "sampling__start_from_warp": 0.5}, "leave out one"),
    ],
)  # fmt: skip
def test_what_excludes_each_other_is_one_line(scene, preset, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        plan_of(scene / "ref.png", scene / "wave.mp4", preset, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_frames_may_begin_from_the_warp(run, tiny_model):
    options = {
        "model__name": str(tiny_model), "sampling__steps": 4, "motion__end_s": 0.25,
        "frame__warp_strength": 0.0,
    }  # fmt: skip
    _, from_noise = run("noise", frame__warp="on", **options)
    begun, from_warp = run("warp", sampling__start_from_warp=0.5, **options)
    assert begun.plan.warp and from_warp.shape == from_noise.shape
    assert np.abs(from_warp.astype(int) - from_noise).mean() > 1


def test_a_reference_without_a_matte_is_an_error_that_knows_the_way_out(
    scene, wave, preset, tmp_path, monkeypatch
):
    monkeypatch.setattr(magicpose_cli.warping.matte, "find_matte", lambda *given: None)
    write_clip(tmp_path / "wave.npz", [wave[0].pose], 8)
    with pytest.raises(InputError, match="--warp off") as caught:
        animate(scene / "ref.png", tmp_path / "wave.npz", tmp_path / "out.mp4", preset)
    assert "\n" not in str(caught.value) and "ref.png" in str(caught.value)
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob("*.json"))


@pytest.mark.slow
def test_a_driver_without_a_matte_is_moved_by_its_points(run, monkeypatch):
    from magicpose_cli.warping import secondary

    _, plain = run("plain", motion__end_s=0.25)
    _, swinging = run("swinging", frame__secondary_motion=True, motion__end_s=0.25)
    monkeypatch.setattr(secondary, "find_matte", lambda picture, pose: None)
    made, pictures = run("out", frame__secondary_motion=True, motion__end_s=0.25)
    assert any("moved by the points alone" in note for note in made.notes)
    assert np.array_equal(pictures, plain) and not np.array_equal(pictures, swinging)


@pytest.mark.slow
def test_a_reference_is_told_from_its_background_once(scene, wave, preset, tmp_path, monkeypatch):
    matte, seen = magicpose_cli.warping.matte.find_matte, []

    def counted(picture, *others):
        seen.append(picture.shape)
        return matte(picture, *others)

    monkeypatch.setattr(magicpose_cli.warping.matte, "find_matte", counted)
    write_clip(tmp_path / "wave.npz", [one.pose for one in wave[:2]], 8)
    with Resources() as resources:
        for name, seed in (("a", 1), ("b", 2)):
            animate(scene / "ref.png", tmp_path / "wave.npz", tmp_path / name,
                    preset.with_options(sampling__seed=seed), resources=resources)  # fmt: skip
        assert seen == [(256, 256, 3)]
        smaller = preset.with_options(frame__size=128)
        animate(scene / "ref.png", tmp_path / "wave.npz", tmp_path / "c", smaller,
                resources=resources)  # fmt: skip
        assert seen[1:] == [(128, 128, 3)]


@pytest.mark.slow
def test_a_file_of_poses_moves_it_without_secondary_motion(run, scene, preset, tmp_path):
    extract_poses(scene / "wave.mp4", tmp_path / "wave.npz", preset.motion)
    _, film = run("film")
    made, file = run("file", driver=tmp_path / "wave.npz", frame__secondary_motion=True)
    assert made.plan.warp and not any("points alone" in note for note in made.notes)
    assert np.array_equal(film, file)


@pytest.mark.slow
def test_poses_without_a_mesh_or_a_face_move_it(run, wave, tmp_path):
    """OpenPose's JSON knows 68 points of a face at most."""
    for name, parts in (("faces", ()), ("bare", ("face", "left_hand", "right_hand"))):
        write_clip(tmp_path / f"{name}.json", [without(one.pose, *parts) for one in wave], 8)
        _, pictures = run(f"moved-{name}", driver=tmp_path / f"{name}.json")
        assert pictures.shape == (4, 256, 256, 3)
        before = quality(wave[0].picture, wave[3].picture)
        assert quality(pictures[3], wave[3].picture) > before + 2, name


@pytest.mark.slow
def test_a_missing_person_is_held(run, wave, tmp_path):
    frames = [np.full_like(wave[0].picture, 80), *(one.picture for one in wave[:2])]
    write_video(tmp_path / "gap.mp4", iter(frames), 8)
    made, pictures = run("out", driver=tmp_path / "gap.mp4")
    assert made.motion.track.missing == (0,) and len(pictures) == 3
    assert quality(pictures[0], wave[0].picture) > 30
