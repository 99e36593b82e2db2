"""What `magicpose poses` writes and tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.say import say
from magicpose_cli.errors import printable

if TYPE_CHECKING:
    from magicpose_cli.config.preset import MotionSettings
    from magicpose_cli.motion.extract import Extracted
    from magicpose_cli.pose.summary import PartSummary, Summary
    from magicpose_cli.progress import OnProgress

GENERATORS = ("wan-animate", "wan-replace")


@dataclass(frozen=True)
class Done:
    """What was found and written.

    Attributes:
        extracted: The poses.
        files: What was written besides a pose file, by its name; the output itself is first.
        notes: What a user should know besides the notes of the poses.
    """

    extracted: Extracted
    files: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line: poses, their maps, or a generator's inputs."""

    source: Path
    out: Path | None
    motion: MotionSettings
    maps: str | None
    generator: str | None
    area: str | None
    follow: bool | None
    tracked: bool | None
    reference: Path | None
    overlay: Path | None
    plot: Path | None
    overwrite: bool

    @property
    def map_names(self) -> list[str]:
        """The names after --maps."""
        return [name.strip() for name in (self.maps or "").split(",") if name.strip()]

    @property
    def draws_maps(self) -> bool:
        """Whether pose maps are drawn rather than a pose file written."""
        from magicpose_cli.motion.map_films import is_map_file

        return self.maps is not None or (self.out is not None and is_map_file(self.out))

    def check_usage(self) -> None:
        """Refuse options that do not go together, before any file is looked at.

        Raises:
            typer.BadParameter: They do not.
        """
        if self.generator is None and self.area is not None:
            raise typer.BadParameter("--area goes with --for")
        if self.generator is not None:
            self._check_generator(self.generator)
        elif self.draws_maps:
            self._check_maps()

    def _check_generator(self, generator: str) -> None:
        if generator not in GENERATORS:
            raise typer.BadParameter(
                f"--for {printable(generator)}: expected one of {', '.join(GENERATORS)}"
            )
        if self.out is None or self.reference is None:
            raise typer.BadParameter(f"--for {generator} needs a folder (-o) and a picture (--ref)")
        if self.maps is not None or self.overlay is not None or self.plot is not None:
            raise typer.BadParameter("--for stands alone; leave out --maps, --overlay and --plot")
        if self.tracked is False:
            raise typer.BadParameter("--for follows one person; leave out --raw")
        if self.area is not None and not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}", self.area):
            raise typer.BadParameter(
                f"--area {printable(self.area)}: expected WIDTHxHEIGHT such as 1280x720"
            )

    def _check_maps(self) -> None:
        from magicpose_cli.body.maps import check_map_names
        from magicpose_cli.errors import InputError

        if self.maps is not None:
            try:
                check_map_names(self.map_names)
            except InputError as error:
                raise typer.BadParameter(printable(f"--maps {self.maps}: {error}")) from None
        if self.out is None:
            raise typer.BadParameter("--maps needs a film or a folder (-o), beside which maps go")
        if self.tracked is False:
            raise typer.BadParameter("maps show one person; leave out --raw")

    def write(self, on_progress: OnProgress) -> Done:
        """Find and write what was asked for; for errors see the library's functions."""
        if self.generator is not None:
            return self._write_inputs(on_progress)
        if self.draws_maps:
            return self._write_maps(on_progress)
        from magicpose_cli.motion.extract import extract_poses

        extracted = extract_poses(
            self.source, self.out, self.motion, follow=self.follow,
            cleanup=True if self.tracked else None, retarget_to=self.reference,
            overlay_to=self.overlay, plot_to=self.plot, overwrite=self.overwrite,
            on_progress=on_progress,
        )  # fmt: skip
        return Done(extracted)

    def _write_maps(self, on_progress: OnProgress) -> Done:
        from magicpose_cli.motion.map_films import write_maps

        assert self.out is not None
        written = write_maps(
            self.source, self.out, self.motion, self.map_names,
            cleanup=True if self.tracked else None, retarget_to=self.reference,
            overlay_to=self.overlay, plot_to=self.plot, overwrite=self.overwrite,
            on_progress=on_progress,
        )  # fmt: skip
        return Done(written.extracted, written.files, written.notes)

    def _write_inputs(self, on_progress: OnProgress) -> Done:
        from magicpose_cli.motion.wan_animate import write_wan_inputs
        from magicpose_cli.motion.wan_rules import WAN_AREA

        assert self.out is not None and self.reference is not None
        width, height = map(int, self.area.split("x")) if self.area else WAN_AREA
        written = write_wan_inputs(
            self.source, self.reference, self.out, self.motion,
            replace_person=self.generator == "wan-replace", area=(width, height),
            overwrite=self.overwrite, on_progress=on_progress,
        )  # fmt: skip
        files = {"folder": self.out, **{name: self.out / name for name in written.files}}
        note = f"frames of {written.width}x{written.height}"
        return Done(written.extracted, files, (note, *written.notes))


def print_extracted_json(source: Path, out: Path | None, done: Done) -> None:
    """Write the last event: the summary, and what was written."""
    from dataclasses import asdict

    result = done.extracted
    moved = result.retargeted
    told = {
        "input": str(source),
        "output": str(out) if out else None,
        **asdict(result.summary),
        "tracked": asdict(result.tracked) if result.tracked else None,
        "retargeted": moved
        and {name: getattr(moved, name) for name in ("mode", "anchor", "dropped", "held")},
        "notes": [*result.notes, *done.notes],
    }
    if done.files:
        told["files"] = {name: str(path) for name, path in done.files.items()}
    if "parts" in done.files:
        from magicpose_cli.body.maps import BODY_PART_COLORS

        told["part_colors"] = BODY_PART_COLORS
    tell("result", **told)


def print_extracted(source: Path, out: Path | None, done: Done) -> None:
    """The table on stdout; where the file is and what was assumed on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    result = done.extracted
    told = result.summary
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    mended = ("mended", "held") if result.tracked else ()
    for head in ("", "seen", *mended, "jitter", "gaps", "longest"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)

    def lasting(frames: int) -> str:
        if not frames:
            return "–"
        return f"{frames / told.fps:.2f} s" if told.fps else f"{frames} frames"

    def shares(row: Summary | PartSummary) -> list[str]:
        return [f"{100 * getattr(row, name):.1f} %" for name in ("seen", *mended)]

    table.add_row("person", *shares(told), "", str(told.gaps), lasting(told.longest_gap))
    for name, part in told.parts.items():
        jitter = "–" if part.jitter is None else f"{part.jitter:.2f} %"
        table.add_row(
            name.replace("_", " "), *shares(part), jitter, str(part.gaps),
            lasting(part.longest_gap),
        )  # fmt: skip
    Console().print(table)
    for note in (*result.notes, *done.notes):
        say(f"note: {note}")
    length = f"{told.frames} frames" + (f" at {told.fps:g} fps" if told.fps else "")
    people = f", up to {told.people_most} people" if told.people_most > 1 else ""
    found = round(told.seen * told.frames)
    say(
        f"{out or source}: {length} of {told.width}x{told.height}, a person found in {found}"
        f"{people}{_retargeted(result)}"
    )
    if len(done.files) > 1:
        say(f"also written: {', '.join(str(path) for path in list(done.files.values())[1:])}")


def _retargeted(result: Extracted) -> str:
    if result.retargeted is None:
        return ""
    anchor = result.retargeted.anchor
    where = "" if anchor is None else f", frame {anchor} laid onto the reference"
    return f", retargeted ({result.retargeted.mode}{where})"
