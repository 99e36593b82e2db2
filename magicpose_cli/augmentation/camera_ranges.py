"""Cameras to draw people from: ranges, and how viewpoints are sampled in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.errors import ConfigError

RANGE_LIMITS = {"azimuth": (-360.0, 360.0), "elevation": (-30.0, 60.0), "distance": (0.5, 3.0)}
_RANGE = re.compile(r"([+-]?\d{1,4}(?:\.\d{1,4})?)(?:\.\.([+-]?\d{1,4}(?:\.\d{1,4})?))?")
AZIMUTH_BINS, ELEVATION_BIN_DEG = 12, 10.0


@dataclass(frozen=True)
class CameraRanges:
    """Where cameras may stand.

    Attributes:
        azimuth_deg: From and to; 0 before the person, 90 at their left.
        elevation_deg: From and to, above the horizon.
        distance: From and to, factors of the distance of the picture's own camera.
    """

    azimuth_deg: tuple[float, float] = (0.0, 360.0)
    elevation_deg: tuple[float, float] = (0.0, 30.0)
    distance: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Viewpoint:
    """Where a camera stands.

    Attributes:
        azimuth_deg: 0..360; 0 before the person, 90 at their left.
        elevation_deg: Above the horizon.
        distance: Factor of the distance of the picture's own camera.
    """

    azimuth_deg: float
    elevation_deg: float
    distance: float = 1.0


def parse_camera_ranges(text: str) -> CameraRanges:
    """Read ranges such as "azimuth=0..360,elevation=0..30,distance=1..1.5"; each may be absent.

    Raises:
        ConfigError: A key is unknown or given twice, or a value is no range within its limits.
    """
    values: dict[str, tuple[float, float]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in RANGE_LIMITS or key in values:
            raise ConfigError(
                f"--cameras: {part!r}; expected some of {', '.join(RANGE_LIMITS)}, each once and "
                "as KEY=FROM..TO, with commas between them"
            )
        low, high = RANGE_LIMITS[key]
        found = _RANGE.fullmatch(value)
        first = float(found[1]) if found else np.nan
        last = float(found[2]) if found and found[2] else first
        if not low <= first <= last <= high:
            raise ConfigError(
                f"--cameras: {key} {value!r}; expected FROM..TO, rising, from {low:g} to {high:g}"
            )
        values[key] = (first, last)
    names = {"azimuth": "azimuth_deg", "elevation": "elevation_deg", "distance": "distance"}
    return CameraRanges(**{names[key]: value for key, value in values.items()})


def sample_viewpoint(
    ranges: CameraRanges, rng: np.random.Generator, weights: Floats | None = None
) -> Viewpoint:
    """Sample a camera, uniformly in azimuth and elevation as Pose-dIVE does.

    Args:
        ranges: Where it may stand.
        rng: Where chance comes from.
        weights: (azimuth bins, elevation bins) of `viewpoint_bins`, how often a bin is chosen;
            None for all alike.
    """
    low, high = ranges.azimuth_deg
    bottom, top = ranges.elevation_deg
    if weights is None:
        azimuth, elevation = rng.uniform(low, high), rng.uniform(bottom, top)
    else:
        flat = weights.ravel() / weights.sum()
        row, column = np.unravel_index(int(rng.choice(flat.size, p=flat)), weights.shape)
        azimuth = float(row + rng.uniform(-0.5, 0.5)) * 360 / AZIMUTH_BINS
        azimuth = low + (azimuth - low) % 360
        azimuth = min(azimuth, high) if azimuth - high < low + 360 - azimuth else low
        start = float(bottom // ELEVATION_BIN_DEG) * ELEVATION_BIN_DEG
        elevation = start + float(column + rng.random()) * ELEVATION_BIN_DEG
        elevation = min(max(elevation, bottom), top)
    return Viewpoint(float(azimuth) % 360, float(elevation), float(rng.uniform(*ranges.distance)))


def viewpoint_bins(ranges: CameraRanges, azimuths_deg: Floats, elevations_deg: Floats) -> Floats:
    """Count viewpoints over azimuth and elevation.

    Args:
        ranges: Their elevations are divided into bins of ELEVATION_BIN_DEG; what lies outside
            counts in the nearest.
        azimuths_deg: (n,).
        elevations_deg: (n,).

    Returns:
        (AZIMUTH_BINS, elevation bins); the middle of the first azimuth bin is 0 degrees.
    """
    bottom, top = ranges.elevation_deg
    start = np.floor(bottom / ELEVATION_BIN_DEG)
    columns = max(1, int(np.ceil(top / ELEVATION_BIN_DEG) - start))
    counts = np.zeros((AZIMUTH_BINS, columns))
    if len(azimuths_deg):
        rows = np.round(np.asarray(azimuths_deg) * AZIMUTH_BINS / 360).astype(int) % AZIMUTH_BINS
        own = np.floor(np.asarray(elevations_deg) / ELEVATION_BIN_DEG) - start
        np.add.at(counts, (rows, np.clip(own, 0, columns - 1).astype(int)), 1)
    return counts


def allowed_bins(ranges: CameraRanges) -> Floats:
    """(AZIMUTH_BINS, elevation bins) 1 where the ranges reach, else 0."""
    low, high = ranges.azimuth_deg
    step = 360 / AZIMUTH_BINS
    azimuths = np.arange(low, high + 1e-9, min(step / 4, max(high - low, 1e-9)))
    bottom, top = ranges.elevation_deg
    middle = np.full(len(azimuths), (bottom + top) / 2)
    rows = viewpoint_bins(ranges, azimuths, middle).sum(axis=1) > 0
    columns = viewpoint_bins(ranges, np.zeros(1), np.zeros(1)).shape[1]
    allowed: Floats = np.repeat(rows[:, None], columns, axis=1).astype(float)
    return allowed
