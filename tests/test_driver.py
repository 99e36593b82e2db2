import numpy as np
import pytest

from magicpose_cli.config import Preset
from magicpose_cli.driver import detect_poses, extract_poses, open_driver
from magicpose_cli.errors import DetectionError, InputError, OutputError
from magicpose_cli.pose.openpose_json import read_poses
from magicpose_cli.video import probe, write_video


def motion(**options):
    return Preset().with_options(**{f"motion__{k}": v for k, v in options.items()}).motion


def test_the_real_detector_finds_the_drawn_person_where_she_is(media, people):
    driver = open_driver(media / "dance.mp4", motion())
    poses = detect_poses(driver, motion())
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


def test_poses_out_and_in_again(media, tmp_path):
    out, overlay = tmp_path / "poses.json", tmp_path / "overlay.mp4"
    seen = []
    count, missing = extract_poses(
        media / "dance.mp4", out, motion(end_s=0.5), overlay_to=overlay, on_progress=seen.append
    )
    assert (count, missing) == (4, [])
    assert [(p.stage, p.done) for p in seen[:5]] == [("poses", n) for n in range(5)]
    assert probe(overlay).frame_count == 4
    written, fps = read_poses(out)
    assert fps == pytest.approx(8)
    again = open_driver(out, motion())
    assert (again.kind, again.frame_count, float(again.rate)) == ("poses", 4, 8.0)
    read = detect_poses(again, motion())
    assert all(a.equals(b) for a, b in zip(read, written, strict=True))
    with pytest.raises(OutputError, match="--overwrite"):
        extract_poses(media / "dance.mp4", out, motion())
    with pytest.raises(InputError, match="leave out --overlay"):
        extract_poses(out, tmp_path / "b.json", motion(), overlay_to=tmp_path / "b.mp4")


def test_a_pose_file_is_cut_and_thinned_like_a_film(media, tmp_path):
    out = tmp_path / "poses.json"
    extract_poses(media / "dance.mp4", out, motion())
    written, _ = read_poses(out)
    driver = open_driver(out, motion(start_s=0.25, every=2))
    assert (driver.frame_count, float(driver.rate)) == (3, 4.0)
    chosen = detect_poses(driver, motion())
    assert all(a.equals(written[i]) for a, i in zip(chosen, (2, 4, 6), strict=True))


def test_a_film_without_a_person_is_one_clear_line(tmp_path):
    write_video(tmp_path / "wall.mp4", iter(np.full((4, 128, 128, 3), 90, np.uint8)), 8)
    driver = open_driver(tmp_path / "wall.mp4", motion())
    with pytest.raises(DetectionError, match=r"wall\.mp4: no person .* 4 frames") as caught:
        detect_poses(driver, motion())
    assert "\n" not in str(caught.value)
