"""Where training pairs come from: synthetic people from memory, or clips from a folder.

What step k of a run sees depends on the recipe's seed and k alone; k counts over all stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from magicpose_cli.arrays import Pictures
from magicpose_cli.config.user_home import expanded
from magicpose_cli.dataset.clips import (
    ClipFolder,
    FilmPair,
    PicturePair,
    open_clips,
    sample_film,
    sample_pair,
)
from magicpose_cli.errors import InputError
from magicpose_cli.progress import OnProgress
from magicpose_cli.synthetic.sources import SYNTHETIC_KINDS, SyntheticKind
from magicpose_cli.training.clip_pool import CHUNK_CLIPS, ClipPool
from magicpose_cli.training.recipe import Recipe

Encode = Callable[[Tensor], Tensor]
"""From pictures (n, 3, S, S) in 0..1 to latents."""


@dataclass(frozen=True)
class PairBatch:
    """Pairs of pictures of one person each; or of a picture and a film.

    Attributes:
        reference: Clean latents (n, c, h, w).
        reference_picture: The references themselves, (n, 3, S, S) in 0..1.
        reference_maps: Pose maps of the references, (n, 3, S, S) in 0..1.
        target: Clean latents of the same shape; of films F rows in a row for each reference.
        picture: The target itself, (n, 3, S, S) in 0..1.
        maps: Pose maps of the target, (n, 3, S, S) in 0..1; (n, 3 + 3k, S, S) with the k maps of
            the body behind them that `model.body_maps` names.
        reference_face: The references' faces, upright, (n, 3, s, s) in 0..1 and black where none is
            seen; None where no stage reads them.
    """

    reference: Tensor
    reference_picture: Tensor
    reference_maps: Tensor
    target: Tensor
    picture: Tensor
    maps: Tensor
    reference_face: Tensor | None = None


class PairSource(Protocol):
    """Pairs of pictures of one person each, in any order that the seed fixes."""

    def pairs(self, count: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give batches of `count` pairs from step `first` on, without end."""
        ...

    def films(self, count: int, frames: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give batches of `count` references with so many frames in a row, likewise."""
        ...

    def pictures(self, count: int, first: int) -> Iterator[Tensor]:
        """Give single pictures (count, 3, S, S) in 0..1, likewise."""
        ...

    def examples(self, count: int) -> Pictures:
        """Give some pictures (count, S, S, 3) to take statistics of."""
        ...

    def close(self) -> None:
        """End the processes that draw or read."""
        ...


class SyntheticPeople:
    """Drawn or rendered clips from a pool; their latents are kept, as the encoder is fixed."""

    def __init__(self, recipe: Recipe, rank: int, device: torch.device, on_progress: OnProgress):
        data, model = recipe.data, recipe.model
        self._on_progress = on_progress
        self._device = device
        self._seed = (recipe.seed, rank)
        first_seed = (recipe.seed % 64 << 24) + (rank % 64 << 18)  # below the test seeds
        self._pool = ClipPool(
            data.clips, data.frames, model.size, model.pose_canvas, first_seed,
            resample_every=data.resample_every, kind=cast(SyntheticKind, data.source),
            wardrobe=expanded(data.wardrobe) if data.wardrobe else None,
            rate=data.rate or None, body_maps=model.body_maps, face_size=recipe.face_size,
            workers=data.workers, device=device,
        )  # fmt: skip

    def pairs(self, count: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give pairs of two frames of one person, from step `first` on."""
        pool, device = self._pool, self._device
        latents = self._encoded(encode, first)
        step = first
        while True:
            rng = np.random.default_rng([*self._seed, step])
            clips = moved(torch.from_numpy(rng.integers(len(latents), size=count)), device)
            frames = rng.permuted(np.tile(np.arange(pool.images.shape[1]), (count, 1)), axis=1)
            one, other = moved(torch.from_numpy(frames[:, :2].T.copy()), device)
            picture, maps = (to_float(kept[clips, other]) for kept in (pool.images, pool.maps))
            reference, own, face = self._references(clips, one)
            yield PairBatch(
                latents[clips, one], reference, own, latents[clips, other], picture, maps, face
            )
            step += 1
            pool.advance(step)

    def films(self, count: int, frames: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give frames in a row of one person each, from step `first` on."""
        pool, device = self._pool, self._device
        latents = self._encoded(encode, first)
        step, held = first, pool.images.shape[1]
        while True:
            rng = np.random.default_rng([*self._seed, step])
            clips = moved(torch.from_numpy(rng.integers(len(latents), size=count)), device)
            one = moved(torch.from_numpy(rng.integers(held, size=count)), device)
            starts = rng.integers(held - frames + 1, size=count)
            rows = moved(torch.from_numpy(starts[:, None] + np.arange(frames)), device)
            target, picture, maps = (
                kept[clips[:, None], rows].flatten(0, 1)
                for kept in (latents, pool.images, pool.maps)
            )
            reference, own, face = self._references(clips, one)
            yield PairBatch(
                latents[clips, one], reference, own, target, to_float(picture), to_float(maps), face
            )
            step += 1
            pool.advance(step)

    def _references(self, clips: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Pictures of these frames, their pose maps and their faces, (n, 3, S, S) in 0..1."""
        pool = self._pool
        pictures, maps = pool.images[clips, frames], pool.maps[clips, frames][..., :3]
        return to_float(pictures), to_float(maps), faces_of(pool.faces[clips, frames])

    def _encoded(self, encode: Encode, first: int) -> Tensor:
        """Latents (clips, frames, c, h, w) of all that is held, which follow the pool's changes."""
        pool, device = self._pool, self._device
        pool.seek(first, self._on_progress)
        example = encode(to_float(pool.images[0]))
        latents = example.new_empty(len(pool.images), *example.shape)

        def renew(index: Tensor) -> None:
            # in chunks, as they come later: the same numbers after a resume
            for start in range(0, len(index), CHUNK_CLIPS):
                chunk = index[start : start + CHUNK_CLIPS]
                pictures = to_float(pool.images[chunk].flatten(0, 1))
                encoded = encode(pictures)
                latents[chunk] = encoded.view(len(chunk), -1, *encoded.shape[1:])

        renew(torch.arange(len(latents), device=device))
        pool.renewed = renew
        return latents

    def pictures(self, count: int, first: int) -> Iterator[Tensor]:
        """Give single frames, from step `first` on."""
        pool = self._pool
        pool.seek(first, self._on_progress)
        step = first
        while True:
            rng = np.random.default_rng([*self._seed, step])
            clips, frames = (
                moved(torch.from_numpy(rng.integers(many, size=count)), self._device)
                for many in pool.images.shape[:2]
            )
            yield to_float(pool.images[clips, frames])
            step += 1
            pool.advance(step)

    def examples(self, count: int) -> Pictures:
        """Give frames of the first people, spread over all that are held."""
        self._pool.seek(0, self._on_progress)
        images = self._pool.images.flatten(0, 1)
        chosen: Pictures = images[:: max(1, len(images) // count)][:count].cpu().numpy()
        return chosen

    def close(self) -> None:
        """End the processes that draw."""
        self._pool.close()


class FilmedPeople:
    """Clips of a folder that `magicpose dataset` made, read by worker processes."""

    def __init__(self, recipe: Recipe, rank: int, device: torch.device):
        self._clips = open_clips(expanded(recipe.data.source))
        self._recipe, self._device = recipe, device
        self._seed = (recipe.seed, rank)

    def pairs(self, count: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give pairs of two frames of one clip, from step `first` on."""
        for *drawn, face in self._load(count, first):
            reference, own, picture, maps = map(to_float, drawn)
            yield PairBatch(
                encode(reference), reference, own, encode(picture), picture, maps, faces_of(face)
            )

    def films(self, count: int, frames: int, encode: Encode, first: int) -> Iterator[PairBatch]:
        """Give frames in a row of one clip each, from step `first` on.

        Raises:
            InputError: No clip has so many frames.
        """
        clips = [clip for clip in self._clips if len(clip) >= frames]
        if not clips:
            raise InputError(
                f"{self._recipe.data.source}: no clip has {frames} frames in a row, which a stage "
                "of kind motion takes; make the data anew from longer films or with more fps"
            )
        films = _Films(clips, self._recipe, self._seed, frames)
        for reference, own, target, maps, face in self._loaded(films, count, first):
            reference, picture = to_float(reference), to_float(target.flatten(0, 1))
            yield PairBatch(
                encode(reference), reference, to_float(own), encode(picture), picture,
                to_float(maps.flatten(0, 1)), faces_of(face),
            )  # fmt: skip

    def pictures(self, count: int, first: int) -> Iterator[Tensor]:
        """Give the targets alone, from step `first` on."""
        for _, _, target, _, _ in self._load(count, first):
            yield to_float(target)

    def examples(self, count: int) -> Pictures:
        """Give the targets of the first pairs."""
        pairs = _Pairs(self._clips, self._recipe, self._seed)
        return np.stack([pairs[i].target for i in range(count)])

    def close(self) -> None:
        """Do nothing: the processes end with the stream."""

    def _load(self, count: int, first: int) -> Iterator[list[Tensor]]:
        return self._loaded(_Pairs(self._clips, self._recipe, self._seed), count, first)

    def _loaded(self, samples: _Pairs | _Films, count: int, first: int) -> Iterator[list[Tensor]]:
        loader: DataLoader[Any] = DataLoader(
            samples,
            batch_size=count,
            sampler=_From(first * count),
            num_workers=self._recipe.data.workers or torch.get_num_threads(),
            multiprocessing_context="spawn",
            pin_memory=self._device.type == "cuda",
        )
        for batch in loader:
            yield [moved(pictures, self._device) for pictures in batch]


class _Pairs(Dataset[PicturePair]):
    """Pair number i, whenever and wherever it is asked for."""

    def __init__(self, clips: list[ClipFolder], recipe: Recipe, seed: tuple[int, int]):
        self._clips, self._recipe, self._seed = clips, recipe, seed

    def __getitem__(self, index: int) -> PicturePair:
        rng = np.random.default_rng([*self._seed, index])
        model, data = self._recipe.model, self._recipe.data
        return sample_pair(
            self._clips, rng, model.size, model.pose_canvas,
            flip=data.flip, jitter=data.jitter, face_size=self._recipe.face_size,
        )  # fmt: skip


class _Films(Dataset[FilmPair]):
    """Film number i, whenever and wherever it is asked for."""

    def __init__(self, clips: list[ClipFolder], recipe: Recipe, seed: tuple[int, int], frames: int):
        self._clips, self._recipe, self._seed, self._frames = clips, recipe, seed, frames

    def __getitem__(self, index: int) -> FilmPair:
        rng = np.random.default_rng([*self._seed, index])
        model, data = self._recipe.model, self._recipe.data
        return sample_film(
            self._clips, rng, model.size, model.pose_canvas, self._frames,
            flip=data.flip, jitter=data.jitter, face_size=self._recipe.face_size,
        )  # fmt: skip


class _From:
    """Counts on from a number, without end."""

    def __init__(self, first: int):
        self._first = first

    def __iter__(self) -> Iterator[int]:
        index = self._first
        while True:
            yield index
            index += 1


def open_source(
    recipe: Recipe, rank: int, device: torch.device, on_progress: OnProgress
) -> PairSource:
    """What `data.source` names. Raises InputError for a folder without usable clips."""
    if recipe.data.source in SYNTHETIC_KINDS:
        return SyntheticPeople(recipe, rank, device, on_progress)
    return FilmedPeople(recipe, rank, device)


def moved(values: Tensor, device: torch.device) -> Tensor:
    """On the device; to CUDA without waiting for the work that is queued there."""
    return values.to(device, non_blocking=device.type == "cuda")


def to_float(pictures: Tensor) -> Tensor:
    """Make of pictures (n, S, S, 3) uint8 a tensor (n, 3, S, S) in 0..1."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def faces_shown(batch: PairBatch, count: int) -> Tensor | None:
    """The faces of the first references of a batch, where it has some."""
    return None if batch.reference_face is None else batch.reference_face[:count]


def faces_of(pictures: Tensor) -> Tensor | None:
    """Make of faces (n, s, s, 3) uint8 what a batch holds; None where there are none."""
    return to_float(pictures) if pictures.numel() else None
