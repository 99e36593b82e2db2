"""The tables of `magicpose bench gpu`: on the screen as `bench` prints them, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicpose_cli.cli.bench_tables import (
    RENDERING_COLUMNS,
    plain_console,
    print_rendering,
    rendering_row,
    say_lines,
)

if TYPE_CHECKING:
    from magicpose_cli.benchmarks.gpu_run import GpuRun
    from magicpose_cli.benchmarks.render_benchmark import RenderBenchmark

MEASURED_PARTS = ("naive", "exact", "fast", "compiled", "lowvram")


def gpu_rendering(run: GpuRun) -> RenderBenchmark | None:
    """Everything that makes frames as one benchmark, over naive; None where nothing does."""
    from magicpose_cli.benchmarks.gpu_parts import rendering_of
    from magicpose_cli.benchmarks.render_benchmark import against_naive

    parts = [rendering_of(value) for name in MEASURED_PARTS if (value := run.value(name))]
    if not parts:
        return None
    ways = against_naive([way for part in parts for way in part.ways])
    rate = max(part.matrix_rate for part in parts)
    ways = [replace(way, share=way.flops * way.frames_per_s / rate) for way in ways]
    return replace(parts[0], matrix_rate=rate, ways=ways)


def print_gpu_run(run: GpuRun) -> None:
    """Print the frames' table, then a line for each other part."""
    if (measured := gpu_rendering(run)) is not None:
        print_rendering(measured)
    say_lines(plain_console(), list(_lines(run)))


def gpu_markdown(run: GpuRun) -> str:
    """The same as Markdown, for documentation."""
    rows: list[list[str]] = []
    if (measured := gpu_rendering(run)) is not None:
        heads = [head.replace("\n", ", ") for head in RENDERING_COLUMNS]
        size = f"{measured.width}x{measured.height}"
        rows = [
            [f"{measured.device}, {size}, {measured.dtype}", *heads],
            ["---"] * (len(heads) + 1),
        ]
        rows += [[way.name, *rendering_row(way)] for way in measured.ways]
    table = [f"| {' | '.join(row)} |" for row in rows]
    notes = [
        f"* {way.name}: {note}" for way in (measured.ways if measured else []) for note in way.notes
    ]
    lines = [f"* {line}" for line in _lines(run)]
    return "\n".join([*table, "", *notes, *lines]) + "\n"


def write_gpu_markdown(run: GpuRun, path: Path) -> None:
    """Write the Markdown in one step, over a former one.

    Raises:
        OutputError: The file cannot be written.
    """
    from magicpose_cli.files import whole_file

    with whole_file(path, overwrite=True) as hidden:
        hidden.write_text(gpu_markdown(run), encoding="utf-8")


def _lines(run: GpuRun) -> Iterator[str]:
    """A line for each part that makes no frames, and for what has failed."""
    from magicpose_cli.benchmarks.gpu_run import TESTS

    if facts := run.value("device"):
        rates = facts["matrix_rates"].items()
        told = ", ".join(f"{rate / 1e12:.4g} in {name}" for name, rate in rates)
        yield f"{facts['name']}, torch {facts['torch']}; matrix products, TFLOP/s: {told}"
    if found := run.value("batch"):
        told = ", ".join(f"{size}: {rate:.3g}" for size, rate in found["frames_per_s"].items())
        ended = f" ({found['ended']})" if found["ended"] else ""
        yield (
            f"frames/s by frames at once, in {run.scale.batch_steps} steps: {told}{ended}; "
            f"taken: {found['batch_size']}"
        )
    if ratio := _compiled_ratio(run):
        yield f"compiled over eager, in turns in one process: {ratio:.2f}x"
    if tests := [(n, r) for n, r in run.parts.items() if n.startswith(TESTS) and r.value]:
        passed = sum(record.value["passed"] for _, record in tests)
        skipped = sum(record.value["skipped"] for _, record in tests)
        yield f"tests that need a GPU: {passed} passed, {skipped} skipped, in {len(tests)} files"
        for _, record in tests:
            yield from (f"{name}: {value}" for name, value in record.value["properties"].items())
    if trained := run.value("training"):
        yield f"training {trained['recipe']}: {_trained(trained)}"
    for name, record in run.parts.items():
        if record.status == "failed":
            yield f"{name} failed after {record.seconds:.0f} s: {record.reason}"


def _compiled_ratio(run: GpuRun) -> float | None:
    value = run.value("compiled")
    if not value:
        return None
    eager, compiled = value["ways"]
    ratio: float = compiled["frames_per_s"] / eager["frames_per_s"]
    return ratio


def _trained(value: dict[str, Any]) -> str:
    stages = [
        f"{name} {stage['steps']} steps, {stage['samples_per_s'] or 0:.0f} samples/s"
        for name, stage in value["stages"].items()
    ]
    return ", ".join([*stages, "complete" if value["complete"] else "goes on with the next run"])
