"""Pose files of every kind: which there are, and reading and writing by the name.

.json             OpenPose JSON, a frame or a list of frames (openpose_json)
a folder          OpenPose JSON, one file a frame, as OpenPose itself writes them
.npz              our own, compact and exact (npz); or arrays of others, told by their names
.dwpose.npz       controlnet_aux's arrays (controlnet_aux_arrays), which .npz reads as well
.npy              DWPose's points as one array (dwpose_arrays)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.pose.files import controlnet_aux_arrays, dwpose_arrays, npz, openpose_json
from magicpose_cli.pose.files.arrays import load_arrays
from magicpose_cli.pose.files.clip import PoseClip, Size
from magicpose_cli.pose.files.saving import check_free
from magicpose_cli.pose.keypoints import Pose

ARRAYS = (".npz", ".npy")
PICKLES = (".pkl", ".pickle", ".pt", ".pth")
CONTROLNET_AUX = ".dwpose.npz"
WRITERS: dict[str, Callable[..., None]] = {  # the first suffix that fits
    ".json": openpose_json.write_clip_list,
    CONTROLNET_AUX: controlnet_aux_arrays.write_dictionary,
    ".npz": npz.write_npz,
    ".npy": dwpose_arrays.write_npy,
}


def is_pose_file(path: Path) -> bool:
    """True for a file of poses by its suffix, and for a folder of JSON without pictures."""
    try:
        if not path.is_dir():
            return path.suffix.lower() in (".json", *ARRAYS, *PICKLES)
        suffixes = {f.suffix.lower() for f in path.iterdir() if not f.name.startswith(".")}
    except OSError:  # whoever reads it will say so
        return False
    return ".json" in suffixes and not suffixes - {".json", ".txt", ".md"}


def read_clip(path: str | Path, *, canvas: Size | None = None) -> PoseClip:
    """Everybody in every frame of a pose file or a folder of OpenPose's.

    canvas: width and height for files that do not tell theirs; what was assumed where neither
    tells is in the clip's notes. Errors: InputError naming the file and what in it is wrong.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise InputError(
            f"{path}: is a pickle, which could run any code when opened; save its points as plain "
            "arrays (numpy.savez with 'keypoints' and 'scores') or as OpenPose JSON"
        )
    if path.is_dir() or suffix not in ARRAYS:
        return openpose_json.read_openpose(path, canvas=canvas)
    arrays = load_arrays(path)
    if npz.MARK in arrays:
        return npz.clip_of_arrays(path, arrays)
    if controlnet_aux_arrays.MARK in arrays:
        return controlnet_aux_arrays.clip_of_dictionary(path, arrays, canvas=canvas)
    return dwpose_arrays.clip_of_points(path, arrays, canvas=canvas)


def write_clip(
    path: str | Path, poses: Sequence[Pose], fps: float | None, *, overwrite: bool = False
) -> None:
    """Write one pose a frame; see write_people."""
    write_people(path, PoseClip.of(poses, fps), overwrite=overwrite)


def write_people(path: str | Path, clip: PoseClip, *, overwrite: bool = False) -> None:
    """Write everybody; the suffix tells the kind, a name without one is a folder of OpenPose's.

    Errors: OutputError for another suffix, for what exists (without `overwrite`), and where it
    cannot be written.
    """
    path = Path(path)
    check_pose_output(path, overwrite)
    _writer(path)(path, clip, overwrite=overwrite)


def check_pose_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError where write_people could not write; to be asked before any work."""
    writer = _writer(path)
    folder = writer is openpose_json.write_clip_folder
    check_free(path, overwrite, openpose_json.FRAME_FILES if folder else None)


def _writer(path: Path) -> Callable[..., None]:
    if not path.suffix or (len(path.name) < 256 and path.is_dir()):
        return openpose_json.write_clip_folder
    for suffix, writer in WRITERS.items():
        if path.name.lower().endswith(suffix):
            return writer
    raise OutputError(
        f"{path}: {path.suffix} is no kind of pose file; choose {', '.join(WRITERS)} or, for a "
        "folder of OpenPose files, no suffix"
    )
