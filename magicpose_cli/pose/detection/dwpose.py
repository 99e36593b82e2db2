"""Pose detection with DWPose: one network finds people, another reads 133 points of each.

Run by onnxruntime on CUDA, CoreML or the CPU, whichever it has, through rtmlib, which knows how to
feed both networks and how to read their answers. What is seen is defined as in
`controlnet_aux.dwpose`, with the two thresholds of the finder that DWPose's own ONNX release has;
where rtmlib does otherwise it is told so:

- rtmlib's finder takes things of all 80 classes for people: asked for classes, persons are kept;
- rtmlib feeds both networks one color order; the finder was trained on BGR and the reader on RGB;
- rtmlib takes the whole picture for a person where none was found, as controlnet_aux does: here
  nobody is nobody;
- rtmlib reads one person at a time: here all of them at once, where the network allows it.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.models import weights_folder
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

FINDER, READER = "yolox_l.onnx", "dw-ll_ucoco_384.onnx"
FINDER_SIZE = (640, 640)  # height, width
READER_SIZE = (288, 384)  # width, height
MIN_PERSON_SCORE = 0.3
MAX_OVERLAP = 0.45  # of two boxes, intersection over union; the less sure one is dropped
PERSON = 0  # of COCO's classes
MIN_DWPOSE_SCORE = 0.3  # a point is seen above it
# The 133 points of COCO-WholeBody: 17 of the body, 6 of the feet (no part of a Pose), 68 of the
# face, 21 of the person's own left hand, 21 of the right.
BODY_FROM_133 = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # -1: the neck
NECK_JOINT = BODY_JOINTS.index("neck")
SHOULDER_JOINTS = [5, 6]
FACE, LEFT_HAND, RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)


class DWPose:
    """PoseDetector; takes every picture by itself, so a film is read as still pictures are."""

    def __init__(self, *, still: bool = False) -> None:
        del still
        # The library tells on stdout what it loads, onnxruntime on stderr what it cannot use.
        with native_stderr_silenced(), contextlib.redirect_stdout(io.StringIO()):
            import rtmlib

            folder, device = weights_folder("dwpose"), _device()
            self._finder: Any = rtmlib.YOLOX(
                str(folder / FINDER),
                model_input_size=FINDER_SIZE,
                det_mode="multiclass",
                nms_thr=MAX_OVERLAP,
                score_thr=MIN_PERSON_SCORE,
                device=device,
            )
            self._reader: Any = rtmlib.RTMPose(
                str(folder / READER), model_input_size=READER_SIZE, device=device
            )

    def detect(self, frame: Picture) -> list[Pose]:
        """Everybody; points may lie outside of the picture, where the network puts them."""
        height, width = frame.shape[:2]
        if max(height, width) > max(FINDER_SIZE) * min(height, width):
            return []  # a sliver, of which nothing is left at the finder's size
        boxes, classes = self._finder(np.ascontiguousarray(frame[..., ::-1]))
        boxes = boxes[classes == PERSON] if len(boxes) else boxes
        if not len(boxes):
            return []
        points, scores = self._read(frame, boxes)
        return largest_first(
            pose_from_133(width, height, *person) for person in zip(points, scores, strict=True)
        )

    def close(self) -> None:
        """Give the models back."""
        del self._finder, self._reader

    def _read(self, frame: Picture, boxes: Floats) -> tuple[Floats, Floats]:
        """(n, 133, 2) pixels and (n, 133) scores of the people in (n, 4) boxes."""
        crops, centers, sizes = zip(
            *(self._reader.preprocess(frame, box) for box in boxes), strict=True
        )
        given = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)
        session = self._reader.session
        (taken,) = session.get_inputs()
        together = len(given) if not isinstance(taken.shape[0], int) else taken.shape[0]
        answers = [
            session.run(["simcc_x", "simcc_y"], {taken.name: given[start : start + together]})
            for start in range(0, len(given), together)
        ]
        answer = [np.concatenate(part) for part in zip(*answers, strict=True)]
        center, size = np.stack(centers)[:, None], np.stack(sizes)[:, None]
        answered: tuple[Floats, Floats] = self._reader.postprocess(answer, center, size)
        return answered


def pose_from_133(width: int, height: int, points: Floats, scores: Floats) -> Pose:
    """A person's (133, 2) pixels and (133,) scores in the order of COCO-WholeBody as a Pose.

    The neck is the middle of the shoulders, and seen where both are.
    """
    scored = np.column_stack([points, np.where(scores > MIN_DWPOSE_SCORE, scores, 0.0)])
    body = scored[list(BODY_FROM_133)]
    shoulders = scored[SHOULDER_JOINTS]
    body[NECK_JOINT] = *shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
    return Pose.of(
        width,
        height,
        body=body,
        face=scored[FACE],
        left_hand=scored[LEFT_HAND],
        right_hand=scored[RIGHT_HAND],
    )


def _device() -> str:
    """As rtmlib names it."""
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in providers:
        return "cuda"
    return "mps" if "CoreMLExecutionProvider" in providers else "cpu"
