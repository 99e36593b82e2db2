"""Identity tokens: files of IP-Adapter's layout, diffusers' own numbers, and nothing where off."""

import copy

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPVisionModelWithProjection

from magicpose_cli.diffusion.adapters.identity import load_identity_adapter, plan_identity
from magicpose_cli.diffusion.checkpoint.random_weights import SD15_SHAPE, TINY, random_pipeline
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.errors import ModelError
from tests.ip_adapter import (
    EMBEDDED,
    FULL,
    SEEN,
    SIDE,
    SMALL,
    attention_state,
    full_projection,
    plain_projection,
    plus_projection,
    put,
    save_encoder,
)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(**TINY.unet_config()).eval()


def state_of(kind, unet):
    torch.manual_seed(1)
    projection = {
        "plus": lambda: plus_projection(SEEN, **SMALL),
        "plain": lambda: plain_projection(EMBEDDED, SMALL["width"]),
        "full": lambda: full_projection(SEEN, SMALL["width"]),
    }[kind]()
    return projection | attention_state(unet, SMALL["width"])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder") / "image_encoder")


def face(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["plus", "plain", "full"])
def test_the_numbers_of_diffusers_own(unet, encoder, tmp_path, kind):
    state = state_of(kind, unet)
    adapter = load_identity_adapter(put(state, encoder, tmp_path / "a"), unet, 0.7)
    shown, bare = adapter.tokens(face())
    theirs = copy.deepcopy(unet)
    nested = {group: {k.partition(".")[2]: t for k, t in state.items() if k.startswith(group)}
              for group in ("image_proj", "ip_adapter")}  # fmt: skip
    theirs._load_ip_adapter_weights([nested], low_cpu_mem_usage=False)
    for processor in theirs.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7]
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    pixels = ((torch.from_numpy(face()).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    clip = CLIPVisionModelWithProjection.from_pretrained(encoder).eval()
    if kind == "plain":
        seen = clip(pixels).image_embeds
    else:
        seen = clip(pixels, output_hidden_states=True).hidden_states[-2]
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 16)
    wanted = theirs(x, 500, text, added_cond_kwargs={"image_embeds": [seen[:, None]]}).sample
    with adapter.attending():
        ours = unet(x, 500, (text, [shown])).sample
        other = unet(x, 500, (text, [bare])).sample
    assert (ours - wanted).norm() / wanted.norm() < 1e-5
    assert (other - wanted).norm() / wanted.norm() > 1e-4


def test_a_pickle_and_a_folder_above(unet, encoder, tmp_path):
    state = state_of("plus", unet)
    models = put(state, encoder, tmp_path / "models")
    (models / "faces").mkdir()
    put(state, encoder, models / "faces", "ip-adapter-plus-face_sd15.bin")
    (models / "faces" / "image_encoder").unlink()
    one = load_identity_adapter(models, unet, 1.0)
    other = load_identity_adapter(models / "faces" / "ip-adapter-plus-face_sd15.bin", unet, 1.0)
    for here, there in zip(one.tokens(face()), other.tokens(face()), strict=True):
        assert torch.equal(here, there)


def sampled(pipeline, tokens=None, acceleration=None, guidance=2.0):
    generator = torch.Generator().manual_seed(0)
    noise, reference = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    maps = torch.rand(3, 3, 64, 64, generator=generator)
    text = torch.randn(1, 7, 16, generator=generator)
    sampler = Sampler(
        pipeline, noise, reference, text, steps=4, guidance=guidance,
        acceleration=acceleration, identity_tokens=tokens,
    )  # fmt: skip
    return sampler.sample(maps), sampler


@pytest.mark.slow
def test_off_is_off_and_on_is_per_face(encoder, tmp_path):
    pipeline = random_pipeline("tiny")
    former, _ = sampled(pipeline)
    names = list(pipeline.unet.state_dict())
    folder = put(state_of("plus", pipeline.unet), encoder, tmp_path / "a")
    pipeline.identity = load_identity_adapter(folder, pipeline.unet, 1.0)
    assert torch.equal(sampled(pipeline)[0], former)
    one, _ = sampled(pipeline, pipeline.identity.tokens(face(1)))
    other, _ = sampled(pipeline, pipeline.identity.tokens(face(2)))
    assert not torch.allclose(one, former, atol=1e-3)
    assert not torch.allclose(one, other, atol=1e-4)
    assert torch.equal(sampled(pipeline)[0], former)
    assert list(pipeline.unet.state_dict()) == names


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", [None, Acceleration(cache_every=2)])
def test_a_scale_of_nothing_changes_no_bit(encoder, tmp_path, acceleration):
    pipeline = random_pipeline("tiny")
    former, _ = sampled(pipeline, acceleration=acceleration)
    folder = put(state_of("plus", pipeline.unet), encoder, tmp_path / "a")
    pipeline.identity = load_identity_adapter(folder, pipeline.unet, 0.0)
    ours, _ = sampled(pipeline, pipeline.identity.tokens(face()), acceleration)
    torch.testing.assert_close(ours, former, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["plus", "plain", "full"])
def test_every_key_fits_at_full_size(kind):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15_SHAPE.unet_config())
        projection = {
            "plus": lambda: plus_projection(1280, **FULL),
            "plain": lambda: plain_projection(1024, 768),
            "full": lambda: full_projection(1280, 768),
        }[kind]()
        state = projection | attention_state(unet, 768)
        plan = plan_identity(state, unet, "identity model x")
    assert len(plan.processors) == 16
    assert plan.seen_width == (1024 if kind == "plain" else 1280)
    assert plan.reads_patches is (kind != "plain")
    names = [int(key.split(".")[1]) for key in state if key.startswith("ip_adapter.")]
    assert sorted(set(names)) == list(range(1, 32, 2))


def changed(state, how):
    first = next(key for key in state if key.startswith("ip_adapter."))
    image = next(key for key in state if key.startswith("image_proj."))
    return {
        "more attention": {**state, "ip_adapter.99.to_k_ip.weight": torch.zeros(32, 16)},
        "fewer attention": {key: t for key, t in state.items() if key != first},
        "more image": {**state, "image_proj.more.weight": torch.zeros(2)},
        "fewer image": {key: t for key, t in state.items() if key != image},
        "stranger": {**state, "lora.down": torch.zeros(2)},
        "half": {key: t for key, t in state.items() if key.startswith("image_proj.")},
        "not finite": {**state, first: torch.full_like(state[first], torch.inf)},
        "other width": {k: torch.zeros(len(t), 20) if k.startswith("ip_") else t
                        for k, t in state.items()},
        "shape": {**state, first: torch.zeros(8, 16)},
        "face id": {**{k: t for k, t in state.items() if k.startswith("ip_")},
                    "image_proj.norm.weight": torch.zeros(2),
                    "image_proj.proj.0.weight": torch.zeros(2, 2)},
    }[how]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("more attention", r"ip_adapter\.99\.to_k_ip\.weight is of no cross-attention"),
        ("fewer attention", r"lacks ip_adapter\."),
        ("more image", "its image projection does not fit .*more"),
        ("fewer image", "its image projection does not fit"),
        ("stranger", r"is .*\(lora\.down\)"),
        ("half", "no whole IP-Adapter"),
        ("not finite", "not finite"),
        ("other width", "is for text of width 20, this model's is 16"),
        ("shape", r"is \[8, 16\], this model takes"),
        ("face id", "is a FaceID adapter"),
    ],
)
def test_what_does_not_fit_is_one_line(unet, encoder, tmp_path, how, told):
    folder = put(changed(state_of("plus", unet), how), encoder, tmp_path / "a")
    with pytest.raises(ModelError, match=told) as error:
        load_identity_adapter(folder, unet, 1.0)
    assert "\n" not in str(error.value)


def test_an_encoder_that_is_missing_or_of_another_width(unet, encoder, tmp_path):
    folder = put(state_of("plus", unet), encoder, tmp_path / "a")
    (folder / "image_encoder").unlink()
    with pytest.raises(ModelError, match=r"no .*image_encoder with its config\.json"):
        load_identity_adapter(folder, unet, 1.0)
    wide = plain_projection(50, SMALL["width"]) | attention_state(unet, SMALL["width"])
    with pytest.raises(ModelError, match=r"reads pictures that are 50 wide, .* gives 12"):
        load_identity_adapter(put(wide, encoder, tmp_path / "b"), unet, 1.0)
