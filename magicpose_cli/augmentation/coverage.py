"""Which viewpoints and poses a set has, which it lacks, and what is to be made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.cluster.vq import kmeans2

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.augmentation.camera_ranges import (
    AZIMUTH_BINS,
    CameraRanges,
    allowed_bins,
    viewpoint_bins,
)

POSE_CLUSTERS = 12
CLUSTER_SEED = 7
MAX_CLUSTERED = 4000  # poses that decide where clusters lie


@dataclass(frozen=True, eq=False)
class PoseClusters:
    """Groups of like poses.

    Attributes:
        centers: (k, d) in the numbers of `describe_poses`.
        members: (n,) the cluster of each target pose.
        names: k, of the family that most members have.
    """

    centers: Floats
    members: Integers
    names: tuple[str, ...]

    def nearest(self, described: Floats) -> Integers:
        """(m,) the cluster of each of (m, d) described poses."""
        apart = np.linalg.norm(described[:, None] - self.centers[None], axis=-1)
        return np.asarray(apart.argmin(axis=1))


def cluster_poses(described: Floats, names: Sequence[str]) -> PoseClusters:
    """Group target poses by k-means.

    Args:
        described: (n, d) of `describe_poses`.
        names: Of the poses; the word before the number names a family.
    """
    count = min(POSE_CLUSTERS, len(described))
    some = described[:: max(1, len(described) // MAX_CLUSTERED)]
    centers, _ = kmeans2(some, count, minit="++", seed=CLUSTER_SEED)
    clusters = PoseClusters(centers, np.zeros(0, np.int64), ())
    members = clusters.nearest(described)
    used = np.unique(members)  # k-means may leave a center without poses
    clusters = PoseClusters(centers[used], members, ())
    members = clusters.nearest(described)
    families = np.array([name.rsplit(" ", 1)[0] for name in names])
    found: list[str] = []
    for number in range(len(used)):
        kinds, counts = np.unique(families[members == number], return_counts=True)
        name = str(kinds[counts.argmax()])
        found.append(name if name not in found else f"{name} {number}")
    return PoseClusters(centers[used], members, tuple(found))


@dataclass
class Coverage:
    """What a set shows.

    Attributes:
        viewpoints: (AZIMUTH_BINS, elevation bins) pictures.
        poses: (clusters,) pictures.
        cells: For each person the azimuth bin and pose cluster of every picture.
    """

    viewpoints: Floats
    poses: Floats
    cells: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        ranges: CameraRanges,
        clusters: int,
        rows: Iterable[tuple[str, float, float, int]],
    ) -> Coverage:
        """Count pictures; rows: person, azimuth and elevation in degrees, pose cluster."""
        found = cls(viewpoint_bins(ranges, np.zeros(0), np.zeros(0)), np.zeros(clusters))
        for person, azimuth, elevation, cluster in rows:
            found.viewpoints += viewpoint_bins(ranges, np.array([azimuth]), np.array([elevation]))
            found.poses[cluster] += 1
            turn = round(azimuth * AZIMUTH_BINS / 360) % AZIMUTH_BINS
            found.cells.setdefault(person, []).append((turn, cluster))
        return found

    def joined(self, other: Coverage) -> Coverage:
        """Of both sets together."""
        cells = {name: list(own) for name, own in self.cells.items()}
        for name, own in other.cells.items():
            cells.setdefault(name, []).extend(own)
        return Coverage(self.viewpoints + other.viewpoints, self.poses + other.poses, cells)

    def diversity(self) -> dict[str, float]:
        """How densely pictures fill the space of viewpoints and poses.

        Returns:
            "viewpoint_entropy" and "pose_entropy" of the whole set, 0 (one bin) to 1 (all alike);
            "cells_per_person": how many of the cells of azimuth and pose cluster a person's
            pictures fill, mean; "azimuths_per_person": of AZIMUTH_BINS.
        """
        people = list(self.cells.values())
        return {
            "viewpoint_entropy": _entropy(self.viewpoints.sum(axis=1)),
            "pose_entropy": _entropy(self.poses),
            "cells_per_person": _mean(len(set(own)) for own in people),
            "azimuths_per_person": _mean(len({turn for turn, _ in own}) for own in people),
        }


def _entropy(counts: Floats) -> float:
    total = counts.sum()
    if not total or len(counts) < 2:
        return 0.0
    share = counts[counts > 0] / total
    return round(float(-(share * np.log(share)).sum() / np.log(len(counts))), 4)


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return round(float(np.mean(found)), 3) if found else 0.0


def viewpoint_lack(coverage: Coverage, ranges: CameraRanges, made: int) -> Floats:
    """(azimuth bins, elevation bins) how many of `made` pictures each bin should get."""
    return filled_up(coverage.viewpoints, allowed_bins(ranges), made)


def pose_lack(coverage: Coverage, clusters: PoseClusters, made: int) -> Floats:
    """(clusters,) how many of `made` pictures each cluster should get, to be as often as asked."""
    members = np.bincount(clusters.members, minlength=len(clusters.centers))
    return filled_up(coverage.poses, members.astype(float), made)


def filled_up(counts: Floats, wanted: Floats, made: int) -> Floats:
    """Spread pictures so that bins come near to what is wanted, as water fills a ground.

    Args:
        counts: What is there.
        wanted: Shares that are wanted, of the same shape; 0 where nothing may be added.
        made: How many pictures are added.

    Returns:
        How many each bin gets, not whole; their sum is `made`.
    """
    own = wanted > 0
    widths, there = wanted[own], counts[own]
    order = np.argsort(there / widths, kind="stable")
    level = 0.0
    for number in range(1, len(order) + 1):
        level = (made + there[order[:number]].sum()) / widths[order[:number]].sum()
        if number == len(order) or level <= there[order[number]] / widths[order[number]]:
            break
    added = np.zeros(counts.shape)
    added[own] = np.clip(level * widths - there, 0, None)
    return np.asarray(added)
