"""Curves of a face, out of a film, a picture or a pose file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from magicpose_cli.body.face_fit import fit_faces
from magicpose_cli.body.face_motion import face_motion
from magicpose_cli.body.motion_conversion import (
    ConvertedMotion,
    MotionEdits,
    check_outputs,
    write_edited,
)
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import ConfigError, InputError
from magicpose_cli.motion.body_motion import poses_of_person
from magicpose_cli.progress import OnProgress, Progress, silent


@dataclass(frozen=True)
class FaceFitSummary:
    """How well the face model fits a film.

    Attributes:
        reprojection_px: Mean distance of the face's points from the model's.
        unseen: How many frames show no face.
        is_dense: Whether the detector told dense faces, or 68 points alone.
    """

    reprojection_px: float
    unseen: int
    is_dense: bool


@dataclass(frozen=True)
class FilmedFace:
    """What `convert_film_face` wrote: the motion, and how well the face fits the film."""

    converted: ConvertedMotion
    fit: FaceFitSummary


def convert_film_face(
    source: Path,
    out: Path,
    settings: MotionSettings,
    edits: MotionEdits,
    *,
    plot_to: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> FilmedFace:
    """Fit a face to the person of a film and write its curves.

    Args:
        source: A film, a folder of pictures, a picture, or a pose file.
        out: A .csv, see `write_motion_file`.
        settings: Which part and which person, and how they are found and followed.
        edits: What is changed afterward.
        plot_to: A PNG of the motion.
        overwrite: Replace files.
        on_progress: Is told of the stages "poses" and "fit".

    Raises:
        InputError: For what cannot be read, or shows no face.
        DetectionError: Where nobody is found.
        ConfigError: For edits that need a body.
        OutputError: Where a file cannot be written.
    """
    check_outputs(out, plot_to, overwrite)
    if edits.humanoid or edits.onto is not None:
        raise ConfigError(
            f"{out}: holds curves of a face; leave out --humanoid and --onto, which need a body"
        )
    poses, rate, notes = poses_of_person(source, settings, on_progress)
    on_progress(Progress("fit", 0, 1))
    try:
        fitted = fit_faces(poses)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    on_progress(Progress("fit", 1, 1))
    motion = face_motion(fitted, rate)
    is_dense = bool(len(poses.mesh_frames()))
    if not is_dense:
        notes.append("the detector tells 68 points of a face and no irises: the gaze stays ahead")
    motion = replace(motion, notes=(*notes, *motion.notes))
    converted = write_edited(
        motion, out, edits, title=out.name, plot_to=plot_to, overwrite=overwrite
    )
    apart_px = float(np.nanmean(fitted.error_px))
    return FilmedFace(converted, FaceFitSummary(apart_px, int((~fitted.found).sum()), is_dense))
