"""A drawn person's motion in space, out of a pose file and a film."""

import numpy as np
import pytest
import torch

from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_conversion import MotionEdits
from magicpose_cli.body.motion_editing import mirrored_motion
from magicpose_cli.body.motion_files.files import read_motion_file
from magicpose_cli.body.skeletal_motion import forward_kinematics
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DetectionError, InputError, OutputError
from magicpose_cli.motion.body_motion import convert_film, fit_person
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import write_people
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.synthetic.casting import sample_identities
from magicpose_cli.synthetic.people import TEST_SEEDS, render
from magicpose_cli.video import probe, read_picture, write_picture, write_video
from tests.drawn_dance import dance

MOTION = Preset().motion
BONES = [
    (f"{side}{upper}", f"{side}{lower}", f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for upper, lower, start, end in (
        ("UpperArm", "LowerArm", "shoulder", "elbow"), ("LowerArm", "Hand", "elbow", "wrist"),
        ("UpperLeg", "LowerLeg", "hip", "knee"), ("LowerLeg", "Foot", "knee", "ankle"),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """A whole drawn person in eight poses of a dance."""
    generator = torch.Generator().manual_seed(TEST_SEEDS)
    identity = sample_identities(1, 256, generator, framing="full")
    return render(identity.rows(torch.zeros(8, dtype=torch.long)), dance(np.arange(8) / 16))


@pytest.fixture(scope="module")
def poses_file(drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "dance.json"
    write_people(path, PeopleClip.of(drawn.poses(), 16))
    return path


def alike(motion, poses):
    """(F, bones) cosines of the bones' directions in the picture plane; 1 where none is seen."""
    places = forward_kinematics(motion)
    joints = humanoid_joints(motion.names, motion.parents)
    cosines = []
    for upper, lower, start, end in BONES:
        own = (places[:, joints[lower]] - places[:, joints[upper]])[:, :2] * [1, -1]
        first, last = BODY_JOINTS.index(start), BODY_JOINTS.index(end)
        true = np.stack([pose.body[last] - pose.body[first] for pose in poses])
        lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(true, axis=1)
        cosines.append(np.nan_to_num((own * true).sum(axis=1) / lengths, nan=1.0))
    return np.stack(cosines, axis=1)


@pytest.mark.slow
def test_bones_point_where_the_drawn_persons_do(poses_file, drawn, tmp_path):
    stages = []
    filmed = convert_film(
        poses_file, tmp_path / "dance.bvh", MOTION, MotionEdits(),
        on_progress=lambda progress: stages.append(progress.stage),
    )  # fmt: skip
    written = read_motion_file(tmp_path / "dance.bvh")
    assert len(written) == 8 and written.fps == pytest.approx(16)
    cosines = alike(written, drawn.poses())
    assert np.median(cosines) > 0.98 and cosines.min() > 0.8
    assert filmed.fit.bone_length_spread_mm < 1e-6
    assert filmed.fit.reprojection_px < 5
    assert any("the poses tell no depth" in note for note in filmed.converted.notes)
    assert "fit" in stages
    assert alike(mirrored_motion(written), drawn.poses()).min() < 0.5  # the other side's arms


@pytest.mark.slow
def test_a_film_becomes_a_motion_and_an_overlay(drawn, tmp_path):
    frames = (drawn.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    write_video(tmp_path / "dance.mp4", iter(frames), 16)
    settings = Preset().with_options(motion__end_s=0.375).motion
    filmed = convert_film(
        tmp_path / "dance.mp4", tmp_path / "dance.glb", settings, MotionEdits(mirror=True),
        overlay_to=tmp_path / "over.mp4", plot_to=tmp_path / "dance.png",
    )  # fmt: skip
    assert len(filmed.converted.motion) == probe(tmp_path / "over.mp4").frame_count == 6
    assert (tmp_path / "dance.png").is_file()
    again = fit_person(tmp_path / "dance.mp4", settings)
    assert np.median(alike(again.motion, drawn.poses()[:6])) > 0.9
    assert not any("no depth" in note for note in again.motion.notes)
    write_picture(tmp_path / "one.png", frames[0])
    convert_film(
        tmp_path / "one.png", None, MOTION, MotionEdits(), overlay_to=tmp_path / "over.png"
    )
    assert read_picture(tmp_path / "over.png").shape == frames[0].shape


@pytest.mark.slow
def test_a_film_with_nobody(tmp_path):
    write_video(tmp_path / "wall.mp4", iter(np.full((3, 64, 64, 3), 90, np.uint8)), 8)
    with pytest.raises(DetectionError, match=r"wall.mp4: no person was found"):
        convert_film(tmp_path / "wall.mp4", tmp_path / "a.bvh", MOTION, MotionEdits())
    assert not (tmp_path / "a.bvh").exists()


def test_one_frame_is_a_motion(drawn, tmp_path):
    write_people(tmp_path / "one.npz", PeopleClip.of(drawn.poses()[:1], None))
    filmed = convert_film(tmp_path / "one.npz", tmp_path / "one.bvh", MOTION, MotionEdits())
    assert len(read_motion_file(tmp_path / "one.bvh")) == 1
    assert filmed.fit.foot_skate_m_s is None
    assert np.median(alike(filmed.converted.motion, drawn.poses()[:1])) > 0.95


@pytest.mark.slow
def test_frames_that_show_nobody_are_held(drawn, tmp_path):
    nobody = Pose.of(256, 256)
    poses = [*drawn.poses()[:2], *[nobody] * 10, *drawn.poses()[2:4]]
    write_people(tmp_path / "gap.npz", PeopleClip.of(poses, 16))
    found = fit_person(tmp_path / "gap.npz", MOTION)
    assert len(found.motion) == 14 and np.isfinite(forward_kinematics(found.motion)).all()


def test_a_face_alone_is_no_body(drawn, tmp_path):
    pose = drawn.poses()[0]
    face = Pose.of(256, 256, face=np.column_stack([pose.face, pose.face_score]))
    write_people(tmp_path / "face.npz", PeopleClip.of([face, face], 16))
    with pytest.raises(InputError, match=r"face.npz: no frame shows four points"):
        fit_person(tmp_path / "face.npz", MOTION)


def test_what_cannot_be_written_is_refused_before_any_work(poses_file, tmp_path):
    write_picture(tmp_path / "one.png", np.zeros((64, 64, 3), np.uint8))
    for source, out, overlay, said in (
        (poses_file, "a.csv", None, "a body is found; choose .bvh"),
        (poses_file, "a.json", None, "poses in a picture are not made"),
        (poses_file, None, "a.mp4", "has no pictures to draw over"),
        (tmp_path / "one.png", None, "a.mp4", "over a picture a picture is drawn"),
        (tmp_path / "film.mp4", None, "a.txt", "a.txt"),
    ):
        with pytest.raises((InputError, OutputError), match=said):
            convert_film(
                source, tmp_path / out if out else None, MOTION, MotionEdits(),
                overlay_to=tmp_path / overlay if overlay else None,
            )  # fmt: skip
