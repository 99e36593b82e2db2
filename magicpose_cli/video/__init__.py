"""Pictures and videos in and out. All frames are np.uint8 RGB (H, W, 3), upright."""

from magicpose_cli.video.picture import read_picture, write_picture
from magicpose_cli.video.probe import Clip, exact_rate, probe
from magicpose_cli.video.read import OnHeld, SelectedClip, Selection, held_note, read_frames, select
from magicpose_cli.video.sound import Sound
from magicpose_cli.video.write import (
    Partial,
    VideoWriter,
    check_output,
    partials_of,
    write_video,
)

__all__ = [
    "Clip",
    "OnHeld",
    "Partial",
    "SelectedClip",
    "Selection",
    "Sound",
    "VideoWriter",
    "check_output",
    "exact_rate",
    "held_note",
    "partials_of",
    "probe",
    "read_frames",
    "read_picture",
    "select",
    "write_picture",
    "write_video",
]
