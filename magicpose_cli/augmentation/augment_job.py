"""What a run of `magicpose augment` is asked for, and what every worker of it needs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.augmentation.augment_settings import AugmentSettings
from magicpose_cli.augmentation.camera_ranges import (
    CameraRanges,
    Viewpoint,
    parse_camera_ranges,
    sample_viewpoint,
)
from magicpose_cli.augmentation.coverage import PoseClusters, cluster_poses
from magicpose_cli.augmentation.picture_maker import PictureMaker
from magicpose_cli.augmentation.pose_library import (
    BUILT_IN,
    TargetPoses,
    describe_poses,
    read_target_poses,
)
from magicpose_cli.augmentation.reid_data import PersonPicture
from magicpose_cli.augmentation.seen_person import PersonFinder
from magicpose_cli.config.preset import Preset
from magicpose_cli.config.resolved import ModelDefaults
from magicpose_cli.run.resources import Resources

TRIES = 3  # of so many pictures as are asked for, where some are dropped


@dataclass(frozen=True)
class AugmentJob:
    """What is asked for.

    Attributes:
        poses: "library" or paths; see `read_target_poses`.
        cameras: Ranges as `parse_camera_ranges` reads them.
        per_person: Pictures to be made of each person.
        size: (width, height) of them in pixels.
        seed: Of what is chosen.
        settings_json: AugmentSettings as JSON.
        preset_json: Preset as JSON.
        keeps_view: Pictures have the viewpoint of their source, so that poses alone differ.
        keeps_pose: Pictures have the pose of their source, so that viewpoints alone differ.
    """

    poses: tuple[str, ...] = (BUILT_IN,)
    cameras: str = ""
    per_person: int = 8
    size: tuple[int, int] = (128, 256)
    seed: int = 0
    settings_json: str = "{}"
    preset_json: str = "{}"
    keeps_view: bool = False
    keeps_pose: bool = False

    @property
    def settings(self) -> AugmentSettings:
        """The settings of augment."""
        return AugmentSettings.model_validate_json(self.settings_json)

    @property
    def preset(self) -> Preset:
        """The settings of the model."""
        return Preset.model_validate_json(self.preset_json)

    @property
    def ranges(self) -> CameraRanges:
        """Where cameras may stand."""
        return parse_camera_ranges(self.cameras)

    def told(self) -> dict[str, Any]:
        """For JSON: everything that decides the pictures."""
        return {
            "poses": list(self.poses), "cameras": self.cameras, "per_person": self.per_person,
            "size": list(self.size), "seed": self.seed,
            "settings": json.loads(self.settings_json), "preset": json.loads(self.preset_json),
            "keeps_view": self.keeps_view, "keeps_pose": self.keeps_pose,
        }  # fmt: skip


class AugmentTools:
    """What one process needs for its people, each made when it is first asked for; a context."""

    def __init__(self, job: AugmentJob) -> None:
        self.job = job
        self.settings = job.settings
        self._open = ExitStack()

    def __enter__(self) -> AugmentTools:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    @cached_property
    def finder(self) -> PersonFinder:
        """Finds people."""
        return self._open.enter_context(PersonFinder(self.settings.source))

    @cached_property
    def poses(self) -> TargetPoses:
        """The asked poses."""
        return read_target_poses(self.job.poses, self.finder.body)

    @cached_property
    def clusters(self) -> PoseClusters:
        """Groups of these."""
        described = describe_poses(self.finder.body, self.poses.rotations)
        return cluster_poses(described, self.poses.names)

    @cached_property
    def maker(self) -> PictureMaker:
        """Makes pictures."""
        from magicpose_cli.diffusion.checkpoint.loading import read_index, resolve_model

        preset = self.job.preset
        defaults = ModelDefaults.of(read_index(resolve_model(preset.model.name)))
        resources = self._open.enter_context(Resources())
        reach = self.settings.making.warp_reach_deg
        return PictureMaker(preset, defaults, resources, self.job.size, reach)


@dataclass(frozen=True)
class AskedPicture:
    """One picture to be made; what is None is that of its source.

    Attributes:
        number: Of the person's tries, from 0.
        pose: Index of the target pose.
        viewpoint: Of the camera.
        azimuth_deg: Near which a source is looked for, where the viewpoint is the source's.
    """

    number: int
    pose: int | None
    viewpoint: Viewpoint | None
    azimuth_deg: float


def plan_person(
    job: AugmentJob,
    clusters: PoseClusters,
    person: str,
    viewpoint_weights: Floats | None,
    pose_weights: Floats | None,
) -> Iterator[AskedPicture]:
    """Choose poses and cameras for one person, whatever the others get.

    Args:
        job: What is asked for.
        clusters: Of the target poses.
        person: Their name.
        viewpoint_weights: How often a bin of `viewpoint_bins` is chosen; None for all alike.
        pose_weights: (clusters,) likewise.
    """
    rng = np.random.default_rng([job.seed, zlib.crc32(person.encode())])
    ranges = job.ranges
    for number in range(TRIES * job.per_person):
        viewpoint = sample_viewpoint(ranges, rng, viewpoint_weights)
        if pose_weights is None:
            pose = int(rng.integers(len(clusters.members)))
        else:
            cluster = int(rng.choice(len(pose_weights), p=pose_weights / pose_weights.sum()))
            pose = int(rng.choice(np.flatnonzero(clusters.members == cluster)))
        yield AskedPicture(
            number, None if job.keeps_pose else pose, None if job.keeps_view else viewpoint,
            viewpoint.azimuth_deg,
        )  # fmt: skip


def pictures_to_look_at(pictures: Sequence[PersonPicture], most: int) -> tuple[PersonPicture, ...]:
    """Pick at most so many pictures of a person, from all cameras and spread over their time."""
    if len(pictures) <= most:
        return tuple(pictures)
    cameras: dict[int, list[PersonPicture]] = {}
    for picture in pictures:
        cameras.setdefault(picture.camera, []).append(picture)
    chosen: list[PersonPicture] = []
    for place, own in enumerate(cameras.values()):
        count = most // len(cameras) + (place < most % len(cameras))
        spread = np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int)
        chosen += [own[i] for i in sorted(set(spread.tolist()))]
    return tuple(chosen)
