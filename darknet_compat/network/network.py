"""NetworkSpec → torch module; parameters ⇄ slots of a `.weights` file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.builds import deviation
from darknet_compat.definition.spec import NetworkSpec, Shape
from darknet_compat.definition.weights.file import Header, Slot, Weights, slots
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.textfile import first_line
from darknet_compat.formats.words import Build
from darknet_compat.network import fork, heads, layers, recurrent, windows
from darknet_compat.network.windows import Convolutional, SharedConvolutional

MODULES: layers.Modules = windows.MODULES | layers.MODULES | fork.MODULES | recurrent.MODULES | heads.MODULES
"""A layer's spec → the module that computes it."""


class Network(nn.Module):
    """A Darknet network as a torch module: `layers[i]` computes layer i of the cfg.

    `forward` gives what the heads read (raw outputs, for training and export), `layer_outputs` what the original's
    `layer.output` holds for every layer. Batch size is free, height and width as far as the strides allow.
    """

    def __init__(self, spec: NetworkSpec, *, batchnorm: Build = "cuda", initialize: bool = True) -> None:
        """With `initialize`, weights are drawn as the original draws them; else they are undefined until loaded."""
        super().__init__()
        if batchnorm not in get_args(Build):
            raise ValueError(f"batchnorm must be 'cuda' or 'cpu', found {batchnorm!r}")
        self.spec = spec
        self.batchnorm: Build = batchnorm if spec.dialect.cpu_batchnorm else "cuda"
        self.header = Header(revision=spec.dialect.revision)
        self.layers = nn.ModuleList(MODULES[type(layer)](layer, self.batchnorm) for layer in spec.layers)
        for module in self.layers:
            if isinstance(module, SharedConvolutional):
                module.share(self.layers[module.share_index])  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, layers.Biased):
                module.rolling_share = spec.dialect.rolling[batchnorm == "cpu"]
        # Nothing goes back into the last layer with `stopbackward`, nor into any before it.
        self._frozen = max((layer.index for layer in spec.layers if layer.stopbackward), default=-1)
        self._overwriting = {layer.index for layer in spec.layers if layer.overwrites(self.batchnorm)}
        if initialize:
            self.initialize()

    def initialize(self) -> None:
        """Draw all weights as the original does for a network without a file (its `make_*_layer`)."""
        for module in self.modules():
            if module is not self and callable(draw := getattr(module, "initialize", None)):
                draw()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Raw outputs: what the heads read, one tensor, or a tuple of one a head where there are several.

        `images`: float32 [N, C, H, W], RGB, 0..1 ([steps·N, inputs] for recurrent networks). Without a head the
        output is the last layer's. Raises ValueError for images that the network cannot take.
        """
        wanted = [head.sources[0] for head in self.spec.heads] or [self.spec.output_index]
        found = self.outputs_of(images, wanted)
        return found[0] if len(found) == 1 else tuple(found)

    @torch.no_grad()
    def layer_outputs(self, images: Tensor) -> list[Tensor]:
        """Every layer's output, activated heads included, as the original's `layer.output` after `forward_network`.

        `images` as for `forward`. One tensor a layer, [N, C, H, W], or [N, values] where the original's layer is no
        image. A [cost] is all zeros, as it is there without a truth.
        """
        return self.outputs_of(images, range(len(self.layers)))

    def activated(self, raw: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
        """The heads' activated outputs, [N, …] each, from `forward`'s result; without a head the result itself."""
        raws = (raw,) if isinstance(raw, Tensor) else raw
        if not self.spec.heads:
            return list(raws)
        return [self.layers[head.index](x) for head, x in zip(self.spec.heads, raws, strict=True)]

    def outputs_of(self, images: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """The outputs of the layers `wanted`; others run if these need them, and are forgotten after their last use."""
        needed, last_use = self._needed(wanted)
        outputs: dict[int, Tensor] = {-1: self._checked(images)}
        learning = self.training and torch.is_grad_enabled()
        for index in needed:
            sources = self.spec.layers[index].sources
            inputs = [outputs[source] for source in sources]
            try:
                with torch.set_grad_enabled(index > self._frozen) if learning else nullcontext():
                    outputs[index] = self.layers[index](*inputs)
            except (RuntimeError, ValueError) as error:
                if misfit := self._misfit(error, index, inputs, images):
                    raise misfit from error
                raise
            for source in set(sources).difference(wanted):
                if last_use[source] == index:
                    del outputs[source]
                elif learning and index in self._overwriting:
                    outputs[source] = outputs[source].detach()
        return [outputs[index] for index in wanted]

    def _needed(self, wanted: Sequence[int]) -> tuple[list[int], dict[int, int]]:
        """The layers that `wanted` depend on, in order, and the last of these to read each."""
        needed = set(wanted)
        last_use: dict[int, int] = {}
        for index in range(max(wanted), -1, -1):
            if index in needed:
                for source in self.spec.layers[index].sources:
                    needed.add(source)
                    last_use.setdefault(source, index)
        return sorted(needed - {-1}), last_use

    def _misfit(self, error: Exception, index: int, inputs: Sequence[Tensor], images: Tensor) -> ValueError | None:
        """What to say of an error that comes from a size of images that does not suit the layers, if it does."""
        shape: Shape = self.spec.net.input
        known = type(error) in (RuntimeError, ValueError) and not out_of_memory(error)
        if not known or not shape.image or images.shape[2:] == shape[1:3]:
            return None
        found = " and ".join(str(list(x.shape)) for x in inputs)
        return ValueError(
            f"{self.spec.place(self.spec.layers[index])} cannot take {found}, which images of {images.shape[3]} x "
            f"{images.shape[2]} give it; the cfg's are {shape.w} x {shape.h} ({first_line(error)})"
        )

    def _checked(self, images: Tensor) -> Tensor:
        """The input, if it has as many channels, or values, as the network reads, and whole sequences."""
        shape, steps = self.spec.net.input, self.spec.net.time_steps
        if images.dim() != (4 if shape.image else 2) or images.shape[1] != shape.c:
            wanted = f"[N, {shape.c}, height, width]" if shape.image else f"[N, {shape.c}]"
            raise ValueError(f"{self.spec.name} reads images {wanted}, found {list(images.shape)}")
        if len(images) % steps and any(layer.recurrent for layer in self.spec.layers):
            raise ValueError(f"{self.spec.name} reads N = {steps} time steps x sequences at once, found {len(images)}")
        return images

    def parameter(self, slot: Slot) -> Tensor:
        """The parameter or buffer that a slot of the file belongs to."""
        owner, _, name = f"layers.{slot.layer}.{slot.name}".rpartition(".")
        tensor: Tensor = getattr(self.get_submodule(owner), name)
        return tensor

    @torch.no_grad()
    def load(self, weights: Weights, *, adopt: bool = False) -> None:
        """Copy a file's values into the parameters, and take over its header.

        With `adopt` arrays in memory become the parameters themselves where these are whole, on the CPU and in float32.
        """
        for slot, array in weights.arrays:
            target = self.parameter(slot)
            if adopt and target.shape == slot.shape and (target.device.type, target.dtype) == ("cpu", torch.float32):
                target.data = torch.from_numpy(np.ascontiguousarray(array))
            else:
                target[: slot.shape[0]].copy_(torch.tensor(array))
        self.header = weights.header

    def array(self, slot: Slot) -> Floats:
        """The values of a slot, float32 of its shape, on the CPU."""
        values: Floats = self.parameter(slot).detach().cpu().float().numpy()
        return values

    def slots(self) -> Iterator[tuple[Slot, Floats]]:
        """Every slot of a saved file with its values, on the CPU."""
        for slot in slots(self.spec, transposed=self.header.transposed, saving=True):
            yield slot, self.array(slot)

    @torch.no_grad()
    def folded(self) -> Network:
        """A copy for inference in which batch normalization has gone into the convolutions' weights and biases.

        Fewer operations and equal answers up to rounding; only convolutions with it are changed.
        """
        changed = {
            layer.index: dataclasses.replace(layer, batch_normalize=False)
            for layer in self.spec.layers
            if isinstance(layer, s.Convolutional) and layer.batch_normalize and not (layer.xnor or layer.binary)
        }
        spec = dataclasses.replace(
            self.spec, layers=tuple(changed.get(layer.index, layer) for layer in self.spec.layers)
        )
        network = Network(spec, batchnorm=self.batchnorm, initialize=False)
        network.to(next(self.parameters(), torch.empty(0)))  # the same device and type
        network.load_state_dict(self.state_dict(), strict=False)
        for index in changed:
            old, new = self.layers[index], network.layers[index]
            assert isinstance(old, Convolutional) and isinstance(new, Convolutional)
            factor = old.scales.double() / deviation(old.rolling_variance.double(), self.batchnorm)  # [filters]
            new.weights.copy_(old.weights * factor[:, None, None, None])
            new.biases.copy_(old.biases - old.rolling_mean * factor)
        network.header = self.header
        return network.train(self.training)


def out_of_memory(error: Exception) -> bool:
    """Whether an operation failed for lack of memory.

    On the CPU torch has no type for it, only a RuntimeError that says `DefaultCPUAllocator: can't allocate memory`.
    """
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "allocate memory" in str(error)
