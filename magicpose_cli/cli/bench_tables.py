"""The tables of `magicpose bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from magicpose_cli.benchmarks.augment_benchmark import AugmentBenchmark
    from magicpose_cli.benchmarks.body_benchmark import BodyBenchmark
    from magicpose_cli.benchmarks.clip_length import LengthResult
    from magicpose_cli.benchmarks.pose_benchmark import ErrorSpread, Exactness, PoseBenchmark
    from magicpose_cli.benchmarks.render_benchmark import RenderBenchmark, VariantResult
    from magicpose_cli.benchmarks.shortcuts import ShortcutBenchmark
    from magicpose_cli.benchmarks.turn_benchmark import TurnBenchmark
    from magicpose_cli.benchmarks.warp_benchmark import WarpBenchmark

TABLE_WIDTH, WIDE = 120, 144
SAME_DB = 100.0  # PSNR of pictures that are the same


RENDERING_COLUMNS = (
    *("speed\nframes/s", "over\nnaive"),
    *("denoise\nms/frame", "decode\nms/frame", "reference\ns", "warm-up\ns"),
    *("operations\nTFLOP/frame", "rate\nTFLOP/s", "of matrix\nrate %", "memory\nGiB"),
)


def rendering_row(way: VariantResult) -> list[str]:
    """What a way to make frames takes, a cell for each of RENDERING_COLUMNS."""
    known = way.flops > 0  # operations may not have been counted
    return [
        f"{way.frames_per_s:.3g}",
        "–" if way.faster is None else f"{way.faster:.2f}x",
        *(f"{1000 * way.seconds[stage]:,.1f}" for stage in ("denoise", "decode")),
        f"{way.reference_s:.2f}",
        f"{way.warm_up_s:.1f}",
        f"{way.flops / 1e12:.4g}" if known else "–",
        f"{way.flops * way.frames_per_s / 1e12:.3g}" if known else "–",
        f"{100 * way.share:.1f}" if known else "–",
        f"{way.peak_memory / 2**30:.2f}",
    ]


def print_rendering(measured: RenderBenchmark) -> None:
    """A row a way; what all ways share below."""
    console = plain_console(WIDE)
    size = f"{measured.width}x{measured.height}"
    table = bench_table(
        f"{measured.model}, {size}, {measured.dtype}\n{measured.device}", *RENDERING_COLUMNS
    )
    for way in measured.ways:
        table.add_row(way.name, *rendering_row(way))
    console.print(table)
    stages = ", ".join(f"{name} {1000 * s:.1f}" for name, s in measured.stages.items())
    lines = [f"besides, ms/frame: {stages}"]
    lines += [f"matrix rate: {measured.matrix_rate / 1e12:.4g} TFLOP/s ({measured.dtype})"]
    for way in measured.ways:
        lines += [
            f"{way.name}: {way.frames} frames a turn, {way.batch_size} at once, "
            f"{way.settings['steps']} steps of {way.settings['scheduler']}, best of "
            f"{len(way.turns_s)} turns; the reference took {way.reference_flops / 1e12:.4g} TFLOP",
            *(f"{way.name}: {note}" for note in way.notes),
        ]
    say_lines(console, lines)


def print_shortcuts(measured: ShortcutBenchmark) -> None:
    """A row a setting, then what reuse does to films."""
    console = plain_console(WIDE)
    following = measured.settings[0].found is not None
    table = bench_table(
        f"{measured.model}, {measured.pairs} drawn pairs of {measured.size} pixels\n"
        f"{measured.device}",
        *("operations\n% of exact", "speed\nms/frame", "over\nexact"),
        *("PSNR, truth\ndB", "change\ndB", "SSIM\ntruth", "PSNR, exact\ndB", "SSIM\nexact"),
        *(("found\n%", "body error\n% of height") if following else ()),
    )
    for one in measured.settings:
        table.add_row(
            one.name,
            f"{100 * one.relative_flops:.0f}",
            f"{1000 * one.frame_s:.0f}",
            f"{one.faster:.2f}x",
            f"{one.psnr:.2f}",
            f"{one.psnr_change:+.2f} ± {one.psnr_change_error:.2f}",
            f"{one.ssim:.3f}",
            *_alike(one.psnr_exact, one.ssim_exact),
            *((_number(one.found, 0), _number(one.body_error, 1)) if following else ()),
        )
    console.print(table)
    films = bench_table(
        "reuse on drawn films",
        *("made\n%", "PSNR, truth\ndB", "change\ndB", "SSIM\ntruth"),
        *("shown again\nPSNR, exact", "shown again\nSSIM, exact"),
    )
    for reuse in measured.reuse:
        films.add_row(
            f"within {reuse.threshold_px:g} pixels",
            f"{reuse.made:.0f}",
            f"{reuse.psnr:.2f}",
            f"{reuse.psnr_change:+.2f}",
            f"{reuse.ssim:.3f}",
            _number(reuse.psnr_exact, 2),
            _number(reuse.ssim_exact, 3),
        )
    console.print(films)
    say_lines(console, [f"{name} left out: {why}" for name, why in measured.missing.items()])


def print_lengths(results: list[LengthResult]) -> None:
    """A row a length."""
    table = bench_table(
        "frames",
        *("peak memory\nMiB", "over the\nfirst %", "first frame\ns"),
        *("then\nms/frame", "time\ns", "of cores\ns", "further frames\nms of cores"),
    )
    for former, result in zip([None, *results], results, strict=False):
        table.add_row(
            f"{result.frames:,}",
            f"{result.peak_memory / 2**20:.1f}",
            f"{100 * (result.peak_memory / results[0].peak_memory - 1):+.1f}",
            f"{result.first_frame_s:.1f}",
            _number(None if result.frame_s is None else 1000 * result.frame_s, 1),
            f"{result.seconds:.1f}",
            f"{result.cpu_s:.1f}",
            _number(_further_ms(former, result), 1),
        )
    plain_console().print(table)


def _further_ms(former: LengthResult | None, result: LengthResult) -> float | None:
    """Milliseconds of cores for each frame that a clip has more than the one before."""
    if former is None or result.frames <= former.frames:
        return None
    return 1000 * (result.cpu_s - former.cpu_s) / (result.frames - former.frames)


def print_poses(measured: PoseBenchmark) -> None:
    """Detectors, tracking, and the stages between detection and diffusion."""
    console = plain_console()
    console.print(_detectors(measured))
    lacking = [result for result in measured.detectors if result.lack]
    say_lines(console, [f"{result.name} left out: {result.lack}" for result in lacking])
    console.print(_tracking(measured.tracking))
    stages = bench_table("between detection and diffusion", "frames/s")
    for name, rate in measured.stages.items():
        stages.add_row(name, f"{rate:,.0f}")
    console.print(stages)


def print_warp(measured: WarpBenchmark) -> None:
    """A row a stage, those that are taken once first."""
    from magicpose_cli.benchmarks.warp_benchmark import EACH, ONCE

    console = plain_console()
    mesh = "with" if measured.face_mesh else "without"
    table = bench_table(
        f"a drawn person at {measured.size}x{measured.size}, one core\n"
        f"detector: {measured.detector}, {mesh} a mesh of the face",
        "once\nms",
        "each frame\nms",
    )
    for stage in (*ONCE, *EACH):
        told = f"{1000 * measured.seconds[stage]:,.1f}"
        table.add_row(stage, *((told, "") if stage in ONCE else ("", told)))
    console.print(table)
    say_lines(
        console,
        [
            f"medians of {measured.repeat} turns; parts: {', '.join(measured.parts)}",
            "a driver takes a matte and a preparation of its own, for the secondary motion",
        ],
    )


def print_bodies(measured: BodyBenchmark) -> None:
    """Two rows a move: the detector's own points in space, and the body's joints."""
    console = plain_console(WIDE)
    table = bench_table(
        "error in mm (% of height)",
        *("hips on\nhips", "one\nfactor", "Procrustes\n", "calm, one\nfactor"),
        *("calm,\nProcrustes", "calm,\nupright", "lean\ndegrees", "angles\ndegrees"),
        *("bones\nmm", "jitter\nm/s²", "skate\nm/s"),
    )
    percent = 0.1 / measured.height_m
    for move in measured.errors["body"]:
        for source, errors in measured.errors.items():
            own = errors[move]
            lengths = (own.hips_mm, own.scaled_mm, own.aligned_mm, own.calm_scaled_mm,
                       own.calm_aligned_mm, own.upright_mm)  # fmt: skip
            table.add_row(
                f"{move}, {source}", *(f"{each:.0f} ({percent * each:.1f})" for each in lengths),
                _number(own.lean_deg, 1), _number(own.angle_deg, 1), _number(own.bone_mm, 1),
                _number(own.jitter_m_s2, 1), _number(own.skate_m_s, 2),
            )  # fmt: skip
    console.print(table)
    gains = ", ".join(f"{name} {gain:.0f} %" for name, gain in measured.gain_percent.items())
    failed = [f"nobody was found in {measured.failed} films"] if measured.failed else []
    say_lines(console, [
        f"{measured.films} films of {measured.frames} frames of {measured.size} pixels",
        f"the body is better by: {gains}",
        f"the truth: jitter {measured.truth_jitter_m_s2:.1f} m/s², "
        f"skate {measured.truth_skate_m_s:.2f} m/s (ankles roll while soles stand)",
        *failed,
    ])  # fmt: skip


def print_turns(measured: TurnBenchmark) -> None:
    """A row a way and angle."""
    what = "the whole person turned" if measured.orbit else "the head turned"
    console = plain_console()
    table = bench_table(
        f"{measured.people} rendered people at {measured.size}x{measured.size}, {what}",
        *("yaw\ndegrees", "PSNR\ndB", "inside\ndB", "SSIM\n"),
        *("PCK@0.2\n%", "in place\n%", "identity\ndistance", "same\n%"),
    )
    for score in measured.scores:
        table.add_row(
            score.way, f"±{score.yaw_deg:.0f}", f"{score.psnr:.2f}", f"{score.psnr_inside:.2f}",
            f"{score.ssim:.3f}", _number(score.pck, 1),
            _number(score.pck_in_place, 1), _number(score.identity, 3), _number(score.same, 0),
        )  # fmt: skip
    console.print(table)
    failed = f"; {measured.failed} people not found" if measured.failed else ""
    say_lines(console, [f"{measured.seconds_per_view:.2f} s a view of turn{failed}"])


def _detectors(measured: PoseBenchmark) -> Table:
    """Two rows a detector: single pictures and films."""
    table = bench_table(
        f"{measured.people} drawn people and {measured.films} films of {measured.film_frames} "
        f"frames, {measured.size} pixels",
        *("people\nfound %", "joints\nfound %", "hands\nfound %"),
        *("body error (p95)\n% of height", "face error (p95)\n% of eye distance"),
        *("hand error (p95)\n% of height", "speed\nper s"),
    )
    for result in measured.detectors:
        if result.pictures is not None and result.films is not None:
            table.add_row(f"{result.name}, pictures", *_row(result.pictures, result.pictures_per_s))
            table.add_row(f"{result.name}, films", *_row(result.films, result.frames_per_s))
        else:
            table.add_row(result.name, *["–"] * 7, style="dim")
    return table


def _row(exact: Exactness, rate: float | None) -> list[str]:
    shares = (exact.people_found, exact.joints_found, exact.hands_found)
    return [
        *("–" if share is None else f"{share:.1f}" for share in shares),
        *map(_told, (exact.body, exact.face, exact.hands)),
        "–" if rate is None else f"{rate:.1f}",
    ]


def _told(spread: ErrorSpread | None) -> str:
    return "–" if spread is None else f"{spread.mean:.2f} ({spread.p95:.2f})"


def _tracking(numbers: dict[str, float]) -> Table:
    table = bench_table(
        f"tracking, planted mistakes; lag {numbers['lag_frames']:.2f} frames",
        *("error before\n% of height", "after"),
        *("jitter before\n% of height", "after", "of the truth"),
    )
    for part in ("body", "face", "hands"):
        keys = ("error_before", "error_after", "jitter_before", "jitter_after", "jitter_truth")
        table.add_row(part, *(f"{numbers[f'{part}_{key}']:.3f}" for key in keys))
    return table


def bench_table(title: str, *columns: str) -> Table:
    """Make a table whose first column is as wide as there is room."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, ratio=1)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _alike(psnr: float, ssim: float) -> tuple[str, str]:
    """Against exact's own pictures; exact itself is beyond measure."""
    return ("–", "–") if psnr >= SAME_DB else (f"{psnr:.2f}", f"{ssim:.3f}")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def say_lines(console: Console, lines: list[str]) -> None:
    """Print lines below a table as they are."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def plain_console(width: int = TABLE_WIDTH) -> Console:
    """A console for tables, wide enough for them."""
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, width)  # a narrow terminal wraps, nothing is cut off
    return console


def print_augmenting(measured: AugmentBenchmark) -> None:
    """A row a training set, then the order that the paper finds."""
    console = plain_console()
    table = bench_table(
        "training set", "pictures", "mAP\n%", "+-", "rank 1\n%", "person kept\nmAP %",
        "person kept\nrank 1 %",
    )  # fmt: skip
    for name, (mean, first, spread) in measured.means().items():
        kept = measured.identity.get(name)
        table.add_row(
            name, f"{measured.counts[name]:,}", f"{mean:.1f}", f"{spread:.1f}", f"{first:.1f}",
            f"{100 * kept.mean_average_precision:.1f}" if kept else "–",
            f"{100 * kept.rank_1:.1f}" if kept else "–",
        )  # fmt: skip
    console.print(table)
    lines = [f"{text}: {'holds' if holds else 'no'}" for text, holds in measured.order().items()]
    for name, totals in measured.made.items():
        means = totals["kept_means"]
        lines.append(
            f"{name}: {totals['kept']} kept of {totals['made']}; pose error {means['pose_error']}, "
            f"colors {means['color_difference']} CIEDE2000"
        )
    say_lines(console, lines)


def print_json(measured: Any) -> None:
    """Print a dataclass or a dictionary, with the versions of the packages that were measured."""
    import json
    from dataclasses import asdict, is_dataclass

    import typer

    from magicpose_cli.run.fingerprint import versions

    numbers = asdict(measured) if is_dataclass(measured) else measured  # type: ignore[arg-type]
    typer.echo(json.dumps({**numbers, "versions": versions()}, indent=2))
