"""What is shown of the warped reference, and what of a frame of the network."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.fusion import Fusion
from magicpose_cli.warping.warp import ReferenceWarp, WarpedFrame
from tests.warping.people import quality, shifted, without

WHOLE = Framing((0, 0, 256, 256), 256, 256)
PART = Framing((32, 0, 224, 192), 192, 192)  # of the whole, at its scale, up to the upper edge


def rounded(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture.clip(0, 255)).astype(np.uint8)


def fused(warp, network=WHOLE, result=WHOLE, *, trusts=False, strength=1.0) -> Fusion:
    return Fusion(warp, network, result, trusts_network=trusts, strength=strength)


@pytest.fixture(scope="module")
def moved(warp, raised) -> WarpedFrame:
    return warp(raised.pose)


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)


@pytest.mark.parametrize("network", [WHOLE, PART])
def test_a_network_that_draws_no_likeness_is_not_shown(warp, moved, network):
    shown = fused(warp, network)(moved, noise(network.width))
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, rounded(moved.picture))


def test_at_strength_0_the_networks_frame_is_shown(warp, moved):
    made = noise(192)
    for trusts in (False, True):
        shown = fused(warp, PART, trusts=trusts, strength=0.0)(moved, made)
        assert np.array_equal(shown[:180, 44:212], made[:180, 12:180])
        outside = np.ones((256, 256), bool)
        outside[:192, 32:224] = False
        assert np.array_equal(shown[outside], rounded(moved.picture)[outside])


def test_a_strength_between_is_between(warp, moved):
    made = noise(256)
    shown = fused(warp, strength=0.25)(moved, made).astype(float)
    assert np.abs(shown - (0.25 * moved.picture + 0.75 * made)).max() <= 1


@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0])
def test_where_network_and_warp_disagree_the_network_is_kept(warp, moved, strength):
    made = 255 - rounded(moved.picture)
    shown = fused(warp, trusts=True, strength=strength)(moved, made)
    differ = np.abs(cv2.GaussianBlur(made - moved.picture, (0, 0), 4)).max(2) > 60
    assert differ.mean() > 0.5
    assert np.array_equal(shown[differ], made[differ])


def test_where_network_and_warp_agree_the_warp_is_shown(warp, moved):
    made = rounded(moved.picture + 6)
    shown = fused(warp, trusts=True)(moved, made)
    person = cv2.erode(moved.cover, np.ones((3, 3))) == 1
    assert person.mean() > 0.1
    assert np.abs(shown.astype(float) - moved.picture)[person].mean() < 0.5
    nobody = moved.cover == 0
    assert np.array_equal(shown[nobody], made[nobody])


def test_the_same_colors_in_another_place_do_not_agree(warp):
    """Stripes that stand between those of the warp: the same colors over a wide area."""
    stripes = np.zeros((256, 256, 3), np.float32)
    stripes[:, (np.arange(256) // 6) % 2 == 0] = 90
    warped = WarpedFrame(stripes + 80, np.ones((256, 256), np.float32), Pose.of(256, 256))
    fusion = fused(warp, trusts=True)
    same, other = rounded(stripes + 80), rounded(170 - stripes)
    inner = np.s_[40:-40, 40:-40]
    assert np.array_equal(fusion(warped, same)[inner], same[inner])
    assert np.array_equal(fusion(warped, other)[inner], other[inner])


def wristless(pose: Pose) -> Pose:
    """Forearms and hands are out of sight: else one would be the other's mirror image."""
    body = pose.body.copy()
    body[[BODY_JOINTS.index(f"{side}_wrist") for side in ("right", "left")]] = np.nan
    return replace(without(pose, "right_hand", "left_hand"), body=body)


@pytest.fixture(scope="module")
def handless(standing) -> ReferenceWarp:
    """Of a reference whose forearms and hands are out of sight."""
    pose = wristless(standing.pose)
    return ReferenceWarp(standing.picture, pose, standing.matte)


def faceless(pose: Pose) -> Pose:
    """Nothing tells the color of the skin."""
    return replace(without(pose, "face"), face_mesh=None)


@pytest.fixture(scope="module")
def skinless(standing) -> ReferenceWarp:
    """The same, seen from behind: its hand cannot be modeled."""
    pose = faceless(wristless(standing.pose))
    return ReferenceWarp(standing.picture, pose, standing.matte)


def test_a_hand_that_the_reference_lacks_is_modeled_in_the_skin_of_its_face(handless, raised):
    moved = handless(raised.pose)
    x, y = np.rint(raised.pose.right_hand[[0, 5, 9, 13, 17]].mean(0)).astype(int)
    shown = fused(handless)(moved, None)
    assert np.abs(shown[y, x] - handless.skin).max() < 45
    assert np.abs(moved.picture[y, x] - handless.skin).max() > 60  # nothing of it was there
    at = np.indices(moved.cover.shape)[::-1].transpose(1, 2, 0)
    far = np.linalg.norm(at - (x, y), axis=2) > 60
    drawn = fused(handless)._drawn_gap(raised.pose).astype(np.float32)
    gap = cv2.GaussianBlur(drawn, (0, 0), 4) > 0
    assert np.array_equal(shown[far & ~gap], rounded(moved.picture)[far & ~gap])


def test_a_hand_that_cannot_be_modeled_is_the_networks(skinless, raised):
    body = raised.pose.body.copy()
    wrist = BODY_JOINTS.index("right_wrist")
    body[wrist] += (0, 40)  # beside everything that is moved
    body[BODY_JOINTS.index("left_wrist")] = np.nan
    hand = raised.pose.right_hand + np.float32((0, 40))
    moved = skinless(replace(without(raised.pose, "left_hand"), body=body, right_hand=hand))
    made = np.full((256, 256, 3), (0, 255, 0), np.uint8)
    shown = fused(skinless)(moved, made)
    x, y = np.rint(hand.mean(0)).astype(int)
    assert moved.cover[y, x] == 0
    assert np.abs(shown[y, x].astype(int) - (0, 255, 0)).max() < 30
    arm = np.zeros((256, 256), np.uint8)
    ends = (np.rint(p).astype(int).tolist() for p in (body[wrist - 1], hand.mean(0)))
    cv2.line(arm, *ends, (1,), 60)
    assert (shown != rounded(moved.picture)).any(2).sum() > 200
    assert np.array_equal(shown[arm == 0], rounded(moved.picture)[arm == 0])


def test_a_hand_that_shows_but_was_not_read_is_no_gap(standing, raised):
    """It goes with its forearm."""
    warp = ReferenceWarp(standing.picture, without(standing.pose, "right_hand"), standing.matte)
    moved = warp(raised.pose)
    assert np.array_equal(fused(warp)(moved, noise(256)), rounded(moved.picture))


def test_a_pose_that_shows_a_missing_hand_needs_the_network(handless, standing, raised):
    fusion = fused(handless)
    assert fusion.needs(raised.pose)
    assert not fusion.needs(wristless(without(standing.pose, "right_hand")))
    assert not fusion.needs(shifted(raised.pose, 400, 0))  # it is out of the picture
    assert fused(handless, trusts=True).needs(standing.pose)
    assert fused(handless, strength=0.9).needs(standing.pose)


def test_the_frame_of_a_pose_without_need_is_the_warp(skinless, standing):
    moved = skinless(standing.pose)
    assert np.array_equal(fused(skinless)(moved, None), rounded(moved.picture))


def test_an_unseen_hand_leaves_no_gap(handless, raised):
    moved = handless(wristless(without(raised.pose, "right_hand")))
    assert np.array_equal(fused(handless)(moved, noise(256)), rounded(moved.picture))


@pytest.mark.parametrize("size", [96, 192, 384])
def test_a_picture_goes_to_the_network_and_comes_back(warp, size):
    network = Framing(PART.window, size, size)
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    smooth = np.stack([x, y, 128 + 60 * np.sin(x / 20) * np.cos(y / 25)], 2).astype(np.float32)
    fusion = fused(warp, network)
    there = fusion.for_network(smooth)
    assert there.shape == (size, size, 3) and there.dtype == np.uint8
    back = fusion.in_result(there)
    assert back.shape == (256, 256, 3) and back.dtype == np.uint8
    assert np.abs(back[4:188, 36:220] - smooth[4:188, 36:220]).max() < 3
    assert not back[:, :32].any() and not back[192:].any()


def test_what_is_fine_is_averaged_for_a_small_network(warp):
    stripes = np.zeros((256, 256, 3), np.float32)
    stripes[:, ::4] = 240
    there = fused(warp, Framing((0, 0, 256, 256), 64, 64)).for_network(stripes)
    assert np.abs(there[4:-4, 4:-4].astype(float) - 60).max() < 20


def test_at_the_same_scale_the_way_to_the_network_is_exact(warp, standing):
    fusion = fused(warp, PART)
    there = fusion.for_network(standing.picture.astype(np.float32))
    assert np.array_equal(there, standing.picture[:192, 32:224])
    assert np.array_equal(fusion.in_result(there)[1:191, 33:223], there[1:191, 1:191])


def test_a_smaller_frame_shows_the_middles_of_its_pixels(warp):
    ramp = np.broadcast_to(np.arange(256, dtype=np.float32)[:, None] + 0.5, (256, 256))
    ramps = np.stack([ramp.T, ramp, ramp], 2)
    fusion = fused(warp, Framing(PART.window, 96, 96))
    there = fusion.for_network(ramps).astype(float)
    inner = np.arange(5, 90)
    assert np.array_equal(there[50, inner, 0], 32 + 2 * inner + 1)
    assert np.array_equal(there[inner, 50, 1], 2 * inner + 1)
    back = fusion.in_result(there.astype(np.uint8)).astype(float)
    assert abs((back - ramps)[20:170, 60:200, :2].mean()) < 0.1


def test_a_result_of_another_size_shows_the_same(warp, standing):
    """The network's square lies where its window is, in a result of twice the size."""
    fusion = fused(warp, PART, Framing((0, 0, 256, 256), 512, 512))
    back = fusion.in_result(standing.picture[:192, 32:224])
    assert quality(back[2:380:2, 66:446:2], standing.picture[1:190, 33:223]) > 25
    assert not back[:, :60].any() and not back[390:].any()


def shares_of(warp, network: Framing) -> np.ndarray:
    """How much of a white frame is seen over black."""
    black = WarpedFrame(
        np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.float32), Pose.of(256, 256)
    )
    white = np.full((network.height, network.width, 3), 255, np.uint8)
    return fused(warp, network, strength=0.0)(black, white)[..., 0] / 255


def test_a_window_fades_at_its_edges_inside_of_the_result_alone(warp):
    share = shares_of(warp, PART)
    assert (share[0, 60:190] == 1).all()  # the upper edge is the picture's
    assert share[100, 33] < 0.2 and share[100, 222] < 0.2 and share[190, 128] < 0.2
    assert (np.diff(share[100, 30:60]) >= 0).all() and share[100, 45] == 1
    assert (share[:, :32] == 0).all() and (share[192:] == 0).all()
    assert np.abs(share - share[:, ::-1]).max() < 0.01


def test_a_whole_window_does_not_fade(warp):
    assert (shares_of(warp, WHOLE) == 1).all()
    assert (shares_of(warp, Framing((-40, -8, 300, 332), 64, 64)) == 1).all()


def test_a_gap_is_drawn_once_for_choosing_and_fusing(handless, raised, monkeypatch):
    fusion, drawn = fused(handless), []
    draw = fusion._drawn_gap
    monkeypatch.setattr(fusion, "_drawn_gap", lambda pose: drawn.append(pose) or draw(pose))
    assert fusion.needs(raised.pose)
    made = np.full((256, 256, 3), 200, np.uint8)
    one, other = (fusion(handless(raised.pose), made) for _ in range(2))
    assert len(drawn) == 1
    assert np.array_equal(one, other)
