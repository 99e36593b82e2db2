"""The refinement network's training: drawn people, warped with mistakes, and how they really look.

`write_shards` moves drawn people from one pose to others by the very code that moves a reference,
with points, anchor and matte as wrong as a detector's, and leaves what it makes beside the truth.
`fit` trains on that and goes on where an earlier call stopped.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.training.people import TEST_SEEDS, Motion, render
from magicpose_cli.training.sampling import sample_identities, sample_motions
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.matting import foreground_colors
from magicpose_cli.warping.refinement import (
    SIDE,
    WIDTHS,
    Refiner,
    Repair,
    drawn_pose,
    save_refiner,
)
from magicpose_cli.warping.warp import ReferenceWarp

FRAMES = 6  # of one reference; the first is the reference itself
SHARD = 10  # references in a file
# Mistakes of points: standard deviation in heights of the picture; share of joints, hands unseen.
JITTER = {"body": 0.003, "face": 0.001, "left_hand": 0.002, "right_hand": 0.002}
UNSEEN, UNSEEN_HAND = 0.1, 0.25
ANCHOR = 5 / 512  # of the height: at most, by which all points of a clip lie elsewhere
WRONG_ANCHOR, SPOILED = 0.5, 0.4  # share of references
CHANGED = (
    24  # levels of 255 by which truth and reference differ where a mistake counts CHANGED_COUNTS
)
CHANGED_COUNTS = 3.0
EDGES, SMOOTH, SPARSE = 0.5, 0.002, 0.01  # weights of the loss beside the colors' own
MADE = 0.3  # share of samples that see a made frame
MADE_SCALE = 8  # by which it is coarser
LOOK_EVERY = 50  # steps


@dataclass
class Pairs:
    """Warped frames and the truth, one row each, uint8: picture, truth, reference, pose
    (n, 3, S, S), cover, hole (n, 1, S, S)."""

    picture: Tensor
    cover: Tensor
    hole: Tensor
    pose: Tensor
    reference: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)


# Drawing


def draw_pairs(seed: int, references: int, size: int = SIDE) -> Pairs:
    """`references` new people with FRAMES frames each; fixed by the seed."""
    if not 0 <= seed < TEST_SEEDS:
        raise ValueError(f"seed {seed} draws people that are for testing")
    generator, chance = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    identity = sample_identities(references, size, generator)
    identity.shadow *= 0.5
    rows = torch.arange(references).repeat_interleave(FRAMES)
    people = render(identity.rows(rows), _excursions(references, generator))
    images = (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    shown, poses = (people.labels > 0).float().numpy(), people.poses()
    made: list[tuple[np.ndarray, ...]] = []
    for first in range(0, len(images), FRAMES):
        frames = slice(first, first + FRAMES)
        made += _warped(images[frames], shown[first], poses[frames], chance)
    columns = (torch.from_numpy(np.stack(column)) for column in zip(*made, strict=True))
    return Pairs(*(c[:, None] if c.dim() == 3 else c.permute(0, 3, 1, 2) for c in columns))


def _excursions(count: int, generator: torch.Generator) -> Motion:
    """From one pose a share of the way to another: none, often a little, seldom all of it."""
    start, end = sample_motions(count, generator), sample_motions(count, generator)
    share = torch.rand(count, FRAMES, generator=generator)
    share = 0.05 + 0.95 * share**1.7
    share[:, 0] = 0
    rows = torch.arange(count).repeat_interleave(FRAMES)

    def between(name: str) -> Tensor:
        one, other = (getattr(motion, name)[rows] for motion in (start, end))
        if one.dtype == torch.bool:
            return one
        return torch.lerp(one, other, share.flatten().view(-1, *[1] * (one.dim() - 1)))

    return Motion(**{field.name: between(field.name) for field in fields(Motion)})


def _warped(
    images: np.ndarray, shown: np.ndarray, poses: list[Pose], chance: np.random.Generator
) -> Iterator[tuple[np.ndarray, ...]]:
    """One reference and its frames, in the order of Pairs."""
    reference, size = images[0], images.shape[1]
    alpha = _spoiled(cv2.GaussianBlur(shown, (0, 0), 0.6), chance)
    # a wrong anchor is seen where the reference's points are off, and not where the frames' are
    shifts = [np.zeros(2), np.zeros(2)]
    if chance.random() < WRONG_ANCHOR:
        shifts[chance.integers(2)] = chance.uniform(-ANCHOR, ANCHOR, 2) * size
    still = _mistaken(poses[0], chance, shifts[0])
    warp = ReferenceWarp(reference, still, Matte(alpha, foreground_colors(reference, alpha)))
    for index, pose in enumerate(poses):
        now = still if index == 0 else _mistaken(pose, chance, shifts[1])
        frame = warp(now)
        yield (
            np.rint(frame.picture.clip(0, 255)).astype(np.uint8),
            np.rint(255 * frame.cover.clip(0, 1)).astype(np.uint8),
            255 * warp.hole,
            drawn_pose(now, (size, size)),
            reference,
            images[index],
        )


def _mistaken(pose: Pose, chance: np.random.Generator, shift: np.ndarray) -> Pose:
    """As a detector would find it."""
    changed: dict[str, Any] = {}
    for part in PARTS:
        points, scores = getattr(pose, part).copy(), getattr(pose, f"{part}_score").copy()
        points += shift + chance.normal(0, JITTER[part] * pose.height, points.shape)
        hand = part.endswith("hand")
        unseen = chance.random(1 if hand else len(points)) < (UNSEEN_HAND if hand else UNSEEN)
        if part == "face":
            unseen = np.zeros(len(points), bool)
        unseen = np.broadcast_to(unseen, len(points))
        points[unseen], scores[unseen] = np.nan, 0
        changed |= {part: points.astype(np.float32), f"{part}_score": scores}
    return replace(pose, **changed)


def _spoiled(alpha: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    if chance.random() < SPOILED:
        side = int(chance.integers(2, 5))
        change = (cv2.erode, cv2.dilate)[chance.integers(2)]
        alpha = change(alpha, np.ones((side, side), np.uint8))
        alpha = cv2.GaussianBlur(alpha, (0, 0), chance.uniform(0.3, 2))
    return alpha.astype(np.float32)


def write_shards(folder: Path, pairs: int, first_seed: int = 0) -> None:
    """So many pairs, in files of which each is drawn once."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-pairs // (SHARD * FRAMES))):
        path = folder / f"pairs-{first_seed + number:06d}.npz"
        if not path.exists():
            drawn = draw_pairs(first_seed + number, SHARD)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, **{f.name: getattr(drawn, f.name).numpy() for f in fields(Pairs)})
            partial.replace(path)


def read_shards(folder: Path) -> Pairs:
    """All that is there. Raises ConfigError where that is nothing."""
    found = sorted(folder.glob("pairs-??????.npz"))
    if not found:
        raise ConfigError(f"{folder} holds no pairs-NNNNNN.npz; draw some first")
    files = [np.load(path) for path in found]
    return Pairs(
        *(torch.from_numpy(np.concatenate([f[c.name] for f in files])) for c in fields(Pairs))
    )


# Fitting


@dataclass(frozen=True)
class Fit:
    """How it is trained: for so many minutes of training time, or so many steps. crop: pixels."""

    minutes: float = 20.0
    steps: int | None = None
    batch: int = 8
    crop: int = 128
    rate: float = 2e-3
    ema: float = 0.99
    seed: int = 0
    save_s: float = 60.0


def fit(
    pairs: Pairs,
    path: Path,
    settings: Fit,
    widths: tuple[int, ...] = WIDTHS,
    on_progress: OnProgress = silent,
) -> float:
    """Train a refiner to `path`; goes on from `path`.state where it exists. The last loss."""
    torch.manual_seed(settings.seed)
    refiner = Refiner(widths)
    refiner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(refiner)
    optimizer = torch.optim.AdamW(refiner.parameters(), settings.rate, weight_decay=0.01)
    state, step, used = path.with_suffix(".state"), 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        refiner.load_state_dict(saved["refiner"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, used = saved["step"], saved["used"]

    def save() -> None:
        kept = {
            "refiner": refiner.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "used": used,
        }
        partial = state.with_suffix(".partial")
        torch.save(kept, partial)
        partial.replace(state)
        save_refiner(average, path)

    mark = saved_at = time.monotonic()
    mean = math.nan
    while True:
        progress = step / settings.steps if settings.steps else used / (60 * settings.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1, (step + 1) / 50) * _cosine(progress)
        batch = sample(pairs, settings, np.random.default_rng([settings.seed, step]))
        loss = loss_of(refiner(*batch.inputs()), batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(refiner.parameters(), 1.0)
        optimizer.step()
        decay = min(settings.ema, (1 + step) / (10 + step))
        for mine, new in zip(average.parameters(), refiner.parameters(), strict=True):
            mine.data.lerp_(new.data, 1 - decay)
        step += 1
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        now = time.monotonic()
        used, mark = used + now - mark, now
        if step % LOOK_EVERY == 0:
            note = f"loss {mean:.5f}, step {step}"
            on_progress(Progress("refinement", int(1000 * progress), 1000, "", note))
        if now - saved_at > settings.save_s:
            save()
            saved_at = time.monotonic()
    save()
    return mean


def _cosine(progress: float) -> float:
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1))) / 2


@dataclass
class Batch:
    """Crops of pairs, float in 0..1; weight (n, 1, h, w): how much a mistake counts."""

    picture: Tensor
    cover: Tensor
    hole: Tensor
    pose: Tensor
    made: Tensor
    truth: Tensor
    weight: Tensor

    def inputs(self) -> tuple[Tensor, ...]:
        """For the network."""
        given = (self.picture, self.cover, self.hole, self.pose, self.made)
        return tuple(values.contiguous(memory_format=torch.channels_last) for values in given)


def sample(pairs: Pairs, settings: Fit, chance: np.random.Generator) -> Batch:
    """Crops around what the warp has wrong, in the colors and light of other films."""
    rows = chance.integers(len(pairs), size=settings.batch)
    size = pairs.truth.shape[-1]
    side = min(settings.crop, size)
    columns: list[list[Tensor]] = []
    for row in rows.tolist():
        wrong = (pairs.truth[row].int() - pairs.picture[row].int()).abs().amax(0) > CHANGED
        places = wrong.nonzero()
        if len(places):
            y, x = (places[chance.integers(len(places))] - side // 2).clamp(0, size - side).tolist()
        else:
            y, x = chance.integers(size - side + 1, size=2).tolist()
        window = np.s_[row, :, y : y + side, x : x + side]
        columns.append([getattr(pairs, field.name)[window] for field in fields(Pairs)])
    picture, cover, hole, pose, reference, truth = (
        torch.stack(column).float() / 255 for column in zip(*columns, strict=True)
    )
    changed = (truth - reference).abs().amax(1, keepdim=True) > CHANGED / 255
    weight = 1 + (CHANGED_COUNTS - 1) * changed.float()
    picture, truth = _relit(torch.cat([picture, truth]), chance).chunk(2)
    return Batch(picture, cover, hole, pose, _made(truth, chance), truth, weight)


def _relit(both: Tensor, chance: np.random.Generator) -> Tensor:
    """Warped pictures and their truths, (2 n, 3, h, w), in the same other colors, both halves with
    the same noise of a film."""
    n = len(both) // 2
    values = torch.from_numpy(chance.random((n, 8), np.float32))
    gain = 0.6 + 0.6 * values[:, :3] * 0.4 + 0.4 * values[:, 3:4]
    matrix = torch.diag_embed(gain)
    gray = (0.5 * values[:, 4, None, None]).clamp_min(0.0)
    matrix = matrix + gray * (gain.mean(1)[:, None, None] / 3 - matrix)
    offset = 0.15 * (values[:, 5] - 0.5)[:, None, None, None]
    lit = torch.einsum("ncd,ndhw->nchw", matrix.repeat(2, 1, 1), both) + offset.repeat(2, 1, 1, 1)
    noise = torch.from_numpy(chance.standard_normal((n, *both.shape[1:]), np.float32))
    noise = noise * (0.015 * values[:, 6])[:, None, None, None]
    return (lit + noise.repeat(2, 1, 1, 1)).clamp(0, 1)


def _made(truth: Tensor, chance: np.random.Generator) -> Tensor:
    """What stands for a small model's frame: the truth without its details, a little off in place
    and color; black for those that see none."""
    n, _, height, width = truth.shape
    coarse = F.adaptive_avg_pool2d(truth, (height // MADE_SCALE, width // MADE_SCALE))
    noise = chance.standard_normal(coarse.shape, np.float32) * 0.05
    tint = chance.standard_normal((n, 3, 1, 1), np.float32) * 0.05
    coarse = (coarse + torch.from_numpy(noise + tint)).clamp(0.01, 1)
    shift = tuple(chance.integers(-2, 3, size=2).tolist())
    made = F.interpolate(coarse, (height, width), mode="bilinear").roll(shift, (2, 3))
    shown = torch.from_numpy((chance.random(n) < MADE).astype(np.float32))
    return made * shown[:, None, None, None]


def loss_of(repair: Repair, batch: Batch) -> Tensor:
    """Colors and their edges, more where the reference is no help; a smooth flow, few new colors.

    The mask itself is not made small: before there are colors nothing would speak for it, and it
    would shut for good.
    """
    error = repair(batch.picture) - batch.truth
    colors = (batch.weight * error.abs()).mean()
    across, down = _steps(error)
    edges = (batch.weight[..., 1:] * across).mean() + (batch.weight[..., 1:, :] * down).mean()
    rough = sum(step.mean() for step in _steps(repair.flow))
    return (
        colors + EDGES * edges + SMOOTH * rough + SPARSE * (repair.mask * repair.color).abs().mean()
    )


def _steps(values: Tensor) -> tuple[Tensor, Tensor]:
    """From pixel to pixel, across and down, without signs."""
    return (values[..., 1:] - values[..., :-1]).abs(), (
        values[..., 1:, :] - values[..., :-1, :]
    ).abs()
