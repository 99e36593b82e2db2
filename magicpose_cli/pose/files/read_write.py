"""Pose files of every kind: which there are, and reading and writing by the name.

.json             OpenPose JSON, a frame or a list of frames (openpose_json)
a folder          OpenPose JSON, one file a frame, as OpenPose itself writes them
.npz              our own, compact and exact (npz); or arrays of others, told by their names
.dwpose.npz       controlnet_aux's arrays (controlnet_aux_arrays), which .npz reads as well
.npy              DWPose's points as one array (dwpose_arrays)

These are read and written. Read are also the .json of COCO, AlphaPose and PoseTrack (coco_json), of
MMPose and its like (people_json) and of MediaPipe (mediapipe_file), each told by its own marks, and
folders with one of any of these files a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import check_writable, natural
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files import (
    coco_json,
    controlnet_aux_arrays,
    dwpose_arrays,
    mediapipe_file,
    npz,
    openpose_json,
    people_json,
)
from magicpose_cli.pose.files.arrays import load_arrays
from magicpose_cli.pose.files.beside import (
    PICTURE_SUFFIXES_BESIDE,
    RENDERED,
    MeasureFile,
    find_beside,
)
from magicpose_cli.pose.files.clip import PixelSize, Told, settle
from magicpose_cli.pose.files.json_values import Document, load_json, refuse
from magicpose_cli.pose.files.numbering import in_number_order
from magicpose_cli.pose.keypoints import Pose

ARRAYS = (".npz", ".npy")
PICKLES = (".pkl", ".pickle", ".pt", ".pth")
JSON_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[str, Sequence[Document]], Told]], ...] = (
    (openpose_json.is_openpose, openpose_json.openpose_frames),
    (coco_json.is_coco, coco_json.read_coco),
    (people_json.is_people, people_json.read_people),
    (mediapipe_file.is_mediapipe, mediapipe_file.read_mediapipe),
    (openpose_json.is_without_people, openpose_json.openpose_frames),
)
EXPECTED_POSES = (
    "OpenPose's 'people', COCO's 'annotations' or results with 'image_id' and 'keypoints' "
    "(AlphaPose's, too), MMPose's 'instance_info' or MediaPipe's 'pose_landmarks'"
)
CONTROLNET_AUX = ".dwpose.npz"
WRITERS: dict[str, Callable[..., None]] = {  # the first suffix that fits
    ".json": openpose_json.write_clip_list,
    CONTROLNET_AUX: controlnet_aux_arrays.write_dictionary,
    ".npz": npz.write_npz,
    ".npy": dwpose_arrays.write_npy,
}


def is_pose_file(path: Path) -> bool:
    """Whether a path is a file of poses by its suffix, or a folder of such files.

    A folder of OpenPose's files is one whatever else it holds, of others where no pictures lie
    beside them.
    """
    try:
        if not path.is_dir():
            return path.suffix.lower() in (".json", *ARRAYS, *PICKLES)
        files = [file for file in path.iterdir() if not file.name.startswith(".")]
    except OSError:  # whoever reads it will say so
        return False
    if any(file.match(openpose_json.FRAME_FILES) for file in files):
        return True
    suffixes = {file.suffix.lower() for file in files if not RENDERED.fullmatch(file.name)}
    return bool(suffixes & {".json", *ARRAYS}) and not suffixes & set(PICTURE_SUFFIXES_BESIDE)


def read_clip(
    path: str | Path, *, canvas: PixelSize | None = None, measure: MeasureFile | None = None
) -> PeopleClip:
    """Everybody in every frame of a pose file or a folder of them.

    canvas: width and height for files that do not tell theirs. measure: looks at a film or picture
    for it, where one lies beside the file. What was assumed where nothing tells is in the clip's
    notes. Errors: InputError naming the file and what in it is wrong.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise InputError(
            f"{path}: is a pickle, which could run any code when opened; if you trust it, open it "
            "yourself (pickle.load, torch.load) and save its points as plain arrays: "
            "numpy.savez(NEW, keypoints=..., scores=...), (frames, points, 2) and (frames, points)"
        )
    if not path.is_dir() and suffix in ARRAYS:
        told = _told_by_arrays(path)
    elif path.is_dir() and (files := _array_files(path)):
        told = _told_by_folder(path, files)
    else:
        told = _told_by_json(path)
    if isinstance(told, PeopleClip):
        return told
    beside = None
    if measure is not None and told.size is None and canvas is None:
        beside = find_beside(path, told, measure)
    return settle(str(path), told, asked=canvas, beside=beside)


def _told_by_json(path: Path) -> Told:
    """What a file or a folder of JSON says, as the kind has it whose marks are met first."""
    files = openpose_json.frame_files(path) if path.is_dir() else [path]
    documents = [(str(file), load_json(file)) for file in files]
    for is_mine, read in JSON_KINDS:
        if any(is_mine(content) for _, content in documents):
            told = read(str(path), documents)
            return _numbered(path, files, told) if path.is_dir() else told
    shown = documents[0][1]
    shown = shown[0] if isinstance(shown, list) and shown else shown
    refuse(documents[0][0], "", f"poses in JSON: {EXPECTED_POSES}", shown)


def _numbered(path: Path, files: Sequence[Path], told: Told) -> Told:
    """With a note where the files of a folder, a frame each, are numbered with gaps."""
    if len(told.frames) == len(files):
        in_number_order(str(path), {file.name: [] for file in files}, told.notes, fill=False)
    return told


def _told_by_arrays(path: Path, *, one_frame: bool = False) -> Told | PeopleClip:
    arrays = load_arrays(path)
    if npz.VERSION_KEY in arrays:
        return npz.clip_of_arrays(path, arrays)
    if controlnet_aux_arrays.DICTIONARY_KEY in arrays:
        return controlnet_aux_arrays.told_by_dictionary(path, arrays)
    return dwpose_arrays.told_by_points(path, arrays, one_frame=one_frame)


def _array_files(folder: Path) -> list[Path]:
    """NumPy's files of a folder without JSON, in natural order."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    if any(file.suffix.lower() == ".json" for file in files):
        return []
    arrays = [file for file in files if file.suffix.lower() in ARRAYS]
    return sorted(arrays, key=lambda file: (natural(file.name), file.name))


def _told_by_folder(path: Path, files: Sequence[Path]) -> Told | PeopleClip:
    """What arrays say of a frame each; a folder of one file is that file."""
    if len(files) == 1:
        return _told_by_arrays(files[0])
    told: list[Told] = []
    for file in files:
        one = _told_by_arrays(file, one_frame=True)
        if isinstance(one, PeopleClip) or len(one.frames) != 1:
            raise InputError(
                f"{file}: holds a clip; expected a folder with a file a frame, or give one file"
            )
        told.append(one)
    sizes = {one.size for one in told if one.size}
    if len(sizes) > 1:
        raise InputError(f"{path}: holds frames of {len(sizes)} sizes; expected those of one film")
    in_pixels = {one.in_pixels for one in told}
    whole = Told(
        [one.frames[0] for one in told],
        size=sizes.pop() if sizes else None,
        fps=told[0].fps,
        in_pixels=in_pixels.pop() if len(in_pixels) == 1 else None,
        notes=told[0].notes,
    )
    return _numbered(path, files, whole)


def write_clip(
    path: str | Path, poses: Sequence[Pose], fps: float | None, *, overwrite: bool = False
) -> None:
    """Write one pose a frame; see write_people."""
    write_people(path, PeopleClip.of(poses, fps), overwrite=overwrite)


def write_people(path: str | Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
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
    check_writable(path, overwrite, openpose_json.POSE_FILE_PATTERN if folder else None)


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
