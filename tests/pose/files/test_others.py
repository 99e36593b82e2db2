"""Pose files as other programs write them, each made here in that program's layout."""

import json
import re

import numpy as np
import pytest

from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import Beside
from magicpose_cli.pose.files.layouts import COCO_17, HALPE_26, HUMAN36M_17, POSETRACK_17
from magicpose_cli.pose.files.mediapipe_file import POSE_33
from magicpose_cli.pose.files.read_write import is_pose_file, read_clip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

SIZE = (256, 256)
FEET = np.zeros((6, 3))
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")  # what Human3.6M's order lacks


def places_of(pose: Pose) -> dict[str, np.ndarray]:
    """x, y, score by joint, and what lies between joints."""
    rows = np.column_stack([pose.body, pose.body_score]).astype(float)
    places = dict(zip(BODY_JOINTS, rows, strict=True))
    hips, shoulders = (
        (places[f"left_{of}"] + places[f"right_{of}"]) / 2 for of in ("hip", "shoulder")
    )
    between = {
        "mid_hip": hips, "spine": (hips + shoulders) / 2, "thorax": shoulders,
        "neck_base": places["neck"], "head_bottom": places["neck"],
    }  # fmt: skip
    return places | between


def points_in(order, pose: Pose, dx: float = 0.0) -> np.ndarray:
    """(n, 3) x, y, score of a pose in an order of names; what it lacks lies at (5, 5)."""
    places = places_of(pose)
    return moved(np.array([places.get(name, [5.0, 5.0, 0.9]) for name in order]), dx)


def moved(points: np.ndarray, dx: float) -> np.ndarray:
    return points + np.array([dx, 0.0, 0.0])


def whole(pose: Pose, order, feet=FEET) -> np.ndarray:
    parts = [
        np.column_stack([getattr(pose, part), getattr(pose, f"{part}_score")])
        for part in ("face", "left_hand", "right_hand")
    ]
    return np.concatenate([points_in(order, pose), feet, *parts])


def flat(points) -> list[float]:
    return np.asarray(points, np.float64).ravel().tolist()


def saved(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def check_body(pose, wanted, *, lacking=(), dx=0.0, tolerance=1e-3):
    """The joints are where they should be, but for the neck, which most layouts lack."""
    for joint, name in enumerate(BODY_JOINTS):
        if name in lacking:
            assert not pose.body_score[joint] and np.isnan(pose.body[joint]).all()
        elif name != "neck":
            np.testing.assert_allclose(
                pose.body[joint], wanted.body[joint] + (dx, 0), atol=tolerance
            )
    shoulders = [BODY_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
    np.testing.assert_allclose(pose.body[1], pose.body[shoulders].mean(axis=0), atol=1)


def check_whole(pose, wanted, tolerance=1e-3):
    check_body(pose, wanted, tolerance=tolerance)
    for part in ("face", "left_hand", "right_hand"):
        np.testing.assert_allclose(getattr(pose, part), getattr(wanted, part), atol=tolerance)


# COCO, AlphaPose, Halpe


def test_coco_results_with_frames_left_out(tmp_path, full_body):
    def result(image, dx=0.0):
        points = points_in(COCO_17, full_body, dx)
        return {"image_id": image, "category_id": 1, "keypoints": flat(points), "score": 0.98}

    path = saved(tmp_path / "a.json", [result(12), result(10), result(10, 40), result(13, 8)])
    clip = read_clip(path, canvas=SIZE)
    assert [len(people) for people in clip.people] == [2, 0, 1, 1]  # nobody in the 11th
    check_body(clip.people[2][0], full_body)
    check_body(clip.people[3][0], full_body, dx=8)
    (note,) = clip.notes
    assert "1 of 4 frames lack" in note and "first is 11" in note and "COCO's order" not in note


def test_low_scores_of_networks_are_unseen(tmp_path, full_body):
    points = points_in(COCO_17, full_body)
    points[COCO_17.index("left_ankle"), 2] = 0.12
    result = {"image_id": 1, "category_id": 1, "keypoints": flat(points), "score": 2.7}
    clip = read_clip(saved(tmp_path / "a.json", [result]), canvas=SIZE)
    check_body(clip.people[0][0], full_body, lacking=("left_ankle",))


def test_coco_whole_body_as_its_own_parts_and_in_one(tmp_path, full_body):
    points = whole(full_body, COCO_17)
    parted = {
        "image_id": 1, "category_id": 1, "score": 0.9, "keypoints": flat(points[:17]),
        "foot_kpts": flat(FEET), "face_kpts": flat(points[23:91]),
        "lefthand_kpts": flat(points[91:112]), "righthand_kpts": flat(points[112:]),
    }  # fmt: skip
    single = {"image_id": 2, "category_id": 1, "score": 0.9, "keypoints": flat(points)}
    clip = read_clip(saved(tmp_path / "a.json", [parted, single]), canvas=SIZE)
    for (pose,) in clip.people:
        check_whole(pose, full_body)


@pytest.mark.parametrize("count", [17, 26, 133, 136])
def test_alphapose_results_in_natural_order(tmp_path, full_body, count):
    points = {
        17: points_in(COCO_17, full_body), 26: points_in(HALPE_26, full_body),
        133: whole(full_body, COCO_17), 136: whole(full_body, HALPE_26, FEET[:0]),
    }[count]  # fmt: skip
    assert len(points) == count

    def result(name, dx=0.0):
        return {"image_id": name, "category_id": 1, "keypoints": flat(moved(points, dx)),
                "score": 3.1, "idx": [1.0], "box": [80.0, 30.0, 100.0, 200.0]}  # fmt: skip

    results = [result("0.jpg"), result("10.jpg", 10), result("2.jpg", 2), result("9.jpg", 9)]
    clip = read_clip(saved(tmp_path / "alphapose-results.json", results), canvas=SIZE)
    assert [len(people) for people in clip.people] == [1, 0, 1, *[0] * 6, 1, 1]
    for frame in (0, 2, 9, 10):
        check_body(clip.people[frame][0], full_body, dx=frame)
    (pose,) = clip.people[0]
    assert bool(pose.face_score.any()) == (count > 100)
    if count > 100:
        check_whole(pose, full_body)
    assert "7 of 11 frames" in clip.notes[0]


def test_alphaposes_copies_of_openposes_format(tmp_path, full_body):
    body = flat(points_in(BODY_JOINTS, full_body))
    for people in ({"people": [{"pose_keypoints_2d": body}]}, {"bodies": [{"joints": body}]}):
        frames = {f"{n}.jpg": {"version": "AlphaPose v0.3", **people} for n in (10, 9, 11)}
        clip = read_clip(saved(tmp_path / "a.json", frames), canvas=SIZE)
        assert [len(people) for people in clip.people] == [1, 1, 1]
        np.testing.assert_allclose(clip.people[0][0].body, full_body.body, atol=1e-3)


def test_results_of_a_human36m_network_are_not_taken_for_cocos(tmp_path, full_body):
    points = flat(points_in(HUMAN36M_17, full_body))
    results = [{"image_id": 1, "category_id": 1, "keypoints": points, "score": 1}]
    clip = read_clip(saved(tmp_path / "a.json", results), canvas=SIZE)
    check_body(clip.people[0][0], full_body, lacking=FACE)
    assert "taken in Human3.6M's order" in clip.notes[0]


def test_wide_gaps_are_not_filled(tmp_path, full_body):
    points = flat(points_in(COCO_17, full_body))
    for images, frames, said in (
        ([139, 285, 632], 3, "others are taken one after another"),  # COCO's own pictures
        ([0, 5, 10, 20], 5, "1 of 5 frames lack, by their numbers (the first is 15)"),
        ([10**14, 1], 2, "one after another"),
        ([3, 4], 2, ""),
    ):
        results = [{"image_id": image, "keypoints": points} for image in images]
        clip = read_clip(saved(tmp_path / "a.json", results), canvas=SIZE)
        assert len(clip.people) == frames and said in " ".join(clip.notes)
        assert bool(clip.notes) == bool(said)


# annotations


def annotations(pose, order, **changes):
    images = [
        {"id": 30 + n, "file_name": f"f{n}.jpg", "width": 256, "height": 256} for n in (10, 9, 11)
    ]
    points = points_in(order, pose)
    points[:, 2] = 2
    points[order.index("left_knee"), 2] = 1  # labeled, but hidden
    points[order.index("left_ear")] = 0
    told = [
        {
            "id": n,
            "image_id": image,
            "category_id": 1,
            "num_keypoints": 16,
            "keypoints": flat(points),
        }
        for n, image in enumerate((39, 41, 41))
    ]
    person = {"id": 1, "name": "person", "keypoints": list(order)}
    return {"images": images, "annotations": told, "categories": [person]} | changes


def test_coco_annotations_keep_frames_without_people(tmp_path, full_body):
    clip = read_clip(saved(tmp_path / "a.json", annotations(full_body, COCO_17)))
    assert (clip.width, clip.height, clip.notes) == (256, 256, [])
    assert [len(people) for people in clip.people] == [1, 0, 2]  # in the order of their names
    check_body(clip.people[0][0], full_body, lacking=("left_ear",))


def test_posetracks_order_is_known_with_and_without_its_names(tmp_path, full_body):
    told = annotations(full_body, POSETRACK_17)
    for number, image in enumerate(told["images"]):
        image |= {"vid_id": "000342", "frame_id": 10000342 + 2 - number, "nframes": 3}
    for content in (told, {**told, "categories": [{"id": 1, "name": "person"}]}):
        clip = read_clip(saved(tmp_path / "a.json", content))
        assert [len(people) for people in clip.people] == [2, 1, 0]
        check_body(clip.people[1][0], full_body, lacking=("left_ear", "left_eye", "right_eye"))
    told["images"][0]["vid_id"] = "000343"
    with pytest.raises(InputError, match="pictures of one film"):
        read_clip(saved(tmp_path / "a.json", told))


def test_other_creatures_are_left_out_and_other_bodies_refused(tmp_path, full_body):
    told = annotations(full_body, COCO_17)
    horse = {"id": 2, "name": "horse", "keypoints": ["left_eye", "tail", *["paw"] * 15]}
    told["categories"].append(horse)
    told["annotations"][0]["category_id"] = 2
    clip = read_clip(saved(tmp_path / "a.json", told))
    assert [len(people) for people in clip.people] == [0, 0, 2] and "1 that are no" in clip.notes[0]
    told["categories"] = [horse]
    with pytest.raises(InputError, match="points are named left_eye, tail"):
        read_clip(saved(tmp_path / "a.json", told))


# MMPose and its like

NAMES_36M = ("root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot",
             *HUMAN36M_17[7:])  # fmt: skip


def instance(points):
    points = np.asarray(points)
    return {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(),
            "bbox": [[80.0, 30.0, 190.0, 230.0]], "bbox_score": 0.97}  # fmt: skip


def test_mmposes_instance_info(tmp_path, full_body):
    def frame(number, *dxs):
        people = [instance(points_in(COCO_17, full_body, dx)) for dx in dxs]
        return {"frame_id": number, "instances": people}

    meta = {"dataset_name": "coco", "keypoint_id2name": {str(n): k for n, k in enumerate(COCO_17)}}
    content = {"meta_info": meta, "instance_info": [frame(1, 0), frame(2), frame(3, 0, 50)]}
    clip = read_clip(saved(tmp_path / "results_dance.json", content), canvas=SIZE)
    assert [len(people) for people in clip.people] == [1, 0, 2] and not clip.notes
    check_body(clip.people[0][0], full_body)
    one_picture = {"meta_info": meta, "instance_info": frame(1, 0, 50)["instances"]}
    clip = read_clip(saved(tmp_path / "a.json", one_picture), canvas=SIZE)
    assert [len(people) for people in clip.people] == [2]
    inferencers = content["instance_info"]  # without names: COCO's, and it is told
    clip = read_clip(saved(tmp_path / "a.json", inferencers), canvas=SIZE)
    assert [len(people) for people in clip.people] == [1, 0, 2]
    (note,) = clip.notes
    assert "17 points without names are taken in COCO's order" in note


def test_mmposes_human36m_by_its_names(tmp_path, full_body):
    meta = {"keypoint_id2name": {str(n): name for n, name in enumerate(NAMES_36M)}}
    people = [instance(points_in(HUMAN36M_17, full_body))]
    content = {"meta_info": meta, "instance_info": [{"frame_id": 0, "instances": people}]}
    clip = read_clip(saved(tmp_path / "a.json", content), canvas=SIZE)
    check_body(clip.people[0][0], full_body,
               lacking=FACE)  # fmt: skip
    people[0]["keypoints"] = [[*point, 0.4] for point in people[0]["keypoints"]]
    with pytest.raises(InputError, match="points in space"):
        read_clip(saved(tmp_path / "a.json", content), canvas=SIZE)


def test_whole_bodies_of_a_picture_each(tmp_path, full_body):
    """MMPose's inferencer writes a list of people for each picture of a folder."""
    for number in (2, 10, 1):
        people = [] if number == 2 else [instance(whole(full_body, COCO_17))]
        saved(tmp_path / "out" / f"{number}.json", people)
    assert is_pose_file(tmp_path / "out")
    clip = read_clip(tmp_path / "out", canvas=SIZE)
    assert [len(people) for people in clip.people] == [1, 0, 1]
    assert "7 of 10 frames lack, by their numbers (the first is 3)" in clip.notes[-1]
    check_whole(clip.people[2][0], full_body)


def test_people_as_other_programs_write_them(tmp_path, full_body):
    points = points_in(COCO_17, full_body)
    camel = [re.sub("_(.)", lambda found: found[1].upper(), name) for name in COCO_17]
    named = [
        {"x": x, "y": y, "score": s, "name": n}
        for n, (x, y, s) in zip(COCO_17, points, strict=True)
    ]
    parts = [
        {"position": {"x": x, "y": y}, "part": n, "score": s}
        for n, (x, y, s) in zip(camel, points, strict=True)
    ]
    columns = dict(zip(("x", "y", "visible"), points.T.tolist(), strict=True))
    ways = {
        "TensorFlow.js": [[{"score": 0.9, "keypoints": named[::-1]}], []],
        "PoseNet": [[{"score": 0.9, "keypoints": parts}], []],
        "Ultralytics": [{"name": "person", "class": 0, "confidence": 0.9, "keypoints": columns}],
        "OpenPifPaf": [{"keypoints": flat(points), "bbox": [1, 2, 3, 4], "category_id": 1}],
        "frames of people": [{"frame_index": 0, "people": [{"keypoints": flat(points)}]}],
        "one person a frame": [{"frame": n, "keypoints": points.tolist()} for n in (0, 1)],
        "an object": {"fps": 25, "frames": [{"frame": 0, "instances": [instance(points)]}]},
    }
    for way, content in ways.items():
        clip = read_clip(saved(tmp_path / "a.json", content), canvas=SIZE)
        assert [len(people) for people in clip.people][:1] == [1], way
        check_body(clip.people[0][0], full_body)
        assert len(clip.people) == (
            2 if way in ("TensorFlow.js", "PoseNet", "one person a frame") else 1
        )
        assert clip.fps == (25 if way == "an object" else None)


def test_people_after_a_frame_without_any(tmp_path, full_body):
    person = {"bbox": [1, 2, 3, 4, 0.9], "keypoints": flat(points_in(COCO_17, full_body))}
    frames = [{"frame_index": 0, "people": []}, {"frame_index": 1, "people": [person]}]
    clip = read_clip(saved(tmp_path / "a.json", frames), canvas=SIZE)
    assert [len(people) for people in clip.people] == [0, 1]
    check_body(clip.people[1][0], full_body)
    lines = "\n".join(json.dumps({"frame": n, "predictions": [person]}) for n in (1, 2)) + "\n"
    (tmp_path / "a.json").write_text(lines)  # OpenPifPaf, of a film: an object a line
    assert [len(p) for p in read_clip(tmp_path / "a.json", canvas=SIZE).people] == [1, 1]


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([("timestamp_ms", 0), ("timestamp_ms", 40), ("timestamp_ms", 80)], 25),
        ([("timestamp", 0.0), ("timestamp", 0.5), ("timestamp", 1.0)], 2),
        ([("timestamp", 0), ("timestamp", 33), ("timestamp", 67)], None),  # of what, nobody says
        ([("timestamp", 1), ("timestamp", 1), ("timestamp", 1)], None),
        ([("timestamp", 0), ("x", 1), ("timestamp", None)], None),
    ],
)
def test_times_tell_the_rate(tmp_path, full_body, times, fps):
    person = instance(points_in(COCO_17, full_body))
    body = landmarks(full_body)
    for told in ({"instances": [person]}, {"landmarks": body}):
        frames = [{key: time, **told} for key, time in times]
        assert read_clip(saved(tmp_path / "a.json", frames), canvas=SIZE).fps == fps


# MediaPipe


def landmarks(pose):
    places = places_of(pose)
    points = []
    for name in POSE_33:
        x, y, score = places.get(name, (128.0, 128.0, 0.9))
        points.append({"x": x / 256, "y": y / 256, "z": -0.1, "visibility": score})
    return points


def hand(points):
    return [{"x": float(x) / 256, "y": float(y) / 256, "z": 0.0} for x, y in points]


def test_mediapipes_landmarks_in_any_spelling(tmp_path, full_body):
    body, left = landmarks(full_body), hand(full_body.left_hand)
    body[POSE_33.index("left_ankle")]["visibility"] = 0.2
    rows = [[p["x"], p["y"], p["z"], p["visibility"]] for p in body]
    names = dict(sorted(zip((n.upper() for n in POSE_33), body, strict=True)))
    ways = [
        [{"frame": 0, "landmarks": body}, {"frame": 1, "landmarks": []}],
        {"width": 256, "height": 256, "fps": 30, "frames": [{"pose_landmarks": body}, None]},
        [{"poseLandmarks": {"landmark": body}}, {}],
        {"frames": [{"landmarks": [body]}, {"landmarks": []}]},
        [rows, []],
        [{"pose": names}, {"pose": None}],
        [
            {"pose_landmarks": body, "left_hand_landmarks": left, "face_landmarks": None},
            {"pose": []},
        ],
    ]
    for content in ways:
        clip = read_clip(saved(tmp_path / "a.json", content), canvas=SIZE)
        assert [len(people) for people in clip.people] == [1, 0]
        check_body(clip.people[0][0], full_body, lacking=("left_ankle",))
    np.testing.assert_allclose(clip.people[0][0].left_hand, full_body.left_hand, atol=1e-3)
    sides = {"pose": body, "hands": {"left": left, "right": None}}
    ((pose,),) = read_clip(saved(tmp_path / "a.json", sides), canvas=SIZE).people
    np.testing.assert_allclose(pose.left_hand, full_body.left_hand, atol=1e-3)
    told = read_clip(saved(tmp_path / "a.json", ways[1]))
    assert (told.width, told.height, told.fps, told.notes) == (256, 256, 30, [])
    with pytest.raises(InputError, match="--canvas"):
        read_clip(saved(tmp_path / "a.json", ways[0]))


def test_mediapipes_face_has_its_mesh(tmp_path, full_body):
    mesh = np.random.default_rng(0).uniform(0.4, 0.6, (478, 3))
    content = {"pose_landmarks": landmarks(full_body), "face_landmarks": mesh.tolist()}
    ((pose,),) = read_clip(saved(tmp_path / "a.json", content), canvas=(200, 100)).people
    np.testing.assert_allclose(pose.face_mesh, mesh * (200, 100, 200), rtol=1e-5)
    np.testing.assert_allclose(pose.face[30], mesh[4, :2] * (200, 100), rtol=1e-5)  # the nose's tip
    assert pose.face_3d.shape == (68, 3)


def test_points_in_meters_are_no_picture(tmp_path, full_body):
    world = landmarks(full_body)
    middle = np.mean([[world[n]["x"], world[n]["y"]] for n in (23, 24)], axis=0)
    for point in world:
        point["x"], point["y"] = point["x"] - middle[0], point["y"] - middle[1]
    with pytest.raises(InputError, match="in meters"):
        read_clip(saved(tmp_path / "a.json", [{"landmarks": world}]), canvas=SIZE)
    both = {"pose_landmarks": landmarks(full_body), "pose_world_landmarks": world}
    ((pose,),) = read_clip(saved(tmp_path / "a.json", both), canvas=SIZE).people
    assert np.isfinite(pose.body_3d[pose.body_score > 0]).all()


def test_a_folder_without_a_row_of_holistic_numbers_is_refused(tmp_path):
    np.save(tmp_path / "0.npy", np.zeros((0, 1662)))
    with pytest.raises(InputError, match=r"0\.npy.*got 0"):
        read_clip(tmp_path, canvas=(640, 480))


def test_rows_of_holistic_numbers(tmp_path, full_body):
    row = np.zeros(1662)
    row[:132] = [p[key] for p in landmarks(full_body) for key in ("x", "y", "z", "visibility")]
    row[-63:] = [p[key] for p in hand(full_body.right_hand) for key in ("x", "y", "z")]
    folder = tmp_path / "take"
    folder.mkdir()
    for number in (0, 1, 10, 2):
        np.save(folder / f"{number}.npy", row if number != 1 else np.zeros(1662))
    assert is_pose_file(folder)
    clip = read_clip(folder, canvas=SIZE)
    assert [len(people) for people in clip.people] == [1, 0, 1, 1]
    check_body(clip.people[3][0], full_body)
    np.testing.assert_allclose(clip.people[0][0].right_hand, full_body.right_hand, atol=1e-3)
    assert not clip.people[0][0].face_score.any() and not clip.people[0][0].left_hand_score.any()


# editors


def editors_objects(pose):
    body, left, right, face = (
        [[float(x), float(y)] for x, y in points]
        for points in (pose.body, pose.left_hand, pose.right_hand, pose.face)
    )
    return body, left, right, face


def test_hands_and_face_as_objects_of_their_own(tmp_path, full_body):
    body, left, right, face = editors_objects(full_body)
    scored = {
        key: flat([[x, y, 1] for x, y in points])
        for key, points in zip("blrf", (body, left, right, face), strict=True)
    }
    about = {"canvas_width": 256, "canvas_height": 256}
    person = {"pose_keypoints_2d": scored["b"]}
    ways = [
        {"width": 256, "height": 256, "keypoints": [body, right, face, left]},
        about | {"people": [person], "hands": {"left": left, "right": right}, "face": face},
        about | {"people": [person], "hands": [right, scored["l"]], "faces": [{"keypoints": face}]},
        about | {"people": [person, {"hand_left_keypoints_2d": scored["l"]},
                            {"hand_right_keypoints_2d": scored["r"]},
                            {"pose_keypoints_2d": [0.0] * 54, "face_keypoints_2d": scored["f"]}]},
        about | person | {"hand_left_keypoints_2d": scored["l"],
                          "hand_right_keypoints_2d": right, "face_keypoints_2d": scored["f"]},
    ]  # fmt: skip
    for content in ways:
        ((pose,),) = read_clip(saved(tmp_path / "a.json", content)).people
        check_whole(pose, full_body)
    in_pairs = {"width": 256, "height": 256, "keypoints": [*body, *right, *left]}
    ((pose,),) = read_clip(saved(tmp_path / "a.json", in_pairs)).people
    np.testing.assert_allclose(pose.left_hand, full_body.left_hand, atol=1e-3)
    np.testing.assert_allclose(pose.right_hand, full_body.right_hand, atol=1e-3)


def test_a_hand_goes_to_the_nearest_of_two(tmp_path, full_body):
    body, left, _, _ = editors_objects(full_body)
    there = [[x + 300, y] for x, y in body]
    content = {
        "width": 600,
        "height": 256,
        "keypoints": [body, there, [[x + 300, y] for x, y in left]],
    }
    (people,) = read_clip(saved(tmp_path / "a.json", content)).people
    hands = {round(float(p.body[0, 0])): p.shows_hand("left") for p in people}
    assert hands == {128: False, 428: True}
    alone = {"width": 256, "height": 256, "keypoints": [left]}
    ((pose,),) = read_clip(saved(tmp_path / "a.json", alone)).people
    assert pose.shows_hand("left") and not pose.body_score.any()


def test_a_face_far_away_is_somebody_elses(tmp_path, full_body):
    body, left, right, face = editors_objects(full_body)
    far = flat([[x + 300, y, 1] for x, y in face])
    person = {"pose_keypoints_2d": flat([[x, y, 1] for x, y in body])}
    content = {"people": [person, {"pose_keypoints_2d": [0] * 54, "face_keypoints_2d": far}],
               "canvas_width": 600, "canvas_height": 256}  # fmt: skip
    (people,) = read_clip(saved(tmp_path / "a.json", content)).people
    assert [p.face_score.any() for p in people] == [False, True] and len(people) == 2
    three = {"width": 256, "height": 256, "keypoints": [body, left, right, left]}
    (people,) = read_clip(saved(tmp_path / "a.json", three)).people
    assert [p.shows_hand("left") for p in people] == [True, True]  # none is lost


# 17 points


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_human36m_is_not_read_as_coco(tmp_path, full_body, suffix):
    def stored(points, name="keypoints"):
        path = tmp_path / f"a{suffix}"
        np.save(path, points) if suffix == ".npy" else np.savez(path, **{name: points})
        return path

    human36m = np.stack([points_in(HUMAN36M_17, full_body, dx)[:, :2] for dx in (0, 3)])
    clip = read_clip(stored(human36m), canvas=SIZE)
    check_body(clip.people[1][0], full_body, lacking=FACE, dx=3)
    assert "taken in Human3.6M's order, not in COCO's" in clip.notes[0]
    coco = np.stack([points_in(COCO_17, full_body, dx)[:, :2] for dx in (0, 3)])
    clip = read_clip(stored(coco), canvas=SIZE)
    check_body(clip.people[1][0], full_body, dx=3)
    assert "taken in COCO's order, not in Human3.6M's" in clip.notes[0]
    if suffix == ".npz":
        assert not read_clip(stored(coco, "coco"), canvas=SIZE).notes
        people_first = read_clip(stored(human36m[None], "reconstruction"), canvas=SIZE)
        assert [len(people) for people in people_first.people] == [1, 1] and not people_first.notes
        check_body(people_first.people[1][0], full_body, lacking=FACE, dx=3)


def test_points_in_space_are_refused(tmp_path):
    points = np.random.default_rng(0).normal(size=(4, 17, 3))
    np.save(tmp_path / "X3D.npy", points)
    with pytest.raises(InputError, match="no score; points in space are not read"):
        read_clip(tmp_path / "X3D.npy")
    np.savez(tmp_path / "output_3D.npz", reconstruction=abs(points))
    with pytest.raises(InputError, match="points in space are not read"):
        read_clip(tmp_path / "output_3D.npz")


def test_a_name_of_17_points_says_nothing_of_others(tmp_path, full_body):
    points = whole(full_body, COCO_17)
    np.savez(tmp_path / "a.npz", coco=points[None], size=SIZE)
    clip = read_clip(tmp_path / "a.npz")
    assert not clip.notes
    check_whole(clip.people[0][0], full_body)


# folders and what lies beside


def openpose_folder(folder, pose, frames=3):
    body = flat(points_in(BODY_JOINTS, pose))
    for number in range(frames):
        frame = {"version": 1.3, "people": [{"pose_keypoints_2d": body}]}
        saved(folder / f"dance_{number:012d}_keypoints.json", frame)
    return folder


def measured(sizes):
    """Looks at nothing, but knows the sizes of these names."""
    return lambda path: Beside(path.name, *sizes[path.name]) if path.name in sizes else None


def test_an_openpose_folder_whatever_else_lies_in_it(tmp_path, full_body):
    folder = openpose_folder(tmp_path / "out", full_body)
    for name in ("dance_000000000000_rendered.png", "dance.mp4", "notes.doc", "other.json"):
        (folder / name).write_bytes(b"{}")
    assert is_pose_file(folder)
    clip = read_clip(folder, measure=measured({"dance.mp4": ((640, 480), 30.0, 3)}))
    assert (clip.width, clip.height, clip.fps, len(clip.people)) == (640, 480, 30.0, 3)
    (note,) = clip.notes
    assert "640x480 at 30 frames a second, as dance.mp4 beside it" in note
    drawn = measured({"dance_000000000000_rendered.png": ((320, 240),)})
    assert read_clip(folder, measure=drawn).width == 320


def test_a_folder_with_pictures_is_one_of_poses_only_by_openposes_names(tmp_path):
    for name in ("1.png", "1.json"):
        (tmp_path / name).touch()
    assert not is_pose_file(tmp_path)
    (tmp_path / "1.png").rename(tmp_path / "1_rendered.png")
    assert is_pose_file(tmp_path)


@pytest.mark.parametrize(
    ("beside", "fits"),
    [
        ("dance.mp4", True),
        ("dance_json.png", True),
        ("dan.mp4", False),
        ("other.mp4", False),
        ("dance_json_2.mp4", False),
    ],
)
def test_the_canvas_is_that_of_the_film_of_the_same_name(tmp_path, full_body, beside, fits):
    openpose_folder(tmp_path / "dance_json", full_body, frames=1)
    (tmp_path / beside).touch()
    clip = read_clip(tmp_path / "dance_json", measure=measured({beside: ((640, 480),)}))
    assert ((clip.width, clip.height) == (640, 480)) == fits
    too_small = read_clip(tmp_path / "dance_json", measure=measured({beside: ((100, 100),)}))
    assert too_small.width > 100  # its points lie elsewhere: it is not of that film


def test_a_picture_is_not_what_a_clip_is_of(tmp_path, full_body):
    openpose_folder(tmp_path / "dance", full_body, frames=2)
    (tmp_path / "dance.png").touch()  # a plot of it, say
    clip = read_clip(tmp_path / "dance", measure=measured({"dance.png": ((640, 480),)}))
    assert clip.width < 640
    results = [{"image_id": f"{n}.jpg", "keypoints": flat(points_in(COCO_17, full_body))}
               for n in (0, 1)]  # fmt: skip
    (tmp_path / "AlphaPose_dance.mp4").touch()
    path = saved(tmp_path / "alphapose-results.json", results)
    clip = read_clip(path, measure=measured({"AlphaPose_dance.mp4": ((640, 480), 12.5, 2)}))
    assert (clip.width, clip.fps) == (640, 12.5)
    clip = read_clip(path, measure=measured({"AlphaPose_dance.mp4": ((640, 480), 12.5, 3)}))
    assert (clip.width, clip.fps) == (640, None)  # of another length: which frames is unknown


def test_the_canvas_is_that_of_the_picture_a_file_names(tmp_path, full_body):
    points = flat(points_in(COCO_17, full_body))
    for name in ("f1.jpg", "../../f1.jpg", r"C:\f1.jpg"):
        result = {"image_id": name, "category_id": 1, "keypoints": points, "score": 1}
        path = saved(tmp_path / "a.json", [result])
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / "f1.jpg").touch()
        asked = []
        read_clip(path, measure=asked.append)
        assert asked == [tmp_path / "images" / "f1.jpg"]  # and nothing farther away


def test_a_folder_of_arrays(tmp_path, full_body):
    folder = tmp_path / "arrays"
    folder.mkdir()
    both = np.stack([points_in(COCO_17, full_body), points_in(COCO_17, full_body, 40)])
    for number, points in ((1, both), (10, both[1]), (2, both[:1])):
        np.save(folder / f"{number}.npy", points)
    assert is_pose_file(folder)
    clip = read_clip(folder, canvas=SIZE)
    assert [len(people) for people in clip.people] == [2, 1, 1]
    check_body(clip.people[1][0], full_body)
    check_body(clip.people[2][0], full_body, dx=40)
    np.save(folder / "11.npy", np.array([{"bodies": {}}], dtype=object))
    with pytest.raises(InputError, match=r"11\.npy: holds Python objects.*np\.savez"):
        read_clip(folder)
    np.save(folder / "11.npy", np.stack([both, both]))
    with pytest.raises(InputError, match=r"11\.npy: holds a clip"):
        read_clip(folder)


# what is refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"foo": 1, "bar": 2}, "an object of foo, bar"),
        ([], "got a list of 0"),
        ([[1, 2]], "OpenPose's 'people'"),
        ([{"image_id": 1, "keypoints": [1.0] * 42}], "14 points a person are not known"),
        ([{"image_id": 1, "keypoints": [1.0] * 49}], "two or three numbers a point"),
        ([{"image_id": None, "keypoints": [1.0] * 51}], "image_id: expected a number or a name"),
        ([{"image_id": 1, "keypoints": [1.0] * 51}, 7], "a list of objects, got 7"),
        ([{"image_id": 1, "keypoints": [1e9] * 51}], "numbers up to"),
        ([{"image_id": 1, "keypoints": ["1"] * 51}], "numbers up to"),
        ([{"image_id": 1, "keypoints": [-5.0] * 51}], "no score"),
        ({"annotations": [], "images": []}, "pictures of one film"),
        ({"annotations": [{"image_id": 1, "bbox": [1]}], "images": [{"id": 1}]}, "people without"),
        ({"people": [{"joints": [1.0] * 54, "canvas": 1}]}, "an object of people"),
        ([{"people": [{"face_keypoints_2d": []}, {"id": 1}]}], "'pose_keypoints_2d' and its like"),
        ({"annotations": [{"image_id": 1}], "images": [{"id": 2}]}, "the id of an image"),
        ({"instance_info": [{"frame_id": 1, "instances": {}}]}, "instances: expected a list"),
        ({"instance_info": [{"frame_id": [], "instances": []}]}, "frame_id: expected a number"),
        ([{"keypoints": [[1, 2], [1]]}], "lists of 2 or 3 numbers"),
        ([{"keypoints": {"x": [1], "y": []}}], "of one length"),
        ([{"landmarks": [{"x": 0.5, "y": 0.5}] * 32}], "33 landmarks"),
        ([{"landmarks": [{"x": 0.5, "y": "0.5"}] * 33}], "numbers up to"),
        ([{"landmarks": [{"x": 0.5, "z": 0.5}] * 33}], "x and y of each"),
        ({"width": 9, "height": 9, "keypoints": [[[1, 2]] * 20]}, "18 points"),
        ({"people": [], "canvas_width": 9, "canvas_height": 9, "hands": [[1, 2, 1]]}, "63 numbers"),
    ],
)  # fmt: skip
def test_others_that_cannot_be_used_are_one_line(tmp_path, content, said):
    path = saved(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_clip(path, canvas=SIZE)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value)) < len(str(path)) + 330
