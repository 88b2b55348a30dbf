"""Training on several GPUs or machines: one process each, started by `torchrun`, every one with its part of a batch.

The cfg's batch stays the whole one, so that nothing of a recipe changes with the number of processes. (The original
gives each GPU a whole batch and multiplies the rate by their number.) Gradients are summed over all parts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from darknet_compat.errors import TrainingError
from darknet_compat.formats.textfile import first_line
from darknet_compat.formats.words import Build
from darknet_compat.network.backward import Rolling
from darknet_compat.network.layers import Biased


class World(NamedTuple):
    """This process among all that train together: `rank` of `size`, and its torch `device` if it has one of its own."""

    rank: int = 0
    size: int = 1
    device: str | None = None

    @property
    def part(self) -> tuple[int, int]:
        """Which part of every batch is this process's, of how many."""
        return self.rank, self.size


@contextmanager
def joined_world(device: str | None = None) -> Iterator[World]:
    """Meet the other processes that `torchrun` started, if it did; `device` "cpu" keeps off the GPUs.

    Raises TrainingError where they cannot be met.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2:
        yield World()
        return
    on_gpu = torch.cuda.is_available() and device != "cpu"
    own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpu else "cpu"
    try:
        dist.init_process_group("nccl" if on_gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the {size} processes cannot meet: {first_line(error)}") from None
    try:
        yield World(dist.get_rank(), size, own)
        with contextlib.suppress(RuntimeError):  # another one has failed, and says why itself
            dist.barrier()  # a group that is left while its threads have work may end the process as it exits
    finally:
        dist.destroy_process_group()


def total(values: list[float], world: World, device: torch.device) -> list[float]:
    """Each number summed over all processes."""
    if world.size == 1:
        return values
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    result: list[float] = summed.tolist()
    return result


def synchronize_normalization(network: nn.Module) -> None:
    """Have batch normalization, in training, take the whole batch's statistics and not those of this process's part.

    Raises TrainingError for the CPU build's form, in which nobody trains on several machines.
    """
    for module in network.modules():
        if isinstance(module, Biased) and module.normalized:
            if module.build != "cuda":
                raise TrainingError("batch normalization can be synchronized in the CUDA build's form only")
            module.batch_normalize = normalize_together


def normalize_together(x: Tensor, scales: Tensor, biases: Tensor, rolling: Rolling, build: Build) -> Tensor:
    """`network.backward.batch_normalize` of a batch that is spread over all processes; `x` [n, C, …] is one part."""
    y: Tensor = _Together.apply(x, scales, biases, rolling)  # type: ignore[no-untyped-call]
    return y


class _Together(torch.autograd.Function):
    """As `network.backward`'s: forward by the variance over count - 1, the gradient that of one over count."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Tensor, biases: Tensor, rolling: Rolling) -> Tensor:
        over = [dim for dim in range(x.dim()) if dim != 1]
        values = x.to(scales.dtype)
        sums = torch.cat([values.sum(over), scales.new_tensor([x.numel() // x.shape[1]])])
        dist.all_reduce(sums)
        count = float(sums[-1])
        mean = sums[:-1] / count  # [C]
        squares = (values - _spread(mean, x)).square().sum(over)
        dist.all_reduce(squares)
        variance = squares / (count - 1)
        rolling.take(mean, variance)
        inverse = (variance + 1e-5).rsqrt()
        ctx.save_for_backward(x, scales, mean, inverse)
        ctx.count = count
        return ((values - _spread(mean, x)) * _spread(inverse * scales, x) + _spread(biases, x)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, scales, mean, inverse = ctx.saved_tensors
        dy = gradients[0].to(scales.dtype)
        over = [dim for dim in range(x.dim()) if dim != 1]
        normal = (x.to(scales.dtype) - _spread(mean, x)) * _spread(inverse, x)
        dbiases, dscales = dy.sum(over), (dy * normal).sum(over)  # this part's; summed up with all other gradients
        sums = torch.stack([dbiases, dscales])
        dist.all_reduce(sums)
        dx = (dy - _spread(sums[0] / ctx.count, x) - normal * _spread(sums[1] / ctx.count, x)) * _spread(
            inverse * scales, x
        )
        return dx.to(x.dtype), dscales, dbiases, None


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """[C] such that it meets `x` [n, C, …] channel by channel."""
    return values.view(1, -1, *[1] * (x.dim() - 2))
