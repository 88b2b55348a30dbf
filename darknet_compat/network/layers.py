"""One module per kind of layer: what the original's `forward_*_layer` computes, on tensors [N, C, H, W].

Parameters carry Darknet's own names (`weights`, `biases`, `scales`, `rolling_mean`, `rolling_variance`), which are the
names of the slots in a `.weights` file. Every module is made from its spec and takes as many tensors as its spec has
sources.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.builds import deviation
from darknet_compat.definition.dialects import ORIGINAL
from darknet_compat.formats.words import Build
from darknet_compat.network.activations import ACTIVATIONS, IN_PLACE
from darknet_compat.network.backward import Rolling, batch_normalize, constrain_gradient, instead

Modules = dict[type[s.LayerSpec], Callable[[Any, Build], nn.Module]]
"""What computes each kind of layer, made of its spec."""


class Biased(nn.Module):
    """Biases, or all of batch normalization, then the activation: the end of every layer with weights.

    With batch normalization y = scales·(x - mean)/sqrt(variance) + biases, each [C]; in training by the batch's own
    mean and variance (original: batchnorm_layer.c).
    """

    scales: nn.Parameter
    rolling_mean: Tensor
    rolling_variance: Tensor
    rolling_share = ORIGINAL.rolling[0]
    """Of each batch's; the network settles it by its dialect."""

    def __init__(self, filters: int, activation: s.ActivationName, normalized: bool, build: Build) -> None:
        super().__init__()
        self.end_with(activation, normalized, build)
        self.biases = nn.Parameter(torch.zeros(filters))
        if normalized:
            self.scales = nn.Parameter(torch.ones(filters))
            self.register_buffer("rolling_mean", torch.zeros(filters))
            # The original starts at 0, with which a network that nobody has trained yet overflows.
            self.register_buffer("rolling_variance", torch.ones(filters))

    def end_with(self, activation: s.ActivationName, normalized: bool, build: Build) -> None:
        """Settle what `finish` does, whosever parameters these are."""
        self.activate = ACTIVATIONS[activation]
        # In place: the preceding operation does not need its output for backward. Saves a third of training memory.
        self.activate_new = IN_PLACE.get(activation, self.activate)
        self.normalized = normalized
        self.build = build
        self.batch_normalize = batch_normalize  # by whose statistics in training: this process's batch's

    def finish(self, x: Tensor) -> Tensor:
        """`x`, [N, filters, H, W] or [N, filters], holds the biases already where `linear_biases` gave them away."""
        x = self.normalize(x) if self.normalized else x
        return self.activate_new(x) if self.training else self.activate(x)

    def linear_biases(self) -> Tensor | None:
        """What the linear operation itself may add: the biases, unless batch normalization comes between."""
        return None if self.normalized else self.biases

    def normalize(self, x: Tensor) -> Tensor:
        """Batch normalization of x [N, C, …] as the build has it."""
        if self.training:
            rolling = Rolling(self.rolling_mean, self.rolling_variance, self.rolling_share)
            return self.batch_normalize(x, self.scales, self.biases, rolling, self.build)
        return self._normalized(x, self.rolling_mean, self.rolling_variance)

    def _normalized(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        if self.build == "cuda":
            return F.batch_norm(x, mean, variance, self.scales, self.biases, eps=1e-5)
        shape = (1, -1) + (1,) * (x.dim() - 2)
        y: Tensor = (x - mean.view(shape)) / deviation(variance, self.build).view(shape)
        return y * self.scales.view(shape) + self.biases.view(shape)


class Deconvolutional(Biased):
    """A transposed convolution."""

    def __init__(self, spec: s.Deconvolutional, build: Build) -> None:
        super().__init__(spec.filters, spec.activation, spec.batch_normalize, build)
        self.weights = nn.Parameter(torch.empty(spec.input.c, spec.filters, spec.size, spec.size))
        self.stride, self.padding = spec.stride, spec.padding
        self.growth = spec.output.h * spec.output.w / (spec.input.h * spec.input.w)

    def initialize(self) -> None:
        """Weights as the original draws them."""
        nn.init.normal_(self.weights, std=0.02 * self.growth)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W']."""
        x = F.conv_transpose2d(x, self.weights, self.linear_biases(), self.stride, self.padding)  # [N, filters, H', W']
        return self.finish(x)


class Connected(Biased):
    """A fully connected layer; also the building block of recurrent ones. The CUDA build cuts its gradients at ±1."""

    def __init__(self, inputs: int, outputs: int, activation: s.ActivationName, normalized: bool, build: Build) -> None:
        super().__init__(outputs, activation, normalized, build)
        self.weights = nn.Parameter(torch.empty(outputs, inputs))

    @classmethod
    def from_spec(cls, spec: s.Connected, build: Build) -> Connected:
        """The layer of a cfg's [connected]."""
        return cls(spec.input.size, spec.output.c, spec.activation, spec.batch_normalize, build)

    def initialize(self) -> None:
        """Weights as the original draws them: uniform within ±sqrt(2 / inputs)."""
        bound = (2 / self.weights.shape[1]) ** 0.5
        nn.init.uniform_(self.weights, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] or [N, C, H, W] → [N, outputs]."""
        x = self.finish(F.linear(x.flatten(1), self.weights, self.linear_biases()))  # [N, outputs]
        return constrain_gradient(x) if self.training and self.build == "cuda" else x


class ConnectedImage(Connected):
    """A [connected] of a cfg, whose output the original takes for an image of 1 x 1."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, …] → [N, outputs, 1, 1]."""
        return super().forward(x)[:, :, None, None]


class Local(Biased):
    """A convolution with weights of its own at each location."""

    def __init__(self, spec: s.Local, build: Build) -> None:
        super().__init__(spec.output.size, spec.activation, False, build)
        kernel = spec.input.c * spec.size * spec.size
        self.weights = nn.Parameter(torch.empty(spec.output.h * spec.output.w, spec.filters, kernel))
        self.size, self.stride, self.padding, self.output = spec.size, spec.stride, spec.padding, spec.output

    def initialize(self) -> None:
        """Weights as the original draws them: uniform within ±sqrt(2 / (size²·c))."""
        bound = (2 / self.weights.shape[2]) ** 0.5
        nn.init.uniform_(self.weights, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W']."""
        patches = F.unfold(x, self.size, padding=self.padding, stride=self.stride)  # [N, C·size², H'·W']
        x = torch.einsum("lfk,nkl->nfl", self.weights, patches).flatten(1) + self.biases  # [N, filters·H'·W']
        return self.activate(x.reshape(-1, *self.output[:3]))  # [N, filters, H', W']


class Batchnorm(Biased):
    """Batch normalization by itself."""

    def __init__(self, spec: s.Batchnorm, build: Build) -> None:
        super().__init__(spec.input.c, "linear", True, build)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → the same shape."""
        return self.finish(x)


class Activation(nn.Module):
    """An activation by itself."""

    def __init__(self, spec: s.Activation, build: Build) -> None:
        super().__init__()
        self.activate = ACTIVATIONS[spec.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        return self.activate(x)


class Avgpool(nn.Module):
    """The mean of each channel."""

    def __init__(self, spec: s.Avgpool, build: Build) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, 1, 1]."""
        return x.mean((2, 3), keepdim=True)


class Dropout(nn.Module):
    """In training each value is 0 with `probability`, else divided by 1 - probability."""

    def __init__(self, spec: s.Dropout, build: Build) -> None:
        super().__init__()
        self.probability = spec.probability

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        return F.dropout(x, self.probability, self.training)


class Crop(nn.Module):
    """A crop at one random place for the whole batch, mirrored half of the time with `flip`; else the central one."""

    def __init__(self, spec: s.Crop, build: Build) -> None:
        super().__init__()
        self.input, self.output, self.flip, self.noadjust = spec.input, spec.output, spec.flip, spec.noadjust

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H', W'], pixels 0..1 → -1..1 unless `noadjust`."""
        height = x.shape[2] * self.output.h // self.input.h
        width = x.shape[3] * self.output.w // self.input.w
        top, left, flip = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2, False
        if self.training:
            top = int(torch.randint(x.shape[2] - height + 1, ()))
            left = int(torch.randint(x.shape[3] - width + 1, ()))
            flip = self.flip and bool(torch.randint(2, ()))
        x = x[:, :, top : top + height, left : left + width]  # [N, C, H', W']
        x = x.flip(3) if flip else x
        return x if self.noadjust else x * 2 - 1


class Normalization(nn.Module):
    """Local response normalization: x·(kappa + alpha·Σ squares of neighbouring channels)^-beta.

    The original's running sum never takes in channel size/2 (it starts with the channels below it and goes on with
    those above), but drops it in its turn; so every channel's sum lacks that square. Its way back, "approximate" by its
    own words, takes what x is multiplied by for a constant.
    """

    def __init__(self, spec: s.Normalization, build: Build) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.kappa = spec.size, spec.alpha, spec.beta, spec.kappa

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → the same shape."""
        squares = x * x
        below, above, channels = (self.size - 1) // 2, self.size // 2, x.shape[1]
        padded = F.pad(squares, (0, 0, 0, 0, below, above))  # [N, C + size - 1, H, W]
        sums = padded.unfold(1, self.size, 1).sum(-1)  # [N, C, H, W]
        if above < channels:
            sums = sums - squares[:, above : above + 1]
        factor = (self.kappa + self.alpha * sums) ** -self.beta
        return x * (factor.detach() if self.training else factor)


class L2norm(nn.Module):
    """Each location's channels divided by their Euclidean length; not a number where that is 0, as in the original.

    Gradients pass as they are, as in its CPU build. (The CUDA build adds a pull of its own to them.)
    """

    def __init__(self, spec: s.L2norm, build: Build) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → the same shape."""
        y = x / x.square().sum(1, keepdim=True).sqrt()
        return instead(y, x) if self.training else y


class Route(nn.Module):
    """Earlier layers one after another."""

    def __init__(self, spec: s.Route, build: Build) -> None:
        super().__init__()
        self.groups, self.group_id, self.image = spec.groups, spec.group_id, spec.output.image

    def forward(self, *inputs: Tensor) -> Tensor:
        """[N, C1, H, W], [N, C2, H, W], … → [N, C1 + C2 + …, H, W]; other shapes → all values, [N, values]."""
        if not self.image:
            return torch.cat([x.flatten(1) for x in inputs], 1)  # [N, values]
        if self.groups > 1:
            inputs = tuple(x.chunk(self.groups, 1)[self.group_id] for x in inputs)  # [N, Ci / groups, H, W] each
        return inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)


class Shortcut(nn.Module):
    """alpha·x + beta·other, where the two shapes differ on every stride-th cell and the channels both have."""

    def __init__(self, spec: s.Shortcut, build: Build) -> None:
        super().__init__()
        self.alpha, self.beta, self.activate = spec.alpha, spec.beta, ACTIVATIONS[spec.activation]
        self.stride, self.sample = spec.steps

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """[N, C, H, W], [N, C2, H2, W2] → [N, C, H, W]."""
        if x.shape == other.shape:
            return self.activate(self.alpha * x + self.beta * other)
        channels, height, width = (min(x.shape[dim], other.shape[dim]) for dim in (1, 2, 3))
        other = other[:, :channels, :: self.stride, :: self.stride][:, :, :height, :width]
        x = x.clone()
        # The original counts `height` x `width` cells from the corner, each `sample` apart.
        place = x[:, :channels, :: self.sample, :: self.sample][:, :, :height, :width]
        place.copy_(self.alpha * place + self.beta * other[:, :, : place.shape[2], : place.shape[3]])
        return self.activate(x)


class Upsample(nn.Module):
    """Each value `stride` times along both axes; in reverse the sum of the values of such a block."""

    def __init__(self, spec: s.Upsample, build: Build) -> None:
        super().__init__()
        self.stride, self.reverse, self.scale = spec.stride, spec.reverse, spec.scale

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H·stride, W·stride], or /stride."""
        if self.reverse:
            if x.shape[2] % self.stride or x.shape[3] % self.stride:
                raise ValueError(f"upsample with stride -{self.stride} needs a height and width it divides")
            return F.avg_pool2d(x, self.stride) * (self.scale * self.stride**2)
        x = F.interpolate(x, scale_factor=float(self.stride), mode="nearest")
        return x if self.scale == 1 else x * self.scale


class Reorg(nn.Module):
    """Darknet's rearrangement, which is not space-to-depth (original: `reorg_cpu`).

    Forward, the input [C, H, W] is read as if it were [C/s², H·s, W·s]; then each s x s block's cells go to channels,
    all first cells before all second ones, and the result is read as [C·s², H/s, W/s].
    """

    def __init__(self, spec: s.Reorg, build: Build) -> None:
        super().__init__()
        self.stride, self.reverse, self.flatten, self.extra = spec.stride, spec.reverse, spec.flatten, spec.extra

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C·s², H/s, W/s]; `reverse` → [N, C/s², H·s, W·s]; `extra` → [N, C·H·W + extra]."""
        n, c, h, w = x.shape
        step = self.stride
        shape = (n, c // step**2, h * step, w * step) if self.reverse else (n, c * step**2, h // step, w // step)
        if self.flatten:
            return (x.reshape(n, h * w, c) if self.reverse else x.reshape(n, c, h * w)).mT.reshape(shape)
        if self.extra:
            return F.pad(x.flatten(1), (0, self.extra))
        if self.reverse:
            x = x.reshape(n, step, step, c // step**2, h, w)  # [N, s, s, C/s², H, W]
            return x.permute(0, 3, 4, 1, 5, 2).reshape(shape)  # [N, C/s², H·s, W·s]
        if h % step or w % step:
            raise ValueError(f"reorg with stride {step} needs a height and width it divides")
        x = x.reshape(n, c // step**2, h, step, w, step)  # [N, C/s², H, s, W, s]
        return x.permute(0, 3, 5, 1, 2, 4).reshape(shape)  # [N, C·s², H/s, W/s]


class Cost(nn.Module):
    """Gives zeros: so does the original without a truth."""

    def __init__(self, spec: s.Cost, build: Build) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """[N, …] → zeros [N, values]."""
        return torch.zeros_like(x.flatten(1))


MODULES: Modules = {
    s.Deconvolutional: Deconvolutional,
    s.Connected: ConnectedImage.from_spec,
    s.Local: Local,
    s.Batchnorm: Batchnorm,
    s.Activation: Activation,
    s.Avgpool: Avgpool,
    s.Dropout: Dropout,
    s.Crop: Crop,
    s.Normalization: Normalization,
    s.L2norm: L2norm,
    s.Route: Route,
    s.Shortcut: Shortcut,
    s.Upsample: Upsample,
    s.Reorg: Reorg,
    s.Cost: Cost,
}
"""A layer's spec → the module that computes it."""
