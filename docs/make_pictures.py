"""Make the README's second picture: two rendered references, moved by two rendered people.

    python docs/make_pictures.py

Some minutes on two cores. Everything comes from seeds that no training sees.
"""

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from magicpose_cli import animate
from magicpose_cli.arrays import to_pictures
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.synthetic.rendered.rendered_people import render_clip
from magicpose_cli.video import probe, read_frames, read_picture, write_picture, write_video

PICTURE = Path(__file__).parent.parent / ".github" / "people.jpg"
RATE = Fraction(12)
FRAMES = 30
SHOWN = (4, 10, 16, 22, 28)  # frames of each result
SIDE_PX, TILE_PX = 640, 240
# Seeds of a reference and a driver, how the driver moves, and how much of a person is seen.
ROWS = ((307, 306, "dance", "full"), (329, 326, "talk", "face"))


def make_row(folder: Path, reference: int, driver: int, style: str, shot: str) -> np.ndarray:
    """The reference, then frames of the driver above those of the result."""
    picture, film, out = folder / f"{shot}.png", folder / f"{shot}.mp4", folder / f"{shot}_out.mp4"
    still = render_clip(TEST_SEEDS + reference, 1, SIDE_PX, "talk", shot)
    write_picture(picture, to_pictures(still.images)[0])
    moving = render_clip(TEST_SEEDS + driver, FRAMES, SIDE_PX // 2, style, shot, rate=float(RATE))
    write_video(film, iter(to_pictures(moving.images)), RATE)
    animate(picture, film, out)
    driven, moved = (list(read_frames(probe(path))) for path in (film, out))
    tiles = [_tile(read_picture(picture), 2 * TILE_PX)]
    for index in SHOWN:
        tiles.append(np.vstack([_tile(frames[index], TILE_PX) for frames in (driven, moved)]))
    return np.hstack(tiles)


def _tile(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        rows = [make_row(Path(folder), *row) for row in ROWS]
    write_picture(PICTURE, np.vstack(rows), overwrite=True)
