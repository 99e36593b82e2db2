"""Names for arrays: the type checker sees what they hold, the reader what they are.

Shapes stand in docstrings. Pictures are RGB, (height, width, 3); points are (x right, y down) in
pixels of their picture, NaN where nothing was seen; scores are 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, 0 to 255."""
Pictures = npt.NDArray[np.uint8]
"""(n, H, W, 3) RGB, 0 to 255."""
DeepGray = npt.NDArray[np.uint16]
"""(H, W) gray of 16 bits, 0 to 65535."""
Mask = npt.NDArray[np.bool_]
"""(H, W), or one value an item."""
Points = npt.NDArray[np.float32]
"""(..., 2) in pixels, or (..., 3) where a docstring says so; NaN is not seen."""
Scores = npt.NDArray[np.float32]
"""One of 0 to 1 for each point; 0 is not seen."""
Floats = npt.NDArray[np.floating[Any]]
"""Real numbers in any precision."""
Integers = npt.NDArray[np.integer[Any]]
"""Whole numbers of any size."""
AnyArray = npt.NDArray[Any]
"""What a file or a library gives, before it is looked at."""


def softly_limited(lengths: Floats | float, free: float, most: float) -> Floats:
    """Leave lengths as they are up to `free`; what is longer comes to rest at `most` smoothly."""
    room = most - free
    soft = free + room * np.tanh(np.maximum(np.subtract(lengths, free), 0) / room)
    return np.asarray(np.where(np.greater(lengths, free), soft, lengths))


def to_pictures(images: Tensor) -> Pictures:
    """Make pictures (n, H, W, 3) uint8 of a tensor (n, 3, H, W) in 0..1."""
    pictures: Pictures = (images.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
    return pictures


def to_tensor(pictures: Pictures) -> Tensor:
    """Make a tensor (n, c, H, W) float32 in 0..1 of pictures (n, H, W, c) uint8."""
    import torch

    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
