"""The training run: one loop for every stage, that can stop and go on at any time.

RUN/recipe.json                   the settings; other ones are refused here
RUN/stages/appearance-pose/       a stage, by the names of all stages up to it
    step-00000500/                a checkpoint: a usable model, training.json, state/
    sheet-00000500.png            reference | pose | truth | result
RUN/tensorboard/                  loss, rate, samples a second
RUN/model/                        what came out (or a folder for each variant)
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError

from magicpose_cli.errors import ConfigError, OutputError, TrainingError
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.training.autoencoder import fit_autoencoder
from magicpose_cli.training.checkpoint import (
    Moving,
    Standing,
    checkpoints,
    keep_last,
    load_moving,
    load_weights,
    read_standing,
    reason_of,
    save_checkpoint,
)
from magicpose_cli.training.networks import Networks, build_networks, compile_blocks, write_model
from magicpose_cli.training.recipe import PARTS, Recipe, StageSettings
from magicpose_cli.training.sheet import Sheet
from magicpose_cli.training.source import Source, open_source
from magicpose_cli.training.stages import examples, task_of

CHECK_EVERY = 10  # steps between looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class Trained:
    """models: finished model folders by name; complete: whether all of them are there."""

    models: dict[str, Path]
    complete: bool


def train(
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "auto",
    minutes: float | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Trained:
    """Train what is not trained yet; the same call goes on where an earlier one stopped.

    minutes: stop after so long, with a checkpoint. overwrite: begin anew.

    Raises ConfigError where `folder` holds a run of another recipe, TrainingError where the loss
    is no number, OutputError where a checkpoint cannot be written.
    """
    accelerator = _accelerator(recipe, device)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    if accelerator.is_main_process:
        _claim(folder, recipe, overwrite)
    accelerator.wait_for_everyone()
    source = open_source(recipe, accelerator.process_index, accelerator.device, on_progress)
    run = _Run(recipe, folder, accelerator, source, on_progress, deadline)
    finished: dict[str, Path] = {}
    try:
        for name, variant in recipe.models().items():
            guidance = variant.default_guidance or recipe.model.default_guidance
            if not (folder / name / "model_index.json").is_file():
                networks = run.all_stages(variant.order)
                if networks is None:
                    return Trained(finished, complete=False)
                if accelerator.is_main_process:
                    _publish(networks, recipe, folder / name, variant.order, guidance)
            finished[name] = folder / name
    finally:
        source.close()
    return Trained(finished, complete=True)


class _Run:
    """What all stages of a run share."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        accelerator: Accelerator,
        source: Source,
        on_progress: OnProgress,
        deadline: float,
    ):
        self.recipe, self.folder, self.accelerator = recipe, folder, accelerator
        self.source, self.on_progress, self.deadline = source, on_progress, deadline
        self._sheet: Sheet | None = None

    def all_stages(self, order: tuple[str, ...]) -> Networks | None:
        """One model through its stages; None where the time ran out."""
        networks = build_networks(self.recipe)
        begun = any(checkpoints(self._stage_folder(order[:i])) for i in range(1, len(order) + 1))
        if not begun and not self.recipe.model.start:
            fit_autoencoder(networks.vae, self.source.examples(200))
        networks.to(self.accelerator.device)
        for part in (*PARTS, "vae"):
            networks.part(part).to(memory_format=torch.channels_last)
        if self.recipe.compile:
            compile_blocks(networks)
        standing = Standing(trained=() if self.recipe.model.start else ("vae",), done=True)
        for depth in range(1, len(order) + 1):
            standing = self._stage(networks, order[:depth], standing)
            if not standing.done:
                return None
        return networks

    def _stage_folder(self, order: tuple[str, ...]) -> Path:
        return self.folder / "stages" / "-".join(order)

    def _stage(self, networks: Networks, order: tuple[str, ...], before: Standing) -> Standing:
        """Bring the networks to the end of this stage, or as far as the time allows."""
        folder, stage = self._stage_folder(order), self.recipe.stages[order[-1]]
        saved = checkpoints(folder)
        standing = read_standing(saved[-1]) if saved else None
        if standing and standing.done:
            load_weights(saved[-1], networks)
            return standing
        if standing is None:
            standing = replace(before, stages=order, step=0, used_s=0.0, done=False, loss=None)
            for part in stage.parts:
                if part not in before.trained and not networks.complete:
                    networks.start_from_denoiser(part)
        moving = self._moving(networks, stage)
        if saved:
            load_moving(saved[-1], networks, moving, standing)
        standing.trained = tuple(dict.fromkeys((*before.trained, *stage.parts)))
        standing.fingerprint = self.recipe.fingerprint()
        loop = _Loop(self, networks, stage, moving, standing, folder)
        try:
            loop.run()
        except KeyboardInterrupt:
            loop.save()
            raise
        if standing.done:  # what comes next, and what is published, is the average
            moving.average.copy_to(moving.parameters)
        return standing

    def _moving(self, networks: Networks, stage: StageSettings) -> Moving:
        settings = self.recipe.optimizer
        networks.requires_grad_(False)
        names, parameters = [], []
        for part in stage.parts:
            for name, parameter in networks.part(part).named_parameters():
                names.append(f"{part}.{name}")
                parameters.append(parameter.requires_grad_(True))
        optimizer = torch.optim.AdamW(
            parameters, lr=stage.rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        average = EMAModel(parameters, decay=settings.ema, use_ema_warmup=False, foreach=True)
        return Moving(names, parameters, optimizer, average)

    def sheet(self) -> Sheet:
        """The pairs of the sample sheets, drawn once."""
        if self._sheet is None:
            self._sheet = Sheet(self.recipe)
        return self._sheet


class _Loop:
    """The steps of one stage."""

    def __init__(
        self,
        run: _Run,
        networks: Networks,
        stage: StageSettings,
        moving: Moving,
        standing: Standing,
        folder: Path,
    ):
        self.run_, self.networks, self.stage, self.moving = run, networks, stage, moving
        self.standing, self.folder = standing, folder
        self.name = standing.stages[-1]
        self._waited_s = 0.0
        self._writer = _tensorboard(run.folder / "tensorboard" / folder.name, run.accelerator)

    def run(self) -> None:
        """Step until the stage is done or the run's time is up; then leave a checkpoint."""
        run, standing, stage = self.run_, self.standing, self.stage
        accelerator = run.accelerator
        task, optimizer = accelerator.prepare(task_of(self.networks, stage), self.moving.optimizer)
        batches = examples(self.networks, stage, run.source, run.recipe.seed, first=standing.tick)
        losses = torch.zeros((), device=accelerator.device)
        counted, since, mark = 0, time.monotonic(), time.monotonic()
        saved = mark
        while self._progress() < 1 and mark < run.deadline:
            losses += self._step(task, optimizer, batches)
            counted += 1
            now = time.monotonic()
            standing.used_s += now - mark
            mark = now
            standing.done = self._progress() >= 1
            if standing.step % CHECK_EVERY == 0 or standing.done:
                self._look(float(losses) / counted, counted, now - since)
                losses.zero_()
                counted, since = 0, now
            if standing.step % run.recipe.sheet_every == 0:
                self._draw_sheet()
                mark = since = time.monotonic()
            if mark - saved > 60 * run.recipe.checkpoint_minutes:
                self.save()
                mark = saved = since = time.monotonic()
        if counted:
            self._look(float(losses) / counted, counted, mark - since)
        self.save()
        if standing.done:
            self._draw_sheet()
        accelerator.free_memory()

    def save(self) -> None:
        """Leave a checkpoint, unless it is there already."""
        run = self.run_
        path = self.folder / f"step-{self.standing.step:08d}"
        if run.accelerator.is_main_process and self.standing.step:
            save_checkpoint(path, self.networks, self.moving, self.standing, run.recipe)
            keep_last(self.folder, run.recipe.keep)
        run.accelerator.wait_for_everyone()

    def _step(self, task: Any, optimizer: Any, batches: Iterator[tuple[Any, ...]]) -> torch.Tensor:
        """One update from `accumulate` batches; the mean loss, still on the device."""
        stage, standing, accelerator = self.stage, self.standing, self.run_.accelerator
        for group in optimizer.param_groups:
            group["lr"] = self._rate()
        total = torch.zeros((), device=accelerator.device)
        for part in range(stage.accumulate):
            asked = time.monotonic()
            arguments = next(batches)
            self._waited_s += time.monotonic() - asked
            standing.tick += 1
            last = part == stage.accumulate - 1
            with _all_reduced(accelerator, task, last):
                loss = task(*arguments) / stage.accumulate
                accelerator.backward(loss)
            total += loss.detach()
        accelerator.clip_grad_norm_(self.moving.parameters, self.run_.recipe.optimizer.clip)
        optimizer.step()
        optimizer.zero_grad()
        self.moving.average.step(self.moving.parameters)
        standing.step += 1
        return total

    def _progress(self) -> float:
        """Share of the stage that is done, 0..1."""
        stage, standing = self.stage, self.standing
        if stage.steps is not None:
            return standing.step / stage.steps
        assert stage.minutes is not None
        return standing.used_s / (60 * stage.minutes)

    def _rate(self) -> float:
        """The rate rises, holds, and falls to nothing over the cooldown."""
        stage = self.stage
        rise = min(1.0, (self.standing.step + 1) / max(1, stage.warmup))
        left = 1 - self._progress()
        fall = min(1.0, left / stage.cooldown) if stage.cooldown else 1.0
        return stage.rate * rise * max(fall, 0.01)

    def _look(self, loss: float, steps: int, seconds: float) -> None:
        """Note the loss of the last steps. Raises TrainingError where it is no number."""
        run, standing, stage = self.run_, self.standing, self.stage
        if not math.isfinite(loss):
            kept = checkpoints(self.folder)
            raise TrainingError(
                f"stage {self.name}: the loss is {loss} at step {standing.step}; the last "
                f"checkpoint is {kept[-1] if kept else 'that of the stage before'}; set a lower "
                f'stages.{self.name}.rate (it is {stage.rate:g}) or precision = "no" and begin '
                "a new run"
            )
        samples = steps * stage.batch * stage.accumulate * run.accelerator.num_processes
        standing.loss = loss
        standing.samples_per_s = samples / max(seconds, 1e-9)
        standing.data_wait_share = min(1.0, self._waited_s / max(seconds, 1e-9))
        self._waited_s = 0.0
        if stage.steps is not None:
            done, total, unit = standing.step, stage.steps, "steps"
        else:
            done, total, unit = int(standing.used_s), int(60 * (stage.minutes or 0)), "s"
        note = f"loss {loss:.4f}, {standing.samples_per_s:.1f} samples/s"
        run.on_progress(Progress(self.name, min(done, total), total, unit, note))
        if self._writer is not None:
            for key, value in (
                ("loss", loss),
                ("rate", self._rate()),
                ("samples_per_s", standing.samples_per_s),
                ("data_wait_share", standing.data_wait_share),
            ):
                self._writer.add_scalar(key, value, standing.step)

    def _draw_sheet(self) -> None:
        if not self.run_.accelerator.is_main_process:
            return
        average, parameters = self.moving.average, self.moving.parameters
        average.store(parameters)
        average.copy_to(parameters)
        try:
            path = self.folder / f"sheet-{self.standing.step:08d}.png"
            self.run_.sheet().write(path, self.networks, self.stage.kind)
        finally:
            average.restore(parameters)


def _accelerator(recipe: Recipe, device: str) -> Accelerator:
    """bf16 where the device has it; Accelerate finds several GPUs by `accelerate launch`."""
    from magicpose_cli.render import pick_device

    name = pick_device(device)
    precision = recipe.precision
    if precision == "auto":
        has_bf16 = name.startswith("cuda") and torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "no"
    # the appearance network's last layers feed nothing
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=precision, cpu=name == "cpu", kwargs_handlers=[ddp])


def _claim(folder: Path, recipe: Recipe, overwrite: bool) -> None:
    """Make the run's folder, or find it to be of the same recipe."""
    told = folder / "recipe.json"
    try:
        if overwrite and told.is_file():
            shutil.rmtree(folder)
        if told.is_file():
            if json.loads(told.read_text(encoding="utf-8"))["fingerprint"] == recipe.fingerprint():
                return
            raise ConfigError(
                f"{folder} holds a run of another recipe; choose another folder, or give "
                "--overwrite to begin anew"
            )
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds other files; choose an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        data = {"fingerprint": recipe.fingerprint(), "recipe": recipe.model_dump(mode="json")}
        told.write_text(json.dumps(data, indent=2), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}; choose another folder"
        ) from error
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{told} is damaged; give --overwrite to begin anew") from error


def _publish(
    networks: Networks, recipe: Recipe, target: Path, order: tuple[str, ...], guidance: float
) -> None:
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        write_model(networks, recipe, partial, order, guidance)
        partial.rename(target)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(
            f"{target}: the model cannot be written ({reason_of(error)}); make room and "
            "run the same command again"
        ) from error


def _all_reduced(accelerator: Accelerator, task: Any, last: bool) -> Any:
    """Gradients of several devices are only summed at the last of the accumulated batches."""
    from contextlib import nullcontext

    return nullcontext() if last else accelerator.no_sync(task)


def _tensorboard(folder: Path, accelerator: Accelerator) -> Any:
    """A writer of scalars where tensorboard is installed."""
    if not accelerator.is_main_process:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
