"""A hole in a picture, filled with what is around it, texture and lines included.

Where all around is smooth, so is the filling. Else it is made of patches: from coarse to fine, each
patch that touches the hole looks for the most similar one that is wholly known, and every pixel of
the hole becomes the mean of what the patches over it say (Wexler et al. 2007, "Space-Time
Completion of Video"). The search is PatchMatch (Barnes et al. 2009): a neighbor's match, or a
random place near the match so far, is tried for all patches at once.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise, takewhile

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.warping.grain import grain_like
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.smooth_fill import smooth_fill

PATCH_RADIUS = 3  # a patch has 7 x 7 pixels
COMPONENTS = 12  # principal components of a patch's 147 values, by which patches are compared
COARSEST_SIDE_PX = 36  # of the short side, at which the search begins
FINEST_SEARCH_SIDE_PX = 320  # of the short side, beyond which matches are carried, not searched
FIRST_ROUNDS, ROUNDS = 8, 2  # of search and mean, at the coarsest level and at the others
NEIGHBOR_STEPS_PX = (4, 1)  # to the neighbors whose matches are tried
REACHES_PX = (24, 12, 6, 3, 1)  # around a match, in which a random place is tried
MIN_SOURCES = 64  # patches that are wholly known; with fewer the hole is filled smoothly
LESS_SURE = 1.15  # a patch counts so much less for each pixel that it lies deeper in the hole,
DEEP_PX = 64  # down to this depth
PLAIN_DETAIL = (2.5, 4.5)
"""Levels of 255: less is smooth shading or out of focus, where patches would show edges; more is
lines and texture, which a smooth filling would smear."""
DETAIL_SIGMA, DETAIL_REACH = (
    1 / 340,
    1 / 32,
)  # of the picture's short side: what is detail, how far it counts
MIN_VOTE = 1e-4  # of a patch, lest a pixel have none where all are far
_SAMPLES = 3000  # patches whose principal components are found
_CARRIED_STRIDE_PX = 3  # between the patches whose mean is taken where none was searched


def fill_hole(
    colors: Floats, known: Floats, side: int, wanted: Mask | None = None, *, smooth: bool = False
) -> Floats:
    """Fill what is not known: smoothly where all around is smooth, with its grain; else by patches.

    Args:
        colors: (H, W, 3) float32 RGB in 0..255, a picture or a part of one.
        known: (H, W) float32, 1 where the colors are known, else 0.
        side: The picture's short side in pixels.
        wanted: (H, W), the part of the hole that will be seen, as of a cloth that ends somewhere;
            all of it by default.
        smooth: Fill it smoothly anyway and without grain, which takes a tenth of the time.

    Returns:
        (H, W, 3) float32; the known colors stay.
    """
    filled = smooth_fill(colors, known, side)
    if smooth:
        return filled
    plain, detailed = PLAIN_DETAIL
    share = np.clip((local_detail(colors, known, side) - plain) / (detailed - plain), 0, 1)
    share *= 1 - known
    way = -1 if _is_brighter_left(colors, known == 0) else 1
    filled += grain_like(colors[:, ::way], known[:, ::way], side)[:, ::way]
    if share.any():
        filled += share[..., None] * (fill_by_patches(colors, known == 0, wanted) - filled)
    return filled


def fill_by_patches(picture: Floats, hole: Mask, wanted: Mask | None = None) -> Floats:
    """Fill a hole; in a mirrored picture the result is mirrored.

    Args:
        picture: (H, W, 3) float32 RGB in 0..255; what it has in the hole is not looked at.
        hole: (H, W) bool.
        wanted: (H, W) bool, the part of the hole that will be seen; the rest is a mirror image,
            lest a large rest, of which nothing is known, decide on it.

    Returns:
        (H, W, 3) float32, the picture outside of the hole.
    """
    if not hole.any():
        return picture
    turned = _is_brighter_left(picture, hole)
    rest = np.zeros_like(hole) if wanted is None else hole & ~wanted
    if turned:
        picture, hole, rest = (np.ascontiguousarray(p[:, ::-1]) for p in (picture, hole, rest))
    filled = _filled(picture, hole, rest)
    return filled[:, ::-1] if turned else filled


def local_detail(colors: Floats, known: Floats, side: int) -> Floats:
    """Measure how much known colors differ from those close by, levels of 255, (H, W) float32.

    In the hole it is that of what is around it.
    """

    def mean(values: Floats, sigma: float) -> Floats:
        weight = np.maximum(cv2.GaussianBlur(known, (0, 0), sigma * side), 1e-3)
        summed = cv2.GaussianBlur(values * known[..., None], (0, 0), sigma * side)
        return np.asarray(summed.reshape(values.shape) / weight[..., None], np.float32)

    variance = mean(colors**2, DETAIL_SIGMA) - mean(colors, DETAIL_SIGMA) ** 2
    around = mean(np.maximum(variance, 0).mean(2, keepdims=True), DETAIL_REACH)
    detail: Floats = push_pull(np.sqrt(around), known)[..., 0]
    return detail


def _is_brighter_left(picture: Floats, hole: Mask) -> bool:
    """Tell a picture from its mirror image, for a random search is not symmetric."""
    known = np.rint(picture.sum(2)).astype(np.int64) * ~hole
    half = hole.shape[1] // 2
    return bool(known[:, :half].sum() > known[:, -half:].sum())


def _filled(picture: Floats, hole: Mask, rest: Mask) -> Floats:
    if is_part := rest.any():
        picture, hole = _mirrored(picture, hole), hole & ~rest
    pyramid = [(picture, hole, rest)]
    while min(pyramid[-1][1].shape) > 2 * COARSEST_SIDE_PX:
        pyramid.append(_halved(*pyramid[-1]))
    levels = [_Level(*level) for level in pyramid]
    # Of a narrow surrounding a coarse level has no whole patch: the search begins at a finer one.
    levels = [*takewhile(lambda level: len(level.sources) >= MIN_SOURCES, levels)]
    if not levels:
        return push_pull(picture, 1 - hole.astype(np.float32))
    random = np.random.default_rng(0)
    coarsest = levels[-1]
    picture, hole, _ = pyramid[len(levels) - 1]
    if is_part:  # of a cloth, say, whose pattern a smooth beginning would lose
        current = _mirrored(picture, hole)
    else:
        current = smooth_fill(picture, 1 - hole.astype(np.float32), min(hole.shape))
    matches = random.choice(coarsest.sources, len(coarsest.targets))
    matches, current = coarsest.refined(current, matches, FIRST_ROUNDS, random)
    for coarser, level in pairwise(levels[::-1]):
        matches = level.carried(coarser, matches, random)
        if min(level.shape) <= FINEST_SEARCH_SIDE_PX:
            current = level.mean_of(matches, None)
            matches, current = level.refined(current, matches, ROUNDS, random)
        else:
            current = level.mean_of(matches, None, _CARRIED_STRIDE_PX)
    return current


def _mirrored(picture: Floats, hole: Mask) -> Floats:
    """Continue a picture into its hole as a mirror at the hole's edge shows it."""
    _, label = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(label.max() + 1, np.int64)
    places[label[~hole]] = np.flatnonzero(~hole)
    edge = np.stack(np.divmod(places[label], hole.shape[1]))
    here = np.indices(hole.shape)
    there = (2 * edge - here).clip(0, np.array(hole.shape)[:, None, None] - 1)
    outside = hole[tuple(there)]
    there[:, outside] = edge[:, outside]
    return np.asarray(picture[tuple(there)])


def _halved(picture: Floats, hole: Mask, rest: Mask) -> tuple[Floats, Mask, Mask]:
    """Half the size; a pixel of which any part is in the hole is in the hole."""
    height, width = hole.shape
    odd = (0, height % 2, 0, width % 2)
    whole = cv2.copyMakeBorder(picture, *odd, cv2.BORDER_REPLICATE)
    known = cv2.copyMakeBorder(1 - hole.astype(np.float32), *odd, cv2.BORDER_REPLICATE)
    half = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    colors = cv2.resize(whole * known[..., None], half, interpolation=cv2.INTER_AREA)
    mean = np.asarray(colors / np.maximum(share, 1e-6)[..., None], np.float32)
    resting = cv2.copyMakeBorder(rest.astype(np.float32), *odd, cv2.BORDER_REPLICATE)
    resting = cv2.resize(resting, half, interpolation=cv2.INTER_AREA)
    halved = np.asarray(share < 1 - 1e-4)
    return mean, halved, np.asarray(resting > 1e-4) & ~halved


class _Level:
    """A picture with its hole, at one size.

    Places are indices into the picture with a margin of PATCH_RADIUS around it, row by row, so that
    a step is the same number everywhere. A patch has the place of its middle.

    Attributes:
        shape: (rows, columns) of the picture.
        targets: (n,) places of the patches that touch the hole.
        sources: (m,) places of the patches that are wholly known.
    """

    def __init__(self, picture: Floats, hole: Mask, rest: Mask) -> None:
        self.shape, self._picture, self._hole = hole.shape, picture, hole
        margin = (PATCH_RADIUS,) * 4
        self._stride = hole.shape[1] + 2 * PATCH_RADIUS
        wide = cv2.copyMakeBorder(picture, *margin, cv2.BORDER_REFLECT)
        self._colors = np.asarray(wide, np.float32).reshape(-1, 3)
        side = 2 * PATCH_RADIUS + 1
        square = np.ones((side, side), np.uint8)
        touches = cv2.dilate(hole.astype(np.uint8), square) > 0
        unknown = cv2.dilate((hole | rest).astype(np.uint8), square) > 0
        whole = np.zeros_like(hole)
        inner = np.s_[PATCH_RADIUS:-PATCH_RADIUS]
        whole[inner, inner] = ~unknown[inner, inner]
        self.targets, self.sources, self._in_hole = (
            self._places(mask) for mask in (touches, whole, hole)
        )
        depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)[touches]
        self._surety = np.asarray(LESS_SURE ** -np.minimum(depth, DEEP_PX), np.float32)
        self._number = np.full(len(self._colors), -1, np.int32)  # of a target, by its place
        self._number[self.targets] = np.arange(len(self.targets))
        self._is_source = np.zeros(len(self._colors), bool)
        self._is_source[self.sources] = True

    def _places(self, mask: Mask) -> Integers:
        rows, columns = np.nonzero(mask)
        return np.asarray((rows + PATCH_RADIUS) * self._stride + columns + PATCH_RADIUS)

    @cached_property
    def _kernels(self) -> Floats:
        """(COMPONENTS, 7, 7, 3) principal components of the patches that are known."""
        every = max(1, len(self.sources) // _SAMPLES)
        known = self.sources[::every, None, None] + self._offsets()
        patches = self._colors[known].reshape(len(known), -1)
        patches -= patches.mean(0)
        _, vectors = np.linalg.eigh(patches.T @ patches)
        side = 2 * PATCH_RADIUS + 1
        kernels = vectors.T[::-1][:COMPONENTS].reshape(-1, side, side, 3)
        return np.asarray(kernels, np.float32)

    def _offsets(self, stride_px: int = 1) -> Integers:
        """(k, k) steps from a patch's middle to its pixels."""
        along = np.arange(-PATCH_RADIUS, PATCH_RADIUS + 1, stride_px)
        return np.asarray(along[:, None] * self._stride + along)

    def carried(self, coarser: _Level, matches: Integers, random: np.random.Generator) -> Integers:
        """Bring the matches of the next coarser level to this one; (n,) places."""
        further = np.zeros((2, len(coarser._colors)), np.int64)
        further[:, coarser.targets] = np.subtract(
            np.divmod(matches, coarser._stride), np.divmod(coarser.targets, coarser._stride)
        )
        row, column = (at - PATCH_RADIUS for at in np.divmod(self.targets, self._stride))
        parent = (row // 2 + PATCH_RADIUS) * coarser._stride + column // 2 + PATCH_RADIUS
        down, across = 2 * further[:, parent]
        row, column = (
            (at + by).clip(0, length - 1) + PATCH_RADIUS
            for at, by, length in zip((row, column), (down, across), self.shape, strict=True)
        )
        carried = row * self._stride + column
        lost = ~self._is_source[carried]
        carried[lost] = random.choice(self.sources, int(lost.sum()))
        return np.asarray(carried)

    def refined(
        self, current: Floats, matches: Integers, rounds: int, random: np.random.Generator
    ) -> tuple[Integers, Floats]:
        """Search and fill in turns; see `search` and `mean_of`."""
        for _ in range(rounds):
            matches, distance = self.search(current, matches, random)
            current = self.mean_of(matches, distance)
        return matches, current

    def search(
        self, current: Floats, matches: Integers, random: np.random.Generator
    ) -> tuple[Integers, Floats]:
        """Find better matches.

        Args:
            current: (H, W, 3) float32, the picture as it is filled so far.
            matches: (n,) places of the targets' matches so far.
            random: Whence the places that are tried.

        Returns:
            The matches and their squared distances, (n,) float32.
        """
        described = np.zeros((len(self._colors), len(self._kernels)), np.float32)
        inner = described.reshape(-1, self._stride, len(self._kernels))
        inner = inner[PATCH_RADIUS:-PATCH_RADIUS, PATCH_RADIUS:-PATCH_RADIUS]
        for at, kernel in enumerate(self._kernels):
            for channel in range(3):
                inner[..., at] += cv2.filter2D(
                    current[..., channel], cv2.CV_32F, kernel[..., channel]
                )
        own, matches = described[self.targets], matches.copy()

        def distance(which: Integers, places: Integers) -> Floats:
            apart = described[places]
            apart -= own[which]
            return np.asarray(np.einsum("ij,ij->i", apart, apart))

        found = distance(np.arange(len(matches)), matches)

        def try_(places: Integers) -> None:
            places = places.clip(0, len(self._is_source) - 1)
            which = np.flatnonzero(self._is_source[places] & (places != matches))
            apart = distance(which, places[which])
            better = apart < found[which]
            which, apart = which[better], apart[better]
            matches[which], found[which] = places[which], apart

        for step in NEIGHBOR_STEPS_PX:
            for by in (step, -step, step * self._stride, -step * self._stride):
                neighbor = self._number[(self.targets + by).clip(0, len(self._number) - 1)]
                try_(np.where(neighbor >= 0, matches[neighbor] - by, matches))
        for reach in REACHES_PX:
            down, across = random.integers(-reach, reach + 1, (2, len(matches)))
            try_(matches + down * self._stride + across)
        return matches, found

    def mean_of(self, matches: Integers, distance: Floats | None, stride_px: int = 1) -> Floats:
        """Fill the hole with what the matches of the patches around each of its pixels show.

        Args:
            matches: (n,) places of the targets' matches.
            distance: (n,) float32, how far they are; None: all count alike.
            stride_px: Between the patches that are asked.

        Returns:
            (H, W, 3) float32.
        """
        weight = np.zeros(len(self._colors), np.float32)
        weight[self.targets] = self._surety
        if distance is not None:
            usual = float(np.percentile(distance, 75)) + 1e-3
            weight[self.targets] *= np.maximum(np.exp(-distance / (2 * usual)), MIN_VOTE)
        further = np.zeros(len(self._colors), np.int64)
        further[self.targets] = matches - self.targets
        total = np.zeros((len(self._in_hole), 3), np.float32)
        weights = np.zeros(len(self._in_hole), np.float32)
        for offset in self._offsets(stride_px).ravel():
            patch = self._in_hole - offset
            share = weight[patch]
            total += share[:, None] * self._colors[self._in_hole + further[patch]]
            weights += share
        filled = self._picture.copy()
        filled[self._hole] = total / weights[:, None]
        return filled
