import json

import numpy as np
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion import detections
from magicpose_cli.motion.detections import detect_people
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.person_motion import follow_person
from magicpose_cli.pose.detection import detect
from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import write_picture, write_video
from magicpose_cli.video.ffmpeg import run_ffmpeg


def motion(**options):
    return Preset().with_options(**{f"motion__{k}": v for k, v in options.items()}).motion


def followed(driver, **options):
    settings = motion(**options)
    people, cleanup = detect_people(driver, settings).people, driver.kind != "poses"
    return follow_person(people, float(driver.rate), settings, cleanup=cleanup)[0]


@pytest.mark.slow
def test_the_real_detector_finds_the_drawn_person_where_she_is(media, people):
    driver = open_driver(media / "dance.mp4", motion())
    poses = followed(driver)
    truth = people.poses()
    assert len(poses) == len(truth) == 8
    joints = (0, 1, 2, 5, 3, 6)  # nose, neck, shoulders, elbows
    errors = [
        np.linalg.norm(p.body[j] - t.body[j])
        for p, t in zip(poses, truth, strict=True)
        for j in joints
    ]
    assert np.nanmedian(errors) < 0.03 * 256
    face = [
        np.nanmean(np.linalg.norm(p.face - t.face, axis=1))
        for p, t in zip(poses, truth, strict=True)
    ]
    assert np.nanmedian(face) < 0.03 * 256


def test_a_pose_file_has_the_canvas_and_the_rate_of_its_film(tmp_path):
    write_video(tmp_path / "dance.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, 12)
    person = [10.0, 20.0, 0.9, *[30.0, 40.0, 0.9] * 16]
    results = [{"image_id": n, "category_id": 1, "keypoints": person} for n in range(3)]
    (tmp_path / "dance_coco.json").write_text(json.dumps(results))
    driver = open_driver(tmp_path / "dance_coco.json", motion())
    assert (driver.clip.width, driver.clip.height, driver.rate) == (64, 48, 12)
    assert "64x48 at 12 frames a second, as dance.mp4 beside it has" in driver.notes[0]
    (tmp_path / "dance.mp4").write_bytes(b"no film")
    assert open_driver(tmp_path / "dance_coco.json", motion()).clip.width == 32
    (tmp_path / "dance.mp4").unlink()
    write_picture(tmp_path / "dance_coco.png", np.zeros((70, 90, 3), np.uint8))
    (tmp_path / "dance_coco.json").write_text(json.dumps(results[:1]))
    assert open_driver(tmp_path / "dance_coco.json", motion()).clip.width == 90


@pytest.mark.slow
def test_everybody_in_a_film_is_seen_with_what_they_wear(media):
    seen_so_far = []
    driver = open_driver(media / "dance.mp4", motion(end_s=0.5))
    seen = detect_people(driver, motion(), seen_so_far.append)
    assert seen.detector == "mediapipe"
    assert [len(people) for people in seen.people] == [1] * 4
    assert all(people[0].appearance is not None for people in seen.people)
    assert [(p.stage, p.done) for p in seen_so_far] == [("poses", n) for n in range(5)]


def test_only_the_first_frame_of_a_section_is_seen_until_it_has_settled(media, monkeypatch):
    class Detector:
        calls = 0

        def detect(self, frame):
            self.calls += 1
            return [Pose.of(256, 256, body=np.full((18, 3), self.calls))]

        def close(self):
            pass

    monkeypatch.setattr(detect, "load_detector", lambda name: Detector())
    monkeypatch.setattr(detections, "SECTION", 4)
    settings = motion(detector="mediapipe")
    seen = detect_people(open_driver(media / "dance.mp4", settings), settings)
    looks = [people[0].pose.body[0, 0] for people in seen.people]
    assert looks == [3, 4, 5, 6, 3, 4, 5, 6]


def test_a_pose_file_is_taken_as_it_is_but_for_its_gaps(people, tmp_path):
    poses = people.poses()
    poses[3] = Pose.of(256, 256)
    write_clip(tmp_path / "poses.json", poses, 8.0)
    driver = open_driver(tmp_path / "poses.json", motion())
    assert (driver.kind, driver.frame_count, float(driver.rate)) == ("poses", 8, 8.0)
    read = followed(driver)
    for one, pose in zip(read, poses, strict=True):
        seen = pose.body_score > 0
        np.testing.assert_array_equal(one.body[seen], pose.body[seen])
    middle = (poses[2].body[1] + poses[4].body[1]) / 2
    np.testing.assert_allclose(read[3].body[1], middle, atol=2)
    smoothed = followed(driver, smooth=1.0)
    assert np.nanmax(np.abs(smoothed[1].body - poses[1].body)) > 0.1


def test_a_pose_file_is_cut_and_thinned_like_a_film(people, tmp_path):
    written = [
        people.poses()[0].map_points(lambda p, k=k: p + np.float32(k), 256, 256) for k in range(8)
    ]
    write_clip(tmp_path / "poses.json", written, 8.0)
    driver = open_driver(tmp_path / "poses.json", motion(start_s=0.25, every=2))
    assert (driver.frame_count, float(driver.rate)) == (3, 4.0)
    chosen = followed(driver)
    assert all(a.equals(written[i]) for a, i in zip(chosen, (2, 4, 6), strict=True))


def test_a_film_without_a_person_is_one_clear_line(tmp_path):
    write_video(tmp_path / "wall.mp4", iter(np.full((4, 128, 128, 3), 90, np.uint8)), 8)
    driver = open_driver(tmp_path / "wall.mp4", motion())
    with pytest.raises(DetectionError, match=r"wall\.mp4: no person .* 4 frames") as caught:
        detect_people(driver, motion())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_cut_short_says_so(media, tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    index_first = ("-movflags", "+faststart") if suffix == ".mp4" else ()
    copied = run_ffmpeg("-i", str(media / "dance.mp4"), "-c", "copy", *index_first, str(whole))
    assert copied.returncode == 0, copied.stderr
    assert open_driver(whole, motion()).notes == ()
    cut = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 7 // 10])
    driver = open_driver(cut, motion())
    assert 0 < driver.frame_count < 8
    (note,) = driver.notes
    assert note.startswith(f"cut{suffix} is cut short: it holds 0.") and "of the 1.0 s" in note


def test_views_that_only_a_motion_file_has_are_told(media, people, tmp_path):
    write_clip(tmp_path / "poses.json", people.poses(), 8.0)
    for path in (media / "dance.mp4", tmp_path / "poses.json"):
        assert not any("camera" in note for note in open_driver(path, motion()).notes)
        (note,) = open_driver(path, motion(camera="azimuth=20")).notes
        assert note.startswith("camera: only a motion file")
