"""The demo: render two people, move one like the other, lay out a contact sheet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from magicpose_cli.animation import animate
from magicpose_cli.arrays import Picture, to_pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.preflight import resolve_preset
from magicpose_cli.run.run_record import Result
from magicpose_cli.video import check_output, probe, read_frames, write_picture, write_video

REFERENCE_SIDE_PX = 512
DRIVER_SIDE_PX = 256  # large enough for the detector, quick to render
RATE = Fraction(12)
DEMO_PERSON = 104  # of the test seeds: one that shows both hands
SHEET_COLUMNS = 6
SHEET_SIDE_PX = 192


def run_demo(
    folder: Path,
    preset: Preset | str | None = None,
    *,
    frames: int = 36,
    seed: int = 0,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Result:
    """Leave ref.png, driver.mp4, out.mp4 and the contact sheet out.png in a folder.

    The people are rendered from test seeds: no training sees them.
    """
    reference, driver, out, sheet = (
        folder / name for name in ("ref.png", "driver.mp4", "out.mp4", "out.png")
    )
    for path in (driver, out):
        check_output(path, overwrite)
    render_reference(reference, seed, overwrite)
    render_driver(driver, seed, frames, overwrite, on_progress)
    result = animate(
        reference, driver, out, resolve_preset(preset), overwrite=overwrite, on_progress=on_progress
    )
    write_picture(sheet, contact_sheet(reference, driver, out), overwrite=overwrite)
    return result


def render_reference(path: Path, seed: int, overwrite: bool) -> None:
    """One rendered person, half body, who hardly moves."""
    from magicpose_cli.synthetic.people import TEST_SEEDS
    from magicpose_cli.synthetic.rendered.rendered_people import render_clip

    clip = render_clip(TEST_SEEDS + DEMO_PERSON + 2 * seed, 1, REFERENCE_SIDE_PX, "talk", "half")
    write_picture(path, to_pictures(clip.images)[0], overwrite=overwrite)


def render_driver(
    path: Path, seed: int, frames: int, overwrite: bool, on_progress: OnProgress
) -> None:
    """Another rendered person who gestures."""
    from magicpose_cli.synthetic.people import TEST_SEEDS
    from magicpose_cli.synthetic.rendered.rendered_people import render_clip

    on_progress(Progress("rendering", 0, frames))
    clip = render_clip(
        TEST_SEEDS + DEMO_PERSON + 2 * seed + 1,
        frames,
        DRIVER_SIDE_PX,
        "gesture",
        "half",
        rate=float(RATE),
    )
    on_progress(Progress("rendering", frames, frames))
    write_video(path, iter(to_pictures(clip.images)), RATE, overwrite=overwrite)


def contact_sheet(reference: Path, driver: Path, out: Path) -> Picture:
    """(H, W, 3) uint8: the reference at the left, driver above and result below at equal times."""
    from PIL import Image

    side = SHEET_SIDE_PX
    rows = []
    for path in (driver, out):
        clip = probe(path)
        wanted = set(np.linspace(0, clip.frame_count - 1, SHEET_COLUMNS).round().astype(int))
        chosen = [frame for i, frame in enumerate(read_frames(clip)) if i in wanted]
        rows.append([np.asarray(Image.fromarray(f).resize((side, side))) for f in chosen])
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    with Image.open(reference) as picture:
        left = np.asarray(picture.convert("RGB").resize((2 * side, 2 * side)))
    return np.concatenate([left, sheet], axis=1)
