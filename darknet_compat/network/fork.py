"""The layers that only the fork has (AlexeyAB's Darknet), and YOLOR's four: as `layers`, on tensors [N, C, H, W].

What they compute is told in words in `docs/guide/fork.md`; the sources are the fork's `forward_*_layer`s.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.weights.fold import LEAST_SHARE
from darknet_compat.formats.words import Build
from darknet_compat.network.activations import ACTIVATIONS
from darknet_compat.network.layers import Modules

_EPSILON = 1e-4


class MaxpoolDepth(nn.Module):
    """The maximum over every out_channels-th channel."""

    def __init__(self, spec: s.MaxpoolDepth, build: Build) -> None:
        super().__init__()
        self.out_channels = spec.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, out_channels, H, W]."""
        missing = -x.shape[1] % self.out_channels
        if missing:
            x = F.pad(x, (0, 0, 0, 0, 0, missing), value=torch.finfo(x.dtype).min)
        groups: Tensor = x.unflatten(1, (-1, self.out_channels))  # [N, C / out_channels, out_channels, H, W]
        return groups.amax(1)


class LocalAvgpool(nn.Module):
    """The mean of the cells of each window that lie inside the map."""

    def __init__(self, spec: s.LocalAvgpool, build: Build) -> None:
        super().__init__()
        self.size, self.strides, self.padding = spec.size, spec.strides, spec.padding

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H', W']."""
        counts = self._sums(torch.ones_like(x[:1, :1]))  # [1, 1, H', W']
        return self._sums(x) / counts

    def _sums(self, x: Tensor) -> Tensor:
        before = self.padding // 2
        after = self.padding - before
        x = F.pad(x, (before, after, before, after))
        return F.avg_pool2d(x, self.size, self.strides, divisor_override=1)


class Sum(nn.Module):
    """Several layers added, value by value from the first; with weights each by its share."""

    def __init__(self, spec: s.Sum, build: Build) -> None:
        super().__init__()
        self.activate, self.normalization = ACTIVATIONS[spec.activation], spec.weights_normalization
        self.weighed = spec.weights is not None
        if self.weighed:
            each = spec.output.c if spec.weights == "per_channel" else 1
            self.weights = nn.Parameter(torch.ones(len(spec.sources), each))  # [layers, C or 1]

    def initialize(self) -> None:
        """All alike, as in the fork."""
        if self.weighed:
            nn.init.ones_(self.weights)

    def shares(self) -> Tensor:
        """What each layer, or each of its channels, counts for: [layers, C or 1], summing up to almost 1."""
        if self.normalization == "softmax":
            parts = (self.weights - self.weights.amax(0)).exp()
        else:
            parts = self.weights.clamp_min(0 if self.training else LEAST_SHARE)
        return parts / (parts.sum(0) + _EPSILON)

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """[N, C, H, W], and layers of any shape → [N, C, H, W]."""
        values = [x, *(fitted(other, x) for other in others)]
        if self.weighed:
            values = [share[:, None, None] * value for share, value in zip(self.shares(), values, strict=True)]
        total = values[0]
        for value in values[1:]:
            total = total + value
        return self.activate(total)


def fitted(x: Tensor, like: Tensor) -> Tensor:
    """`x` [N, …], each image's values one after another in the shape of `like` [N, …]; 0 where they end."""
    if x.shape == like.shape:
        return x
    flat, size = x.flatten(1), like[0].numel()
    return F.pad(flat, (0, max(size - flat.shape[1], 0)))[:, :size].reshape(like.shape)


class ScaleChannels(nn.Module):
    """A layer whose channels, or with scale_wh places, are scaled by what comes before."""

    def __init__(self, spec: s.ScaleChannels, build: Build) -> None:
        super().__init__()
        self.activate = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor, scaled: Tensor) -> Tensor:
        """[N, C, 1, 1] or [N, 1, H, W], and [N, C, H, W] → [N, C, H, W]."""
        return self.activate(scaled * x)


class Sam(nn.Module):
    """A product, value by value."""

    def __init__(self, spec: s.Sam, build: Build) -> None:
        super().__init__()
        self.activate = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Twice [N, C, H, W] → the same shape."""
        return self.activate(x * other)


class Implicit(nn.Module):
    """Weights as an output."""

    def __init__(self, spec: s.Implicit, build: Build) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(spec.filters, spec.atoms))
        self.mean, self.std, self.normal = spec.mean, spec.std, spec.normal

    def initialize(self) -> None:
        """Weights as the fork draws them, or YOLOR."""
        if self.normal:
            nn.init.normal_(self.weights, self.mean, self.std)
        else:
            nn.init.uniform_(self.weights, self.mean - self.std, self.mean + self.std)

    def forward(self, x: Tensor) -> Tensor:
        """[N, …] → [N, filters, atoms, 1], the same for each."""
        return self.weights[None, :, :, None].repeat(len(x), 1, 1, 1)


class Broadcast(nn.Module):
    """A value a channel, added at every place or multiplied."""

    def __init__(self, spec: s.Broadcast, build: Build) -> None:
        super().__init__()
        self.multiply = spec.multiply

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """[N, C, H, W], [N, C, 1, 1] → [N, C, H, W]."""
        return x * other if self.multiply else x + other


class Reorg3d(nn.Module):
    """Space to depth, blocks' cells outermost; see `spec.Reorg3d`.

    `reverse` is no inverse: it reads its memory as [C/s², H·s, W·s], puts depth to space as far as that goes, and calls
    the [C/s⁴, H·s², W·s²] that results [C/s², H·s, W·s].
    """

    def __init__(self, spec: s.Reorg3d, build: Build) -> None:
        super().__init__()
        self.stride, self.reverse = spec.stride, spec.reverse

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C·s², H/s, W/s]; `reverse` → [N, C/s², H·s, W·s]."""
        n, c, h, w = x.shape
        step = self.stride
        if self.reverse:
            c, h, w = c // step**2, h * step, w * step
            x = x.reshape(n, step, step, c // step**2, h, w)  # [N, dy, dx, C/s⁴, H·s, W·s]
            return x.permute(0, 3, 4, 1, 5, 2).reshape(n, c, h, w)
        if h % step or w % step:
            raise ValueError(f"reorg3d with stride {step} needs a height and width it divides")
        x = x.reshape(n, c, h // step, step, w // step, step)  # [N, C, H/s, dy, W/s, dx]
        return x.permute(0, 3, 5, 1, 2, 4).reshape(n, c * step**2, h // step, w // step)


class Empty(nn.Module):
    """Passes its input on unchanged."""

    def __init__(self, spec: s.Empty | s.Contrastive, build: Build) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        return x


class History(nn.Module):
    """The channels of a sequence's last inputs, the newest first; 0 for those before its first."""

    def __init__(self, spec: s.History, build: Build) -> None:
        super().__init__()
        self.history_size, self.steps = spec.history_size, spec.steps

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, C, H, W] → [steps·N, history_size·C, H, W]; all sequences' first steps come first."""
        x = x.unflatten(0, (self.steps, -1))  # [steps, N, C, H, W]
        age = [F.pad(x, (0, 0) * 4 + (back, 0))[: self.steps] for back in range(self.history_size)]
        return torch.cat(age, 2).flatten(0, 1)


MODULES: Modules = {
    s.MaxpoolDepth: MaxpoolDepth,
    s.LocalAvgpool: LocalAvgpool,
    s.Sum: Sum,
    s.ScaleChannels: ScaleChannels,
    s.Sam: Sam,
    s.Implicit: Implicit,
    s.Broadcast: Broadcast,
    s.Reorg3d: Reorg3d,
    s.Empty: Empty,
    s.Contrastive: Empty,
    s.History: History,
}
"""A layer's spec → the module that computes it."""
