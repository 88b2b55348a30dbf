"""The fork's antialiasing: a fixed filter that takes over a layer's strides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from darknet_compat.definition.spec import BLURS

KERNELS = {
    1: torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16,
    2: torch.full((2, 2), 0.25),
}
"""By the option's value; each channel by itself."""


def blur(x: Tensor, kind: int, strides: tuple[int, int]) -> Tensor:
    """[N, C, H, W] → [N, C, H', W'] filtered at every strides-th place, with 0 around."""
    channels = x.shape[1]
    kernel = KERNELS[kind].to(x).expand(channels, 1, -1, -1)
    return F.conv2d(x, kernel, stride=strides, padding=BLURS[kind][1], groups=channels)
