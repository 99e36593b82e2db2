"""Metrics that need a trained network: only where its file is on disk, nothing is downloaded.

Every network is one TorchScript file, which holds its own architecture: so neither torchvision nor
a package for each metric is needed. FID, FID-VID and FVD are the Frechet distance of torchmetrics
between such a network's features of all truths and of all results.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Picture, Pictures, Points
from magicpose_cli.config.extras import needed
from magicpose_cli.errors import ModelError
from magicpose_cli.evaluation.metrics import COPY, Metric
from magicpose_cli.evaluation.samples import MadeSample

if TYPE_CHECKING:
    import torch

WINDOW_FRAMES = 16  # frames of a clip that a video network sees at once
# Where the eyes, the nose and the corners of the mouth stand in an aligned face of 112 x 112.
FACE_TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
     (70.7299, 92.2041)]
)  # fmt: skip
FACE_POINTS = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))


@dataclass(frozen=True)
class MetricNetwork:
    """A file that a metric needs and what is expected of it."""

    metric: str
    file: str
    expected: str


METRIC_NETWORKS = {
    network.metric: network
    for network in (
        MetricNetwork("lpips", "vgg16.pt", "the VGG16 with LPIPS weights of stylegan2-ada-pytorch"),
        MetricNetwork("fid", "inception-2015-12-05.pt", "the Inception of stylegan2-ada-pytorch"),
        MetricNetwork(
            "fid_vid", "resnet50_kinetics.pt",
            "a 3D ResNet-50 trained on Kinetics, (n, 3, 16, 112, 112) in -1..1 to (n, d)",
        ),
        MetricNetwork("fvd", "i3d_torchscript.pt", "the I3D of fvd-comparison"),
        MetricNetwork(
            "face_cosine", "face_embedding.pt",
            "a face recognition network such as AdaFace, (n, 3, 112, 112) RGB in -1..1 to (n, d)",
        ),
    )
}  # fmt: skip
PROTOCOLS_OF_SETS = {
    "fid": "Frechet distance of Inception's 2048 pool features, truths against results",
    "fid_vid": f"Frechet distance of a 3D ResNet's features over windows of {WINDOW_FRAMES} frames",
    "fvd": f"Frechet distance of I3D's logits over windows of {WINDOW_FRAMES} frames at 224 x 224",
}


INPUT_SHAPES = {
    "fid": (3, 299, 299),
    "fid_vid": (3, WINDOW_FRAMES, 112, 112),
    "fvd": (3, WINDOW_FRAMES, 224, 224),
}
"""Shape of what each network is shown."""


def metric_networks_folder() -> Path:
    """Where the files are looked for: `metrics` beside the installed models."""
    from magicpose_cli.models import models_home

    return models_home().parent / "metrics"


class LearnedMetrics:
    """The networks that are there.

    Attributes:
        device: Where they compute.
        missing: For each metric that cannot be measured, what to do.
    """

    def __init__(self, device: str, detector: bool):
        """Load what is there.

        Args:
            device: A device of torch.
            detector: Whether poses are read, without which faces cannot be aligned.
        """
        self.device = device
        self.missing: dict[str, str] = {}
        self._networks: dict[str, Any] = {}
        for metric, network in METRIC_NETWORKS.items():
            path = metric_networks_folder() / network.file
            if not path.is_file():
                self.missing[metric] = (
                    f"{metric} not measured: no file {path}; expected {network.expected} as "
                    "TorchScript, put it there"
                )
            elif metric == "face_cosine" and not detector:
                self.missing[metric] = f"{metric} not measured: it needs a detector"
            else:
                self._networks[metric] = _load(path, device)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics that are measured picture by picture."""
        entries = (
            Metric(
                "lpips", "LPIPS", "", "lower", COPY, self._lpips,
                "Zhang et al. 2018 on VGG16, RGB in 0..255, mean over the pictures",
            ),
            Metric(
                "face_cosine", "face cosine", "", "higher", None, self._face_cosine,
                "cosine between the embeddings of result's and truth's face, each aligned to 112 "
                "x 112 by eyes, nose and mouth corners as detected; pictures without both faces "
                "are left out",
            ),
        )  # fmt: skip
        return tuple(entry for entry in entries if entry.key in self._networks)

    def frechet(self) -> list[Frechet]:
        """Make new accumulators, one for each metric over all pictures."""
        return [
            Frechet(metric, network, self.device)
            for metric, network in self._networks.items()
            if metric in PROTOCOLS_OF_SETS
        ]

    def _lpips(self, made: MadeSample) -> float:
        import torch

        pair = _tensor(np.stack([made.picture, made.sample.truth]), self.device)
        with torch.no_grad():
            one, other = self._networks["lpips"](pair, resize_images=False, return_lpips=True)
        return float((one - other).square().sum())

    def _face_cosine(self, made: MadeSample) -> float | None:
        import torch

        if made.found is None or made.truth_found is None:
            return None
        face = aligned_face(made.picture, made.found.face)
        true_face = aligned_face(made.sample.truth, made.truth_found.face)
        if face is None or true_face is None:
            return None
        with torch.no_grad():
            pair = _tensor(np.stack([face, true_face]), self.device) / 127.5 - 1
            one, other = self._networks["face_cosine"](pair).float()
        return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


class Frechet:
    """Frechet distance between a network's features of all truths and of all results."""

    def __init__(self, metric: str, network: Any, device: str):
        self.metric = metric
        fid = needed("torchmetrics.image.fid")
        self._distance = fid.FrechetInceptionDistance(
            feature=_features(metric, network, device)
        ).to(device)
        self._device = device
        self._clip = ""
        self._window: list[MadeSample] = []

    def update(self, made: MadeSample) -> None:
        """Take in one picture; clips come frame after frame."""
        if self.metric == "fid":
            for picture, real in ((made.sample.truth, True), (made.picture, False)):
                self._distance.update(_tensor(picture[None], self._device).byte(), real=real)
            return
        if made.sample.clip != self._clip:
            self._clip, self._window = made.sample.clip, []
        self._window.append(made)
        if len(self._window) == WINDOW_FRAMES:
            for real in (True, False):
                frames = [s.sample.truth if real else s.picture for s in self._window]
                self._distance.update(_window(self.metric, frames, self._device), real=real)
            self._window = []

    def compute(self) -> float | None:
        """Compute the distance; None with fewer than two pictures or windows."""
        if self._distance.real_features_num_samples < 2:
            return None
        return float(self._distance.compute())


def aligned_face(picture: Picture, face: Points) -> Picture | None:
    """Move eyes, nose and mouth to FACE_TEMPLATE.

    Args:
        picture: That shows the face.
        face: The 68 points (68, 2) of the face in its pixels.

    Returns:
        A picture (112, 112, 3), or None without a face.
    """
    import cv2

    points = np.stack([face[part].mean(0) for part in FACE_POINTS])
    if not np.isfinite(points).all():
        return None
    matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float64), FACE_TEMPLATE)
    if matrix is None:
        return None
    return cv2.warpAffine(picture, matrix, (112, 112)).astype(np.uint8, copy=False)


def _load(path: Path, device: str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            load: Callable[..., Any] = torch.jit.load  # which torch types not
            return load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path}: no TorchScript network ({str(error).splitlines()[0]}); copy it again, or "
            "remove it to go without"
        ) from error


def _features(metric: str, network: Any, device: str) -> torch.nn.Module:
    """The network as a module of one argument that gives its features."""
    import torch

    options: dict[str, bool] = {}
    if metric == "fid":
        options = {"return_features": True}
    elif metric == "fvd":
        options = {"rescale": False, "resize": False, "return_features": True}

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            sample = torch.zeros(1, *INPUT_SHAPES[metric], device=device)
            with torch.no_grad():
                self.num_features = self(sample.byte() if metric == "fid" else sample).shape[-1]

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.network(pictures, **options)
            return features.flatten(1)

    return Features()


def _window(metric: str, frames: list[Picture], device: str) -> torch.Tensor:
    """Make of some frames a tensor (1, 3, frames, s, s) in -1..1."""
    import torch.nn.functional as F

    side = INPUT_SHAPES[metric][-1]
    batch = F.interpolate(
        _tensor(np.stack(frames), device) / 127.5 - 1, (side, side), mode="bilinear"
    )
    return batch.permute(1, 0, 2, 3)[None]


def _tensor(pictures: Pictures, device: str) -> torch.Tensor:
    """Make of pictures (n, H, W, 3) a tensor (n, 3, H, W) float32 in 0..255."""
    import torch

    return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device, torch.float32)
