"""The page about a run: made of a real one, opened in a real browser where there is one."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.motion.pose_maps import draw_maps
from magicpose_cli.motion.read_motion import read_motion
from magicpose_cli.run.preflight import make_plan
from magicpose_cli.run.resources import Resources
from magicpose_cli.run.run_record import (
    MotionRecord,
    Result,
    poses_path,
    sidecar_path,
    write_run_record,
)
from magicpose_cli.run_report.finished_run import gaps_of, read_run, source_of
from magicpose_cli.run_report.page import write_page
from magicpose_cli.video import read_frames, read_picture, write_picture, write_video
from magicpose_cli.video.probe import probe

pytestmark = pytest.mark.slow  # a finished run is made first

SIDE = 64
OWN_FRAME = (180, 0, 0)  # what stands for the network's frame beside a warped result
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def make_run(resources):
    """make_run(folder, reference, driver, name, **options) -> the output."""
    return partial(_make_run, resources)


def _make_run(
    resources: Resources, folder: Path, reference: Path, driver: Path, name="out.mp4", **options
):
    """A run's files without its model: the poses stand for the frames it would have made."""
    from magicpose_cli.pose.files.openpose_json import write_poses

    usual = {"frame__size": SIDE, "frame__warp": "off", "motion__max_gap_s": 0.2}
    preset = Preset().with_options(model__name="mini", **(usual | options))
    output = folder / name
    plan, picture, opened = make_plan(reference, driver, output, preset)
    target = seen = None
    if opened.kind == "video":
        target = resources.people(reference, picture, preset.motion)[0]
        seen = resources.detections(opened, preset.motion)
    size = (plan.network_width, plan.network_height)
    result_size = (plan.width, plan.height) if plan.warp else None
    motion = read_motion(opened, target, picture, size, preset, seen, result_size)
    every = range(opened.frame_count)
    made = draw_maps(opened, motion, plan.pose_canvas, every)
    if plan.warp:
        made = map(motion.framing.between(motion.result_framing).picture, made)
    if preset.output.compare:
        shown = motion.result_framing.picture(picture)
        own = [np.full_like(shown, OWN_FRAME)] * plan.warp
        made = (np.concatenate([shown, frame, *own, 255 - frame], axis=1) for frame in made)
    write_video(output, made, opened.rate, audio_from=driver if plan.audio else None)
    poses = None
    if preset.output.save_poses:
        poses = str(poses_path(output))
        write_poses(poses_path(output), motion.poses, float(opened.rate))
    record = Result(
        plan=plan,
        output=plan.output,
        frames=opened.frame_count,
        motion=MotionRecord.of(motion),
        seconds={"poses": 1.5, "render": 3.25},
        preset=preset.model_dump(),
        versions={"magicpose": "0.1.0"},
        model_sha256="0" * 64,
        poses=poses,
    )
    write_run_record(record, output.parent)
    return output


@pytest.fixture(scope="module")
def gap_driver(frames, tmp_path_factory):
    """16 frames at 8 a second, nobody in frames 0 and 8 to 12."""
    shown = np.concatenate([frames, frames])
    shown[[0, 8, 9, 10, 11, 12]] = 90
    path = tmp_path_factory.mktemp("gaps") / "driver.mp4"
    write_video(path, iter(shown), 8)
    return path


@pytest.fixture(scope="module")
def run(make_run, media, gap_driver, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), media / "ref.png", gap_driver)


@pytest.fixture(scope="module")
def run_with_poses(make_run, media, gap_driver, tmp_path_factory):
    """The same with its poses beside it: nobody has to be looked for again."""
    folder = tmp_path_factory.mktemp("saved")
    return make_run(folder, media / "ref.png", gap_driver, output__save_poses=True)


@pytest.fixture(scope="module")
def page(run):
    return Path(write_page(run).page)


@pytest.fixture(scope="module")
def pose_file(media, tmp_path_factory):
    """The dance as poses: nobody has to be looked for."""
    from magicpose_cli.motion.extract import extract_poses

    path = tmp_path_factory.mktemp("poses") / "dance.json"
    extract_poses(media / "dance.mp4", path, Preset().motion)
    return path


def films_of(page: Path, folder: Path) -> dict[str, np.ndarray]:
    """The films of a page as (n, H, W, 3), taken out of it."""
    found = {}
    for name, data in re.findall(
        r'<video id="(\w+)"[^>]*src="data:video/mp4;base64,([^"]*)"', page.read_text("utf-8")
    ):
        film = folder / f"{name}.mp4"
        film.write_bytes(base64.b64decode(data, validate=True))
        found[name] = np.stack(list(read_frames(probe(film))))
    return found


@pytest.mark.slow
def test_all_films_have_the_runs_frames_in_step(page, run, gap_driver, tmp_path):
    films = films_of(page, tmp_path)
    assert films.keys() == {"driver", "poses", "result"}
    assert {len(film) for film in films.values()} == {16}
    assert float(probe(tmp_path / "driver.mp4").rate) == 8.0
    true = np.stack(list(read_frames(probe(gap_driver))))
    assert np.abs(films["driver"].astype(int) - true).mean() < 8
    # the poses were found again by the run's settings: they are what the run has drawn
    made = np.stack(list(read_frames(probe(run))))
    assert np.abs(films["poses"].astype(int) - made).mean() < 4
    assert np.abs(films["poses"].astype(int) - made[::-1]).mean() > 8


def test_the_page_says_what_the_run_was(page):
    text = page.read_text("utf-8")
    for told in ("mediapipe", "skeleton", "64 x 64", "16 frames at 8 a second",
                 "motion.max_gap_s", ">3.2<", "ref.png"):  # fmt: skip
        assert told in text, told


def test_gaps_are_marked_and_listed(run, page):
    gaps = gaps_of(read_run(run))
    assert [(gap.first, gap.last) for gap in gaps] == [(0, 0), (8, 12)]
    text = page.read_text("utf-8")
    assert 'data-frame="8">8&ndash;12<' in text and "1.00&ndash;1.62" in text
    assert text.count('<rect class="held"') + text.count('<rect class="filled"') == 2 + 2  # and key


def test_gaps_that_are_held_are_told_from_those_that_are_filled(run):
    told = read_run(run)
    track = replace(told.motion.track, missing=(1, 2, 5, 6, 7), held=((6, 7),))
    told = replace(told, motion=replace(told.motion, track=track))
    assert [(gap.first, gap.last, gap.held) for gap in gaps_of(told)] == [
        (1, 2, False), (5, 5, False), (6, 7, True),
    ]  # fmt: skip


@pytest.mark.slow
def test_whatever_a_run_is_called_it_stays_text(make_run, media, tmp_path):
    evil = "<img src=x onerror=alert(1)>&quot;'"
    driver = tmp_path / f"{evil}.mp4"
    shutil.copy(media / "dance.mp4", driver)
    output = make_run(tmp_path, media / "ref.png", driver, motion__end_s=0.25)
    told = json.loads(sidecar_path(output).read_text())
    told["motion"]["notes"] = [f"</script>{evil}"]
    told["versions"] = {evil: evil}
    told["preset"]["sampling"]["prompt"] = evil
    sidecar_path(output).write_text(json.dumps(told))
    text = Path(write_page(output).page).read_text("utf-8")
    assert "<img src=x" not in text and text.count("</script>") == 1
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 4


def test_the_policy_names_this_very_script_and_style(page):
    import hashlib

    text = page.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'")
    for tag in ("script", "style"):
        inside = re.search(rf"<{tag}>(.*)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.gif", "out.webm", "out.mov", "out"])
def test_every_kind_of_output(make_run, media, pose_file, tmp_path, name):
    output = make_run(tmp_path, media / "ref.png", pose_file, name, motion__retarget="none")
    written = write_page(output)
    assert written.page == str(tmp_path / f"{name}.html")
    assert written.frames == 8 and written.films == ("driver", "poses", "result")
    assert written.notes == ()
    made = np.stack(list(read_frames(probe(output, pictures_fps=8))))
    shown = films_of(Path(written.page), tmp_path)["result"]
    assert np.abs(shown.astype(int) - made).mean() < 4


@pytest.mark.slow
def test_a_side_by_side_result_is_taken_apart(make_run, media, pose_file, tmp_path):
    output = make_run(
        tmp_path, media / "ref.png", pose_file, motion__retarget="none", output__compare=True
    )
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (output, sidecar_path(output)):
        shutil.copy(path, moved)
    films = films_of(Path(write_page(moved / output.name).page), tmp_path)
    assert films["result"].shape == films["poses"].shape == (8, SIDE, SIDE, 3)
    assert np.abs(255 - films["result"].astype(int) - films["poses"]).mean() < 3


@pytest.fixture(scope="module")
def tall(media, tmp_path_factory):
    """The reference without its sides, 192x256."""
    path = tmp_path_factory.mktemp("tall") / "ref.png"
    write_picture(path, np.ascontiguousarray(read_picture(media / "ref.png")[:, 32:224]))
    return path


@pytest.mark.slow
def test_of_a_warped_side_by_side_result_the_last_column_is_shown(
    make_run, tall, pose_file, tmp_path
):
    output = make_run(
        tmp_path, tall, pose_file, motion__retarget="none", frame__warp="on", output__compare=True
    )
    plan = read_run(output).plan
    assert (plan.width, plan.height, plan.network_width) == (64, 86, 256)
    assert probe(output).width == 4 * 64
    page = Path(write_page(output).page)
    films = films_of(page, tmp_path)
    assert films["result"].shape == films["poses"].shape == (8, 86, 64, 3)
    assert np.abs(255 - films["result"].astype(int) - films["poses"]).mean() < 3
    text = page.read_text("utf-8")
    assert "256 x 344" in text and "64 x 86" in text and "on: the reference" in text
    told = json.loads(sidecar_path(output).read_text())
    told["plan"]["warp"] = False
    sidecar_path(output).write_text(json.dumps(told))
    with pytest.raises(InputError, match="256 pixels wide, its run made 192"):
        write_page(output, overwrite=True)


@pytest.mark.slow
def test_a_warped_runs_poses_are_those_the_network_saw(make_run, tall, media, tmp_path):
    from PIL import Image

    output = make_run(tmp_path, tall, media / "dance.mp4", frame__warp="on")
    page = Path(write_page(output).page)
    films = films_of(page, tmp_path)
    assert films["poses"].shape == (8, 344, 256, 3) and films["result"].shape == (8, 86, 64, 3)
    made = films["result"].astype(int)
    rows = np.flatnonzero(made.max((0, 2, 3)) > 60)
    small = [Image.fromarray(frame).resize((64, 86)) for frame in films["poses"]]
    seen = np.flatnonzero(np.stack(small).max((0, 2, 3)) > 60)
    assert abs(np.ptp(rows) - np.ptp(seen)) <= 2
    data = re.search(r'src="data:image/jpeg;base64,([^"]*)"', page.read_text("utf-8"))[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        shown = np.asarray(picture).astype(int)
    whole = np.asarray(
        Image.fromarray(read_picture(tall)).resize((64, 86), Image.Resampling.LANCZOS)
    )
    assert shown.shape == whole.shape and np.abs(shown - whole).mean() < 4


@pytest.mark.slow
def test_a_former_run_knew_no_warp(run, tmp_path):
    copy = tmp_path / "out.mp4"
    shutil.copy(run, copy)
    told = json.loads(sidecar_path(run).read_text())
    for name in ("warp", "trusts_network", "network_width", "network_height"):
        del told["plan"][name]
    for name in ("warp", "warp_strength", "secondary_motion"):
        del told["preset"]["frame"][name]
    for name in ("shown", "network_window"):
        del told["motion"][name]
    sidecar_path(copy).write_text(json.dumps(told))
    plan = read_run(copy).plan
    assert (plan.network_width, plan.network_height, plan.warp) == (SIDE, SIDE, False)
    written = write_page(copy)
    assert written.films == ("driver", "poses", "result")
    assert films_of(Path(written.page), tmp_path)["poses"].shape == (16, SIDE, SIDE, 3)
    assert "off: the network" in Path(written.page).read_text("utf-8")


@pytest.mark.slow
def test_saved_poses_are_shown_where_the_driver_is_gone(make_run, media, tmp_path):
    driver, reference = tmp_path / "dance.mp4", tmp_path / "ref.png"
    shutil.copy(media / "dance.mp4", driver)
    shutil.copy(media / "ref.png", reference)
    output = make_run(tmp_path, reference, driver, output__save_poses=True)
    driver.unlink()
    reference.unlink()
    written = write_page(output)
    assert written.films == ("poses", "result")
    assert [note.split(":")[0] for note in written.notes] == [
        "The driver cannot be shown", "The reference cannot be shown",
    ]  # fmt: skip
    films = films_of(Path(written.page), tmp_path)
    assert np.abs(films["poses"].astype(int) - films["result"]).mean() < 4
    poses_path(output).unlink()
    assert write_page(output, overwrite=True).films == ("result",)


@pytest.mark.slow
def test_a_driver_of_poses_and_one_of_maps(make_run, media, pose_file, tmp_path):
    output = make_run(tmp_path, media / "ref.png", pose_file, motion__retarget="none")
    written = write_page(output)
    assert written.films == ("driver", "poses", "result") and written.notes == ()
    driver = films_of(Path(written.page), tmp_path)["driver"]
    assert driver.shape == (8, 256, 256, 3) and np.median(driver) < 20  # drawn on black
    maps = make_run(
        tmp_path, media / "ref.png", output, "maps.mp4", motion__driver_kind="pose-maps"
    )
    written = write_page(maps)
    assert written.films == ("driver", "poses", "result")
    assert "pose maps already" in Path(written.page).read_text("utf-8")


@pytest.mark.slow
def test_of_a_long_clip_the_beginning_is_shown(run_with_poses, tmp_path):
    written = write_page(run_with_poses, tmp_path / "short.html", max_seconds=0.5)
    assert written.frames == 4 and "The first 0.5 of 2 seconds" in written.notes[0]
    text = (tmp_path / "short.html").read_text("utf-8")
    assert {len(film) for film in films_of(tmp_path / "short.html", tmp_path).values()} == {4}
    assert "beyond what is shown" in text and 'max="3"' in text


@pytest.mark.slow
def test_large_films_are_made_small(make_run, media, tmp_path):
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (9, 16, 3), np.uint8), np.ones((80, 80, 1), np.uint8))
    write_video(tmp_path / "wide.mp4", [picture] * 3, 8)
    output = make_run(
        tmp_path, media / "ref.png", tmp_path / "wide.mp4", motion__driver_kind="pose-maps"
    )
    films = films_of(Path(write_page(output).page), tmp_path)
    assert films["driver"].shape == (3, 512, 910, 3)


def test_files_are_found_from_wherever_the_page_is_made(run, tmp_path, monkeypatch):
    told = read_run(run)
    started = tmp_path / "started"
    (started / "out").mkdir(parents=True)
    (started / "me.png").touch()
    (started / "out" / "a.mp4").touch()
    told = replace(told, plan=replace(told.plan, output="out/a.mp4"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "me.png").touch()  # another one of the same name
    monkeypatch.chdir(elsewhere)
    assert source_of(told, started / "out" / "a.mp4", "me.png") == started / "me.png"
    assert source_of(told, started / "out" / "a.mp4", "none.png") == Path("none.png")
    assert source_of(told, started / "out" / "a.mp4", "/x/me.png") == Path("/x/me.png")


def test_what_is_no_run_is_one_line(run, media, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        write_page(tmp_path / "none.mp4")
    with pytest.raises(InputError, match=r"no dance\.mp4\.json beside it"):
        write_page(media / "dance.mp4")
    copy = tmp_path / "out.mp4"
    shutil.copy(run, copy)
    whole = json.loads(sidecar_path(run).read_text())
    for wrong in (
        "", "[]", "{", "null", '{"plan": 3}', json.dumps({**whole, "frames": -1}),
        json.dumps({**whole, "plan": {**whole["plan"], "fps": 0}}),
        json.dumps({**whole, "plan": {**whole["plan"], "width": 10**9}}),
        json.dumps({**whole, "motion": {**whole["motion"], "window": [0, 0, float("nan"), 9]}}),
    ):  # fmt: skip
        sidecar_path(copy).write_text(wrong)
        with pytest.raises(InputError, match="does not describe a finished run") as caught:
            write_page(copy)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.slow
def test_nothing_is_replaced_or_left_half_written(run_with_poses, tmp_path):
    target = tmp_path / "page.html"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        write_page(run_with_poses, target)

    def interrupt(progress):
        if progress.stage == "page" and progress.done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        write_page(run_with_poses, target, overwrite=True, on_progress=interrupt)
    assert not getattr(caught.value, "_partials", ())
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert target.read_text() == "mine"
    write_page(run_with_poses, target, overwrite=True)
    assert target.read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_a_result_that_was_changed_is_told(run_with_poses, media, tmp_path):
    copy = tmp_path / "out.mp4"
    shutil.copy(sidecar_path(run_with_poses), sidecar_path(copy))
    write_picture(tmp_path / "x.png", read_picture(media / "ref.png"))
    write_video(copy, [np.zeros((SIDE, SIDE, 3), np.uint8)] * 5, 8)
    written = write_page(copy)
    assert written.frames == 5 and "out.mp4 has 5 frames, its run made 16" in written.notes[0]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def until(tab, condition):
    """As Playwright's wait_for_function, which the page's policy forbids."""
    for _ in range(300):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never: {condition}")


TIMES = "[...document.querySelectorAll('video')].map(film => film.currentTime)"
READY = "[...document.querySelectorAll('video')].every(film => film.readyState >= 2)"
SETTLED = "[...document.querySelectorAll('video')].every(film => !film.seeking)"


@pytest.fixture
def opened(browser, page):
    """The page in the browser; `asked` are the addresses it asked for, `said` what went wrong."""
    tab = browser.new_page()
    tab.asked, tab.said = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.goto(page.as_uri())
    until(tab, READY)
    yield tab
    tab.close()


def test_in_a_browser_the_films_play_in_step_and_nothing_is_asked_for(opened):
    opened.click("#play")
    until(opened, "document.querySelector('#result').currentTime > 0.6")
    times = opened.evaluate(TIMES)
    assert len(times) == 3 and min(times) > 0.5 and max(times) - min(times) < 0.08
    opened.click("#play")
    until(opened, SETTLED)
    times = opened.evaluate(TIMES)
    assert max(times) - min(times) < 1e-6  # at rest all show the same frame
    assert opened.evaluate("document.querySelector('#result').paused")
    assert all(address.startswith(("data:", "file:")) for address in opened.asked)
    assert opened.said == []


def test_in_a_browser_frames_are_stepped_sought_and_looped(opened):
    def at():
        until(opened, SETTLED)
        # the last frame may be shown until its end
        frames = [min(15, int(time * 8)) for time in opened.evaluate(TIMES)]
        return frames, opened.text_content("#at")

    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    opened.click("#back")
    assert at() == ([1, 1, 1], "frame 1 of 15, 0.13 s")
    opened.evaluate("scrub.value = 11; scrub.dispatchEvent(new Event('input'))")
    assert at()[0] == [11, 11, 11]
    opened.click("button[data-frame='8']")
    assert at() == ([8, 8, 8], "frame 8 of 15, 1.00 s")
    opened.keyboard.press("End")
    opened.keyboard.press("ArrowRight")
    assert at()[0] == [15, 15, 15]
    opened.select_option("#speed", "2")
    opened.click("#play")  # from the end it begins anew
    until(opened, "clock.currentTime < 0.5")
    until(opened, "clock.currentTime > 1.5")
    until(opened, "clock.currentTime < 0.5")  # at the end it begins again
    until(opened, f"Math.max(...{TIMES}) - Math.min(...{TIMES}) < 0.1 && !clock.paused")
    opened.uncheck("#loop")
    until(opened, "clock.paused")
    assert at()[0] == [15, 15, 15] and opened.said == []


def test_in_a_browser_the_frames_shown_are_those_of_one_moment(opened, run):
    """The pixels: the poses' film and the result's, which holds the same poses, look the same."""
    opened.click("button[data-frame='8']")
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("ArrowLeft")
    until(opened, SETTLED)
    opened.wait_for_timeout(200)
    pixels = """name => {
      const film = document.querySelector(name), canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
      const context = canvas.getContext("2d");
      context.drawImage(film, 0, 0);
      return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
    }"""
    shown = {
        name: np.array(opened.evaluate(pixels, f"#{name}")).reshape(SIDE, SIDE, 4)[..., :3]
        for name in ("poses", "result")
    }
    made = np.stack(list(read_frames(probe(run)))).astype(int)
    for name, picture in shown.items():
        errors = [np.abs(frame - picture).mean() for frame in made]
        assert np.argmin(errors) in (6, 14), name  # the dance is danced twice
