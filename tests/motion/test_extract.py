"""Poses of films, pictures and files through the library."""

import json
from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError, InputError, OutputError
from magicpose_cli.motion.extract import extract_poses
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import read_clip, write_clip, write_people
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import probe, read_picture, write_picture


def motion(**options):
    return Preset().with_options(**{f"motion__{k}": v for k, v in options.items()}).motion


@pytest.fixture(scope="module")
def truth(people) -> list[Pose]:
    return people.poses()


def scaled(pose: Pose, factor: float, x: float, size: tuple[int, int]) -> Pose:
    return pose.map_points(lambda points: points * factor + (x, 0), *size)


def same(one, other):
    return len(one) == len(other) and all(a.equals(b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_a_film_is_followed_and_written(media, truth, tmp_path):
    seen = []
    result = extract_poses(
        media / "dance.mp4", tmp_path / "a.npz", motion(end_s=0.5),
        overlay_to=tmp_path / "a.mp4", plot_to=tmp_path / "a.png", on_progress=seen.append,
    )  # fmt: skip
    assert [(p.stage, p.done) for p in seen[:5]] == [("poses", n) for n in range(5)]
    assert (result.summary.frames, result.summary.fps, result.summary.seen) == (4, 8.0, 1.0)
    assert result.tracked is not None and result.tracked.frames == 4
    assert probe(tmp_path / "a.mp4").frame_count == 4
    assert read_picture(tmp_path / "a.png").shape[1] > 1000
    written = read_clip(tmp_path / "a.npz")
    kept = [replace(pose, body_guess=None) for pose in result.clip.largest]  # guesses are not
    assert same(written.largest, kept) and written.fps == 8.0
    assert all(pose.face_mesh is not None for pose in kept)
    for pose, exact in zip(written.largest, truth[:4], strict=True):
        apart = np.linalg.norm(pose.body - exact.body, axis=1)
        assert np.nanmedian(apart) < 0.03 * 256


@pytest.mark.slow
def test_paths_may_be_plain_text(media, tmp_path):
    film, poses, plot = str(media / "dance.mp4"), str(tmp_path / "a.json"), str(tmp_path / "b.png")
    found = extract_poses(film, poses, plot_to=plot)
    assert len(found.clip.people) == 8
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.png"}


@pytest.mark.slow
def test_raw_is_what_the_detector_saw(media, tmp_path):
    raw = extract_poses(media / "dance.mp4", None, motion(end_s=0.5), follow=False)
    assert raw.tracked is None
    assert raw.summary.parts["body"].jitter > 0
    tracked = extract_poses(media / "dance.mp4", None, motion(end_s=0.5))
    assert not same(raw.clip.largest, tracked.clip.largest)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_one_picture_has_a_pose_too(media, truth, tmp_path):
    result = extract_poses(
        media / "ref.png", tmp_path / "ref.json", motion(), overlay_to=tmp_path / "over.png"
    )
    assert (result.summary.frames, result.summary.fps) == (1, None)
    (pose,) = read_clip(tmp_path / "ref.json").largest
    assert np.nanmedian(np.linalg.norm(pose.body - truth[0].body, axis=1)) < 0.03 * 256
    assert read_picture(tmp_path / "over.png").shape == (256, 256, 3)
    with pytest.raises(InputError, match=r"\.png"):
        extract_poses(media / "ref.png", None, motion(), overlay_to=tmp_path / "over.mp4")
    write_picture(tmp_path / "wall.png", np.full((128, 128, 3), 90, np.uint8))
    with pytest.raises(DetectionError, match=r"wall\.png: no person"):
        extract_poses(tmp_path / "wall.png", None, motion())


def test_converting_changes_nothing(truth, tmp_path):
    """Everybody, every digit, frames without anybody and a rate that is not told."""
    small = [scaled(pose, 0.3, 150, (256, 256)) for pose in truth]
    clip = PeopleClip([[a, b] for a, b in zip(truth, small, strict=True)], 256, 256, 30000 / 1001)
    clip.people[3] = []
    clip.people[4] = clip.people[4][:1]
    write_people(tmp_path / "a.npz", clip)
    for source, target in (("a.npz", "b.json"), ("b.json", "c"), ("c", "d.dwpose.npz"),
                           ("d.dwpose.npz", "e.npz")):  # fmt: skip
        result = extract_poses(tmp_path / source, tmp_path / target, motion())
        assert result.tracked is None and result.notes == []
    back = read_clip(tmp_path / "e.npz")
    assert all(same(a, b) for a, b in zip(clip.people, back.people, strict=True))
    assert back.fps == pytest.approx(30000 / 1001, rel=1e-9)
    write_clip(tmp_path / "f.json", truth, None)
    extract_poses(tmp_path / "f.json", tmp_path / "g.npz", motion())
    assert read_clip(tmp_path / "g.npz").fps is None
    extract_poses(tmp_path / "f.json", tmp_path / "h.npz", motion(fps=12.0))
    assert read_clip(tmp_path / "h.npz").fps == 12


def test_a_file_is_cut_and_thinned_like_a_film(truth, tmp_path):
    write_clip(tmp_path / "a.json", truth, 8)
    result = extract_poses(tmp_path / "a.json", None, motion(start_s=0.25, every=2))
    assert same(result.clip.largest, [truth[k] for k in (2, 4, 6)])
    assert result.summary.fps == 4


def test_of_a_file_with_several_the_asked_person_is_taken(truth, tmp_path):
    """Two people side by side; the larger one is missing in a frame."""
    wide = [scaled(pose, 1, 0, (600, 256)) for pose in truth]
    small = [scaled(pose, 0.5, 350, (600, 256)) for pose in truth]
    clip = PeopleClip([[a, b] for a, b in zip(wide, small, strict=True)], 600, 256, 8)
    clip.people[2] = clip.people[2][1:]
    write_people(tmp_path / "a.json", clip)
    right = extract_poses(
        tmp_path / "a.json", tmp_path / "b.json", motion(person="right"), follow=True
    )
    for pose, exact in zip(right.clip.largest, small, strict=True):  # chosen, not mended
        seen = exact.body_score > 0
        np.testing.assert_array_equal(pose.body[seen], exact.body[seen])
    assert right.tracked.people == 2
    left = extract_poses(tmp_path / "a.json", None, motion(person="1"), follow=True)
    np.testing.assert_array_equal(left.clip.largest[3].face, wide[3].face)
    assert abs(left.clip.largest[2].body[0] - wide[2].body[0]).max() < 30  # filled in
    assert "not found in 1 of 8" in " ".join(left.notes)


@pytest.mark.slow
def test_retargeting_alone(media, truth, tmp_path):
    """Onto a person of another size and place, as a pose file and as a picture."""
    other = scaled(truth[0], 0.5, 100, (400, 300))
    write_clip(tmp_path / "a.json", truth, 8)
    write_clip(tmp_path / "ref.json", [Pose.of(400, 300), other], None)
    result = extract_poses(
        tmp_path / "a.json", tmp_path / "b.json", motion(retarget="align", anchor="first"),
        retarget_to=tmp_path / "ref.json",
    )  # fmt: skip
    written = read_clip(tmp_path / "b.json")
    assert (written.width, written.height, written.fps) == (400, 300, 8.0)
    assert result.retargeted.mode == "align"
    np.testing.assert_allclose(written.largest[0].body, other.body, atol=0.2)
    result = extract_poses(
        tmp_path / "a.json", None, motion(retarget="align", anchor="first"),
        retarget_to=media / "ref.png", overlay_to=tmp_path / "over.mp4",
    )  # fmt: skip
    assert probe(tmp_path / "over.mp4").frame_count == 8
    assert np.nanmedian(abs(result.clip.largest[0].body - truth[0].body)) < 0.03 * 256
    with pytest.raises(InputError, match=r"ref\.json: a pose file has no pictures"):
        extract_poses(tmp_path / "a.json", None, motion(), retarget_to=tmp_path / "ref.json",
                      overlay_to=tmp_path / "other.mp4")  # fmt: skip
    write_clip(tmp_path / "nobody.json", [Pose.of(8, 8)], None)
    with pytest.raises(DetectionError, match=r"nobody\.json: no person"):
        extract_poses(tmp_path / "a.json", None, motion(), retarget_to=tmp_path / "nobody.json")


def test_several_people_in_a_retargeted_file_are_said(truth, tmp_path):
    small = scaled(truth[0], 0.3, 150, (256, 256))
    write_people(tmp_path / "a.npz", PeopleClip([[pose, small] for pose in truth], 256, 256, 8))
    write_clip(tmp_path / "ref.json", truth[:1], None)
    result = extract_poses(
        tmp_path / "a.npz", None, motion(retarget="align"), retarget_to=tmp_path / "ref.json"
    )
    assert len(result.clip.people[0]) == 1
    (note,) = result.notes
    assert "up to 2 people" in note and "--person" in note


def test_nothing_is_done_where_the_result_cannot_be_written(media, truth, tmp_path):
    (tmp_path / "a.json").write_text("mine")
    for options in ({"out": tmp_path / "a.json"}, {"out": tmp_path / "a.csv"},
                    {"out": None, "plot_to": tmp_path / "a.svg"},
                    {"out": None, "overlay_to": tmp_path / "a.avi"}):  # fmt: skip
        seen = []
        with pytest.raises(OutputError):
            extract_poses(media / "dance.mp4", motion=motion(), on_progress=seen.append, **options)
        assert not seen
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_nobody_in_a_file_is_no_error_unless_they_are_followed(tmp_path):
    write_clip(tmp_path / "a.json", [Pose.of(64, 48)] * 3, 8)
    result = extract_poses(tmp_path / "a.json", tmp_path / "b.npz", motion())
    assert (result.summary.seen, result.summary.gaps) == (0, 1)
    with pytest.raises(DetectionError):
        extract_poses(tmp_path / "a.json", None, motion(), follow=True)


def test_the_canvas_that_openpose_does_not_tell(truth, tmp_path):
    write_people(tmp_path / "film", PeopleClip.of(truth, None))
    for file in (tmp_path / "film").iterdir():
        entry = json.loads(file.read_text())
        file.write_text(json.dumps({key: entry[key] for key in ("version", "people")}))
    guessed = extract_poses(tmp_path / "film", None, motion())
    assert "--canvas" in guessed.notes[0]
    told = extract_poses(tmp_path / "film", None, motion(canvas="256x256"))
    assert same(told.clip.largest, truth) and told.notes == []
