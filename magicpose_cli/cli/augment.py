"""The command `magicpose augment`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import Quiet, Typed, option, setting_options
from magicpose_cli.cli.say import say
from magicpose_cli.config.preset import SPEED

if TYPE_CHECKING:
    from magicpose_cli.augmentation.augment_run import AugmentResult
    from magicpose_cli.augmentation.reid_names import SetFormat

WHAT, SET = "What is made", "The set"
ReidSource = Annotated[Path, typer.Argument(metavar="DATA",
    help="A set in the naming of Market-1501, DukeMTMC, MSMT17 or CUHK03, a folder with a "
    "folder for each person, or a CSV file with the columns path, person and camera.")]  # fmt: skip
CameraRangesText = Annotated[str, option("--cameras", panel=WHAT, metavar="RANGES",
    help="Where cameras stand: azimuth=FROM..TO, elevation=FROM..TO and distance=FROM..TO, by "
    "commas (default: azimuth=0..360,elevation=0..30,distance=1..1).")]  # fmt: skip


@setting_options("model.name", "model.device", "model.dtype", "model.batch_size")
def command(
    data: ReidSource,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT",
        help="Folder for the new set: a new one, or one to go on with.")],
    poses: Annotated[list[str] | None, option("--poses", panel=WHAT, metavar="POSES",
        help="Motion files, pose files or films, repeatable; or library, the built-in poses "
        "(default).")] = None,
    cameras: CameraRangesText = "",
    per_person: Annotated[int, option("--per-person", panel=WHAT, metavar="N",
        help="Pictures to be kept of each person (default: 8).")] = 8,
    sampling: Annotated[str | None, option("--sampling", panel=WHAT, metavar="fill|uniform",
        help="Fill what DATA lacks (default), or all viewpoints and poses alike.")] = None,
    config: Annotated[str | None, option("--config", panel=WHAT, metavar="NAME|FILE",
        help="Thresholds; presets/augment/market1501.toml shows them all.")] = None,
    seed: Annotated[int, option("--seed", panel=WHAT, metavar="N",
        help="Of what is chosen (default: 0).")] = 0,
    size: Annotated[str, option("--size", panel=SET, metavar="WxH",
        help="Pixels of the pictures (default: 128x256).")] = "128x256",
    set_format: Annotated[str, option("--format", panel=SET, metavar="NAME",
        help="market1501 (default), msmt17, folders or coco.")] = "market1501",
    with_data: Annotated[bool, option("--with-data", panel=SET,
        help="Copy DATA's own training pictures beside the made ones.")] = False,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=SET,
        help="Make the set anew where OUT holds one of other settings.")] = False,
    workers: Annotated[int, option("--workers", panel=SPEED, metavar="N",
        help="Processes that work at people side by side (default: 1).")] = 1,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Draw each person of a re-identification set again, in poses and from cameras it lacks.

    A run that was stopped goes on when it is started again, and ends with the same files.

    Example: `magicpose augment Market-1501-v15.09.15 -o augmented --per-person 8 --model mini`
    """
    from magicpose_cli.augmentation.augment_job import AugmentJob
    from magicpose_cli.augmentation.augment_report import write_augment_report
    from magicpose_cli.augmentation.augment_run import augment_set
    from magicpose_cli.augmentation.augment_settings import load_augment_settings
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import resolve_preset

    sides, kind = _sides_of(size), _format_of(set_format)
    _check_numbers(per_person, workers, seed)
    settings = load_augment_settings(config).with_options(making__sampling=sampling)
    preset = resolve_preset(None).with_options(**typed)
    job = AugmentJob(
        tuple(poses or ("library",)), cameras, per_person, sides, seed, settings.model_dump_json(),
        preset.model_dump_json(),
    )  # fmt: skip
    _ = job.ranges  # a mistake in --cameras is told before the work
    with shown(quiet) as on_progress:
        result = augment_set(
            data, out, job, kind=kind, copies_data=with_data, workers=workers,
            overwrite=overwrite, on_progress=on_progress,
        )  # fmt: skip
        write_augment_report(result)
    if not quiet:
        _sum_up_set(result)


def _sides_of(size: str) -> tuple[int, int]:
    """Width and height."""
    from magicpose_cli.errors import ConfigError

    sides = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size)
    if not sides or not all(32 <= int(side) <= 1024 for side in sides.groups()):
        raise ConfigError(f"--size {size!r}: expected WIDTHxHEIGHT of 32 to 1024, such as 128x256")
    return int(sides[1]), int(sides[2])


def _format_of(name: str) -> SetFormat:
    from magicpose_cli.augmentation.reid_names import SET_FORMATS
    from magicpose_cli.errors import ConfigError

    if name not in SET_FORMATS:
        raise ConfigError(f"--format {name!r}: expected one of {', '.join(SET_FORMATS)}")
    return name


def _check_numbers(per_person: int, workers: int, seed: int) -> None:
    """Refuse what no set can be made with, before any picture is looked at."""
    from magicpose_cli.errors import ConfigError

    if not 1 <= per_person <= 1000 or not 1 <= workers <= 256 or not 0 <= seed < 2**31:
        raise ConfigError(
            f"--per-person {per_person}, --workers {workers}, --seed {seed}: expected 1 to 1000, "
            "1 to 256, and 0 or more"
        )


def _sum_up_set(result: AugmentResult) -> None:
    """A line for all that was left out, and one for the set."""
    for line in result.notes:
        say(line)
    for row in result.looked:
        if "reason" in row:
            say(f"person {row['person']}: {row['reason']}")
    totals = result.totals()
    reasons = ", ".join(f"{count} {reason}" for reason, count in totals["dropped"].items())
    before, after = totals["before"], totals["after"]
    say(
        f"{result.folder}: {totals['kept']} pictures of {totals['people_drawn']} of "
        f"{totals['people']} people, "
        f"{totals['made'] - totals['kept']} dropped{f' ({reasons})' if reasons else ''}; "
        f"azimuths of a person {before['azimuths_per_person']} -> {after['azimuths_per_person']}, "
        f"cells of azimuth and pose {before['cells_per_person']} -> {after['cells_per_person']}"
    )
