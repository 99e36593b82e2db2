"""The page itself: one HTML file that fetches nothing, whatever the run's files are called."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.motion_windows import FRAMES_TOGETHER
from magicpose_cli.errors import ConfigError
from magicpose_cli.files import check_writable, name_that_fits, whole_file
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.run.resume_folder import by_name
from magicpose_cli.run.run_record import Result
from magicpose_cli.run.temporary import temporary_folder
from magicpose_cli.run_report.films import Film, PageMedia, make_media
from magicpose_cli.run_report.finished_run import Gap, gaps_of, read_run

MAX_SECONDS = 60.0
LISTED = 200  # gaps one by one on the page
DATA_LIMIT = 32 << 20  # characters of a data address that every browser plays
BASE64_BLOCK_BYTES = 3 << 16  # bytes; a multiple of 3 is encoded without padding in between
TITLES = {"driver": "Driver", "poses": "Poses", "result": "Result"}
SAID = {
    *("name", "seed", "steps", "guidance", "scheduler", "size", "detector", "retarget"),
    *("steady", "identity", "body_map"),
}
"""Settings that the page shows under other names."""


@dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes:
        page: Its path.
        size: Bytes.
        frames: Shown of each film.
        films: Their names.
        notes: Lines about what is left out.
    """

    page: str
    size: int
    frames: int
    films: tuple[str, ...]
    notes: tuple[str, ...]


def page_path(output: Path) -> Path:
    """Return the path of the page about a video or a folder: OUT.mp4.html."""
    named = by_name(output)
    return named.with_name(name_that_fits("{}.html".format, named.name))


def write_page(
    output: str | Path,
    page: str | Path | None = None,
    *,
    max_seconds: float = MAX_SECONDS,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Page:
    """Write one HTML file about a run: its films in step, its settings, frames without a detection.

    Args:
        output: What the run has made.
        page: OUT.html by default.
        max_seconds: Only the beginning of a longer clip is shown.
        overwrite: Replace an existing page.
        on_progress: Called for each frame.

    Raises:
        InputError: `output` was not made by a finished run.
        OutputError: The page cannot be written.
    """
    output = Path(output)
    target = page_path(output) if page is None else Path(page)
    if not max_seconds > 0:
        raise ConfigError(f"max-seconds {max_seconds:g}: expected more than 0")
    run = read_run(output)
    check_writable(target, overwrite)
    most = max(1, round(min(max_seconds * run.plan.fps, run.frames)))
    with temporary_folder() as folder:
        media = make_media(run, output, folder, most, on_progress)
        frames = media.films["result"].frames
        notes = [*media.notes, *_warnings(media, run, frames)]
        _write(target, _facts(run, output, media, notes), overwrite)
    films = tuple(name for name in TITLES if name in media.films)
    return Page(str(target), target.stat().st_size, frames, films, tuple(notes))


def _warnings(media: PageMedia, run: Result, frames: int) -> Iterator[str]:
    if frames < run.frames:
        yield (
            f"The first {frames / run.plan.fps:g} of {run.frames / run.plan.fps:g} seconds are "
            "shown; --max-seconds shows more"
        )
    for film in media.films.values():
        if film.path.stat().st_size * 4 / 3 > DATA_LIMIT:
            yield f"The film of the {film.name} is too large for some browsers; --max-seconds cuts"


def _write(target: Path, facts: dict[str, Any], overwrite: bool) -> None:
    """Write the page piece by piece, so that memory does not grow with the films."""
    import jinja2

    here = Path(__file__).parent
    css, script = ((here / name).read_text("utf-8") for name in ("page.css", "player.js"))
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    ).from_string((here / "page.html.jinja").read_text("utf-8"))
    pieces = template.generate(
        facts, css=css, css_hash=_hash(css), script=script, script_hash=_hash(script)
    )
    with (
        whole_file(target, overwrite) as hidden,
        hidden.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(pieces)


def _facts(run: Result, output: Path, media: PageMedia, notes: list[str]) -> dict[str, Any]:
    """Collect everything that the template shows."""
    gaps = gaps_of(run)
    films = [_shown(media.films[name]) for name in TITLES if name in media.films]
    slowest = max(run.seconds.values(), default=0.0)
    reference = media.reference and base64.b64encode(media.reference).decode()
    return {
        "name": output.name,
        "reference": reference,
        "films": films,
        "fps": run.plan.fps,
        "frames": media.films["result"].frames,
        "has_sound": media.films["result"].has_sound,
        "gaps": [_told(gap, run.plan.fps) for gap in gaps],
        "listed": LISTED,
        "lost": sum(gap.last - gap.first + 1 for gap in gaps),
        "looked": run.motion.track is not None,
        "page_notes": notes,
        "made": _made(run),
        "motion": _motion(run),
        "motion_notes": [*run.motion.notes, *run.notes],
        "changed": _changed(run.preset),
        "stages": [
            {"name": name, "seconds": seconds, "share": 100 * seconds / slowest if slowest else 0}
            for name, seconds in run.seconds.items()
        ],
        "versions": run.versions,
    }


def _shown(film: Film) -> dict[str, Any]:
    """A film for the template; `data` is read while the page is written."""
    return {
        "name": film.name,
        "title": TITLES[film.name],
        "width": film.width,
        "height": film.height,
        "data": _base64(film.path),
    }


def _base64(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        while block := file.read(BASE64_BLOCK_BYTES):
            yield base64.b64encode(block).decode()


def _told(gap: Gap, fps: float) -> dict[str, Any]:
    return {
        "first": gap.first,
        "last": gap.last,
        "held": gap.held,
        "start_s": gap.first / fps,
        "end_s": (gap.last + 1) / fps,
    }


def _made(run: Result) -> list[tuple[str, str]]:
    """List the run's inputs and what it made of them."""
    plan = run.plan
    rows = [
        ("reference", Path(plan.reference).name),
        ("driver", f"{Path(plan.driver).name} ({plan.driver_kind})"),
        ("model", f"{Path(plan.model).name} (sha256 {run.model_sha256[:12]})"),
        ("preset", str(run.preset.get("description") or "settings of its own")),
        ("size", f"{plan.width} x {plan.height}"),
        ("network's size", f"{plan.network_width} x {plan.network_height}"),
        ("warp", _warp(run)),
        ("length", f"{run.frames} frames at {plan.fps:g} a second, {run.frames / plan.fps:.2f} s"),
        ("steps, guidance", f"{plan.steps}, {plan.guidance:g}"),
        ("scheduler", plan.scheduler or "the model's own"),
        ("seed", str(plan.seed)),
    ]
    if plan.steady:
        rows.append(("steady", f"windows of {FRAMES_TOGETHER} frames that see each other"))
    if scale := run.preset.get("model", {}).get("identity"):
        rows.append(("identity", f"the reference's face counts {scale:g} beside the text"))
    if run.preset.get("sampling", {}).get("refine_hands"):
        rows.append(("hands", "made again in crops of their own"))
    if plan.body_maps:
        source = run.preset.get("model", {}).get("body_map")
        whose = "a fitted body" if source in (None, "auto", "on") else str(source)
        rows.append(("body maps", f"{', '.join(plan.body_maps)} of {whose}"))
    if run.resumed:
        rows.append(("resumed", f"{run.resumed} frames are an interrupted run's"))
    return rows


def _warp(run: Result) -> str:
    """Say what part of the result are the reference's own pixels."""
    if not run.plan.warp:
        return "off: the network's frames"
    if run.plan.trusts_network:
        return "on: the reference's own pixels, moved, where the network's frames agree with them"
    return "on: the reference's own pixels, moved; the network's where it does not show enough"


def _motion(run: Result) -> list[tuple[str, str]]:
    """List how the driver was read."""
    moved = run.motion
    rows = [("detector", moved.detector or "none"), ("retarget", moved.retarget)]
    if moved.anchor is not None:
        rows.append(("anchor", f"frame {moved.anchor} stands as the reference does"))
    rows.append(("window", "reference pixels " + ", ".join(f"{side:g}" for side in moved.window)))
    if track := moved.track:
        rows += [
            ("people", f"{track.people} at once, at most"),
            ("mended", f"{track.flips} exchanged sides, {track.jumps} jumps"),
            ("jitter", f"{track.jitter_before:g} % of the person's size, {track.jitter_after:g} %"
             " after smoothing"),
        ]  # fmt: skip
    return rows


def _changed(preset: dict[str, Any]) -> list[tuple[str, str]]:
    """List the settings that are not the defaults, by their path."""
    usual = Preset().model_dump()
    return [
        (f"{section}.{name}", str(value))
        for section, values in preset.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if name not in SAID and value != usual.get(section, {}).get(name)
    ]


def _hash(text: str) -> str:
    """How a page's policy names a script or style that it holds."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
