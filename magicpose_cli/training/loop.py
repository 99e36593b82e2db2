"""The steps of one stage: learning rate, update, average, and what is saved on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from magicpose_cli.errors import TrainingError
from magicpose_cli.progress import OnProgress, Progress
from magicpose_cli.training.checkpoints import (
    TrainableParameters,
    TrainState,
    checkpoints,
    keep_last,
    save_checkpoint,
)
from magicpose_cli.training.cuda_graphs import CudaGraphs
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairSource
from magicpose_cli.training.recipe import Recipe, StageSettings
from magicpose_cli.training.sample_sheet import SampleSheet
from magicpose_cli.training.stages import examples, task_of

CHECK_EVERY = 10  # steps between looks at the loss, each of which waits for the device


@dataclass
class TrainingRun:
    """What all stages of a run share.

    Attributes:
        deadline: When to stop, in seconds of `time.monotonic()`.
    """

    recipe: Recipe
    folder: Path
    accelerator: Accelerator
    source: PairSource
    on_progress: OnProgress
    deadline: float

    @cached_property
    def sheet(self) -> SampleSheet:
        """The pairs of the sample sheets, drawn once."""
        return SampleSheet(self.recipe)


class TrainingLoop:
    """The steps of one stage.

    Attributes:
        state: How far the run has come; counted on with every step.
    """

    def __init__(
        self,
        run: TrainingRun,
        networks: Networks,
        stage: StageSettings,
        trainable: TrainableParameters,
        state: TrainState,
        folder: Path,
    ):
        self._run, self.networks, self.stage, self.trainable = run, networks, stage, trainable
        self.state, self.folder = state, folder
        self.name = state.stages[-1]
        self._waited_s = 0.0
        self._graphs: CudaGraphs | None = None
        self._writer = _tensorboard(run.folder / "tensorboard" / folder.name, run.accelerator)

    def fit(self) -> None:
        """Step until the stage is done or the run's time is up; then leave a checkpoint."""
        run, state, stage = self._run, self.state, self.stage
        accelerator = run.accelerator
        average = self.trainable.average
        task, optimizer = accelerator.prepare(
            task_of(self.networks, stage, run.recipe.distillation, average),
            self.trainable.optimizer,
        )
        if _records(run):
            self._graphs = CudaGraphs(
                task,
                lambda loss: accelerator.backward(loss / stage.accumulate),
                self.networks,
                self.trainable.parameters,
            )
        seed = (run.recipe.seed, accelerator.process_index)
        stream = examples(self.networks, stage, run.source, seed, first=state.tick)
        batches = chain([next(stream)], stream)  # gathering the first data is no training time
        losses = torch.zeros((), device=accelerator.device)
        counted, since, mark = 0, time.monotonic(), time.monotonic()
        saved = mark
        while self._progress() < 1 and mark < run.deadline:
            losses += self._step(task, optimizer, batches)
            counted += 1
            now = time.monotonic()
            state.used_s += now - mark
            mark = now
            state.done = self._progress() >= 1
            if state.step % CHECK_EVERY == 0 or state.done:
                self._look(float(losses) / counted, counted, now - since)
                losses.zero_()
                counted, since = 0, now
            if state.step % run.recipe.sheet_every == 0:
                self._draw_sheet()
                mark = since = time.monotonic()
            if mark - saved > 60 * run.recipe.checkpoint_minutes:
                self.save()
                mark = saved = since = time.monotonic()
        if counted:
            self._look(float(losses) / counted, counted, mark - since)
        self.save()
        if state.done and state.step % run.recipe.sheet_every:  # else it is drawn already
            self._draw_sheet()
        accelerator.free_memory()

    def save(self) -> None:
        """Leave a checkpoint; before the first step there is nothing to keep."""
        run = self._run
        path = self.folder / f"step-{self.state.step:08d}"
        if run.accelerator.is_main_process and self.state.step:
            save_checkpoint(path, self.networks, self.trainable, self.state, run.recipe)
            keep_last(self.folder, run.recipe.keep)
        run.accelerator.wait_for_everyone()

    def _step(self, task: Any, optimizer: Any, batches: Iterator[tuple[Any, ...]]) -> torch.Tensor:
        """One update from `accumulate` batches; the mean loss, still on the device."""
        stage, state, accelerator = self.stage, self.state, self._run.accelerator
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate()
        total = torch.zeros((), device=accelerator.device)
        for part in range(stage.accumulate):
            asked = time.monotonic()
            arguments = next(batches)
            self._waited_s += time.monotonic() - asked
            state.tick += 1
            if self._graphs is not None:
                total += self._graphs(*arguments) / stage.accumulate
                continue
            last = part == stage.accumulate - 1
            # gradients of several devices are summed at the last of the batches only
            with nullcontext() if last else accelerator.no_sync(task):
                loss = task(*arguments) / stage.accumulate
                accelerator.backward(loss)
            total += loss.detach()
        accelerator.clip_grad_norm_(self.trainable.parameters, self._run.recipe.optimizer.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=self._graphs is None)
        self.trainable.average.step(self.trainable.parameters)
        state.step += 1
        return total

    def _progress(self) -> float:
        """Share of the stage that is done, 0..1."""
        stage, state = self.stage, self.state
        if stage.steps is not None:
            return state.step / stage.steps
        assert stage.minutes is not None
        return state.used_s / (60 * stage.minutes)

    def _learning_rate(self) -> float:
        """Of this step: the rate rises, holds, and falls to a hundredth over the cooldown."""
        stage = self.stage
        rise = min(1.0, (self.state.step + 1) / max(1, stage.warmup))
        left = 1 - self._progress()
        fall = min(1.0, left / stage.cooldown) if stage.cooldown else 1.0
        return stage.learning_rate * rise * max(fall, 0.01)

    def _look(self, loss: float, steps: int, seconds: float) -> None:
        """Note the mean loss of the last steps, and tell it.

        Raises:
            TrainingError: The loss is no finite number.
        """
        run, state, stage = self._run, self.state, self.stage
        if not math.isfinite(loss):
            kept = checkpoints(self.folder)
            raise TrainingError(
                f"stage {self.name}: the loss is {loss} at step {state.step}; the last "
                f"checkpoint is {kept[-1] if kept else 'that of the stage before'}; set a lower "
                f"stages.{self.name}.learning_rate (it is {stage.learning_rate:g}) or precision = "
                '"no" and begin a new run'
            )
        samples = steps * stage.batch * stage.accumulate * run.accelerator.num_processes
        state.loss = loss
        state.samples_per_s = samples / max(seconds, 1e-9)
        state.data_wait_share = min(1.0, self._waited_s / max(seconds, 1e-9))
        self._waited_s = 0.0
        if stage.steps is not None:
            done, total, unit = state.step, stage.steps, "steps"
        else:
            done, total, unit = int(state.used_s), int(60 * (stage.minutes or 0)), "s"
        note = f"loss {loss:.4f}, {state.samples_per_s:.1f} samples/s"
        run.on_progress(Progress(self.name, min(done, total), total, unit, note))
        if self._writer is not None:
            for key, value in (
                ("loss", loss),
                ("rate", self._learning_rate()),
                ("samples_per_s", state.samples_per_s),
                ("data_wait_share", state.data_wait_share),
            ):
                self._writer.add_scalar(key, value, state.step)

    def _draw_sheet(self) -> None:
        if not self._run.accelerator.is_main_process:
            return
        average, parameters = self.trainable.average, self.trainable.parameters
        average.store(parameters)
        average.copy_to(parameters)
        try:
            path = self.folder / f"sheet-{self.state.step:08d}.png"
            self._run.sheet.write(path, self.networks, self.stage.kind)
        finally:
            average.restore(parameters)


def _records(run: TrainingRun) -> bool:
    """Whether steps are recorded as CUDA graphs.

    Not where gradients are scaled, or summed over devices, or parts of the forward pass are run
    again.
    """
    accelerator, recipe = run.accelerator, run.recipe
    return (
        recipe.graphs
        and accelerator.device.type == "cuda"
        and accelerator.num_processes == 1
        and accelerator.scaler is None
        and not recipe.gradient_checkpointing
    )


def _tensorboard(folder: Path, accelerator: Accelerator) -> Any:
    """A writer of scalars where tensorboard is installed."""
    if not accelerator.is_main_process:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
