"""Metrics that need a trained network: only where its file is on disk, nothing is downloaded.

Every network is one TorchScript file, which holds its own architecture: so neither torchvision nor
a package for each metric is needed. FID, FID-VID and FVD are the Frechet distance of torchmetrics
between such a network's features of all truths and of all results.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.errors import ModelError
from magicpose_cli.evaluation.cases import MadeSample
from magicpose_cli.evaluation.extras import needed
from magicpose_cli.evaluation.metrics import COPY, Metric

if TYPE_CHECKING:
    import torch

WINDOW = 16  # frames of a clip that a video network sees at once
# Where the eyes, the nose and the corners of the mouth stand in an aligned face of 112 x 112.
FACE_TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
     (70.7299, 92.2041)]
)  # fmt: skip
FACE_POINTS = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))


@dataclass(frozen=True)
class Network:
    """A file that a metric needs and what is expected of it."""

    metric: str
    file: str
    expected: str


NETWORKS = {
    network.metric: network
    for network in (
        Network("lpips", "vgg16.pt", "the VGG16 with LPIPS weights of stylegan2-ada-pytorch"),
        Network("fid", "inception-2015-12-05.pt", "the Inception of stylegan2-ada-pytorch"),
        Network(
            "fid_vid", "resnet50_kinetics.pt",
            "a 3D ResNet-50 trained on Kinetics, (n, 3, 16, 112, 112) in -1..1 to (n, d)",
        ),
        Network("fvd", "i3d_torchscript.pt", "the I3D of fvd-comparison"),
        Network(
            "face_cosine", "face_embedding.pt",
            "a face recognition network such as AdaFace, (n, 3, 112, 112) RGB in -1..1 to (n, d)",
        ),
    )
}  # fmt: skip
PROTOCOLS_OF_SETS = {
    "fid": "Frechet distance of Inception's 2048 pool features, truths against results",
    "fid_vid": f"Frechet distance of a 3D ResNet's features over windows of {WINDOW} frames",
    "fvd": f"Frechet distance of I3D's logits over windows of {WINDOW} frames at 224 x 224",
}


SAMPLES = {
    "fid": (3, 299, 299),
    "fid_vid": (3, WINDOW, 112, 112),
    "fvd": (3, WINDOW, 224, 224),
}
"""Shape of what each network is shown."""


def weights_folder() -> Path:
    """Where the files are looked for: `metrics` beside the installed models."""
    from magicpose_cli.diffusion.checkpoint.loading import models_home

    return models_home().parent / "metrics"


class Learned:
    """The networks that are there; `missing` says for each other metric what to do.

    detector: whether poses are read, without which faces cannot be aligned.
    """

    def __init__(self, device: str, detector: bool):
        self.device = device
        self.missing: dict[str, str] = {}
        self._networks: dict[str, Any] = {}
        for metric, network in NETWORKS.items():
            path = weights_folder() / network.file
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
        """Those measured picture by picture."""
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
        """New accumulators, one for each metric over all pictures."""
        return [
            Frechet(metric, network, self.device)
            for metric, network in self._networks.items()
            if metric in PROTOCOLS_OF_SETS
        ]

    def _lpips(self, seen: MadeSample) -> float:
        import torch

        pair = _tensor(np.stack([seen.picture, seen.case.truth]), self.device)
        with torch.no_grad():
            one, other = self._networks["lpips"](pair, resize_images=False, return_lpips=True)
        return float((one - other).square().sum())

    def _face_cosine(self, seen: MadeSample) -> float | None:
        import torch

        if seen.found is None or seen.truth_found is None:
            return None
        made = aligned_face(seen.picture, seen.found.face)
        true = aligned_face(seen.case.truth, seen.truth_found.face)
        if made is None or true is None:
            return None
        with torch.no_grad():
            pair = _tensor(np.stack([made, true]), self.device) / 127.5 - 1
            one, other = self._networks["face_cosine"](pair).float()
        return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


class Frechet:
    """Frechet distance between what a network says of all truths and of all results."""

    def __init__(self, metric: str, network: Any, device: str):
        self.metric = metric
        fid = needed("torchmetrics.image.fid")
        self._distance = fid.FrechetInceptionDistance(
            feature=_features(metric, network, device)
        ).to(device)
        self._device = device
        self._clip = ""
        self._window: list[MadeSample] = []

    def update(self, seen: MadeSample) -> None:
        """Take in one picture; clips come frame after frame."""
        if self.metric == "fid":
            for picture, real in ((seen.case.truth, True), (seen.picture, False)):
                self._distance.update(_tensor(picture[None], self._device).byte(), real=real)
            return
        if seen.case.clip != self._clip:
            self._clip, self._window = seen.case.clip, []
        self._window.append(seen)
        if len(self._window) == WINDOW:
            for real in (True, False):
                frames = [s.case.truth if real else s.picture for s in self._window]
                self._distance.update(_window(self.metric, frames, self._device), real=real)
            self._window = []

    def compute(self) -> float | None:
        """The distance; None with fewer than two samples."""
        if self._distance.real_features_num_samples < 2:
            return None
        return float(self._distance.compute())


def aligned_face(picture: np.ndarray, face: np.ndarray) -> np.ndarray | None:
    """(112, 112, 3) uint8 with eyes, nose and mouth at FACE_TEMPLATE; None without a face."""
    import cv2

    points = np.stack([face[part].mean(0) for part in FACE_POINTS])
    if not np.isfinite(points).all():
        return None
    matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float64), FACE_TEMPLATE)
    return None if matrix is None else cv2.warpAffine(picture, matrix, (112, 112))


def _load(path: Path, device: str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location=device).eval()
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
            sample = torch.zeros(1, *SAMPLES[metric], device=device)
            with torch.no_grad():
                self.num_features = self(sample.byte() if metric == "fid" else sample).shape[-1]

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.network(pictures, **options).flatten(1)

    return Features()


def _window(metric: str, frames: list[np.ndarray], device: str) -> torch.Tensor:
    """(1, 3, WINDOW, s, s) in -1..1"""
    import torch.nn.functional as F

    side = SAMPLES[metric][-1]
    batch = F.interpolate(
        _tensor(np.stack(frames), device) / 127.5 - 1, (side, side), mode="bilinear"
    )
    return batch.permute(1, 0, 2, 3)[None]


def _tensor(pictures: np.ndarray, device: str) -> torch.Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) float32 in 0..255"""
    import torch

    return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device, torch.float32)
