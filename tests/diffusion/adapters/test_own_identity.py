"""The identity adapter of a model's own folder: written, read, and chosen."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from magicpose_cli.config.preset import ModelSettings
from magicpose_cli.diffusion.adapters.identity import load_identity_adapter
from magicpose_cli.diffusion.adapters.named import (
    OWN_IDENTITY_FOLDER,
    identity_place,
    named_files,
)
from magicpose_cli.diffusion.adapters.own_identity import (
    check_writable,
    new_identity_adapter,
    write_identity_adapter,
)
from magicpose_cli.diffusion.checkpoint.random_weights import TINY
from magicpose_cli.errors import ModelError
from tests.ip_adapter import SEEN, SMALL, attention_state, plus_projection, put, save_encoder


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(**TINY.unet_config()).eval()


@torch.no_grad()
def test_what_is_written_is_read_as_any_other(unet, tmp_path):
    adapter = new_identity_adapter(unet, 32)
    for processor in adapter.processors:
        torch.nn.init.normal_(processor.to_v_ip[0].weight)
    write_identity_adapter(adapter, tmp_path / "own")
    again = load_identity_adapter(tmp_path / "own", unet, 0.5)
    assert again.picture_size == 32
    faces = torch.rand(2, 3, 32, 32)
    for one, other in zip(again.read(faces), adapter.read(faces), strict=True):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0.02)  # half precision
    for one, other in zip(again.processors, adapter.processors, strict=True):
        assert one.scale == [0.5]
        torch.testing.assert_close(one.to_v_ip[0].weight, other.to_v_ip[0].weight.half().float())


def test_an_adapter_of_another_projection_is_refused_before_the_training(unet, tmp_path):
    state = plus_projection(SEEN, **SMALL) | attention_state(unet, SMALL["width"])
    folder = put(state, save_encoder(tmp_path / "image_encoder"), tmp_path / "plus")
    with pytest.raises(ModelError, match=r"cannot be trained; expected one whose projection"):
        check_writable(load_identity_adapter(folder, unet, 1.0))


def test_the_named_one_then_the_models_own_then_the_catalogs(unet, tmp_path):
    model, bare = tmp_path / "model", tmp_path / "bare"
    write_identity_adapter(new_identity_adapter(unet, 32), model / OWN_IDENTITY_FOLDER)
    asked = ModelSettings(identity=0.5)
    named = ModelSettings(identity=0.5, identity_model=str(tmp_path / "other"))
    assert identity_place(named, model) == tmp_path / "other"
    assert identity_place(asked, model) == model / OWN_IDENTITY_FOLDER
    assert named_files(asked, model) == []  # a part of the model is no file beside it
    with pytest.raises(ModelError, match="models fetch ip-adapter-plus-face"):
        named_files(asked, bare)
    assert named_files(ModelSettings(), bare) == []
