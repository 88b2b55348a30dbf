"""Layers that look through a window and move on by strides: convolutions and maxpools, as `layers`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.definition import builds
from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.network.backward import instead
from darknet_compat.network.blur import blur
from darknet_compat.network.layers import Biased, Modules


class Convolutional(Biased):
    """A convolution; with `xnor` of signs by signs, with `binary` (CUDA build only) of values by signs."""

    def __init__(self, spec: s.Convolutional, build: Build) -> None:
        super().__init__(spec.filters, spec.activation, spec.batch_normalize, build)
        self.weights = nn.Parameter(torch.empty(spec.filters, spec.input.c // spec.groups, spec.size, spec.size))
        self.move_as(spec, build)

    def move_as(self, spec: s.Convolutional, build: Build) -> None:
        """Settle how the window moves, whosever weights it has."""
        self.antialiasing, self.strides = spec.antialiasing, spec.strides
        self.stride = (1, 1) if spec.antialiasing else spec.strides
        self.padding, self.dilation, self.groups = spec.padding * spec.dilation, spec.dilation, spec.groups
        self.uniform, self.sign_of_padding = spec.uniform, spec.xnor_padding
        self.binary_input = spec.xnor
        self.binary_weights, self.misread = builds.binary_weights(spec, build), builds.misread(spec, build)

    def initialize(self) -> None:
        """Weights as the original draws them: normal, of variance 2 / (size²·c/groups); the fork's are uniform."""
        bound = (2 / self.weights[0].numel()) ** 0.5
        if self.uniform:
            nn.init.uniform_(self.weights, -bound, bound)
        else:
            nn.init.normal_(self.weights, std=bound)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W']."""
        x = self.finish(self._binary(x) if self.binary_weights else self._convolve(x, self.weights))
        return blur(x, self.antialiasing, self.strides) if self.antialiasing else x

    def _convolve(self, x: Tensor, weights: Tensor) -> Tensor:
        x, stride, padding = (self._misread(x), (1, 1), 0) if self.misread else (x, self.stride, self.padding)
        if self.sign_of_padding and padding:
            x, padding = F.pad(x, (padding,) * 4, value=self.sign_of_padding), 0
        biases = self.linear_biases()
        return F.conv2d(x, weights, biases, stride, padding, self.dilation, self.groups)  # [N, filters, H', W']

    def _binary(self, x: Tensor) -> Tensor:
        """The same by signs. Going back they count as what they stand for, inputs as long as these are within ±1; the
        CPU build forgets them there and goes back through the very inputs and weights."""
        mean = self.weights.abs().mean((1, 2, 3), keepdim=True)
        weights = torch.where(self.weights > 0, mean, -mean)
        signs = torch.where(x > 0, 1.0, -1.0).to(x.dtype) if self.binary_input else x
        if not self.training:
            return self._convolve(signs, weights)
        if self.build == "cpu":
            return instead(self._convolve(signs, weights), self._convolve(x, self.weights))
        signs = instead(signs, F.hardtanh(x)) if self.binary_input else x
        return self._convolve(signs, instead(weights, self.weights))

    def _misread(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H', W'] as `builds.misread` has it."""
        n, c, h, w = x.shape
        height, width = ((side - 1) // step + 1 for side, step in zip((h, w), self.stride, strict=True))
        return x.reshape(n, self.groups, -1)[:, :, : c // self.groups * height * width].reshape(n, c, height, width)


class SharedConvolutional(Convolutional):
    """A convolution with the weights, biases and normalization of another (fork: share_index), of which it is told once
    all layers are made."""

    def __init__(self, spec: s.Convolutional, build: Build) -> None:
        nn.Module.__init__(self)
        self.end_with(spec.activation, spec.batch_normalize, build)
        self.move_as(spec, build)
        assert spec.share_index is not None
        self.share_index = spec.share_index
        self._owner: list[Convolutional] = []  # in a list, so that it is no part of this module

    def share(self, owner: Convolutional) -> None:
        """Compute with `owner`'s parameters from now on."""
        self._owner[:] = [owner]

    def __getattr__(self, name: str) -> Any:
        if name in ("weights", "biases", "scales", "rolling_mean", "rolling_variance"):
            return getattr(self._owner[0], name)
        return super().__getattr__(name)

    def initialize(self) -> None:
        """Does nothing: the layer that owns it draws the weights."""


class Maxpool(nn.Module):
    """The maximum over windows; cells of padding never win."""

    def __init__(self, spec: s.Maxpool, build: Build) -> None:
        super().__init__()
        self.size, self.padding = spec.size, spec.padding
        self.antialiasing, self.strides = spec.antialiasing, spec.strides
        self.stride = (1, 1) if spec.antialiasing else spec.strides

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H', W']."""
        before = self.padding // 2
        # Only what the last window reaches needs padding; with even sizes that is nothing.
        sides = zip((x.shape[3], x.shape[2]), reversed(self.stride), strict=True)
        after = [self._reach(side, step) - before - side for side, step in sides]
        if before or max(after) > 0:
            amounts = (before, max(after[0], 0), before, max(after[1], 0))
            x = F.pad(x, amounts, value=torch.finfo(x.dtype).min)  # [N, C, H + padding, W + padding]
        x = F.max_pool2d(x, self.size, self.stride)  # [N, C, H', W']
        return blur(x, self.antialiasing, self.strides) if self.antialiasing else x

    def _reach(self, side: int, step: int) -> int:
        """How many cells, padding included, all windows over `side` cells cover."""
        return (side + self.padding - self.size) // step * step + self.size


def convolutional(spec: s.Convolutional, build: Build) -> Convolutional:
    """The module of a [convolutional], with weights of its own or not."""
    return (Convolutional if spec.share_index is None else SharedConvolutional)(spec, build)


MODULES: Modules = {
    s.Convolutional: convolutional,
    s.Maxpool: Maxpool,
}
"""A layer's spec → the module that computes it."""
