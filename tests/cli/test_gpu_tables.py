"""The tables of `bench gpu`, from records alone."""

from dataclasses import asdict, replace

from magicpose_cli.benchmarks.gpu_parts import COMPILED, EAGER, GpuScale
from magicpose_cli.benchmarks.gpu_run import GpuRun, PartRecord
from magicpose_cli.benchmarks.render_benchmark import RenderBenchmark, VariantResult
from magicpose_cli.cli.bench_tables import RENDERING_COLUMNS
from magicpose_cli.cli.gpu_tables import gpu_markdown, gpu_rendering, print_gpu_run

WAY = VariantResult(
    name="exact", settings={"steps": 50, "scheduler": "DDIMScheduler"}, frames=16, batch_size=16,
    frames_per_s=4.0, seconds={"denoise": 0.2, "decode": 0.05}, reference_s=1.0, warm_up_s=0.0,
    peak_memory=2**30, flops=100 * 10**12, reference_flops=10**12, share=0.5, turns_s=[4.0],
)  # fmt: skip


def part(*ways: VariantResult) -> PartRecord:
    measured = RenderBenchmark(
        model="magicpose, random weights", device="GPU", dtype="bfloat16", width=512, height=512,
        matrix_rate=800e12, stages={"draw": 0.01}, ways=list(ways),
    )  # fmt: skip
    return PartRecord("done", 9.0, asdict(measured))


def records() -> GpuRun:
    run = GpuRun(GpuScale(), "cuda", "mini")
    run.parts = {
        "device": PartRecord("done", 1.0, {"name": "GPU", "torch": "2.11",
                                           "matrix_rates": {"bfloat16": 800e12}}),
        "exact": part(WAY),
        "naive": part(replace(WAY, name="naive", frames_per_s=0.25, notes=["scaled to 50"])),
        "compiled": part(
            replace(WAY, name=EAGER), replace(WAY, name=COMPILED, frames_per_s=6.0)
        ),
        "lowvram": PartRecord("failed", 90.0, None, "ended by SIGKILL (out of memory)"),
        "tests tests/a.py": PartRecord(
            "done", 3.0, {"passed": 2, "skipped": 1, "properties": {"test_b peak_bytes": "7"}}
        ),
        "training": PartRecord("unfinished", 60.0, {
            "recipe": "mini", "complete": False,
            "stages": {"growth": {"steps": 30, "samples_per_s": 400.0}},
        }),
    }  # fmt: skip
    return run


def test_all_parts_are_one_table_over_naive():
    measured = gpu_rendering(records())
    assert [way.name for way in measured.ways] == ["naive", "exact", EAGER, COMPILED]
    assert [way.faster for way in measured.ways] == [1.0, 16.0, 16.0, 24.0]
    assert measured.ways[1].share == 0.5  # 4 frames of 100 TFLOP over 800


def test_the_markdown_has_a_row_a_way_and_a_line_a_part():
    lines = gpu_markdown(records()).splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert {len(row) for row in rows} == {1 + len(RENDERING_COLUMNS)} and len(rows) == 6
    exact = dict(zip(RENDERING_COLUMNS, (cell.strip() for cell in rows[3][1:]), strict=True))
    assert exact["rate\nTFLOP/s"] == "400" and exact["of matrix\nrate %"] == "50.0"
    text = "\n".join(lines)
    for told in (
        "matrix products, TFLOP/s: 800 in bfloat16", "naive: scaled to 50",
        "compiled over eager, in turns in one process: 1.50x", "2 passed, 1 skipped, in 1 files",
        "test_b peak_bytes: 7", "growth 30 steps, 400 samples/s, goes on with the next run",
        "lowvram failed after 90 s: ended by SIGKILL (out of memory)",
    ):  # fmt: skip
        assert told in text


def test_the_screen_shows_the_same_cells(capsys):
    print_gpu_run(records())
    printed = capsys.readouterr().out
    for told in (COMPILED, "24.00x", "400", "lowvram failed after 90 s"):
        assert told in printed


def test_a_run_without_records_is_no_table():
    assert gpu_rendering(GpuRun(GpuScale(), "cuda", "")) is None
    assert gpu_markdown(GpuRun(GpuScale(), "cuda", "")) == "\n"
