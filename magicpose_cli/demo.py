"""The demo: draw a person and a dancer, run the main job on them, lay out a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.animation import animate
from magicpose_cli.arrays import Floats, Picture, Pictures
from magicpose_cli.config.preset import Preset
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.preflight import resolve_preset
from magicpose_cli.run.run_record import Result
from magicpose_cli.video import check_output, probe, read_frames, write_picture, write_video

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.synthetic.people import DrawnMotion

DRAWN_SIDE_PX = 384  # large enough for the detector, quick to draw
DRAWN_RATE = Fraction(12)
SHEET_COLUMNS = 6


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

    The people are drawn from test seeds: the embedded model has not seen them in training.
    """
    reference, driver, out, sheet = (
        folder / name for name in ("ref.png", "driver.mp4", "out.mp4", "out.png")
    )
    for path in (driver, out):
        check_output(path, overwrite)
    draw_reference(reference, seed, overwrite)
    draw_driver(driver, seed, frames, overwrite, on_progress)
    result = animate(
        reference, driver, out, resolve_preset(preset), overwrite=overwrite, on_progress=on_progress
    )
    write_picture(sheet, contact_sheet(reference, driver, out), overwrite=overwrite)
    return result


def draw_reference(path: Path, seed: int, overwrite: bool) -> None:
    """One drawn person, half body, arms hanging."""
    import torch

    from magicpose_cli.synthetic.casting import sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    generator = torch.Generator().manual_seed(TEST_SEEDS + 2 * seed)
    identity = sample_identities(1, DRAWN_SIDE_PX, generator, framing="half")
    people = render(identity, dance(np.zeros(1), calm=True))
    write_picture(path, _to_pictures(people.images)[0], overwrite=overwrite)


def draw_driver(
    path: Path, seed: int, frames: int, overwrite: bool, on_progress: OnProgress
) -> None:
    """Another drawn person who dances, a frame at a time."""
    import torch

    from magicpose_cli.synthetic.casting import sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render

    generator = torch.Generator().manual_seed(TEST_SEEDS + 2 * seed + 1)
    identity = sample_identities(1, DRAWN_SIDE_PX, generator, framing="half")
    motion = dance(np.arange(frames) / float(DRAWN_RATE))

    def drawn() -> Iterator[Picture]:
        for i in range(frames):
            people = render(identity, motion.rows(slice(i, i + 1)))
            on_progress(Progress("drawing", i + 1, frames))
            yield _to_pictures(people.images)[0]

    write_video(path, drawn(), DRAWN_RATE, overwrite=overwrite)


def dance(seconds: Floats, calm: bool = False) -> DrawnMotion:
    """A dance: arms, elbows, hips, head and mouth swing at beats of one second."""
    import torch

    from magicpose_cli.synthetic.people import DrawnMotion

    t = torch.tensor(seconds, dtype=torch.float32) * math.pi
    n, zero = len(t), torch.zeros(len(t))
    swing = 0.0 if calm else 1.0
    up = 0.5 - 0.5 * t.cos()
    return DrawnMotion(
        shift=torch.stack([0.03 * (t * 0.5).sin(), 0.008 * t.sin()], 1) * swing,
        lean=0.07 * (t * 0.5).sin() * swing,
        turn=0.25 * (t * 0.5).sin() * swing,
        arm=torch.stack([0.25 + 1.3 * up * swing, 0.25 + 1.3 * (1 - up) * swing], 1),
        elbow=torch.stack([0.1 + 1.2 * up * swing, 0.1 + 1.2 * (1 - up) * swing], 1),
        arm_depth=torch.ones(n, 2, 2),
        arm_in_front=torch.ones(n, 2, dtype=torch.bool),
        leg=torch.full((n, 2), 0.08),
        knee=torch.zeros(n, 2),
        leg_depth=torch.ones(n, 2, 2),
        head_turn=0.3 * (t * 0.5).cos() * swing,
        head_nod=zero,
        head_tilt=0.1 * t.sin() * swing,
        brow=zero,
        eye_open=zero + 0.85,
        gaze=torch.zeros(n, 2),
        mouth_open=0.4 * up * swing,
        smile=zero + 0.6,
        curl=torch.full((n, 2), 0.15),
        spread=torch.full((n, 2), 0.9),
    )


def contact_sheet(reference: Path, driver: Path, out: Path) -> Picture:
    """(H, W, 3) uint8: the reference at the left, driver above and result below at equal times."""
    from PIL import Image

    side = DRAWN_SIDE_PX // 2
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


def _to_pictures(images: Tensor) -> Pictures:
    """Convert (n, 3, S, S) in 0..1 to (n, S, S, 3) uint8."""
    return np.asarray((images.permute(0, 2, 3, 1) * 255).round().byte().numpy())
