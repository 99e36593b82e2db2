"""Motion files of every kind by their names.

.bvh         BVH of any program (bvh_reader)
.glb .vrma   binary glTF 2.0 with a skeleton and an animation (glb_reader); .vrm, too, is read
.npz         our own, exact to the bit (motion_npz); read is also AMASS's (amass)
.csv         face curves, head and eyes of Live Link Face (face_csv)
.arkit.csv   face curves with a column of seconds, which .csv reads as well
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from magicpose_cli.body.humanoid import humanoid_of_person
from magicpose_cli.body.motion_files.amass import is_amass, read_amass
from magicpose_cli.body.motion_files.bvh_reader import read_bvh
from magicpose_cli.body.motion_files.bvh_writer import write_bvh
from magicpose_cli.body.motion_files.checks import check_rate
from magicpose_cli.body.motion_files.face_csv import (
    read_face_csv,
    write_curves_csv,
    write_live_link_csv,
)
from magicpose_cli.body.motion_files.glb_reader import read_glb
from magicpose_cli.body.motion_files.glb_writer import write_glb
from magicpose_cli.body.motion_files.motion_npz import (
    MARK,
    member_names,
    read_motion_npz,
    write_motion_npz,
)
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import check_writable

MOTION_SUFFIXES = (".bvh", ".glb", ".npz", ".csv")
GLB_KINDS = (".glb", ".vrma", ".vrm")
FILMS_AND_POSES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".m4v", ".json")
OTHER_KINDS = (".fbx", ".c3d", ".dae", ".gltf", ".trc", ".usd", ".pkl", ".pickle", ".pt", ".pth")
PICKLE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".npy")


def read_motion_file(path: str | Path, *, fps: float | None = None) -> SkeletalMotion:
    """Read a motion file of any kind; its suffix tells which.

    Args:
        path: the file.
        fps: frames a second, in place of what the file tells.

    Errors: InputError of one line for what is no motion, damaged, too large or not finite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        return read_bvh(path, fps=fps)
    if suffix in GLB_KINDS:
        return read_glb(path, fps=fps)
    if suffix == ".csv":
        return read_face_csv(path, fps=fps)
    if suffix == ".npz":
        return _read_npz(path, fps)
    if suffix in FILMS_AND_POSES:
        raise InputError(
            f"{path}: is no motion file; expected {', '.join(MOTION_SUFFIXES)} (a body is found "
            f"in films and poses by: magicpose motion {path} -o {path.stem}.npz)"
        )
    if suffix in PICKLE_SUFFIXES:
        raise InputError(f"{path}: {suffix} is not opened; expected {', '.join(MOTION_SUFFIXES)}")
    raise InputError(
        f"{path}: {suffix or 'a name without suffix'} is no kind of motion file; expected "
        f"{', '.join(MOTION_SUFFIXES)} (from .fbx, Blender exports .bvh and .glb)"
    )


def is_motion_file(path: Path) -> bool:
    """Return True for what `read_motion_file` reads or refuses best, rather than a reader of poses.

    The suffix tells, and of a .npz what it holds. One that cannot be read counts as well.
    """
    suffix = path.suffix.lower()
    if suffix != ".npz":
        return suffix in (".bvh", ".csv", *GLB_KINDS, *OTHER_KINDS)
    try:
        names = member_names(path)
    except InputError:
        return True
    return MARK in names or is_amass(names)


def _read_npz(path: Path, fps: float | None) -> SkeletalMotion:
    names = member_names(path)
    if MARK in names:
        motion = read_motion_npz(path)
        return motion if fps is None else replace(motion, fps=check_rate(path, fps))
    if is_amass(names):
        return read_amass(path, fps=fps)
    raise InputError(
        f"{path}: holds no motion; expected magicpose's own ({MARK}) or AMASS's (poses and trans), "
        f"got {', '.join(sorted(names)):.80}"
    )


def _glb_of_person(path: Path, motion: SkeletalMotion, *, overwrite: bool = False) -> None:
    """Write VRM's bones of a person, and other skeletons as they are."""
    write_glb(path, humanoid_of_person(motion), overwrite=overwrite)


MOTION_WRITERS: dict[str, Callable[..., None]] = {  # the first suffix that fits
    ".bvh": write_bvh,
    ".glb": _glb_of_person,
    ".npz": write_motion_npz,
    ".arkit.csv": write_curves_csv,
    ".csv": write_live_link_csv,
}


def write_motion_file(path: str | Path, motion: SkeletalMotion, *, overwrite: bool = False) -> None:
    """Write a motion; the suffix tells the kind. Errors: OutputError."""
    path = Path(path)
    check_motion_output(path, overwrite)
    _writer(path)(path, motion, overwrite=overwrite)


def check_motion_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError where write_motion_file could not write; to be asked before any work."""
    _writer(path)
    check_writable(path, overwrite)


def _writer(path: Path) -> Callable[..., None]:
    for suffix, writer in MOTION_WRITERS.items():
        if path.name.lower().endswith(suffix):
            return writer
    if path.suffix.lower() == ".json":
        raise OutputError(
            f"{path}: poses in a picture are not made of motion in space so far; choose "
            f"{', '.join(MOTION_WRITERS)}"
        )
    raise OutputError(
        f"{path}: {path.suffix or 'a name without suffix'} is no kind of motion file; choose "
        f"{', '.join(MOTION_WRITERS)}"
    )


def lost_in(path: Path, motion: SkeletalMotion) -> tuple[str, ...]:
    """What a file of this kind cannot hold of the motion, a sentence each."""
    name, lost = path.name.lower(), []
    if name.endswith((".bvh", ".glb")) and motion.curves:
        lost.append(f"{len(motion.curves)} face curves are left out; .npz and .csv hold them")
    if name.endswith(".csv"):
        if len(motion.names) > 3:
            lost.append("of the body, .csv holds the turn of head and eyes alone")
        if not motion.curves:
            lost.append("there are no face curves: they are written as 0")
    return tuple(lost)
