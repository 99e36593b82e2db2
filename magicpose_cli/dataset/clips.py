"""Reading a data folder: clips, and pairs of their frames to train on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture, Pictures
from magicpose_cli.dataset.data_folder import (
    CLIPS_FOLDER,
    LABELS_FOLDER,
    PARTIAL_SUFFIX,
    read_dataset_index,
)
from magicpose_cli.errors import InputError
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.files.openpose_json import read_poses
from magicpose_cli.pose.keypoints import MIRRORED_BODY, PARTS, Pose
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.video import read_picture
from magicpose_cli.warping.face_crop import face_or_black

MIN_CROP_SHARE = 0.9  # of a clip's picture, as the paper crops
# Where each point of a mirrored face comes from: left and right change places.
MIRRORED_FACE = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),  # jaw, brows, nose
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,  # lips, outer and inner
]  # fmt: skip


class PicturePair(NamedTuple):
    """Two square pictures of a person under the same crop, and their poses, drawn.

    Attributes:
        reference: Shows the person.
        reference_map: Their pose.
        target: Shows the person in another pose.
        target_map: That pose.
        reference_face: The person's face in the reference, upright; black where it is not seen.
    """

    reference: Picture
    reference_map: Picture
    target: Picture
    target_map: Picture
    reference_face: Picture


class FilmPair(NamedTuple):
    """A picture of a person and a film of theirs under the same crop, and their poses, drawn.

    Attributes:
        reference: (S, S, 3), shows the person.
        reference_map: (S, S, 3), their pose.
        frames: (F, S, S, 3).
        maps: (F, S, S, 3), the frames' poses.
        reference_face: (s, s, 3), as of `PicturePair`.
    """

    reference: Picture
    reference_map: Picture
    frames: Pictures
    maps: Pictures
    reference_face: Picture


@dataclass(frozen=True)
class ClipFolder:
    """A clip on the disk, with its poses in memory (1.5 kB a frame) but no open file.

    Attributes:
        path: Its folder.
        size: Side of the square pictures in pixels.
        suffix: Of the pictures, without a dot.
        has_labels: Whether there are pictures of the person's regions.
        source: Name of the film, or the seed.
        fps: Pictures a second of the film.
        poses: In the pixels of the pictures.
    """

    path: Path
    size: int
    suffix: str
    has_labels: bool
    source: str
    fps: float
    poses: tuple[Pose, ...]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    def __len__(self) -> int:
        return len(self.poses)

    def frame(self, index: int) -> Picture:
        """Read a picture.

        Raises:
            InputError: The file is damaged.
        """
        return self._picture(self.path / f"{index:05d}.{self.suffix}")

    def pose(self, index: int) -> Pose:
        """Pose in the pixels of the frame."""
        return self.poses[index]

    def labels(self, index: int) -> Picture | None:
        """Index into synthetic.canvas.LABELS, (size, size); None where the clip has none."""
        if not self.has_labels:
            return None
        return self._picture(self.path / LABELS_FOLDER / f"{index:05d}.png")[..., 0]

    def _picture(self, path: Path) -> Picture:
        picture = read_picture(path)
        if picture.shape[:2] != (self.size, self.size):
            height, width = picture.shape[:2]
            raise InputError(
                f"{path} is {width}x{height}, expected {self.size}x{self.size}; make the data anew"
            )
        return picture


def open_clips(folder: Path) -> list[ClipFolder]:
    """Open all clips of a data folder, sorted by name.

    Raises:
        InputError: The folder is none of training data, is not finished or empty, or has a damaged
            clip.
    """
    if not read_dataset_index(folder)["complete"]:
        raise InputError(
            f"{folder} is not finished; run the same `magicpose dataset` again, it goes on where "
            "it stopped"
        )
    paths = (
        path for path in (folder / CLIPS_FOLDER).glob("*") if not path.name.endswith(PARTIAL_SUFFIX)
    )
    clips = [open_clip(path) for path in sorted(paths)]
    if not clips:
        raise InputError(f"{folder} holds no clips; make it anew from other videos")
    return clips


def open_clip(path: Path) -> ClipFolder:
    """Open one clip, every file of which has to be present.

    Raises:
        InputError: A file is missing or damaged.
    """
    try:
        about = json.loads((path / "clip.json").read_text(encoding="utf-8"))
        clip = ClipFolder(
            path=path,
            size=int(about["size"]),
            suffix=str(about["suffix"]),
            has_labels=bool(about["labels"]),
            source=str(about["source"]),
            fps=float(about["fps"]),
            poses=tuple(read_poses(path / "poses.json")[0]),
        )
        names = {entry.name for entry in path.iterdir()}
        masks = (
            {entry.name for entry in (path / LABELS_FOLDER).iterdir()} if clip.has_labels else set()
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is a damaged clip ({type(error).__name__}: {error}); remove it, or make the "
            "data anew"
        ) from error
    for index, pose in enumerate(clip.poses):
        missing = f"{index:05d}.{clip.suffix}" not in names
        if missing or (clip.has_labels and f"{index:05d}.png" not in masks):
            raise InputError(
                f"{path} is a damaged clip: picture {index} of {len(clip)} is missing; remove it, "
                "or make the data anew"
            )
        if (pose.width, pose.height) != (clip.size, clip.size):
            raise InputError(
                f"{path / 'poses.json'} is for pictures of {pose.width}x{pose.height}, expected "
                f"{clip.size}x{clip.size}; remove the clip, or make the data anew"
            )
    return clip


def sample_pair(
    clips: Sequence[ClipFolder],
    rng: np.random.Generator,
    size: int,
    pose_draw_size: int,
    *,
    min_crop: float = MIN_CROP_SHARE,
    flip: float = 0.0,
    jitter: float = 0.0,
    face_size: int = 0,
) -> PicturePair:
    """Take two different frames of one random clip and their pose maps.

    Clips of a single frame give it twice.

    Args:
        clips: To choose from.
        rng: Fixes the choice.
        size: Side of the pictures in pixels.
        pose_draw_size: Short side in pixels that poses are drawn at (the model's pose_canvas).
        min_crop: Smallest share of a clip's picture that is shown.
        flip: How often (0..1) all three are mirrored.
        jitter: How far (0..1) brightness, contrast and saturation stray, alike in both pictures.
        face_size: Side of the face in pixels, 0 for none.
    """
    clip = clips[int(rng.integers(len(clips)))]
    first, second = rng.choice(len(clip), 2, replace=len(clip) < 2)
    picture, pose = _under_one_crop(clip, rng, size, min_crop, flip, jitter)
    one, other = int(first), int(second)
    reference, own = picture(one), pose(one)
    return PicturePair(
        reference, pose_map(own, pose_draw_size),
        picture(other), pose_map(pose(other), pose_draw_size),
        face_or_black(reference, own, face_size),
    )  # fmt: skip


def sample_film(
    clips: Sequence[ClipFolder],
    rng: np.random.Generator,
    size: int,
    pose_draw_size: int,
    frames: int,
    *,
    min_crop: float = MIN_CROP_SHARE,
    flip: float = 0.0,
    jitter: float = 0.0,
    face_size: int = 0,
) -> FilmPair:
    """Take consecutive frames of one random clip and another frame of the person.

    All are under the same crop.

    Args:
        clips: To choose from, each of at least so many frames.
        rng: Fixes the choice.
        size: Side of the pictures in pixels.
        pose_draw_size: Short side in pixels that poses are drawn at (the model's pose_canvas).
        frames: How many in a row.
        min_crop: Smallest share of a clip's picture that is shown.
        flip: How often (0..1) all are mirrored.
        jitter: How far (0..1) brightness, contrast and saturation stray, alike in all.
        face_size: Side of the face in pixels, 0 for none.
    """
    clip = clips[int(rng.integers(len(clips)))]
    start, other = int(rng.integers(len(clip) - frames + 1)), int(rng.integers(len(clip)))
    picture, pose = _under_one_crop(clip, rng, size, min_crop, flip, jitter)
    row = range(start, start + frames)
    reference, own = picture(other), pose(other)
    return FilmPair(
        reference, pose_map(own, pose_draw_size),
        np.stack([picture(i) for i in row]),
        np.stack([pose_map(pose(i), pose_draw_size) for i in row]),
        face_or_black(reference, own, face_size),
    )  # fmt: skip


def _under_one_crop(
    clip: ClipFolder,
    rng: np.random.Generator,
    size: int,
    min_crop: float,
    flip: float,
    jitter: float,
) -> tuple[Callable[[int], Picture], Callable[[int], Pose]]:
    """Give what makes pictures and poses of a clip under one crop, by the frame's number."""
    side = round(rng.uniform(min_crop, 1.0) * clip.size)
    left, top = (int(corner) for corner in rng.integers(clip.size - side + 1, size=2))
    window = Framing((left, top, left + side, top + side), size, size)
    how = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    mirror = rng.random() < flip
    colors = _color_change(rng, jitter) if jitter else None

    def picture(index: int) -> Picture:
        cut = clip.frame(index)[top : top + side, left : left + side]
        made = cv2.resize(cut, (size, size), interpolation=how)
        if mirror:
            made = cv2.flip(made, 1)
        if colors is not None:
            made = cv2.transform(made, colors)
        return made.astype(np.uint8, copy=False)

    def posed(index: int) -> Pose:
        pose = window.pose(clip.pose(index))
        return mirrored(pose) if mirror else pose

    return picture, posed


def mirrored(pose: Pose) -> Pose:
    """Mirror a pose: the picture's columns are reversed, left and right change places."""
    sources = {
        "body": ("body", MIRRORED_BODY),
        "face": ("face", MIRRORED_FACE),
        "left_hand": ("right_hand", slice(None)),
        "right_hand": ("left_hand", slice(None)),
    }
    assert sources.keys() == PARTS.keys()
    swapped = {}
    for part, (source, order) in sources.items():
        swapped[part] = getattr(pose, source)[order]
        swapped[f"{part}_score"] = getattr(pose, f"{source}_score")[order]
    # A mesh or guesses would need orders of their own, and nothing is drawn from them.
    return replace(pose, **swapped, face_mesh=None, body_guess=None).map_points(
        lambda points: points * (-1.0, 1.0) + (pose.width, 0.0), pose.width, pose.height
    )


def _color_change(rng: np.random.Generator, jitter: float) -> Floats:
    """(3, 4) on RGB in 0..255: saturation about the gray, then contrast about 128, brightness."""
    brightness, contrast, saturation = rng.uniform(-0.4 * jitter, 0.4 * jitter, 3)
    gray = np.tile([0.299, 0.587, 0.114], (3, 1))
    matrix = (1 + contrast) * ((1 + saturation) * np.eye(3) - saturation * gray)
    return np.column_stack([matrix, np.full(3, 128 * (brightness - contrast))])
