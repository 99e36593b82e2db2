"""`magicpose turn`: from a picture to a film, or a folder of views with their cameras."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.errors import InputError
from magicpose_cli.files import check_writable, whole_folder, write_json
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import VideoWriter
from magicpose_cli.video.picture import read_picture
from magicpose_cli.video.write import check_output
from magicpose_cli.views.angles import (
    MAX_PITCH_DEG,
    MAX_YAW_DEG,
    ViewAngles,
    check_view_count,
    looped_views,
    read_range,
    spread_views,
)

if TYPE_CHECKING:
    from magicpose_cli.views.subject import Subject
    from magicpose_cli.views.view_renderer import ViewRenderer

VIEW_FOLDER_PATTERN = r"\d{6}\.png|transforms\.json|head\.glb"
MIN_VIEW_RATE, MAX_VIEW_RATE = 0.1, 240
MIN_SIDE_PX, MAX_SIDE_PX = 64, 4096
HEAD_FILE, CAMERA_FILE = "head.glb", "transforms.json"


@dataclass(frozen=True)
class TurnSettings:
    """What is asked for.

    Attributes:
        yaw: Degrees as LOW..HIGH; positive: to the picture's right.
        pitch: Likewise; positive: up.
        views: How many.
        orbit: The whole person turns, not the head alone.
        side_px: Short side of the views; a smaller picture is not enlarged.
        fps: Of a film.
        detector: As of animate.
    """

    yaw: str = "-45..45"
    pitch: str = "-10..10"
    views: int = 48
    orbit: bool = False
    side_px: int = 512
    fps: float = 24.0
    detector: str = "auto"

    def angles(self, *, loops: bool) -> list[ViewAngles]:
        """The views. loops: of a film.

        Raises:
            InputError: A range or a number is wrong.
        """
        yaw = read_range(self.yaw, "yaw", MAX_YAW_DEG)
        pitch = read_range(self.pitch, "pitch", MAX_PITCH_DEG)
        check_view_count(self.views)
        if not MIN_SIDE_PX <= self.side_px <= MAX_SIDE_PX:
            raise InputError(
                f"size is {self.side_px}; expected pixels from {MIN_SIDE_PX} to {MAX_SIDE_PX}"
            )
        if not MIN_VIEW_RATE <= self.fps <= MAX_VIEW_RATE:
            raise InputError(
                f"fps is {self.fps:g}; expected a number from {MIN_VIEW_RATE} to {MAX_VIEW_RATE}"
            )
        return (looped_views if loops else spread_views)(yaw, pitch, self.views)


@dataclass(frozen=True)
class TurnResult:
    """What was made.

    Attributes:
        output: File or folder.
        angles: Of the views, in their order.
        width: Of a view in pixels.
        height: Likewise.
        files: Of a folder, besides the views.
        seconds_once: For the person: found, cut out, built.
        seconds_per_view: To draw one and to hand it to the writer, the mean.
        notes: What a user should know, a line each.
    """

    output: str
    angles: tuple[ViewAngles, ...]
    width: int
    height: int
    files: tuple[str, ...]
    seconds_once: float
    seconds_per_view: float
    notes: tuple[str, ...]


def turn(
    reference: str | Path,
    output: str | Path,
    settings: TurnSettings | None = None,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> TurnResult:
    """Show the person of a picture from other sides.

    Args:
        reference: Any picture.
        output: .mp4, .webm, .mov or .gif for a film that can be looped, beside which OUT.json holds
            the angles; a name without suffix for a folder: the views cut out as PNGs with alpha,
            transforms.json, and head.glb where a face is seen.
        settings: See TurnSettings.
        overwrite: Replace what stands at the output.
        on_progress: Told of every view.

    Raises:
        MagicPoseError: Something that the user can mend.
    """
    from magicpose_cli.views.subject import find_subject
    from magicpose_cli.views.view_renderer import ViewRenderer

    settings = settings or TurnSettings()
    target = Path(output)
    is_film = bool(target.suffix) and not str(output).endswith("/")
    views = settings.angles(loops=is_film)
    if is_film:
        check_output(target, overwrite)
        check_writable(_angles_path(target), overwrite)
    else:
        check_writable(target, overwrite, VIEW_FOLDER_PATTERN)
    picture = read_picture(reference)
    on_progress(Progress("poses", 0, 1))
    start = time.perf_counter()
    subject = find_subject(Path(reference), picture, settings.side_px, settings.detector)
    renderer = ViewRenderer(subject, orbit=settings.orbit)
    once = time.perf_counter() - start
    start = time.perf_counter()
    files: tuple[str, ...] = ()
    if is_film:
        _write_film(renderer, views, target, settings.fps, overwrite, on_progress)
    else:
        files = _write_folder(subject, renderer, views, target, overwrite, on_progress)
    each = (time.perf_counter() - start) / len(views)
    height, width = subject.picture.shape[:2]
    result = TurnResult(
        str(target), tuple(views), width, height, files, round(once, 3), round(each, 3),
        subject.notes,
    )  # fmt: skip
    if is_film:
        told = {"settings": asdict(settings), "reference": str(reference), **asdict(result)}
        write_json(_angles_path(target), told | {"angles": [v._asdict() for v in views]})
    return result


def _angles_path(film: Path) -> Path:
    return film.with_name(f"{film.name}.json")


def _write_film(
    renderer: ViewRenderer,
    views: Sequence[ViewAngles],
    target: Path,
    fps: float,
    overwrite: bool,
    on_progress: OnProgress,
) -> None:
    with VideoWriter(target, Fraction(fps), overwrite=overwrite) as writer:
        for number, angles in enumerate(views):
            writer.write(renderer(angles).picture)
            on_progress(Progress("render", number + 1, len(views), "views"))


def _write_folder(
    subject: Subject,
    renderer: ViewRenderer,
    views: Sequence[ViewAngles],
    target: Path,
    overwrite: bool,
    on_progress: OnProgress,
) -> tuple[str, ...]:
    """Write views, cameras and, of a face, the head; return the names of the last two."""
    from PIL import Image

    from magicpose_cli.views.camera_file import camera_record
    from magicpose_cli.views.head_file import write_head
    from magicpose_cli.views.head_model import build_head_model

    names = [f"{number:06d}.png" for number in range(len(views))]
    with whole_folder(target, overwrite, VIEW_FOLDER_PATTERN) as folder:
        for number, (name, angles) in enumerate(zip(names, views, strict=True)):
            view = renderer(angles)
            alpha = np.rint(255 * np.clip(view.cover, 0, 1)).astype(np.uint8)
            Image.fromarray(np.dstack([view.picture, alpha])).save(folder / name)
            on_progress(Progress("render", number + 1, len(views), "views"))
        write_json(folder / CAMERA_FILE, camera_record(subject, renderer, views, names))
        model = build_head_model(subject, renderer.solid, renderer.textures)
        if model is None:
            return (CAMERA_FILE,)
        write_head(folder / HEAD_FILE, model)
    return (CAMERA_FILE, HEAD_FILE)
