"""The main job with a driver whose camera moves."""

import numpy as np
import pytest

from magicpose_cli.animation import animate
from magicpose_cli.video import probe, read_frames, write_picture, write_video
from tests.test_animation import interrupted_at
from tests.test_warped import mover, preset, scene, wave  # noqa: F401
from tests.warping.moving_camera import camera_matrix, seen_by, textured_wall
from tests.warping.people import quality

WAY = (0.0, 4.0, 8.0, 12.0, 9.0)


@pytest.fixture(scope="module")
def panned(wave, tmp_path_factory):  # noqa: F811
    """A film of a person and a wall that go to the left, one that stands still, and pictures.

    The pictures are ref.png of the same wall and elsewhere.png of another one.
    """
    folder, wall = tmp_path_factory.mktemp("panned"), textured_wall()
    whole = seen_by(wall, camera_matrix(), wave[0])
    write_picture(folder / "ref.png", whole)
    write_picture(folder / "elsewhere.png", seen_by(textured_wall(1), camera_matrix(), wave[0]))
    pictures = []
    for x in WAY:
        place = np.arange(256) + int(x)
        away = seen_by(wall, camera_matrix(x=x))
        shown = np.where(place < 256, wave[0].shown[:, np.minimum(place, 255)], False)
        person = wave[0].picture[:, np.minimum(place, 255)]
        pictures.append(np.where(shown[..., None], person, away))
    write_video(folder / "pan.mp4", iter(pictures), 8, crf=4)
    write_video(folder / "still.mp4", iter([whole] * 3), 8, crf=4)
    return folder, pictures


@pytest.fixture
def run(panned, preset, resources, tmp_path):  # noqa: F811
    def go(name, driver, camera, reference="ref.png", **options):
        settings = preset.with_options(frame__camera_motion=camera)
        out = tmp_path / name
        made = animate(
            panned[0] / reference, panned[0] / driver, out, settings,
            resources=resources, **options,
        )  # fmt: skip
        return made, np.stack(list(read_frames(probe(out))))

    return go


@pytest.mark.slow
def test_the_background_goes_with_the_camera(run, panned):
    made, on = run("on", "pan.mp4", "on")
    _, off = run("off", "pan.mp4", "off")
    assert made.preset["frame"]["camera_motion"] == "on" and "camera" in made.seconds
    for k in (2, 3):
        truth = panned[1][k][:, :-12]
        assert quality(on[k][:, :-12], truth) > quality(off[k][:, :-12], truth) + 4
    assert not any("camera" in note for note in made.notes)


@pytest.mark.slow
def test_by_itself_it_goes_with_the_camera_of_its_own_place_alone(run, panned):
    made, auto = run("auto", "pan.mp4", "auto")
    _, on = run("on", "pan.mp4", "on")
    assert np.array_equal(auto, on)
    assert any("the place that the driver was filmed in" in note for note in made.motion.notes)
    elsewhere, auto = run("elsewhere", "pan.mp4", "auto", reference="elsewhere.png")
    _, off = run("off", "pan.mp4", "off", reference="elsewhere.png")
    assert np.array_equal(auto, off)
    still, _ = run("still", "still.mp4", "auto")
    assert not any("filmed in" in n for made in (elsewhere, still) for n in made.motion.notes)


@pytest.mark.slow
def test_a_still_film_gives_the_frames_of_off(run):
    (_, on), (_, off) = (run(camera, "still.mp4", camera) for camera in ("on", "off"))
    assert np.array_equal(on, off)


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_the_same(run):
    with pytest.raises(KeyboardInterrupt):
        run("out.mp4", "pan.mp4", "on", on_progress=interrupted_at(3))
    _, resumed = run("out.mp4", "pan.mp4", "on")
    _, whole = run("whole.mp4", "pan.mp4", "on")
    assert np.array_equal(resumed, whole)


@pytest.mark.slow
def test_a_file_of_poses_has_no_camera(run, preset, panned, tmp_path):  # noqa: F811
    from magicpose_cli.motion.extract import extract_poses

    extract_poses(panned[0] / "pan.mp4", panned[0] / "pan.npz", preset.motion)
    made, _ = run("file", "pan.npz", "on")
    assert any("camera-motion: the driver is no film" in note for note in made.motion.notes)
