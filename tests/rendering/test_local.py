import numpy as np
import pytest
import torch

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.sampler import Sampler
from magicpose_cli.errors import ConfigError, DeviceError
from magicpose_cli.rendering.local import Renderer, load_model, pick_device


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def reference():
    return np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)


def render(tiny_model, reference, maps, **options):
    options = {"model__name": str(tiny_model), "model__device": "cpu", **options}
    preset = Preset().with_options(**options)
    renderer = Renderer(load_model(preset), reference, preset)
    size = preset.model.batch_size or len(maps)
    return list(np.concatenate(list(renderer.render(in_batches(maps, size)))))


def in_batches(maps, size):
    return (maps[i : i + size] for i in range(0, len(maps), size))


@pytest.mark.slow
def test_one_frame_a_map_and_the_same_bytes_again(tiny_model, reference, maps):
    one = render(tiny_model, reference, maps)
    other = render(tiny_model, reference, maps)
    assert len(one) == 5 and all(f.shape == (64, 64, 3) and f.dtype == np.uint8 for f in one)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], one[1])  # the pose decides


@pytest.mark.slow
def test_seed_and_reference_decide(tiny_model, reference, maps):
    plain = render(tiny_model, reference, maps[:1])[0]
    assert not np.array_equal(plain, render(tiny_model, reference, maps[:1], sampling__seed=1)[0])
    assert not np.array_equal(plain, render(tiny_model, 255 - reference, maps[:1])[0])


@pytest.mark.slow
def test_the_batch_size_changes_nothing(tiny_model, reference, maps):
    whole = render(tiny_model, reference, maps, model__batch_size=5)
    for size in (1, 2):
        parts = render(tiny_model, reference, maps, model__batch_size=size)
        difference = np.abs(np.stack(whole).astype(int) - np.stack(parts))
        assert difference.max() <= 1  # of 255: rounding


def test_the_appearance_network_reads_each_timestep_once(tiny_model, reference, maps):
    preset = Preset().with_options(model__name=str(tiny_model), model__batch_size=2)
    pipeline = load_model(preset)
    calls = []
    pipeline.appearance_unet.register_forward_pre_hook(lambda *a: calls.append(len(a[1][0])))
    renderer = Renderer(pipeline, reference, preset)
    assert sum(map(len, renderer.render(in_batches(maps, 2)))) == 5
    assert sum(calls) == pipeline.config.default_steps


def test_maps_are_taken_as_they_are_needed(tiny_model, reference, maps):
    preset = Preset().with_options(model__name=str(tiny_model), model__batch_size=2)
    taken = []

    def source():
        for i, batch in enumerate(in_batches(maps, 2)):
            taken.append(i)
            yield batch

    frames = Renderer(load_model(preset), reference, preset).render(source())
    next(frames)
    assert taken == [0]


@pytest.mark.slow
def test_six_channels_are_a_map_and_the_picture_to_begin_from(tiny_model, reference, maps):
    starts = np.random.default_rng(2).integers(0, 255, maps.shape, dtype=np.uint8)
    preset = Preset().with_options(
        model__name=str(tiny_model), model__device="cpu", sampling__start_from_warp=0.5
    )
    pipeline = load_model(preset)
    renderer = Renderer(pipeline, reference, preset)
    made = renderer.make(np.concatenate([maps, starts], axis=-1))
    assert renderer.notes == []

    def tensor(pictures):
        return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2) / 255

    sampler = Sampler(
        pipeline,
        pipeline.initial_noise(64, 64, torch.Generator().manual_seed(42)),
        pipeline.encode_reference(tensor(reference[None]) * 2 - 1),
        pipeline.encode_prompt(),
        steps=4,
        guidance=1.5,
        strength=0.5,
    )
    latents = sampler.sample(tensor(maps), start=pipeline.encode_reference(tensor(starts) * 2 - 1))
    truth = (pipeline.decode(latents).permute(0, 2, 3, 1) * 255).round().numpy()
    assert np.abs(made - truth).max() <= 1
    assert np.abs(made - renderer.make(maps).astype(float)).mean() > 1  # the pictures decide


@pytest.mark.slow
def test_without_the_setting_or_a_picture_frames_begin_from_noise(tiny_model, reference, maps):
    truth = np.array(render(tiny_model, reference, maps), np.int16)
    unread = render(tiny_model, reference, np.concatenate([maps, 255 - maps], axis=-1))
    assert np.abs(truth - unread).max() <= 1  # some processors round a value otherwise
    lone = render(tiny_model, reference, maps, sampling__start_from_warp=0.25)
    assert np.abs(truth - lone).max() <= 1


def test_memory_short_for_pictures_to_begin_from_halves_the_batch(tiny_model, reference, maps):
    preset = Preset().with_options(
        model__name=str(tiny_model), sampling__guidance=1.0, sampling__start_from_warp=0.5
    )
    pipeline = load_model(preset)
    batch = np.concatenate([maps, maps[::-1]], axis=-1)
    truth = Renderer(pipeline, reference, preset).make(batch)
    renderer = Renderer(pipeline, reference, preset)

    def refuse(module, arguments):
        if len(arguments[0]) > 3:
            raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    pipeline.unet.register_forward_pre_hook(refuse)
    assert np.abs(renderer.make(batch).astype(int) - truth).max() <= 1
    assert len(renderer.notes) == 1


def test_a_share_that_takes_all_steps_is_told(tiny_model, reference):
    preset = Preset().with_options(
        model__name=str(tiny_model), sampling__steps=1, sampling__start_from_warp=0.3
    )
    [note] = Renderer(load_model(preset), reference, preset).notes
    assert note.startswith("start_from_warp: 0.3 of 1 steps is rounded to all of them")


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01])
def test_a_share_is_above_0_and_at_most_1(share):
    with pytest.raises(ConfigError, match=r"sampling\.start_from_warp"):
        Preset().with_options(sampling__start_from_warp=share)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["unipc", "dpm++2m", "euler", "DDIMScheduler", "heun", "deis", "pndm"]
)
def test_schedulers_by_name(tiny_model, reference, maps, name):
    frames = render(tiny_model, reference, maps[:3], sampling__scheduler=name, model__batch_size=2)
    assert len(frames) == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [("quick", "is not known"), ("EulerAncestralDiscreteScheduler", "draws noise at every step")],
)
def test_unusable_schedulers_are_named(tiny_model, reference, maps, name, reason):
    with pytest.raises(ConfigError, match=f"sampling.scheduler: '{name}' {reason}"):
        render(tiny_model, reference, maps[:1], sampling__scheduler=name)


def test_devices():
    assert pick_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match=r"model\.device: 'gpu7'"):
        pick_device("gpu7")


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("tried to allocate 9 GiB"), RuntimeError("MPS backend out of memory")],
)
def test_out_of_memory_halves_the_batch_and_says_so(tiny_model, reference, maps, error):
    preset = Preset().with_options(model__name=str(tiny_model), sampling__guidance=1.0)
    pipeline = load_model(preset)
    truth = Renderer(pipeline, reference, preset).make(maps)
    renderer = Renderer(pipeline, reference, preset)

    def refuse(module, arguments):
        if len(arguments[0]) > 2:
            raise error

    pipeline.unet.register_forward_pre_hook(refuse)
    made = renderer.make(maps)
    assert np.abs(made.astype(int) - truth).max() <= 1
    assert renderer.notes == [
        "out of memory with 5 frames at once: went on with 3",
        "out of memory with 3 frames at once: went on with 2",
    ]
    renderer.make(maps)
    assert len(renderer.notes) == 2  # it remembers


def test_out_of_memory_with_one_frame_says_what_to_do(tiny_model, reference, maps):
    preset = Preset().with_options(model__name=str(tiny_model))
    pipeline = load_model(preset)
    renderer = Renderer(pipeline, reference, preset)

    def refuse(*args):
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.raises(DeviceError, match="--batch-size 1"):
        renderer.make(maps)


def test_other_errors_stay_what_they_are(tiny_model, reference, maps):
    preset = Preset().with_options(model__name=str(tiny_model))
    renderer = Renderer(load_model(preset), reference, preset)
    with pytest.raises(RuntimeError, match="size"):
        renderer.make(maps[:, :, :32])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_in_half_precision_agrees_with_the_cpu(tiny_model, reference, maps):
    ours = render(tiny_model, reference, maps, model__device="cuda", model__dtype="float16")
    truth = render(tiny_model, reference, maps)
    assert np.abs(np.stack(ours).astype(int) - np.stack(truth)).mean() < 3
