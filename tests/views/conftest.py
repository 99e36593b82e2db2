"""The mean head before a wall, all of whose points are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from magicpose_cli.body.layout import BODY_PARTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import MESH_POINTS, Pose
from magicpose_cli.views.subject import Subject, with_fitted_depth
from magicpose_cli.warping.matte import Matte

SIDE = 192
PIXELS_PER_M = 500.0
MIDDLE = np.array([SIDE / 2, 80.0])


@pytest.fixture(scope="session")
def head_points() -> np.ndarray:
    """(478, 3) pixels, as the detector would give them of the mean adult from before."""
    body = Body.load()
    rest = body.rest(torch.zeros(1, body.component_count))
    face = body.key_points(*rest).pose[0, POSE_SLICES["face"]].numpy()
    is_head = body.face_parts == BODY_PARTS.index("head")
    vertices = rest.vertices[0, body.faces[is_head].unique()].numpy()
    apart = np.linalg.norm(vertices[:, None] - face, axis=2).min(1)
    shown = vertices[(apart < 0.03) & (vertices[:, 2] > face[0, 2])]
    mesh = shown[np.linspace(0, len(shown) - 1, MESH_POINTS).astype(int)]
    mesh[list(FACE_FROM_478)] = face
    pixels = PIXELS_PER_M * (mesh - face.mean(0)) * [1, -1, -1]
    pixels[:, :2] += MIDDLE
    return pixels.astype(np.float32)


@pytest.fixture(scope="session")
def subject(head_points) -> Subject:
    """A head, neck and shoulders of smooth random colors before a wall of one color."""
    random = np.random.default_rng(2)
    colors = cv2.resize(random.uniform(60, 220, (12, 12, 3)), (SIDE, SIDE))
    shown = np.zeros((SIDE, SIDE), np.uint8)
    hull = cv2.convexHull(np.rint(head_points[:468, :2]).astype(np.int32))
    cv2.fillConvexPoly(shown, hull, (1,))
    shown = cv2.dilate(shown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25)))
    cv2.rectangle(shown, (SIDE // 2 - 22, 100), (SIDE // 2 + 22, SIDE - 30), (1,), -1)
    cv2.rectangle(shown, (20, SIDE - 40), (SIDE - 20, SIDE), (1,), -1)
    alpha = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 1)
    wall = np.full_like(colors, 30.0)
    picture = np.rint(wall + alpha[..., None] * (colors - wall)).astype(np.uint8)
    face = np.column_stack([head_points[list(FACE_FROM_478), :2], np.ones(68)])
    pose = Pose.of(SIDE, SIDE, face=face, face_mesh=head_points)
    joints = with_fitted_depth(pose)[1]
    return Subject(picture, pose, Matte(alpha, colors.astype(np.float32)), None, joints)
