"""Expressions, poses and gaze out of faces that are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.face_fit import fit_faces
from magicpose_cli.body.face_model import load_face_model
from magicpose_cli.body.face_motion import actions_of, face_motion, gaze_of, head_turns
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from tests.body.faces import actions_of_names, face_clip, meshes

FRAMES = 24
TIME = np.linspace(0, 2 * np.pi, FRAMES)
WAVES = {
    "jawOpen": 0.3 + 0.3 * np.sin(2 * TIME),
    "mouthSmileLeft": np.clip(np.sin(TIME), 0, 1),
    "mouthSmileRight": np.clip(np.sin(TIME), 0, 1) * 0.7,
    "browInnerUp": np.clip(-np.sin(TIME), 0, 1),
    "browOuterUpLeft": np.clip(np.cos(TIME), 0, 1) * 0.8,
    "eyeBlinkLeft": (np.arange(FRAMES) % 6 == 3) * 0.9,
    "eyeBlinkRight": (np.arange(FRAMES) % 6 == 3) * 0.9,
}


def turns() -> Rotation:
    return Rotation.from_euler("YX", np.stack([0.3 * np.sin(TIME), 0.15 * np.cos(TIME)], axis=1))


def test_the_shipped_model_has_all_actions_and_is_symmetric():
    model = load_face_model()
    assert model.mean.shape == (478, 3) and model.actions.shape == (52, 478, 3)
    largest = np.abs(model.actions).max(axis=(1, 2))
    assert [ARKIT_CURVES[still] for still in np.flatnonzero(largest < 9e-4)] == ["tongueOut"]
    assert model.mean[33, 0] == pytest.approx(-model.mean[263, 0], abs=1e-4)
    assert ((model.gains > 0) & (model.gains <= 1)).all()


@pytest.mark.parametrize("seed", [None, 5])
def test_an_expression_is_found_with_the_head_s_turn(seed):
    actions = actions_of_names(FRAMES, **WAVES)
    noise = np.random.default_rng(1).normal(0, 0.4, (FRAMES, 478, 3)).astype(np.float32)
    fitted = fit_faces(face_clip(meshes(actions, turns=turns(), seed=seed) + noise))
    for name in WAVES:
        known, found = (rows[:, ARKIT_CURVES.index(name)] for rows in (actions, fitted.actions))
        assert np.corrcoef(known, found)[0, 1] > 0.95, name
    assert np.abs(fitted.actions[:, ARKIT_CURVES.index("jawOpen")] - WAVES["jawOpen"]).mean() < 0.1
    off = Rotation.from_matrix(fitted.rotations).inv() * turns()
    assert np.degrees(off.magnitude()).max() < 6
    assert (fitted.actions >= 0).all() and (fitted.actions <= 1).all()


def test_the_68_points_alone_tell_jaw_and_lids():
    actions = actions_of_names(FRAMES, **WAVES)
    fitted = fit_faces(face_clip(meshes(actions, turns=turns()), dense=False))
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft"):
        known, found = (rows[:, ARKIT_CURVES.index(name)] for rows in (actions, fitted.actions))
        assert np.corrcoef(known, found)[0, 1] > 0.9, name


def test_the_gaze_is_found_and_a_motion_keeps_it():
    gaze = np.zeros((FRAMES, 2, 2))
    gaze[..., 0], gaze[..., 1] = (0.4 * np.sin(TIME))[:, None], (0.2 * np.cos(TIME))[:, None]
    fitted = fit_faces(face_clip(meshes(np.zeros((FRAMES, 52)), gaze, turns())))
    assert np.abs(fitted.gaze - gaze).max() < 0.06
    motion = face_motion(fitted, 25)
    assert np.allclose(gaze_of(motion), fitted.gaze, atol=1e-6)
    left = motion.curves["eyeLookOutLeft"] - motion.curves["eyeLookInLeft"]
    assert np.corrcoef(left, np.sin(TIME))[0, 1] > 0.99
    assert (head_turns(motion).inv() * turns()).magnitude().max() < 0.1


def test_frames_without_a_face_lie_between_their_neighbors():
    faces = meshes(actions_of_names(3, jawOpen=[0.0, 0.4, 0.8]))
    poses = [*face_clip(faces)]
    poses[1] = Pose.of(512, 512)
    fitted = fit_faces(PoseClip.of(poses, 25))
    assert fitted.found.tolist() == [True, False, True]
    motion = face_motion(fitted, 25)
    jaw = actions_of(motion)[:, ARKIT_CURVES.index("jawOpen")]
    assert jaw[1] == pytest.approx((jaw[0] + jaw[2]) / 2)
    assert motion.notes == ("no face is seen in 1 of 3 frames: made up between",)


def test_a_clip_without_faces_is_refused():
    with pytest.raises(InputError, match="no frame shows a face"):
        fit_faces(PoseClip.of([Pose.of(64, 64)] * 2, 25))
