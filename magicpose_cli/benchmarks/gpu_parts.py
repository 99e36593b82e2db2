"""The parts of `magicpose bench gpu`, each a function that runs in a process of its own.

They take JSON and return JSON, see `own_process.call_in_process`; `gpu_run` has their order.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from magicpose_cli.benchmarks.operations import Operations, operations_by_shape
from magicpose_cli.benchmarks.render_benchmark import (
    EXACT,
    NAIVE,
    RenderBenchmark,
    Variant,
    VariantResult,
    measure_rendering,
    named_variants,
)
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import DeviceError, MagicPoseError

if TYPE_CHECKING:
    import torch

FAST, LOWVRAM = "fast", "lowvram"
COUNTED = (NAIVE, EXACT, FAST)
EAGER, COMPILED = "exact, eager beside compiled", "exact, compiled"
_TURNS = 3
_LIMIT_SHARE = 0.6  # of a part's limit, after which no turn begins
_AS_FAST = 0.97  # of the best rate: the smallest batch that reaches it is taken


@dataclass(frozen=True)
class GpuScale:
    """How large everything is; the fields are the arguments of every part.

    Attributes:
        networks: Size of the random networks, as for `random_pipeline`.
        size_px: Side of the frames.
        steps: Of the model itself.
        dtype: Of the networks.
        batches: Batch sizes that are tried, in frames.
        batch_steps: Steps in which they are tried.
        naive_steps: Steps of the original's schedule, scaled to `steps` afterwards.
        compiled_steps: Likewise of compiled against eager.
        patience: What all time limits are multiplied by.
    """

    networks: str = "magicpose"
    size_px: int = 512
    steps: int = 50
    dtype: str = "bfloat16"
    batches: tuple[int, ...] = (4, 8, 16, 32, 64)
    batch_steps: int = 4
    naive_steps: int = 5
    compiled_steps: int = 10
    patience: float = 1.0

    def preset(self, device: str, **options: Any) -> Preset:
        """Everything that is measured has this device, size and dtype."""
        return Preset().with_options(
            model__device=device,
            model__dtype=self.dtype,
            model__compile="off",
            frame__size=str(self.size_px),
            **options,
        )


REHEARSAL = GpuScale(
    networks="tiny", size_px=64, steps=10, dtype="float32", batches=(1, 2, 4), batch_steps=2,
    naive_steps=2, compiled_steps=4, patience=3.0,
)  # fmt: skip
"""The same parts on any CPU, in a few minutes."""


def operations_part(scale: dict[str, Any]) -> dict[str, Any]:
    """Count the operations of naive, exact and fast; needs no GPU."""
    sizes = _scale(scale)
    variants = named_variants(COUNTED, sizes.preset("cpu"))
    return {
        variant.name: asdict(
            operations_by_shape(sizes.networks, variant.preset, sizes.steps, naive=variant.naive)
        )
        for variant in variants
    }


def device_part(device: str) -> dict[str, Any]:
    """Tell what the device is, and its rate of matrix products by number format."""
    import torch

    from magicpose_cli.benchmarks.arithmetic import matrix_rate
    from magicpose_cli.benchmarks.render_benchmark import device_name

    kinds: dict[str, tuple[torch.dtype, str]] = {
        "bfloat16": (torch.bfloat16, "highest"),
        "float16": (torch.float16, "highest"),
        "float32": (torch.float32, "highest"),
        "float32 as TF32": (torch.float32, "high"),
    }
    rates = {}
    for name, (dtype, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        rates[name] = matrix_rate(device, dtype)
    facts: dict[str, Any] = {
        "name": device_name(device),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }
    if torch.device(device).type == "cuda":
        own = torch.cuda.get_device_properties(device)
        facts |= {
            "cuda": torch.version.cuda,
            "capability": f"{own.major}.{own.minor}",
            "multiprocessors": own.multi_processor_count,
            "memory_bytes": own.total_memory,
        }
    return {**facts, "matrix_rates": rates}


def batch_part(
    scale: dict[str, Any], device: str, limit_s: float, operations: dict[str, Any]
) -> dict[str, Any]:
    """Find how many frames at once fill the device: frames a second by batch size, in few steps.

    What does not fit the memory ends the search; nothing that was found is lost.
    """
    import time

    sizes, began = _scale(scale), time.perf_counter()
    weights = Weights(sizes.networks, sizes.batch_steps)
    rates: dict[str, float] = {}
    ended = ""
    for size in sizes.batches:
        if time.perf_counter() - began > _LIMIT_SHARE * limit_s:
            ended = f"no time was left for {size} frames"
            break
        preset = sizes.preset(device, model__batch_size=size)
        # of these few steps nobody asks for the operations
        known = {EXACT: Operations(0, 0)}
        (way,) = measure_rendering(
            [Variant(EXACT, preset)], weights, frames=size, repeat=1, operations=known
        ).ways
        if way.notes:
            ended = way.notes[0]
            break
        rates[str(size)] = way.frames_per_s
    if not rates:
        raise DeviceError(f"not even {sizes.batches[0]} frames at once fit the device: {ended}")
    enough = _AS_FAST * max(rates.values())
    best = min(int(size) for size, rate in rates.items() if rate >= enough)
    return {"batch_size": best, "frames_per_s": rates, "ended": ended}


def exact_part(**arguments: Any) -> dict[str, Any]:
    """Measure the exact schedule, not compiled."""
    return _measured([EXACT], **arguments)


def fast_part(**arguments: Any) -> dict[str, Any]:
    """Measure the preset fast, not compiled."""
    return _measured([FAST], **arguments)


def naive_part(
    scale: dict[str, Any], device: str, limit_s: float, operations: dict[str, Any],
    batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure the original's schedule in few steps and scale the result to all of them."""
    sizes = _scale(scale)
    measured = measure_rendering(
        named_variants([NAIVE], sizes.preset(device)),
        Weights(sizes.networks, sizes.naive_steps),
        repeat=_TURNS,
        # of the few steps; those of all are known below
        operations={NAIVE: Operations(0, 0)},
        limit_s=_LIMIT_SHARE * limit_s,
    )
    of_all = _known(operations).get(NAIVE) or Operations(0, 0)
    way = scaled_to(measured.ways[0], sizes.steps, of_all, measured.matrix_rate)
    return asdict(replace(measured, ways=[way]))


def compiled_part(
    scale: dict[str, Any], device: str, limit_s: float, operations: dict[str, Any],
    batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure exact as it is and compiled, in turns in few steps, and scale both to all of them."""
    sizes = _scale(scale)
    preset = sizes.preset(device, model__batch_size=batch_size)
    ways = [
        Variant(EAGER, preset),
        Variant(COMPILED, preset.with_options(model__compile="on")),
    ]
    measured = measure_rendering(
        ways, Weights(sizes.networks, sizes.compiled_steps), frames=batch_size, repeat=_TURNS,
        operations=dict.fromkeys((EAGER, COMPILED), Operations(0, 0)),
        limit_s=_LIMIT_SHARE * limit_s,
    )  # fmt: skip
    of_all = _known(operations).get(EXACT) or Operations(0, 0)
    rate = measured.matrix_rate
    scaled = [scaled_to(way, sizes.steps, of_all, rate) for way in measured.ways]
    return asdict(replace(measured, ways=scaled))


def lowvram_part(
    scale: dict[str, Any], device: str, limit_s: float, operations: dict[str, Any],
    batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure the memory of the preset lowvram, one frame at a time."""
    from magicpose_cli.config.preset import load_preset

    sizes = _scale(scale)
    preset = load_preset(LOWVRAM).with_options(
        model__device=device, model__dtype=sizes.dtype, model__compile="off",
        frame__size=str(sizes.size_px),
    )  # fmt: skip
    known = _known(operations)
    measured = measure_rendering(
        [Variant(LOWVRAM, preset)], Weights(sizes.networks, sizes.steps), frames=1, repeat=1,
        operations={LOWVRAM: known[EXACT]} if EXACT in known else {},
    )  # fmt: skip
    return asdict(measured)


def scaled_to(
    way: VariantResult, steps: int, operations: Operations, matrix_rate: float
) -> VariantResult:
    """Reckon what a variant would take in more steps: denoising grows with them, decoding not.

    Args:
        way: As measured in few steps.
        steps: To scale to.
        operations: In these steps.
        matrix_rate: Operations a second of matrix products.
    """
    few = way.settings["steps"]
    seconds = way.seconds | {"denoise": way.seconds["denoise"] * steps / few}
    frame_s = sum(seconds.values())
    return replace(
        way,
        settings=way.settings | {"steps": steps},
        frames_per_s=1 / frame_s,
        seconds=seconds,
        flops=operations.frame,
        reference_flops=operations.reference,
        share=operations.frame / frame_s / matrix_rate,
        notes=[*way.notes, f"measured in {few} steps and scaled to {steps}"],
    )


def rendering_of(value: dict[str, Any]) -> RenderBenchmark:
    """Make the JSON of a part what `measure_rendering` gave."""
    return RenderBenchmark(**{**value, "ways": [VariantResult(**way) for way in value["ways"]]})


def _measured(
    names: list[str], scale: dict[str, Any], device: str, limit_s: float,
    operations: dict[str, Any], batch_size: int,
) -> dict[str, Any]:  # fmt: skip
    sizes = _scale(scale)
    base = sizes.preset(device, model__batch_size=batch_size)
    variants = [
        replace(variant, preset=variant.preset.with_options(model__compile="off"))
        for variant in named_variants(names, base)
    ]
    measured = measure_rendering(
        variants, Weights(sizes.networks, sizes.steps), frames=batch_size, repeat=_TURNS,
        operations=_known(operations), limit_s=_LIMIT_SHARE * limit_s,
    )  # fmt: skip
    return asdict(measured)


def _scale(fields: dict[str, Any]) -> GpuScale:
    return GpuScale(**{**fields, "batches": tuple(fields["batches"])})


def _known(operations: dict[str, Any]) -> dict[str, Operations]:
    return {name: Operations(**counts) for name, counts in operations.items()}


def training_part(recipe: str, device: str, folder: str, minutes: float) -> dict[str, Any]:
    """Train for so many minutes and leave a checkpoint to go on from."""
    from pathlib import Path

    from magicpose_cli.training.checkpoints import checkpoints, read_train_state
    from magicpose_cli.training.recipe import load_recipe
    from magicpose_cli.training.run import train

    result = train(load_recipe(recipe), Path(folder), device=device, minutes=minutes)
    stages: dict[str, Any] = {}
    for stage in sorted((Path(folder) / "stages").iterdir()):
        saved = checkpoints(stage)
        if saved:
            state = read_train_state(saved[-1])
            stages[state.stages[-1]] = {
                "steps": state.step,
                "seconds": state.used_s,
                "samples_per_s": state.samples_per_s,
                "loss": state.loss,
            }
    return {"recipe": recipe, "complete": result.complete, "stages": stages}


def tests_part(file: str, root: str) -> dict[str, Any]:
    """Run the tests of one file that need a GPU.

    Raises:
        MagicPoseError: One of them fails, or pytest cannot run.
    """
    import subprocess
    import xml.etree.ElementTree as ElementTree
    from importlib.util import find_spec

    from magicpose_cli.run.temporary import temporary_folder

    if find_spec("pytest") is None:
        raise MagicPoseError("pytest is not installed; run: pip install pytest hypothesis")
    with temporary_folder() as folder:
        report = folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--import-mode=importlib"]
        command += ["-o", "addopts=", "-p", "no:cacheprovider", f"--junitxml={report}", file]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if not report.exists():
            last = (run.stdout + run.stderr).strip().splitlines()[-1:]
            raise MagicPoseError(f"pytest ended with exit code {run.returncode}: {last}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    if failed:
        first = failed[0].find("failure")
        why = "" if first is None else first.get("message", "").splitlines()[0]
        names = ", ".join(case.get("name", "") for case in failed)
        raise MagicPoseError(f"{len(failed)} of {len(cases)} tests failed: {names} ({why})")
    seen = {
        f"{case.get('name')} {prop.get('name')}": prop.get("value")
        for case in cases
        for prop in case.iter("property")
    }
    return {"passed": len(cases) - skipped, "skipped": skipped, "properties": seen}
