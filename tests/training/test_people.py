import numpy as np
import pytest
import torch

from magicpose_cli.training.drawing import LABELS
from magicpose_cli.training.people import TEST_SEEDS, draw_people, render
from magicpose_cli.training.sampling import FRAMINGS, sample_identities, sample_motions
from magicpose_cli.training.skeleton import place


def test_the_seed_decides_everything():
    one, same, other = (draw_people(seed, 2, 2, 64) for seed in (5, 5, 6))
    assert torch.equal(one.images, same.images) and torch.equal(one.points.face, same.points.face)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (4, 3, 64, 64)
    assert one.images.min() >= 0 and one.images.max() <= 1


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
    face = place(identity, motion).face
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
    face = place(identity, motion).face
    gap = (face[:, 66] - face[:, 62]).norm(dim=1)
    assert gap[1] > 3 * gap[0]
    brow_to_eye = (face[:, 19] - face[:, 37]).norm(dim=1)
    assert brow_to_eye[1] > brow_to_eye[0]


def test_what_lies_outside_is_unseen():
    generator = torch.Generator().manual_seed(0)
    identity = sample_identities(4, 64, generator, framing="portrait")
    poses = render(identity, sample_motions(4, generator)).poses()
    assert all(np.isnan(pose.body[10]).all() and pose.body_score[10] == 0 for pose in poses)


def test_the_detector_finds_most_drawn_people():
    from magicpose_cli.pose.detect import load_detector

    detector = load_detector(still=True)
    found = 0
    for seed in range(3):
        people = draw_people(TEST_SEEDS + seed, 4, 1, 256)
        for picture in (people.images.permute(0, 2, 3, 1) * 255).byte().numpy():
            found += not detector.detect(np.ascontiguousarray(picture)).is_empty
    detector.close()
    assert found >= 10  # of 12
