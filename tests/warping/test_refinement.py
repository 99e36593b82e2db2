"""The refinement network before it has learned anything, its file, and frames of any size."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from magicpose_cli.errors import ModelError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.refinement import (
    FURTHEST,
    Refiner,
    Repair,
    load_refiner,
    network_size,
    refine,
    save_refiner,
)
from magicpose_cli.warping.warp import Warped

TINY = (4, 6, 8)


def learned(seed: int = 0) -> Refiner:
    """One whose last layers are no longer zero."""
    torch.manual_seed(seed)
    refiner = Refiner(TINY).eval()
    with torch.no_grad():
        for last in (refiner.flow, refiner.color):
            last.weight.normal_(0, 0.5)
    return refiner


def frame_of(width: int, height: int, person: tuple[slice, slice] | None = None) -> Warped:
    """Noise with a person of whom one joint is known."""
    picture = np.random.default_rng(0).uniform(0, 255, (height, width, 3)).astype(np.float32)
    cover = np.zeros((height, width), np.float32)
    cover[person or np.s_[:, :]] = 1
    body = np.zeros((18, 3))
    body[0] = width / 2, height / 2, 1
    return Warped(picture, cover, Pose.of(width, height, body=body))


def no_hole(frame: Warped) -> np.ndarray:
    return np.zeros(frame.cover.shape, np.uint8)


def test_a_new_network_changes_nothing():
    frame = frame_of(300, 400)
    assert (refine(Refiner(TINY), frame, no_hole(frame)) == frame.picture).all()


@pytest.mark.parametrize("size", [(64, 64), (61, 97), (301, 256), (1, 40)])
def test_frames_of_any_size(size):
    frame = frame_of(*size)
    made = frame.picture.astype(np.uint8)
    for given in (None, made):
        repaired = refine(learned(), frame, no_hole(frame), given)
        assert repaired.shape == frame.picture.shape
        assert np.isfinite(repaired).all()


def test_what_is_far_from_the_person_stays_exactly():
    frame = frame_of(256, 256, np.s_[100:120, 100:120])
    changed = (refine(learned(), frame, no_hole(frame)) != frame.picture).any(2)
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert min(rows.min(), columns.min()) >= 100 - 8
    assert max(rows.max(), columns.max()) < 120 + 8


def test_no_strength_changes_nothing():
    frame = frame_of(256, 256)
    assert (refine(learned(), frame, no_hole(frame), strength=0.0) == frame.picture).all()


def test_the_motion_is_bounded():
    everywhere = torch.ones(1, 1, 64, 64)
    refiner = learned()
    refiner.flow.bias.data.fill_(1e6)
    repair = refiner(*(everywhere.expand(-1, n, -1, -1) for n in (3, 1, 1, 3)))
    assert repair.flow.abs().max() <= FURTHEST


def test_a_repair_moves_and_paints():
    picture = torch.arange(8.0).expand(1, 3, 8, 8) / 8
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 1.0
    repair = Repair(flow, torch.full((1, 1, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.2))
    expected = picture[..., 1:] + 0.1
    torch.testing.assert_close(repair(picture)[..., :-1], expected)


def test_the_short_side_is_the_networks():
    assert network_size(512, 768) == (256, 384)
    assert network_size(400, 200) == (512, 256)


def test_saved_and_loaded_it_does_the_same(tmp_path):
    refiner, frame = learned(), frame_of(80, 64)
    save_refiner(refiner, tmp_path / "refiner.safetensors")
    loaded = load_refiner(tmp_path / "refiner.safetensors")
    assert (refine(loaded, frame, no_hole(frame)) == refine(refiner, frame, no_hole(frame))).all()


@pytest.mark.parametrize("fault", ["missing", "text", "strange", "lacking", "other"])
def test_any_other_file_is_refused(tmp_path, fault):
    path = tmp_path / "refiner.safetensors"
    if fault == "text":
        path.write_text("not a network")
    elif fault == "strange":
        save_file({"weight": torch.zeros(1)}, path)
    elif fault != "missing":
        save_refiner(Refiner(TINY), path)
        state = load_file(path)
        if fault == "lacking":
            del state["flow.weight"]
        else:
            state["further"] = torch.zeros(1)
        save_file(state, path, metadata={"widths": "4,6,8"})
    with pytest.raises(ModelError, match="holds no refinement network"):
        load_refiner(path)
