"""The quality table, on a network that draws nothing."""

import pytest

from magicpose_cli.benchmarks import arithmetic, shortcuts
from magicpose_cli.benchmarks.shortcuts import measure_shortcuts, shortcut_variants
from magicpose_cli.config.preset import Preset

UNIPC = "UniPC, 40 % of the steps"


@pytest.fixture
def base(tiny_model, monkeypatch) -> Preset:
    monkeypatch.setattr(arithmetic, "MATRIX_S", 0.02)
    monkeypatch.setattr(shortcuts, "SHORTCUTS", {UNIPC: shortcuts.SHORTCUTS[UNIPC]})
    monkeypatch.setattr(shortcuts, "PRESETS", ())
    monkeypatch.setattr(shortcuts, "FILMS", 1)
    monkeypatch.setattr(shortcuts, "FILM_FRAMES", 6)
    monkeypatch.setattr(shortcuts, "REUSE_PX", (0.0, 100.0))
    return Preset().with_options(model__name=str(tiny_model))


@pytest.mark.slow
def test_settings_are_held_against_truth_and_exact(base):
    measured = measure_shortcuts(3, base, frames=2, repeat=1)
    exact, unipc = measured.settings
    assert (exact.name, unipc.name, measured.pairs, measured.size) == ("exact", UNIPC, 3, 64)
    assert (exact.psnr_exact, exact.ssim_exact, exact.psnr_change) == (100, 1, 0)
    assert exact.relative_flops == 1 > unipc.relative_flops > 0.3
    assert 5 < unipc.psnr_exact < 100 and 0 < unipc.ssim_exact < 1
    assert unipc.psnr_change == pytest.approx(unipc.psnr - exact.psnr)
    assert unipc.psnr_change_error > 0 and unipc.faster > 0
    assert exact.found is None and exact.body_error is None
    alike, frozen = measured.reuse
    assert (alike.made, alike.psnr_change, alike.psnr_exact) == (100, 0, None)
    assert 100 / 6 <= round(frozen.made, 1) < 100 and frozen.psnr_exact < 100


def test_every_setting_differs_from_exact(tiny_model):
    ways, missing = shortcut_variants(Preset().with_options(model__name=str(tiny_model)))
    exact, *others = (way.preset for way in ways)
    assert all((way.model, way.sampling) != (exact.model, exact.sampling) for way in others)
    assert len({way.name for way in ways}) == len(ways)
    assert all("pip install" in why for why in missing.values())
