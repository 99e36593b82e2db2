"""Films of a person's pose maps, and of maps of the body that fits them, for other generators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from magicpose_cli.arrays import AnyArray, Picture
from magicpose_cli.body.maps import (
    MAP_LAYERS,
    DepthRange,
    check_map_names,
    depth_picture,
    depth_range,
    draw_body_maps,
)
from magicpose_cli.body.model import Body
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import OutputError
from magicpose_cli.files import check_writable, whole_file
from magicpose_cli.motion.body_motion import fit_poses, is_picture
from magicpose_cli.motion.driver import rate_of
from magicpose_cli.motion.extract import Extracted, extract_poses
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import VideoWriter, check_output
from magicpose_cli.video.write import OUTPUT_VIDEO_SUFFIXES

POSE_MAP = "pose"
MAP_SUFFIXES = (".mp4", ".mov", ".webm", "")  # of films that keep colors, and of folders


@dataclass(frozen=True)
class WrittenMaps:
    """What `write_maps` wrote.

    Attributes:
        extracted: The poses that the maps are of.
        files: A file or folder by its map's name; "pose" is the output itself.
        notes: What a user should know of the maps, a line each.
    """

    extracted: Extracted
    files: dict[str, Path]
    notes: tuple[str, ...]


def write_maps(
    source: Path,
    out: Path,
    motion: MotionSettings,
    names: Sequence[str] = (),
    *,
    cleanup: bool | None = None,
    retarget_to: Path | None = None,
    overlay_to: Path | None = None,
    plot_to: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> WrittenMaps:
    """Write the pose maps of one person, and maps of the body that fits them, in step.

    All have the size and the rate of the source, or with `retarget_to` the size of that picture,
    and the body has that person's proportions and place. In a frame that shows nobody the person
    is held, as `extract_poses` does.

    Args:
        source: A film, a folder of pictures, a picture, or a pose file.
        out: Where the pose maps go: .mp4, .mov, .webm, or a folder of PNGs; of a picture, a .png.
            The others go beside it, as OUT_depth.mp4. Depth has 16 bits in PNGs.
        motion: What is read, whom to follow, how the motion is put on another person.
        names: Some of BODY_MAP_NAMES.
        cleanup: See `extract_poses`.
        retarget_to: A picture or pose file of the person on whom the motion is put.
        overlay_to: See `extract_poses`.
        plot_to: See `extract_poses`.
        overwrite: Replace what exists.
        on_progress: Is told of the stages "poses", "fit" and "maps".

    Raises:
        InputError: For what cannot be read, or an unknown map.
        DetectionError: Where nobody is found.
        OutputError: Where a file cannot be written.
    """
    files = map_files(out, names)
    _check_map_files(source, files, [overlay_to, plot_to], overwrite)
    found = extract_poses(
        source, None, motion, follow=True, cleanup=cleanup, retarget_to=retarget_to,
        overlay_to=overlay_to, plot_to=plot_to, overwrite=overwrite, on_progress=on_progress,
    )  # fmt: skip
    poses, rate = found.clip.largest, rate_of(found.clip.fps)
    drawn, notes = _drawn_maps(source, poses, rate, tuple(files)[1:], on_progress)
    if is_picture(source):
        for name, picture in next(drawn).items():
            _write_still(files[name], picture, overwrite)
    else:
        _write_map_films(files, drawn, rate, len(poses), overwrite, on_progress)
    return WrittenMaps(found, files, notes)


def is_map_file(path: Path) -> bool:
    """Whether a name is that of a film or picture of pose maps, rather than of a pose file."""
    return path.suffix.lower() in (*OUTPUT_VIDEO_SUFFIXES, ".png")


def map_files(out: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return where each map goes, by its name; "pose" is first and goes to `out` itself.

    Raises:
        InputError: There is no map of that name.
    """
    chosen = check_map_names(names) if names else ()
    beside = {name: out.with_name(f"{out.stem}_{name}{out.suffix}") for name in chosen}
    return {POSE_MAP: out, **beside}


def _check_map_files(
    source: Path, files: dict[str, Path], others: Sequence[Path | None], overwrite: bool
) -> None:
    """Refuse what can be refused before the work."""
    out, still = files[POSE_MAP], is_picture(source)
    expected = (".png",) if still else MAP_SUFFIXES
    if out.suffix.lower() not in expected and not (len(files) == 1 and out.suffix == ".gif"):
        kinds = "a name with .png" if still else f"{', '.join(filter(None, expected))} or a folder"
        raise OutputError(f"{out}: maps of {source.name} cannot be written there; choose {kinds}")
    taken = [path.absolute() for path in (source, *others) if path is not None]
    for path in files.values():
        if path.absolute() in taken:
            raise OutputError(f"{path} is named twice in one command; choose another name")
        if still:
            check_writable(path, overwrite)
        else:
            check_output(path, overwrite)


def _drawn_maps(
    source: Path,
    poses: PoseClip,
    rate: Fraction,
    names: Sequence[str],
    on_progress: OnProgress,
) -> tuple[Iterator[dict[str, AnyArray]], tuple[str, ...]]:
    """All maps frame by frame, drawn as they are asked for, and notes about them."""
    from magicpose_cli.pose.draw import draw

    if not names:
        return ({POSE_MAP: draw(pose)} for pose in poses), ()
    body = Body.load(MAP_LAYERS)
    fitted = fit_poses(body, poses, rate, source, on_progress)
    depths = depth_range(body, fitted)

    def pictures() -> Iterator[dict[str, AnyArray]]:
        for frame, pose in enumerate(poses):
            maps = draw_body_maps(body, fitted, frame, names, depths, poses.seen[frame])
            yield {POSE_MAP: draw(pose), **maps}

    return pictures(), _depth_note(depths) if "depth" in names else ()


def _depth_note(depths: DepthRange) -> tuple[str]:
    return (
        f"depth is white at {depths.near_m:.2f} m and darkest (32 of 255) at "
        f"{depths.far_m:.2f} m, lengths guessed from the person's proportions",
    )


def _write_map_films(
    files: dict[str, Path],
    drawn: Iterator[dict[str, AnyArray]],
    rate: Fraction,
    total: int,
    overwrite: bool,
    on_progress: OnProgress,
) -> None:
    """Write all films, or folders, side by side, so that no more than a frame is kept."""
    is_film = bool(files[POSE_MAP].suffix)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(VideoWriter(path, rate, lossless=True, overwrite=overwrite))
            for name, path in files.items()
        }
        for number, pictures in enumerate(drawn):
            for name, picture in pictures.items():
                in_8_bits = name == "depth" and is_film
                writers[name].write(depth_picture(picture) if in_8_bits else picture)
            on_progress(Progress("maps", number + 1, total))


def _write_still(path: Path, picture: Picture, overwrite: bool) -> None:
    from PIL import Image

    with whole_file(path, overwrite) as hidden:
        Image.fromarray(picture).save(hidden)
