"""A small re-identification network, trained from nothing, and the measures of its field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Pictures, to_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

_WIDTHS = (16, 32, 64, 96)
FEATURES = 128  # of a picture
SEEN_HEIGHT_PX = 64  # pictures are halved until they are no taller: a network for a CPU
PEOPLE_PER_BATCH, PICTURES_OF_EACH = 8, 4
LEARNING_RATE, WEIGHT_DECAY, LABEL_SMOOTHING = 2e-3, 5e-4, 0.1
SHIFT_PX = 4  # at most, of pictures in training
ERASED_SHARE = 0.3  # of the pictures in training lose a rectangle


@dataclass(frozen=True, eq=False)
class ReidPictures:
    """Pictures of people for training or testing.

    Attributes:
        pictures: (n, H, W, 3) uint8 RGB.
        people: (n,) numbers.
        cameras: (n,) numbers.
    """

    pictures: Pictures
    people: Integers
    cameras: Integers

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.people)

    def joined(self, other: ReidPictures) -> ReidPictures:
        """Both, one after the other."""
        return ReidPictures(
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.people, other.people]),
            np.concatenate([self.cameras, other.cameras]),
        )

    def rows(self, index: Integers) -> ReidPictures:
        """Pick rows."""
        return ReidPictures(self.pictures[index], self.people[index], self.cameras[index])


@dataclass(frozen=True)
class ReidScores:
    """How well people are found again.

    Attributes:
        mean_average_precision: 0..1.
        rank_1: Share of the queries whose first match is the person.
    """

    mean_average_precision: float
    rank_1: float


def train_network(
    training: ReidPictures,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> nn.ModuleDict:
    """Train a network from nothing to tell people apart.

    Cross-entropy with smooth labels and a triplet loss over the hardest pairs of a batch of
    8 people x 4 pictures, a batch-normalized neck between the two (Luo et al., "Bag of Tricks",
    CVPRW 2019).

    Args:
        training: What it sees.
        steps: Of training; every set gets as many.
        seed: Of weights and batches.
        on_step: Told how many steps are done.
    """
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    names, labels = np.unique(training.people, return_inverse=True)
    network = _network(len(names))
    pictures = _planes(training.pictures)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    network.train()
    for step in range(steps):
        rows = _batch(labels, len(names), rng)
        batch = _changed(pictures[torch.from_numpy(rows)], rng)
        target = torch.from_numpy(labels[rows])
        feature, logits = _forward(network, batch)
        loss = torch.nn.functional.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)
        loss = loss + _hardest_triplets(feature, target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        schedule.step()
        on_step(step + 1)
    return network


def find_people(network: nn.ModuleDict, query: ReidPictures, gallery: ReidPictures) -> ReidScores:
    """Look for people whom a network has never seen.

    Args:
        network: That `train_network` trained on others.
        query: Who is looked for.
        gallery: Where.
    """
    found = [_features(network, each) for each in (query, gallery)]
    return rank_people(found[0], found[1], query, gallery)


def _network(people: int) -> nn.ModuleDict:
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for number, width in enumerate(_WIDTHS):
        stride = 2 if number < 3 else 1
        for source, step in ((before, stride), (width, 1)):
            layers += [
                nn.Conv2d(source, width, 3, step, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        before = width
    # Three stripes: what is worn above and below is told apart (Sun et al., PCB, ECCV 2018).
    layers += [nn.AdaptiveAvgPool2d((3, 1)), nn.Flatten(), nn.Linear(3 * before, FEATURES)]
    neck = nn.BatchNorm1d(FEATURES)
    return nn.ModuleDict(
        {
            "body": nn.Sequential(*layers),
            "neck": neck,
            "head": nn.Linear(FEATURES, people, bias=False),
        }
    )


def _forward(network: nn.ModuleDict, batch: Tensor) -> tuple[Tensor, Tensor]:
    feature: Tensor = network["body"]((batch - 0.45) / 0.25)
    return feature, network["head"](network["neck"](feature))


def _planes(pictures: Pictures) -> Tensor:
    """(n, 3, h, w) in 0..1 of (n, H, W, 3) uint8, h at most SEEN_HEIGHT_PX."""
    from torch.nn.functional import avg_pool2d

    planes = to_tensor(pictures)
    while planes.shape[2] >= 2 * SEEN_HEIGHT_PX:
        planes = avg_pool2d(planes, 2)
    return planes.contiguous()


def _batch(labels: Integers, people: int, rng: np.random.Generator) -> Integers:
    """Rows of 8 people x 4 pictures; who has fewer is shown again."""
    chosen = rng.permutation(people)[:PEOPLE_PER_BATCH]
    rows = []
    for person in chosen:
        own = np.flatnonzero(labels == person)
        rows.append(rng.choice(own, PICTURES_OF_EACH, replace=len(own) < PICTURES_OF_EACH))
    return np.concatenate(rows)


def _changed(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Flip, shift, light and erase at random, as everywhere in the field."""
    import torch
    from torch.nn.functional import pad

    flips = torch.from_numpy(rng.random(len(batch)) < 0.5)
    batch = torch.where(flips[:, None, None, None], batch.flip(3), batch)
    height, width = batch.shape[2:]
    padded = pad(batch, (SHIFT_PX,) * 4, mode="replicate")
    corners = rng.integers(0, 2 * SHIFT_PX + 1, (len(batch), 2))
    batch = torch.stack(
        [each[:, y : y + height, x : x + width] for each, (y, x) in zip(padded, corners,
                                                                      strict=True)]
    )  # fmt: skip
    light = torch.from_numpy(rng.uniform(0.8, 1.2, (len(batch), 1, 1, 1))).float()
    batch = (batch * light).clamp(0, 1)
    for number in np.flatnonzero(rng.random(len(batch)) < ERASED_SHARE):
        tall, wide = rng.integers(height // 8, height // 3), rng.integers(width // 4, width // 2)
        y, x = rng.integers(0, height - tall), rng.integers(0, width - wide)
        batch[number, :, y : y + tall, x : x + wide] = 0.45
    return batch


def _hardest_triplets(feature: Tensor, target: Tensor) -> Tensor:
    """The farthest picture of the person against the nearest of another (Hermans et al., 2017)."""
    import torch

    apart = torch.cdist(feature, feature)
    same = target[:, None] == target[None]
    farthest = apart.masked_fill(~same, 0).amax(1)
    nearest = apart.masked_fill(same, float("inf")).amin(1)
    # The soft margin: with a hard one a training from nothing collapses for some seeds.
    loss: Tensor = torch.nn.functional.softplus(farthest - nearest).mean()
    return loss


def _features(network: nn.ModuleDict, pictures: ReidPictures) -> Floats:
    """(n, FEATURES) of length 1, the mean of a picture and its mirror image."""
    import torch
    from torch.nn.functional import normalize

    network.eval()
    if not len(pictures):
        return np.zeros((0, FEATURES))
    found = []
    with torch.no_grad():
        for start in range(0, len(pictures), 64):
            batch = _planes(pictures.pictures[start : start + 64])
            both = [network["neck"](_forward(network, b)[0]) for b in (batch, batch.flip(3))]
            found.append(normalize(both[0] + both[1], dim=1))
    features: Floats = torch.cat(found).double().numpy()
    return features


def rank_people(
    query: Floats, gallery: Floats, queried: ReidPictures, among: ReidPictures
) -> ReidScores:
    """Mean average precision and rank 1 by the protocol of Market-1501.

    A query's own camera is left out of the gallery for that person (Zheng et al., ICCV 2015).

    Args:
        query: (q, d) features of length 1.
        gallery: (g, d).
        queried: Whose the queries are.
        among: Whose the gallery is.
    """
    likeness = query @ gallery.T
    precisions, firsts = [], []
    for row, person, camera in zip(likeness, queried.people, queried.cameras, strict=True):
        order = np.argsort(-row, kind="stable")
        is_own = among.people[order] == person
        valid = ~(is_own & (among.cameras[order] == camera))
        hits = is_own[valid]
        if not hits.any():
            continue
        places = np.flatnonzero(hits)
        precisions.append(float(np.mean((np.arange(len(places)) + 1) / (places + 1))))
        firsts.append(bool(hits[0]))
    return ReidScores(
        float(np.mean(precisions)) if precisions else 0.0,
        float(np.mean(firsts)) if firsts else 0.0,
    )
