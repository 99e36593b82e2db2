"""A drawn person the real detector finds, and a model of the real classes at toy size."""

import multiprocessing
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

# Before NumPy is imported: its threads would spin on the cores that other workers of pytest need.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from magicpose_cli.pose.files.read_write import write_clip
from magicpose_cli.run.resources import Resources
from magicpose_cli.video import write_picture, write_video
from tests.nursery import Shell, open_nursery

SIZE = 256
WORKERS_IMPORTS = [
    "cv2",
    "mediapipe",
    "magicpose_cli.dataset.cut",
    "magicpose_cli.diffusion.pipeline",
    "magicpose_cli.rendering.local",
    "magicpose_cli.synthetic.people",
]
settings.register_profile("any machine", deadline=None)  # no test asserts a time
settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Begin with the files of most slow tests: the short ones at the end keep all workers busy."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small are slower on several threads, above all on a busy machine."""
    import torch

    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


@pytest.fixture(scope="session", autouse=True)
def forked_workers():
    """Worker processes are forked off a server that has imported what they work with.

    They are of their own for all that, as those of users are, who start each anew.
    """
    former = multiprocessing.get_context
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload(WORKERS_IMPORTS)
        multiprocessing.get_context = lambda method=None: former(
            "forkserver" if method == "spawn" else method
        )
    yield former
    multiprocessing.get_context = former


@pytest.fixture
def own_interpreters(forked_workers, monkeypatch):
    """Let each worker process start as a user's does."""
    monkeypatch.setattr(multiprocessing, "get_context", forked_workers)


@pytest.fixture(scope="session")
def people():
    """One drawn half-length person in eight poses of a dance."""
    import torch

    from magicpose_cli.synthetic.casting import sample_identities
    from magicpose_cli.synthetic.people import TEST_SEEDS, render
    from tests.drawn_dance import dance

    generator = torch.Generator().manual_seed(TEST_SEEDS)
    identity = sample_identities(1, SIZE, generator, framing="half")
    rows = torch.zeros(8, dtype=torch.long)
    return render(identity.rows(rows), dance(np.arange(8) / 8))


@pytest.fixture(scope="session")
def frames(people) -> np.ndarray:
    """(8, 256, 256, 3) uint8"""
    return (people.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()


@pytest.fixture(scope="session")
def media(frames, tmp_path_factory) -> Path:
    """ref.png and dance.mp4 (8 frames at 8 a second) of the drawn person."""
    folder = tmp_path_factory.mktemp("media")
    write_picture(folder / "ref.png", frames[0])
    write_video(folder / "dance.mp4", iter(frames), 8)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Random weights: it draws nothing, but a 64x64 frame takes milliseconds."""
    import torch
    from diffusers import AutoencoderTiny, ControlNetModel, DDIMScheduler, UNet2DConditionModel

    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

    torch.manual_seed(0)
    shape = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 8,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "sample_size": 8,
    }
    unet = UNet2DConditionModel(**shape)
    pose = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 8, 8))
    for name, weight in pose.named_parameters():
        if "controlnet_" in name:  # zero in a new network, which would hide the pose
            torch.nn.init.normal_(weight, std=0.1)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(0, 0, 0, 1),
        decoder_block_out_channels=(8,) * 4,
        num_decoder_blocks=(1, 1, 1, 1),
    )
    pipeline = MagicPosePipeline(
        unet=unet,
        appearance_unet=UNet2DConditionModel(**shape),
        pose_controlnet=pose,
        vae=vae,
        scheduler=DDIMScheduler(clip_sample=False),
        sample_size=64,
        pose_canvas=256,
        default_steps=4,
        default_guidance=1.5,
    )
    folder = tmp_path_factory.mktemp("tiny")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def resources() -> Iterator[Resources]:
    """What runs find in films and load, once for all tests whose point it is not."""
    with Resources() as shared:
        yield shared


@pytest.fixture(scope="session")
def nursery(media, people, tiny_model, tmp_path_factory) -> Iterator[subprocess.Popen[str]]:
    """A process of the command line with everything imported, off which others are forked."""
    folder = tmp_path_factory.mktemp("nursery")
    write_clip(folder / "dance.json", people.poses()[:1], 8)
    ends = [media / "ref.png", folder / "dance.json", "-o", folder / "out.mp4"]
    settings = ["--model", tiny_model, "--device", "cpu", "--retarget", "none", "--steps", 1]
    with open_nursery(folder, [*map(str, ["animate", *ends, *settings, "--quiet"])]) as process:
        yield process


@pytest.fixture(scope="session")
def shell(nursery, tmp_path_factory) -> Shell:
    """shell(*arguments, cwd=...) runs `magicpose` in a process of its own, to its end."""
    return Shell(nursery, tmp_path_factory.mktemp("said"))


@pytest.fixture
def loads(monkeypatch):
    """How often a model was really loaded."""
    from magicpose_cli.rendering import local

    load, seen = local.load_model, []

    def counted(preset, notes=None):
        seen.append(preset.model.name)
        return load(preset, notes)

    monkeypatch.setattr(local, "load_model", counted)
    return seen


@pytest.fixture
def any_color(monkeypatch):
    """Keep the background whatever a frame's colors: those of the tiny model are noise."""
    from magicpose_cli.compositing import background

    for name in ("AWAY_FROM_PERSON", "BESIDE_LIMBS"):
        bounds = replace(getattr(background, name), same=1000, other=2000)
        monkeypatch.setattr(background, name, bounds)
