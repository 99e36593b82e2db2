"""The dense face, carried from the driver's to the reference's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.pose.retargeting.mesh import MAX_MESH_TURN_RAD, RIGID, carried_meshes
from magicpose_cli.pose.retargeting.points import POINT_INDEX, named_points
from magicpose_cli.pose.retargeting.retarget import retarget
from tests.pose.drawn import SIZE, exact_poses, motion, two_people
from tests.warping.people import mesh_on

CHIN = [index for index in range(468) if index not in RIGID][::40]


def meshed(pose: Pose, mesh: np.ndarray | None = None) -> Pose:
    found = mesh_on(pose.face) if mesh is None else mesh
    return replace(pose, face_mesh=found.astype(np.float32))


def turned(mesh: np.ndarray, degrees: float, scale: float = 1.0) -> np.ndarray:
    middle = mesh[RIGID].mean(0)
    return scale * Rotation.from_euler("y", degrees, degrees=True).apply(mesh - middle) + middle


def domed(mesh: np.ndarray) -> np.ndarray:
    """A face as deep as wide."""
    middle, half = mesh[[234, 454]].mean(0), np.ptp(mesh[:, 0]) / 2
    deep = mesh.astype(np.float64)
    out = ((mesh[:, :2] - middle[:2]) / half).clip(-1, 1)
    deep[:, 2] = half * (out[:, 0] ** 2 - 1)
    return deep


def spoken(mesh: np.ndarray, pixels: float) -> np.ndarray:
    """Some of the points that an expression moves, moved down."""
    mesh = mesh.astype(np.float64)
    mesh[CHIN, 1] += pixels
    return mesh


def rotation_between(one: np.ndarray, other: np.ndarray) -> Rotation:
    source, target = (mesh[RIGID] - mesh[RIGID].mean(0) for mesh in (one, other))
    return Rotation.align_vectors(target, source)[0]


@pytest.fixture(scope="module")
def target() -> Pose:
    return meshed(exact_poses(two_people(1)[0], motion(1, 1))[0])


@pytest.fixture(scope="module")
def still() -> Pose:
    """The driver's first frame: another face."""
    return meshed(exact_poses(two_people(1)[1], motion(1, 1))[0])


def carried(poses, target, anchor=0, **options):
    """Where the driver's points lie as they are."""
    moved = named_points([target] * len(poses))
    return carried_meshes(poses, moved, target, anchor, **options)


@pytest.mark.parametrize("mode", ["align", "skeleton", "full"])
@pytest.mark.parametrize("anchor", ["best", "first", "5"])
def test_the_anchors_mesh_is_the_references_own(mode, anchor):
    person, driver = two_people(1)
    moves = motion(1, 10)
    walk = [
        meshed(pose.map_points(lambda p, i=i: p + np.float32([7 * i, 0]), SIZE, SIZE))
        for i, pose in enumerate(exact_poses(driver, moves))
    ]
    target = meshed(exact_poses(person, moves)[5])
    moved = retarget(walk, target, mode, anchor=anchor)
    mesh = moved.poses[moved.anchor].face_mesh
    assert mesh.dtype == np.float32
    apart = mesh - target.face_mesh
    assert np.abs(apart).max() < SIZE / 256  # it is put where the points are
    assert np.ptp(apart, axis=0).max() < 0.01
    other = moved.poses[(moved.anchor + 4) % 10].face_mesh
    assert np.abs(other - target.face_mesh).max() > 3


@pytest.mark.parametrize("head", [0.0, 0.5, 1.0])
def test_a_turn_is_carried_as_much_as_wanted(target, still, head):
    poses = [still, meshed(still, turned(still.face_mesh, 30))]
    mesh = carried(poses, target, head=head)[1]
    found = rotation_between(target.face_mesh, mesh).as_euler("yxz", degrees=True)
    assert np.allclose(found, (30 * head, 0, 0), atol=0.05)
    assert np.allclose(mesh, turned(target.face_mesh, 30 * head), atol=0.05)


def test_a_head_that_looks_aside_in_the_anchor_alone_looks_where_the_driver_does(target, still):
    """In the anchor the driver looks 20 degrees aside, else ahead, as the reference does."""
    ahead = meshed(still, turned(still.face_mesh, 0))
    aside = meshed(still, turned(still.face_mesh, 20))
    poses = [aside, ahead, ahead, ahead, meshed(still, turned(still.face_mesh, 10))]
    own, least = (carried(poses, target, least_turn=least) for least in (False, True))
    for meshes, degrees in ((own, -20), (least, 0)):
        turn = rotation_between(target.face_mesh, meshes[1]).as_euler("yxz", degrees=True)
        assert np.abs(turn - (degrees, 0, 0)).max() < 5  # heads of other shapes differ by as much
    turn = rotation_between(least[1], least[4]).as_euler("yxz", degrees=True)
    assert np.allclose(turn, (10, 0, 0), atol=0.1)


def test_a_head_that_is_always_held_otherwise_is_left_as_it_is(target, still):
    """The reference looks ahead, the driver always aside: the way a film is shot."""
    poses = [meshed(still, turned(still.face_mesh, angle)) for angle in (20, 20, 24, 18, 20)]
    meshes = carried(poses, target, least_turn=True)
    assert np.allclose(meshes[0], target.face_mesh, atol=0.01)


@pytest.mark.parametrize("expression", [0.0, 0.5, 1.0, 2.0])
def test_an_expression_is_carried_as_much_as_wanted(target, still, expression):
    close = turned(still.face_mesh, 0, 10)
    poses = [meshed(still, close), meshed(still, spoken(close, 60))]
    mesh = carried(poses, target, expression=expression)[1]
    size = np.linalg.norm(target.face_mesh[33] - target.face_mesh[263])
    size /= np.linalg.norm(close[33] - close[263])
    change = mesh - target.face_mesh
    assert np.allclose(change[CHIN, 1], 60 * size * expression, rtol=0.15, atol=0.02)
    assert np.abs(np.delete(change, CHIN, axis=0)).max() < 0.02


@pytest.mark.parametrize("degrees", [0, 60])
def test_an_expression_is_believed_as_far_as_the_face_is_seen(target, still, degrees):
    """Of a small face less than of a large one, and in profile next to nothing."""
    size = np.linalg.norm(still.face_mesh[234] - still.face_mesh[454])
    found = []
    for scale in (10, 30 / size):
        mesh = turned(still.face_mesh, 0, scale)
        moved = turned(spoken(mesh, 0.06 * scale * size), degrees)
        mesh = carried([meshed(still, mesh), meshed(still, moved)], target, head=0)[1]
        found.append(float((mesh - target.face_mesh)[CHIN, 1].mean()))
    large, small = found
    assert large > 0.8 * 0.06 * np.linalg.norm(target.face_mesh[234] - target.face_mesh[454])
    assert small / large == pytest.approx(0.62 if degrees == 0 else 0.1, abs=0.08)


def test_without_expression_and_turn_only_the_way_is_left(target, still):
    now = spoken(turned(still.face_mesh, 20), 8) + np.array([11, -4, 0])
    moved = named_points([target, target])
    mesh = carried_meshes(
        [still, meshed(still, now)], moved, target, 0, expression=0.0, head=0.0
    )[1]  # fmt: skip
    change = mesh - target.face_mesh
    assert np.ptp(change, axis=0).max() < 0.01


def test_who_comes_nearer_grows(target, still):
    poses = [still, meshed(still, turned(still.face_mesh, 0, 1.3))]
    mesh = carried(poses, target)[1]
    assert np.allclose(mesh, turned(target.face_mesh, 0, 1.3), atol=0.05)


def test_a_mesh_of_an_unlikely_size_is_a_mistake(target, still):
    wild = meshed(still, turned(still.face_mesh, 0, 4.0))
    meshes = carried([still, wild, still], target)
    assert np.abs(meshes[1] - target.face_mesh).max() < 0.01


def test_the_face_goes_where_the_points_go(target, still):
    """On the reference a neck is longer: the points there go further than the driver's."""
    poses = [still, still]
    moved = named_points([target, target])
    moved[1] += (9, -3)
    mesh = carried_meshes(poses, moved, target, 0)[1]
    assert np.allclose(mesh - target.face_mesh, (9, -3, 0), atol=0.01)


def test_what_is_missing_lies_between_its_neighbors_and_goes_with_the_head(target, still):
    nobody = replace(still, face_mesh=None)
    poses = [still, nobody, nobody, nobody, meshed(still, spoken(still.face_mesh, 8))]
    first, *between, last = carried(poses, target)
    for share, mesh in zip((0.25, 0.5, 0.75), between, strict=True):
        assert np.allclose(mesh, first + share * (last - first), atol=1e-3)
    moved = named_points([target] * 5)
    moved[2] += (20, 0)
    mesh = carried_meshes(poses, moved, target, 0)[2]
    assert np.allclose(mesh - between[1], (20, 0, 0), atol=1e-3)
    moved[2, [POINT_INDEX["neck"], POINT_INDEX["right_hip"]]] += (7, 7)  # bends forward
    assert np.array_equal(carried_meshes(poses, moved, target, 0)[2], mesh)
    moved[2, list(HEAD_JOINTS)] = np.nan
    mesh = carried_meshes(poses, moved, target, 0)[2]
    assert np.allclose(mesh - between[1], (27, 7, 0), atol=1e-3)


def test_joints_that_lie_elsewhere_without_a_mesh_move_no_face(target, still):
    nobody = replace(still, face_mesh=None)
    poses = [still, nobody, nobody, nobody, still]
    moved = named_points([target] * 5)
    straight = carried_meshes(poses, moved, target, 0)
    moved[1:4, list(HEAD_JOINTS)] += (9, 4)
    assert np.allclose(carried_meshes(poses, moved, target, 0), straight, atol=1e-3)


def test_before_the_first_and_after_the_last_a_mesh_is_held(target, still):
    nobody = replace(still, face_mesh=None)
    poses = [nobody, still, meshed(still, spoken(still.face_mesh, 8)), nobody]
    meshes = carried(poses, target, anchor=1)
    assert np.array_equal(meshes[0], meshes[1]) and np.array_equal(meshes[3], meshes[2])


def test_an_anchor_without_a_mesh_takes_the_nearest(target, still):
    nobody = replace(still, face_mesh=None)
    meshes = carried([nobody, still, still], target, anchor=0)
    assert np.abs(meshes[0] - target.face_mesh).max() < 0.01


@pytest.mark.parametrize("lacks", ["reference", "driver"])
def test_without_a_mesh_there_is_none(target, still, lacks):
    bare = {"reference": target, "driver": still}
    bare[lacks] = replace(bare[lacks], face_mesh=None)
    assert carried([bare["driver"]] * 3, bare["reference"]) is None


def test_meshes_of_wild_sizes_alone_are_none(target, still):
    """Only the first can be its own measure."""
    wild = meshed(still, turned(still.face_mesh, 0, 4.0))
    meshes = carried([still, wild], target)
    assert all(np.abs(mesh - target.face_mesh).max() < 0.01 for mesh in meshes)


def test_a_turn_beyond_what_a_picture_shows_stops(target, still):
    mesh = carried([still, meshed(still, turned(still.face_mesh, 85))], target)[1]
    angle = np.linalg.norm(rotation_between(target.face_mesh, mesh).as_rotvec())
    assert angle == pytest.approx(MAX_MESH_TURN_RAD, abs=0.01)


def test_a_head_is_as_upright_as_the_drivers_where_the_body_is(target, still):
    """The reference tilts its head, the driver does not; the two do not stand alike."""
    middle = target.face_mesh[RIGID].mean(0)
    tilt = Rotation.from_euler("z", 12, degrees=True)
    tilted = meshed(target, tilt.apply(target.face_mesh - middle) + middle)
    moved = named_points([target])
    meshes = {
        alike: carried_meshes([still], moved, tilted, 0, alike=alike)[0] for alike in (True, False)
    }
    assert np.abs(meshes[True] - tilted.face_mesh).max() < 0.01
    across = meshes[False][263] - meshes[False][33]
    wanted = still.face_mesh[263] - still.face_mesh[33]
    found, own = (np.degrees(np.arctan2(line[1], line[0])) for line in (across, wanted))
    assert found == pytest.approx(own, abs=1.5)


@pytest.mark.parametrize(("own", "driver", "most"), [
    (0, 20, 20), (0, 40, 37), (0, -40, 37), (15, -45, 31), (25, -45, 21), (-25, 45, 21),
    (25, 45, 39), (-25, -45, 39), (25, -10, 10), (40, -50, 20),
])  # fmt: skip
def test_a_head_that_looks_aside_turns_back_as_far_as_its_hidden_cheek_is_seen(
    target, still, own, driver, most
):
    """Degrees of yaw: of the reference; of driver and result since the anchor."""
    aside = meshed(target, turned(domed(target.face_mesh), own))
    poses = [meshed(still, turned(domed(still.face_mesh), turn)) for turn in (own, own + driver)]
    meshes = carried(poses, aside)
    angle = np.degrees(rotation_between(meshes[0], meshes[1]).magnitude())
    assert angle == pytest.approx(most, abs=2)
