"""A network that repairs a warped reference: a few pixels of motion, and colors under a mask.

It sees the frame at a short side of SIDE pixels. What it gives is a difference that is enlarged, so
that a frame keeps its own sharpness, and that is nothing where the picture is the reference itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magicpose_cli.errors import ModelError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.warping.warp import Warped

SIDE = 256  # short side in pixels that the network sees
FURTHEST = 4.0  # of these, for the motion
POSE_CANVAS = 512  # short side on which the pose is drawn
INPUTS = 12  # picture 3, cover 1, hole 1, pose map 3, made frame 3, whether there is one 1
WIDTHS = (16, 32, 64, 128)  # of the features at 1/2, 1/4, 1/8 and 1/16
NEAR = 8  # pixels around the person and the hole, inside which a frame may change
CLOSED = -2.0  # bias of the mask: it begins almost shut


@dataclass(frozen=True)
class Repair:
    """flow: (n, 2, h, w) x and y of where a pixel's color comes from, in pixels from itself. mask:
    (n, 1, h, w) in 0..1. color: (n, 3, h, w) RGB to add under the mask, of 1."""

    flow: Tensor
    mask: Tensor
    color: Tensor

    def __call__(self, picture: Tensor) -> Tensor:
        """(n, 3, h, w) RGB in 0..1, repaired."""
        return carried(picture, self.flow) + self.mask * self.color


class Refiner(nn.Module):
    """A U-Net whose last layers begin as zero, so that its first repair changes nothing."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        for before, width in zip((INPUTS, *widths), widths, strict=False):
            self.down.append(
                nn.Sequential(nn.Conv2d(before, width, 4, 2, 1), nn.SiLU(), Block(width))
            )
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide + width, width, 1), nn.SiLU(), Block(width))
            for wide, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.flow = nn.Conv2d(widths[1], 2, 3, padding=1)
        self.color = nn.Conv2d(widths[0], 4 * 4, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # without norms, smaller weights let the signal fade
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for last in (self.flow, self.color):
            for values in last.parameters():
                nn.init.zeros_(values)

    def forward(
        self,
        picture: Tensor,
        cover: Tensor,
        hole: Tensor,
        pose: Tensor,
        made: Tensor | None = None,
    ) -> Repair:
        """All (n, channels, h, w) in 0..1. picture: the warped reference; cover: where it shows the
        person; hole: where its plate is a guess; pose: the pose map; made: the model's frame."""
        height, width = picture.shape[2:]
        known = picture.new_full((len(picture), 1, 1, 1), made is not None)
        if made is None:
            made = torch.zeros_like(picture)
        else:  # of a batch, some may have none: theirs is black
            known = (made.flatten(1).amax(1) > 0).to(made.dtype)[:, None, None, None]
        x = torch.cat([picture, cover, hole, pose, made, known.expand_as(cover)], 1)
        multiple = 2 ** len(self.down)
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        features = []
        for level in self.down:
            x = level(x)
            features.append(x)
        for depth, level in enumerate(self.up, 2):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = level(torch.cat([x, features[-depth]], 1))
            if depth == len(self.up):
                flow = FURTHEST * torch.tanh(self.flow(x))
        *color, mask = F.pixel_shuffle(self.color(x), 2)[..., :height, :width].split(1, 1)
        flow = F.interpolate(flow, scale_factor=4, mode="bilinear")[..., :height, :width]
        near = _near(torch.maximum(cover, hole))
        return Repair(near * flow, near * torch.sigmoid(mask + CLOSED), torch.cat(color, 1))


class Block(nn.Module):
    """Two convolutions beside the way through."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.second(F.silu(self.first(F.silu(x))))


def carried(picture: Tensor, flow: Tensor) -> Tensor:
    """(n, c, h, w), each pixel with the color from `flow` pixels away; without a flow, exactly the
    same."""
    height, width = picture.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    still = torch.stack([x, y], -1).to(flow) + flow.new_tensor(0.5)
    size = flow.new_tensor([width, height])

    def looked_up(at: Tensor) -> Tensor:
        grid = 2 * at / size - 1
        return F.grid_sample(picture, grid, padding_mode="border", align_corners=False)

    moved = looked_up(still + flow.permute(0, 2, 3, 1))
    # a look-up is exact to rounding only: what it makes of no motion is taken off
    return picture + (moved - looked_up(still.expand(len(picture), -1, -1, -1)))


def _near(mask: Tensor) -> Tensor:
    """(n, 1, h, w): 1 on the mask, falling to 0 at NEAR pixels from it."""
    grown = F.max_pool2d((mask > 0.01).to(mask), 2 * NEAR + 1, 1, NEAR)
    return F.avg_pool2d(grown, NEAR + 1, 1, NEAR // 2, count_include_pad=False) * grown


def small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, ...) of a frame's size -> (h, w, ...) of the network's, size being (w, h)."""
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def network_size(width: int, height: int) -> tuple[int, int]:
    """(w, h) that the network sees of a frame."""
    scale = SIDE / min(width, height)
    return round(scale * width), round(scale * height)


def drawn_pose(pose: Pose, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8: the pose map as the network knows it."""
    scale = np.array(size) / (pose.width, pose.height)
    return pose_map(pose.map_points(lambda points: points * scale, *size), POSE_CANVAS)


@torch.inference_mode()
def refine(
    refiner: Refiner,
    warped: Warped,
    hole: np.ndarray,
    made: np.ndarray | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """A warped frame, repaired: (H, W, 3) float32 RGB in 0..255.

    hole: (H, W) uint8 of its plate. made: (H, W, 3) uint8, the model's frame in the result (see
    `Fusion.in_result`). strength: share of motion and mask that is taken.
    """
    height, width = hole.shape
    size = network_size(width, height)
    weight = next(refiner.parameters())

    def tensor(picture: np.ndarray, most: float) -> Tensor:
        values = torch.from_numpy(small(picture, size).astype(np.float32) / most)
        values = values[..., None] if values.dim() == 2 else values
        return values.permute(2, 0, 1)[None].to(weight)

    repair = refiner(
        tensor(warped.picture.clip(0, 255), 255),
        tensor(warped.cover, 1),
        tensor(hole.astype(np.float32), 1),
        tensor(drawn_pose(warped.pose, size), 255),
        None if made is None else tensor(made, 255),
    )

    def large(values: Tensor) -> np.ndarray:
        array = values[0].permute(1, 2, 0).float().cpu().numpy()
        return cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)

    flow = strength * large(repair.flow) * np.array((width / size[0], height / size[1]), np.float32)
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in (width, height)))
    moved = cv2.remap(
        warped.picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return moved + 255 * strength * large(repair.mask * repair.color)


def save_refiner(refiner: Refiner, path: Path) -> None:
    """As one safetensors file."""
    from safetensors.torch import save_file

    widths = ",".join(str(width) for width in _widths(refiner))
    state = {name: value.contiguous() for name, value in refiner.state_dict().items()}
    save_file(state, path, metadata={"format": "pt", "widths": widths})


def load_refiner(path: Path) -> Refiner:
    """What `save_refiner` has written. Raises ModelError where it is anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            told = (file.metadata() or {}).get("widths", "")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        refiner = Refiner(tuple(int(width) for width in told.split(",")))
        refiner.load_state_dict({name: value.float() for name, value in state.items()})
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} holds no refinement network ({error}); expected a file that "
            "`magicpose train` has written"
        ) from error
    return refiner.eval()


def _widths(refiner: Refiner) -> Iterator[int]:
    return (level[0].out_channels for level in refiner.down)  # type: ignore[index]
