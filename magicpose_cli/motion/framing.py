"""How a picture of any shape is brought to the network's: crop, pad or stretch.

Of a clip there is one window, for the reference and all frames: the camera stands still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Floats, Mask, Picture, Points
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""

PERSON_MARGIN = (
    0.10  # around a person, of their height: for clothes and for what the points do not show
)
# From the topmost point of the head (brows or eyes) to above the hair, in lengths between
# these joints. The longest of them counts, for what points at the camera looks shorter. Of 95 drawn
# people, 9 in 10 need less than 0.35, 0.85 and 1.7.
HEAD_ROOM = (
    ("right_shoulder", "left_shoulder", 0.5),
    ("nose", "neck", 0.9),
    ("right_eye", "left_eye", 2.2),
)
UPPER_HEAD_JOINTS = [BODY_JOINTS.index(j) for j in ("nose", "right_eye", "left_eye")]
HEAD_LENGTH_PERCENTILE = 90.0  # of a length over a clip: the longest may be a mistake
# At each end of a point's way through a clip, this share of the frames may be mistakes; of fewer
# frames than MIN_FRAMES none is left out.
MISTAKES = 0.01
MIN_FRAMES = 21
WINDOW_FADE = (
    0.05  # of a zoomed window's short side, around the person: there, what is pasted back fades
)
DRAWN = 48  # levels from the ground on, which what compressing leaves around lines does not reach
DRAWN_SIDE = 256  # pixels of a short side that are enough to see where something is drawn
MAX_ENLARGEMENT = 4.0  # of a small person: beyond, the network would see nothing but blur


@dataclass(frozen=True)
class Framing:
    """The window of the source (pixels, may reach beyond it) that fills width x height."""

    window: Box
    width: int
    height: int

    def picture(self, picture: Picture, resample: int = Image.Resampling.LANCZOS) -> Picture:
        """(h, w, 3) uint8 -> (height, width, 3); what lies beyond the source is black."""
        source = Image.fromarray(picture)
        left, top, right, bottom = self.window
        if left < 0 or top < 0 or right > source.width or bottom > source.height:
            side = (round(right - left), round(bottom - top))
            padded = Image.new("RGB", side)
            padded.paste(source, (round(-left), round(-top)))
            source, (left, top, right, bottom) = padded, (0, 0, *side)
        if source.size == (self.width, self.height) == (right - left, bottom - top):
            return np.asarray(source)
        resized = source.resize(
            (self.width, self.height), Image.Resampling(resample), (left, top, right, bottom)
        )
        return np.asarray(resized)

    def pose(self, pose: Pose) -> Pose:
        """The same window laid over the pose's points."""
        return pose.map_points(self._mapped, self.width, self.height)

    def clip(self, clip: PoseClip) -> PoseClip:
        """The same window laid over the points of all frames."""
        return clip.map_points(self._mapped, self.width, self.height)

    def _mapped(self, points: Floats) -> Floats:
        left, top, right, bottom = self.window
        scale = np.array([self.width / (right - left), self.height / (bottom - top)])
        mapped: Floats = (points - (left, top)) * scale
        return mapped

    def shows(self, points: Floats) -> Mask:
        """(...,) bool: which of (..., 2) pixels of the source, NaN where unseen, are in it."""
        left, top, right, bottom = self.window
        inside: Mask = ((points >= (left, top)) & (points <= (right, bottom))).all(axis=-1)
        return inside

    def between(self, other: Framing) -> Framing:
        """What `other`, a framing of the same picture, shows, in pixels of this one's result."""
        left, top, right, bottom = self.window
        across, down = self.width / (right - left), self.height / (bottom - top)
        x0, y0, x1, y1 = other.window
        box = ((x0 - left) * across, (y0 - top) * down, (x1 - left) * across, (y1 - top) * down)
        return Framing(box, other.width, other.height)


def frame(
    source: tuple[int, int], target: tuple[int, int], fit: str, person: Box | None = None
) -> Framing:
    """The framing of a source of this size (width, height) for a target size.

    fit: "crop" cuts the longer side (around `person` where it is known, else around the middle,
        as the original does), "pad" adds black bars, "stretch" ignores the aspect ratio.
    """
    w, h = source
    width, height = target
    if fit == "crop":
        held = None if person is None else Extent(*person, head=person[1])
        return _crop(source, target, min(w / width, h / height), held, held)
    if fit == "stretch":
        return Framing((0, 0, w, h), width, height)
    scale = max(w / width, h / height)
    left, top = (w - scale * width) / 2, (h - scale * height) / 2
    return Framing((left, top, left + scale * width, top + scale * height), width, height)


def frame_clip(
    source: tuple[int, int],
    target: tuple[int, int],
    fit: str,
    person: Pose | None,
    poses: Sequence[Pose],
    *,
    zoom: bool = False,
    fade: float = WINDOW_FADE,
) -> Framing:
    """One framing for a whole clip: of the reference picture and of everything moved onto it.

    person: the reference's own pose. poses: the motion, in the reference picture's pixels.
    zoom: take the smallest window that holds the moving person and room around them, `fade` of its
        short side, but enlarged MAX_ENLARGEMENT times at most, in place of the largest that fits;
        for results that are pasted back.

    A crop stays inside the picture: what leaves the picture is lost, black borders would be worse.
    Where it cannot hold all of the motion, it holds the person as the reference shows them, and of
    a person who is too tall the head. "pad" and "stretch" show the whole picture, as `frame` does.
    """
    if fit != "crop":
        return frame(source, target, fit)
    still = None if person is None else extent([person])
    return frame_both(source, target, still, extent(poses), zoom=zoom, fade=fade)


def frame_both(
    source: tuple[int, int],
    target: tuple[int, int],
    still: Extent | None,
    moving: Extent | None,
    *,
    zoom: bool = False,
    fade: float = WINDOW_FADE,
) -> Framing:
    """The crop of `frame_clip`, of where the person is in the reference and where they move."""
    (w, h), (width, height) = source, target
    found = [one.within(w, h) for one in (still, moving) if one is not None]
    if not found:
        return frame(source, target, "crop")
    held = found[0].joined(found[-1])
    scale = min(w / width, h / height)
    if zoom:
        needed = max((held.right - held.left) / width, (held.bottom - held.top) / height)
        needed /= max(1 - 2 * fade, 0.1)  # fades of half the window leave no room for anybody
        scale = min(scale, max(needed, 1 / MAX_ENLARGEMENT))
    return _crop(source, target, scale, held, found[0])


def frame_figure(source: tuple[int, int], target: tuple[int, int], held: Extent | None) -> Framing:
    """The framing of poses, or of drawn ones, that keep their place in a picture of this size.

    A crop that holds all of `held`. Where none inside the picture does, the window reaches beyond
    it: around a drawn pose there is nothing but black anyway.
    """
    (w, h), (width, height) = source, target
    scale = min(w / width, h / height)
    if held is None:
        return frame(source, target, "crop")
    held = held.within(w, h)
    needed = max((held.right - held.left) / width, (held.bottom - held.top) / height)
    if needed <= scale:
        return _crop(source, target, scale, held, held)
    across, down = needed * width, needed * height
    x = round((held.left + held.right - across) / 2)
    y = round((held.top + held.bottom - down) / 2)
    return Framing((x, y, x + across, y + down), width, height)


def same_shape(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether both have one aspect, but for a side that was rounded to a multiple of 8."""
    scale = min(target) / min(source)
    return all(abs(a * scale - b) <= 4 for a, b in zip(source, target, strict=True))


@dataclass(frozen=True)
class Extent:
    """Where a person is, in pixels, with room for hair and clothes; head: above their hair."""

    left: float
    top: float
    right: float
    bottom: float
    head: float

    def within(self, width: int, height: int) -> Extent:
        """Cut to the picture; what is outside lies at its edge."""
        return Extent(
            _clamp(self.left, 0, width),
            _clamp(self.top, 0, height),
            _clamp(self.right, 0, width),
            _clamp(self.bottom, 0, height),
            _clamp(self.head, 0, height),
        )

    def scaled(self, across: float, down: float) -> Extent:
        """The same in a picture that is so many times as wide and as high."""
        return Extent(
            across * self.left,
            down * self.top,
            across * self.right,
            down * self.bottom,
            down * self.head,
        )

    def joined(self, other: Extent) -> Extent:
        """Both of them."""
        return Extent(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
            min(self.head, other.head),
        )


def person_box(poses: Sequence[Pose]) -> Box | None:
    """Where the person of these poses is, with room for hair and clothes; None without points."""
    found = extent(poses)
    return None if found is None else (found.left, found.top, found.right, found.bottom)


def extent(poses: Sequence[Pose]) -> Extent | None:
    """Where the person of these poses is over the whole clip; None without points.

    Of each point's way the ends that may be mistakes (MISTAKES) are left out, and so are points
    that are hardly ever seen: neither a wrong point nor a wrong frame moves the window.
    """
    if not poses:
        return None
    dropped = math.ceil(MISTAKES * len(poses)) if len(poses) >= MIN_FRAMES else 0
    clip = PoseClip.of(poses)
    ends = {part: _ends(clip.part(part), dropped) for part in PARTS}
    lows, highs = (np.concatenate([ends[part][k] for part in PARTS]) for k in (0, 1))
    seen = np.isfinite(lows[:, 0])
    if not seen.any():
        return None
    (left, top), (right, bottom) = lows[seen].min(0).tolist(), highs[seen].max(0).tolist()
    margin = PERSON_MARGIN * (bottom - top)
    head = np.append(ends["body"][0][UPPER_HEAD_JOINTS, 1], ends["face"][0][:, 1])
    head = head[np.isfinite(head)]
    crown = float(head.min()) - _head_room(clip, margin) if len(head) else top - margin
    return Extent(left - margin, min(top - margin, crown), right + margin, bottom + margin, crown)


class DrawnExtent:
    """Where something is drawn on the even ground of a film's pictures, gathered one by one."""

    def __init__(self) -> None:
        self._boxes: list[Box] = []

    def add(self, picture: Picture) -> None:
        """(H, W, 3) uint8; its ground is the color that most of its border has."""
        step = max(1, min(picture.shape[:2]) // DRAWN_SIDE)
        small = picture[::step, ::step].astype(np.int16)
        border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
        drawn = np.abs(small - np.median(border, axis=0)).max(axis=2) > DRAWN
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        if len(rows):
            ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            self._boxes.append(tuple(float(step * end) for end in ends))  # type: ignore[arg-type]

    def extent(self) -> Extent | None:
        """Over all pictures, with room for hair and clothes; None where nothing was drawn."""
        if not self._boxes:
            return None
        ways = np.sort(self._boxes, axis=0)
        dropped = math.ceil(MISTAKES * len(ways)) if len(ways) >= MIN_FRAMES else 0
        (left, top), (right, bottom) = ways[dropped, :2], ways[-1 - dropped, 2:]
        margin = PERSON_MARGIN * (bottom - top)
        top = top - margin
        return Extent(left - margin, top, right + margin, bottom + margin, head=top)


def _ends(points: Points, dropped: int) -> tuple[Floats, Floats]:
    """The lowest and the highest (n, 2) of each point's way, without so many at either end.

    NaN where too few are seen.
    """
    ways = np.sort(points, axis=0).astype(np.float64)  # NaN comes last
    seen = (~np.isnan(ways)).sum(axis=0)
    last = np.take_along_axis(ways, np.maximum(seen - 1 - dropped, 0)[None], axis=0)[0]
    often = seen > 2 * dropped
    return np.where(often, ways[dropped], np.nan), np.where(often, last, np.nan)


def _head_room(clip: PoseClip, default: float) -> float:
    """Pixels from the topmost point of the head to above the hair, else `default`."""
    body = clip.part("body").astype(np.float64)
    rooms = []
    for one, other, share in HEAD_ROOM:
        apart = body[:, BODY_JOINTS.index(one)] - body[:, BODY_JOINTS.index(other)]
        lengths = np.hypot(*apart.T)
        lengths = lengths[np.isfinite(lengths)]
        if len(lengths):
            rooms.append(share * float(np.percentile(lengths, HEAD_LENGTH_PERCENTILE)))
    return max(rooms, default=default)


def _crop(
    source: tuple[int, int],
    target: tuple[int, int],
    scale: float,
    held: Extent | None,
    first: Extent | None,
) -> Framing:
    """The window of scale x target around `held`, from a whole pixel on, inside the source.

    Where not all of `held` fits, `first` is held, and where that does not fit, its head.
    """
    w, h = source
    side_x, side_y = (
        min(side, max(1.0, scale * wanted)) for side, wanted in zip(source, target, strict=True)
    )
    left, top = (w - side_x) / 2, (h - side_y) / 2
    if held is not None and first is not None:
        left = (held.left + held.right - side_x) / 2
        top = min((held.top + held.bottom - side_y) / 2, held.head)
        if first.right - first.left > side_x:
            left = (first.left + first.right - side_x) / 2
        else:
            left = _clamp(left, first.right - side_x, first.left)
        if first.bottom - first.top > side_y:
            top = first.head
        else:
            top = _clamp(top, first.bottom - side_y, first.top)
    # A whole pixel: where nothing is resized, nothing is blurred.
    x = min(round(_clamp(left, 0, w)), int(w - side_x))
    y = min(round(_clamp(top, 0, h)), int(h - side_y))
    return Framing((x, y, x + side_x, y + side_y), *target)


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
