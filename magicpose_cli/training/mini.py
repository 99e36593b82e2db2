"""Train `mini`, the embedded model: `python -m magicpose_cli.training.mini FOLDER`.

On people drawn by `people.py`, on any device: denoiser, appearance network and pose ControlNet
together from scratch (there is no pretrained Stable Diffusion of this size to freeze), predicting
v at zero terminal SNR in the latents of a fixed encoder; then the decoder. A checkpoint is written
every few minutes; the same command goes on from it.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference import ReferenceAttention
from magicpose_cli.training.autoencoder import decoder_loss, encode, fit_autoencoder, to_tensor
from magicpose_cli.training.pool import Pool

log = logging.getLogger(__name__)

SIZE, CANVAS, FRAMES = 128, 384, 4
DROP = 0.1  # share of samples without any condition, for guidance
CARD = f"""# mini

MagicPose's architecture at small size ({SIZE}x{SIZE} pixels), trained from scratch by
`python -m magicpose_cli.training.mini` on people drawn by magicpose_cli/training, and on nothing
else. It shows that everything works. It is not the released MagicPose model and has never seen a
photograph.
"""
NETWORK: dict[str, Any] = {
    "sample_size": SIZE // 8,
    "block_out_channels": (48, 96, 144),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 32,
    "attention_head_dim": 4,  # diffusers' name for the number of heads
    "norm_num_groups": 24,
}


def new_networks() -> dict[str, Any]:
    """Denoiser, its twin for the appearance, and the pose ControlNet."""
    unet = UNet2DConditionModel(**NETWORK)
    appearance = UNet2DConditionModel(**NETWORK)
    appearance.load_state_dict(unet.state_dict())
    pose = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64, 96))
    return {"unet": unet, "appearance_unet": appearance, "pose_controlnet": pose}


def new_scheduler() -> DDIMScheduler:
    """DDIM as the probe found it to work: v, few steps, the last of them pure noise."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        clip_sample=False,
    )


class Trainer:
    """Parameters, their optimizer, a moving average and the share of the time already used."""

    def __init__(self, folder: Path, name: str, modules: dict[str, torch.nn.Module], minutes: float,
                 rate: float):  # fmt: skip
        self.path = folder / f"{name}.pt"
        self.modules = modules
        self.minutes, self.rate = minutes, rate
        self.parameters = [p for m in modules.values() for p in m.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, betas=(0.9, 0.99),
                                           weight_decay=0.01)  # fmt: skip
        self.average = [p.detach().clone() for p in self.parameters]
        self.step, self.used_s = 0, 0.0
        if self.path.exists():
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            for key, module in modules.items():
                module.load_state_dict(state["modules"][key])
            self.optimizer.load_state_dict(state["optimizer"])
            for mean, saved in zip(self.average, state["average"], strict=True):
                mean.copy_(saved)
            self.step, self.used_s = state["step"], state["used_s"]

    def steps(self) -> Iterator[int]:
        """Count steps until the time is used up; writes a checkpoint every three minutes."""
        last = saved = time.monotonic()
        while self.used_s < 60 * self.minutes:
            yield self.step
            self.step += 1
            now = time.monotonic()
            self.used_s += now - last
            last = now
            if now - saved > 180:
                self.save()
                saved = now
        self.save()

    def update(self, loss: Tensor) -> None:
        """One step of AdamW; the rate warms up, holds, and falls over the last 40 %."""
        progress = self.used_s / (60 * self.minutes)
        fall = min(1.0, (1 - progress) / 0.4)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.step + 1) / 100) * max(fall, 0.01)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def save(self) -> None:
        """Write everything needed to go on, in one step."""
        part = self.path.with_suffix(".part")
        state = {
            "modules": {key: module.state_dict() for key, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "used_s": self.used_s,
        }
        torch.save(state, part)
        part.replace(self.path)

    def take_average(self) -> None:
        """Put the moving average in the place of the parameters."""
        with torch.no_grad():
            for parameter, mean in zip(self.parameters, self.average, strict=True):
                parameter.copy_(mean)


def train_decoder(
    folder: Path, pool: Pool, vae: AutoencoderTiny, minutes: float, device: str
) -> None:
    """Rebuild crops from the fixed encoder's latents."""
    vae.to(device, memory_format=torch.channels_last)
    trainer = Trainer(folder, "decoder", {"decoder": vae.decoder}, minutes, 1.5e-3)
    rng = np.random.default_rng(trainer.step)
    crop, batch, mean_psnr = 64, 24, 20.0
    for step in trainer.steps():
        clip, frame = rng.integers(len(pool.images), size=batch), rng.integers(FRAMES, size=batch)
        x, y = rng.integers(0, (SIZE - crop) // 8 + 1, size=2) * 8
        target = to_tensor(pool.images[clip, frame, y : y + crop, x : x + crop], device)
        loss, psnr = decoder_loss(vae, target)
        trainer.update(loss)
        mean_psnr += 0.02 * (psnr - mean_psnr)
        if step % 50 == 0:
            log.info("decoder %d %.0fs psnr %.2f", step, trainer.used_s, mean_psnr)
    trainer.take_average()


def train_networks(
    folder: Path, pool: Pool, vae: AutoencoderTiny, minutes: float, batch: int, device: str
) -> dict[str, Any]:
    """All three parts at once; a share of the samples without any condition."""
    networks = new_networks()
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last)
    trainer = Trainer(folder, "networks", networks, minutes, 8e-4)
    alphas = new_scheduler().alphas_cumprod.to(device)
    text = torch.zeros(1, 1, NETWORK["cross_attention_dim"], device=device)
    latents = torch.stack([encode(vae, clip, device) for clip in pool.images])
    rng = np.random.default_rng(trainer.step)
    guided = batch - round(batch * DROP)
    mean_loss = 1.0
    for step in trainer.steps():
        clip = rng.integers(len(pool.images), size=batch)
        frames = np.stack([rng.permutation(FRAMES)[:2] for _ in range(batch)])
        reference, target = latents[clip, frames[:, 0]], latents[clip, frames[:, 1]]
        maps = to_tensor(pool.maps[clip[:guided], frames[:guided, 1]], device)
        t = torch.randint(1000, (batch,), device=device)
        noise = torch.randn_like(target)
        a, s = (x.view(-1, 1, 1, 1) for x in (alphas[t].sqrt(), (1 - alphas[t]).sqrt()))
        predicted = predict_v(networks, a * target + s * noise, t, reference, maps, text)
        loss = F.mse_loss(predicted, a * noise - s * target)
        trainer.update(loss)
        mean_loss += 0.02 * (loss.item() - mean_loss)
        changed = pool.renew() if step % 10 == 0 else ()
        if len(changed):
            latents[changed] = torch.stack(
                [encode(vae, clip, device) for clip in pool.images[changed]]
            )
        if step % 20 == 0:
            log.info("networks %d %.0fs loss %.4f", step, trainer.used_s, mean_loss)
    trainer.take_average()
    return networks


def predict_v(
    networks: dict[str, Any],
    noisy: Tensor,
    t: Tensor,
    reference: Tensor,
    maps: Tensor,
    text: Tensor,
) -> Tensor:
    """The denoiser's word on a batch whose first len(maps) samples have reference and pose."""
    guided, batch = len(maps), len(noisy)
    unet, appearance = networks["unet"], networks["appearance_unet"]
    with ReferenceAttention(unet) as reader, ReferenceAttention(appearance) as writer:
        writer.recording = {}
        some = text.expand(guided, -1, -1)
        appearance(reference[:guided], t[:guided], some)
        down, mid = networks["pose_controlnet"](
            noisy[:guided], t[:guided], some, controlnet_cond=maps, return_dict=False
        )
        bare = (0, 0) * 3 + (0, batch - guided)  # no residuals for the unguided rest
        down, mid = [F.pad(r, bare) for r in down], F.pad(mid, bare)
        reader.bank, reader.readers = writer.recording, guided
        return unet(
            noisy,
            t,
            text.expand(batch, -1, -1),
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample


def export(folder: Path, vae: AutoencoderTiny, networks: dict[str, Any]) -> None:
    """Write the diffusers folder, weights in half precision."""
    halved = {name: deepcopy(part).half() for name, part in {**networks, "vae": vae}.items()}
    for part in halved.values():  # where a part was read from is nobody's business
        part.register_to_config(_name_or_path="mini")
    pipeline = MagicPosePipeline(
        **halved,
        scheduler=new_scheduler(),
        pose_canvas=CANVAS,
        sample_size=SIZE,
        default_steps=10,
        default_guidance=1.5,
    )
    pipeline.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def main() -> None:
    """Parse the command line and train what is not trained yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoints, and the model in FOLDER/model")
    parser.add_argument("--minutes", type=float, default=80, help="for the three networks")
    parser.add_argument("--decoder-minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.folder.mkdir(parents=True, exist_ok=True)
    runs = args.folder / "runs.json"  # every run draws people that no former run has seen
    number = len(json.loads(runs.read_text())) if runs.exists() else 0
    settings = {key: str(value) for key, value in vars(args).items()}
    runs.write_text(json.dumps([*(json.loads(runs.read_text()) if number else []), settings]))
    torch.manual_seed(number)
    pool = Pool(args.clips, FRAMES, SIZE, CANVAS, first_seed=number << 24)
    if (args.folder / "vae").is_dir():
        vae = AutoencoderTiny.from_pretrained(args.folder / "vae")
    else:
        vae = fit_autoencoder(pool.images[:200, 0])
        vae.save_pretrained(args.folder / "vae")
    networks = train_networks(args.folder, pool, vae, args.minutes, args.batch, args.device)
    train_decoder(args.folder, pool, vae, args.decoder_minutes, args.device)
    pool.close()
    export(args.folder / "model", vae.cpu(), {k: n.cpu() for k, n in networks.items()})


if __name__ == "__main__":
    main()
