"""Small planted networks with the layout of the published files."""

import numpy as np
import pytest
import torch

from magicpose_cli.errors import ModelError
from magicpose_cli.evaluation.learned_metrics import (
    WINDOW_FRAMES,
    LearnedMetrics,
    aligned_face,
    metric_networks_folder,
)
from magicpose_cli.evaluation.samples import MadeSample


class Perceptual(torch.nn.Module):
    def forward(self, x: torch.Tensor, resize_images: bool = True, return_lpips: bool = False):
        return x.mean((2, 3)) if return_lpips else x


class Inception(torch.nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False):
        assert x.dtype == torch.uint8
        return x.float().mean((2, 3)) if return_features else x


class Video(torch.nn.Module):
    def forward(
        self,
        x: torch.Tensor,
        rescale: bool = True,
        resize: bool = True,
        return_features: bool = False,
    ):
        assert not rescale and not resize and x.shape[1:] == (3, 16, 224, 224)
        return 127.5 * x.mean((2, 3, 4))


class Face(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x.flatten(1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    metric_networks_folder().mkdir()
    return metric_networks_folder()


def plant(folder, name, network):
    torch.jit.script(network).save(str(folder / name))


def test_nothing_on_disk_is_one_line_each(folder):
    learned = LearnedMetrics("cpu", detector=True)
    assert set(learned.missing) == {"lpips", "fid", "fid_vid", "fvd", "face_cosine"}
    assert str(folder / "vgg16.pt") in learned.missing["lpips"]
    assert not learned.metrics and not learned.frechet()
    assert not any("\n" in line for line in learned.missing.values())


def test_lpips_is_the_squared_distance_of_the_network(folder, made_sample, texture):
    plant(folder, "vgg16.pt", Perceptual())
    learned = LearnedMetrics("cpu", detector=True)
    assert "lpips" not in learned.missing
    (metric,) = learned.metrics
    assert metric.function(made_sample()) == 0
    assert metric.function(made_sample(texture + np.uint8(4))) == pytest.approx(3 * 16, rel=1e-3)


def test_fid_of_a_shifted_set_is_the_square_of_the_shift(folder, made_sample, texture):
    plant(folder, "inception-2015-12-05.pt", Inception())
    (fid,) = LearnedMetrics("cpu", detector=True).frechet()
    rng = np.random.default_rng(0)
    fid.update(made_sample())
    assert fid.compute() is None  # of one picture
    for _ in range(20):
        truth = texture // 2 + rng.integers(0, 100, 3).astype(np.uint8)
        fid.update(made_sample(truth + np.uint8(10), truth))
    assert fid.compute() == pytest.approx(300, rel=0.1)


def test_fvd_looks_at_whole_windows_of_one_clip(folder, made_sample, texture):
    plant(folder, "i3d_torchscript.pt", Video())
    (fvd,) = LearnedMetrics("cpu", detector=True).frechet()
    rng = np.random.default_rng(0)
    for clip in range(4):
        truth = texture // 2 + rng.integers(0, 100, 3).astype(np.uint8)
        for _ in range(WINDOW_FRAMES + 3):
            fvd.update(made_sample(truth + np.uint8(10), truth, clip=str(clip)))
    assert int(fvd._distance.real_features_num_samples) == 4
    assert fvd.compute() == pytest.approx(300, rel=0.01)


def test_faces_are_aligned_before_they_are_compared(folder, people, frames, made_sample):
    plant(folder, "face_embedding.pt", Face())
    (metric,) = LearnedMetrics("cpu", detector=True).metrics
    pose = people.poses()[0]
    moved = np.roll(frames[0], (6, 9), (0, 1))
    moved_pose = pose.map_points(lambda p: p + np.float32((9, 6)), pose.width, pose.height)
    pair = MadeSample(made_sample(frames[0], frames[0]).sample, moved, None, moved_pose, pose)
    assert metric.function(pair) == pytest.approx(1, abs=0.01)
    assert aligned_face(frames[0], pose.face).shape == (112, 112, 3)
    assert aligned_face(frames[0], np.full((68, 2), np.nan)) is None
    assert "detector" in LearnedMetrics("cpu", detector=False).missing["face_cosine"]


def test_a_broken_file_is_named(folder):
    (folder / "vgg16.pt").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"vgg16\.pt: no TorchScript network"):
        LearnedMetrics("cpu", detector=True)
