import numpy as np
import pytest
import torch

from magicpose_cli.synthetic.canvas import LABELS, Canvas, photo_noise
from magicpose_cli.synthetic.casting import (
    FRAMINGS,
    KEY_POSE_FRAMES,
    animate_motions,
    sample_identities,
    sample_motions,
)
from magicpose_cli.synthetic.drawn_skeleton import place_points
from magicpose_cli.synthetic.people import TEST_SEEDS, DrawnMotion, draw_people, render


def test_the_seed_decides_everything():
    one, same, other = (draw_people(seed, 2, 2, 64) for seed in (5, 5, 6))
    assert torch.equal(one.images, same.images) and torch.equal(one.points.face, same.points.face)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (4, 3, 64, 64)
    assert one.images.min() >= 0 and one.images.max() <= 1


@pytest.mark.slow
def test_testing_draws_people_whom_training_never_draws():
    trained = torch.cat([_shoulders(seed) for seed in range(16)])
    tested = torch.cat([_shoulders(TEST_SEEDS + seed) for seed in range(16)])
    assert len(trained.unique()) == len(tested.unique()) == 64
    assert not torch.isin(tested, trained).any()


def _shoulders(seed: int) -> torch.Tensor:
    return sample_identities(4, 16, torch.Generator().manual_seed(seed)).shoulder


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_a_seed_that_repeats_another_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed {seed} repeats"):
        draw_people(seed, 1, 1, 32)


@pytest.mark.parametrize("size", [64, 100, 512])
def test_any_size_shows_the_same_people(size):
    people, small = draw_people(11, 1, 1, size), draw_people(11, 1, 1, 32)
    assert people.images.shape == (1, 3, size, size) and people.images.isfinite().all()
    torch.testing.assert_close(people.points.body / size, small.points.body / 32)
    share = [(p.labels > 0).float().mean().item() for p in (people, small)]
    assert share[0] == pytest.approx(share[1], abs=0.03) and share[0] > 0.02


def test_a_row_does_not_depend_on_the_others():
    generator = torch.Generator().manual_seed(9)
    identity, motion = sample_identities(5, 96, generator), sample_motions(5, generator)
    together = render(identity, motion)
    alone = render(identity.rows(slice(3, 4)), motion.rows(slice(3, 4)))
    assert (together.images[3] - alone.images[0]).abs().max() < 1e-4
    assert torch.equal(together.labels[3], alone.labels[0])


def test_a_window_paints_what_the_whole_picture_would():
    size, rows = 60, torch.tensor([0, 2, 3])
    # inside, over a corner, wholly outside
    start = torch.tensor([[20.0, 30.0], [2.0, 3.0], [90.0, -40.0]])
    end = start + torch.tensor([[9.0, 4.0], [-8.0, 5.0], [3.0, 6.0]])
    radius = torch.tensor([5.0, 7.0, 4.0])
    color = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    light = torch.tensor([-1.0, 0.0, 0.5, 1.0])

    def paint(canvas: Canvas) -> None:
        distance, _, across = canvas.limb(start, end, radius, radius * 0.5)
        canvas.paint(distance, color, "top", across)
        corners = torch.stack([start, end, start + radius[:, None]], 1)
        canvas.paint(canvas.polygon(corners), color * 0.5, "skin", opacity=0.7)
        canvas.paint(canvas.ellipse(end, radius, radius * 0.6, radius), color, softness=2.0)

    near = Canvas.of(photo_noise(4, size, 3, torch.Generator().manual_seed(1), "cpu"), light)
    whole = Canvas.of(near.image[rows].clone(), light[rows])
    untouched = near.image[1].clone()
    with near.window(torch.stack([start, end], 1), radius + 2, rows) as window:
        assert window.image.shape[-1] < size / 2
        paint(window)
    paint(whole)
    assert (near.image[rows] - whole.image).abs().max() < 1e-5
    assert torch.equal(near.labels[rows], whole.labels) and whole.labels[1].any()
    assert torch.equal(near.image[1], untouched)


def test_a_clip_is_one_person_before_one_background():
    people = draw_people(3, 2, 3, 64)
    corners = people.images[:, :, 0, 0].reshape(2, 3, 3)
    assert torch.equal(corners[:, 0], corners[:, 1]) and not torch.equal(corners[0], corners[1])
    body = people.points.body.reshape(2, 3, 18, 2)
    assert (body[:, 0] - body[:, 1]).abs().max() > 1  # in another pose


@pytest.mark.parametrize("framing", FRAMINGS)
def test_joints_lie_on_the_person(framing):
    generator = torch.Generator().manual_seed(TEST_SEEDS)
    identity = sample_identities(6, 128, generator, framing=framing)
    people = render(identity, sample_motions(6, generator))
    painted = people.labels > 0
    hits, seen = 0, 0
    for pose, mask in zip(people.poses(), painted, strict=True):
        for joint in (0, 1, 2, 3, 5, 6, 8, 11):  # those well inside of the body
            if pose.body_score[joint] > 0:
                x, y = pose.body[joint].astype(int)
                hits, seen = hits + bool(mask[y, x]), seen + 1
    assert seen > 12 and hits / seen > 0.97
    assert len(LABELS) > int(people.labels.max()) >= 3


def test_faces_are_in_the_ibug_order():
    generator = torch.Generator().manual_seed(1)
    identity = sample_identities(4, 128, generator, framing="portrait")
    motion = sample_motions(4, generator)
    for turned in ("head_turn", "head_tilt", "head_nod", "lean"):
        setattr(motion, turned, torch.zeros(4))
    face = place_points(identity, motion).face
    x, y = face[..., 0], face[..., 1]
    assert (x[:, :17].diff(dim=1) > 0).all()  # jaw from the picture's left to its right
    assert (y[:, 8] == y[:, :17].amax(1)).all()  # the chin is lowest
    assert (x[:, 17:27].diff(dim=1) > 0).all()  # both brows
    assert (y[:, 27:31].diff(dim=1) > 0).all()  # down the nose
    assert (x[:, [36, 39, 42, 45]].diff(dim=1) > 0).all()  # eye corners
    assert (y[:, 37] <= y[:, 41]).all() and (y[:, 44] <= y[:, 46]).all()
    assert (x[:, 48] < x[:, 54]).all() and (y[:, 51] < y[:, 57]).all()
    assert (y[:, 62] <= y[:, 66]).all()


def test_expressions_move_the_face():
    generator = torch.Generator().manual_seed(2)
    identity = sample_identities(1, 128, generator).rows(torch.zeros(2, dtype=torch.long))
    motion = sample_motions(1, generator).rows(torch.zeros(2, dtype=torch.long))
    motion.mouth_open = torch.tensor([0.0, 1.0])
    motion.brow = torch.tensor([-1.0, 1.0])
    face = place_points(identity, motion).face
    gap = (face[:, 66] - face[:, 62]).norm(dim=1)
    assert gap[1] > 3 * gap[0]
    brow_to_eye = (face[:, 19] - face[:, 37]).norm(dim=1)
    assert brow_to_eye[1] > brow_to_eye[0]


def test_what_lies_outside_is_unseen():
    generator = torch.Generator().manual_seed(0)
    identity = sample_identities(4, 64, generator, framing="portrait")
    poses = render(identity, sample_motions(4, generator)).poses()
    assert all(np.isnan(pose.body[10]).all() and pose.body_score[10] == 0 for pose in poses)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_shape_is_cut_off_by_its_window(monkeypatch, seed):
    near = draw_people(seed, 12, 1, 160)
    window = Canvas.window
    monkeypatch.setattr(
        Canvas,
        "window",
        lambda self, points, margin, rows: window(self, points, margin + 1e4, rows),
    )
    whole = draw_people(seed, 12, 1, 160)
    assert (near.images - whole.images).abs().amax((1, 2, 3)).tolist() == pytest.approx(
        [0] * 12, abs=2e-3
    )
    assert (near.labels != whole.labels).float().mean() < 1e-5


def test_a_face_fills_a_portrait():
    generator = torch.Generator().manual_seed(0)
    identity = sample_identities(16, 32, generator, framing="portrait")
    motion = sample_motions(16, generator)
    motion.head_nod = torch.zeros(16)
    face = place_points(identity, motion).face[..., 1]
    crown_to_chin = 2 * identity.head * identity.head_height * identity.camera[:, 0] / 32
    assert (crown_to_chin > 0.28).all() and (crown_to_chin < 0.55).all()
    assert ((face.amax(1) - face.amin(1)) / 32 > 0.18).all()


def test_regions_keep_their_colors_in_every_motion():
    people = draw_people(TEST_SEEDS + 5, 6, 4, 96)
    for region in ("skin", "top", "bottom"):
        mask = (people.labels == LABELS.index(region))[:, None]
        area = mask.sum((1, 2, 3))
        mean = (people.images * mask).sum((2, 3)) / area.clamp_min(1)[:, None]
        mean, seen = mean.reshape(6, 4, 3), area.reshape(6, 4, 1) > 60
        if seen.all(1).sum() < 2:
            continue
        clip = (mean * seen).sum(1) / seen.sum(1).clamp_min(1)
        spread = ((mean - clip[:, None]).abs() * seen).mean()
        between = (clip - clip.mean(0)).abs().mean()
        assert spread < 0.05 and between > 2 * spread, region


def test_two_people_in_one_motion_differ_and_take_the_same_pose():
    generator = torch.Generator().manual_seed(4)
    identity = sample_identities(2, 96, generator, framing="half")
    identity.camera = identity.camera[:1].expand(2, 3)
    motion = sample_motions(1, generator).rows(torch.zeros(2, dtype=torch.long))
    people = render(identity, motion)
    assert (people.images[0] - people.images[1]).abs().mean() > 0.05
    bone = people.points.body[:, 3] - people.points.body[:, 2]  # the upper arm
    direction = bone / bone.norm(dim=1, keepdim=True)
    torch.testing.assert_close(direction[0], direction[1], atol=0.02, rtol=0)


@pytest.mark.parametrize(("side", "wrist"), [(0, 4), (1, 7)])
def test_an_arm_lies_before_or_behind_the_trunk(side, wrist):
    generator = torch.Generator().manual_seed(8)
    identity = sample_identities(1, 128, generator, framing="half")
    identity.sleeve = torch.tensor([0.5])
    identity = identity.rows(torch.zeros(2, dtype=torch.long))
    motion = sample_motions(1, generator).rows(torch.zeros(2, dtype=torch.long))
    motion.arm, motion.elbow = torch.full((2, 2), 0.1), torch.zeros(2, 2)
    motion.elbow[:, side] = -1.7
    motion.arm_depth = torch.ones(2, 2, 2)
    motion.lean = torch.zeros(2)
    motion.arm_in_front = torch.tensor([[True, True], [False, False]])
    people = render(identity, motion)
    x, y = people.points.body[0, wrist].long()
    before, behind = people.labels[:, y, x]
    assert LABELS[before] == "skin" and LABELS[behind] == "top"


def test_arms_and_legs_cross_in_what_is_sampled():
    generator = torch.Generator().manual_seed(6)
    motion = sample_motions(400, generator)
    body = place_points(sample_identities(400, 16, generator, framing="full"), motion).body
    for side, wrist in ((0, 4), (1, 7)):
        x, y = body[:, wrist].unbind(1)
        over = (x > body[:, 2, 0]) & (x < body[:, 5, 0])
        over &= (y > body[:, 1, 1]) & (y < body[:, 8, 1])
        assert (over & motion.arm_in_front[:, side]).sum() > 8
        assert (over & ~motion.arm_in_front[:, side]).sum() > 2
    assert (body[:, 10, 0] > body[:, 13, 0]).sum() > 8  # right ankle beyond the left one


def test_animated_people_move_smoothly():
    frames = 2 * KEY_POSE_FRAMES + 1
    motion = animate_motions(3, frames, torch.Generator().manual_seed(0))
    assert isinstance(motion, DrawnMotion) and motion.arm.shape == (3 * frames, 2)
    arm = motion.arm.reshape(3, frames, 2)
    leap = (arm[:, KEY_POSE_FRAMES] - arm[:, 0]).abs().max()
    assert 0 < arm.diff(dim=1).abs().max() < 0.2 * leap + 0.2
    front = motion.arm_in_front.reshape(3, frames, 2)
    assert (front == front[:, :1]).all()
    rest = arm.diff(dim=1)[:, KEY_POSE_FRAMES - 1 : KEY_POSE_FRAMES + 1].abs().max()
    assert rest < 0.1 * leap  # slow where one pose is reached


@pytest.mark.slow
def test_the_detector_finds_most_drawn_people():
    from magicpose_cli.pose.detection.detect import detect_one, load_detector

    detector = load_detector(still=True)
    found, errors = 0, []
    for framing in ("full", "half"):
        generator = torch.Generator().manual_seed(TEST_SEEDS)
        identity = sample_identities(8, 512, generator, framing=framing)
        people = render(identity, sample_motions(8, generator))
        pictures = (people.images.permute(0, 2, 3, 1) * 255).byte().numpy()
        for picture, truth in zip(pictures, people.poses(), strict=True):
            pose = detect_one(detector, np.ascontiguousarray(picture))
            if not pose.is_empty:
                found += 1
                errors.append(np.nanmean(np.linalg.norm(pose.body - truth.body, axis=1)[:8]))
    detector.close()
    assert found >= 14  # of 16
    assert np.median(errors) < 0.05 * 512
