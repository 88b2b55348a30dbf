"""The original's updates as torch optimizers (original: the `update_*_layer` functions, `adam_update_gpu`).

The original works with sums over a batch and keeps momentum in the very arrays that gather the gradients:

    g -= decay·batch·w;  w += rate/batch·g;  g *= momentum        (its g has the opposite sign of a gradient)

Written for the gradient of the summed loss, that is torch's SGD at rate/batch with a weight decay of decay·batch, and
its Adam at `rate` with the same decay; so these are torch's own, made from a network and its `[net]`. Gradients must be
those of the sum over all rows of the batch, its subdivisions added up, as `.backward()` does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, Net, NetworkSpec
from darknet_compat.errors import TrainingError
from darknet_compat.network.network import Network


class _Darknet(torch.optim.Optimizer):
    """What the two have in common: a rate given with each step, updates of what got no gradient, and clipping."""

    @torch.no_grad()
    def step(self, rate: float, batch: int | None = None) -> None:  # type: ignore[override]
        """One update at `rate`, as `schedule.learning_rate` gives it; call `zero_grad` after it.

        Parameters without a gradient are taken to have one of zeros: decay and momentum move them all the same. So it
        is in the original with the layers below `stopbackward`; one that is to stand still has learning_rate=0. Before
        `batch` a layer's `dont_update` (the fork's) it stands still too; without a number all learn.
        """
        for group in self.param_groups:
            group["lr"] = rate * group["rate_scale"]
            waits = batch is not None and batch < group["begins"]
            for parameter in group["params"]:
                if waits:
                    parameter.grad = None
                elif parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        super().step()
        for group in self.param_groups:
            if group["clip"]:
                torch._foreach_clamp_min_(group["params"], -group["clip"])
                torch._foreach_clamp_max_(group["params"], group["clip"])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError for one of other parameters, or with values of other kinds."""
        own = self.state_dict()["param_groups"]
        for found, wanted in zip(state_dict["param_groups"], own, strict=True):
            if {name: type(value) for name, value in found.items()} != {name: type(wanted[name]) for name in wanted}:
                raise ValueError("the optimizer has other options")
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, values in state_dict["state"].items():
            for value in values.values():
                if not (isinstance(value, Tensor) and value.shape in (parameters[number].shape, ())):
                    raise ValueError(f"the optimizer's state of parameter {number} is of another form")
        super().load_state_dict(state_dict)


class DarknetSGD(_Darknet, torch.optim.SGD):  # type: ignore[misc]
    """Momentum and decay as above; decay on weights only, neither on biases nor on the scales of batch normalization.

    Each layer's own `learning_rate` is a factor of the rate. In the CUDA build `clip` of the `[net]` then keeps every
    weight of a convolution within ±clip.
    """

    def __init__(self, network: Network, net: Net) -> None:
        batch = _batch(net)
        groups = [
            {
                "params": parameters,
                "weight_decay": net.decay * batch if decays else 0.0,
                "rate_scale": scale / batch,
                "clip": clip,
                "begins": begins,
            }
            for (decays, scale, clip, begins), parameters in _groups(network, net).items()
        ]
        super().__init__(groups, lr=0.0, momentum=net.momentum, fused=_fusible(network))


class DarknetAdam(_Darknet, torch.optim.Adam):  # type: ignore[misc]
    """`adam=1`, which exists in the CUDA build only; there it decays biases and scales as well.

    Its gradients are those of the sum and not of the mean, so that `eps` weighs as much less as the batch is larger.
    """

    def __init__(self, network: Network, net: Net) -> None:
        batch = _batch(net)
        for layer in network.spec.layers:
            if isinstance(layer, s.Local | s.Crnn):
                raise TrainingError(f"{network.spec.place(layer)} cannot be trained with adam=1")
        together: dict[tuple[float, float, int], list[nn.Parameter]] = {}
        for (_, scale, clip, begins), parameters in _groups(network, net).items():
            together.setdefault((scale, clip, begins), []).extend(parameters)
        groups = [
            {"params": parameters, "rate_scale": scale, "clip": clip, "begins": begins}
            for (scale, clip, begins), parameters in together.items()
        ]
        super().__init__(
            groups,
            lr=0.0,
            betas=(net.B1, net.B2),
            eps=net.eps,
            weight_decay=net.decay * batch,
            fused=_fusible(network),
        )


def make_optimizer(network: Network, net: Net | None = None) -> DarknetSGD | DarknetAdam:
    """The optimizer that `net`, by default the network's own, asks for; the CPU build knows no adam and takes SGD.

    Move the network to its device first. Raises TrainingError for numbers that cannot be trained with.
    """
    net = network.spec.net if net is None else net
    for key in ("momentum", "decay"):
        if (value := getattr(net, key)) < 0:
            raise TrainingError(f"{network.spec.name}: [net] {key} must be from 0 on, found {value:g}")
    return (DarknetAdam if net.adam and network.batchnorm == "cuda" else DarknetSGD)(network, net)


def _batch(net: Net) -> int:
    if not net.step_rows:
        raise TrainingError(
            f"batch={net.batch} in subdivisions={net.subdivisions} leaves no image for each; lower subdivisions"
        )
    return net.step_rows


def _groups(network: Network, net: Net) -> dict[tuple[bool, float, float, int], list[nn.Parameter]]:
    """All parameters that learn, by (whether they decay, factor of the rate, bound of the weights or 0, the batch from
    which on they do)."""
    groups: dict[tuple[bool, float, float, int], list[nn.Parameter]] = {}
    fixed = fixed_layers(network.spec)
    for layer, module in zip(network.spec.layers, network.layers, strict=True):
        scale = _rate_scale(layer)
        if scale is None or layer.index < fixed:
            continue
        begins = max(layer.dont_update, layer.burnin_update * net.burn_in)
        if isinstance(layer, s.Convolutional) and layer.smooth and network.batchnorm == "cuda":
            raise TrainingError(f"{network.spec.place(layer)} smooth= cannot be trained with")
        for name, parameter in _learning(module):
            weights = name.rpartition(".")[2] == "weights"
            clipped = weights and isinstance(layer, s.Convolutional) and network.batchnorm == "cuda"
            bound = (layer.clip or net.clip) if clipped else 0.0
            if bound < 0:
                where = network.spec.place(layer) if layer.clip else f"{network.spec.name}: [net]"
                raise TrainingError(f"{where} clip must be from 0 on, found {bound:g}")
            groups.setdefault((weights, scale, bound, begins), []).append(parameter)
    if not groups:
        raise TrainingError(f"{network.spec.name}: no layer has anything to learn")
    return groups


def fixed_layers(spec: NetworkSpec) -> int:
    """How many layers from the first on never learn: those before the last `stopbackward`, where the dialect has it so,
    and those up to the last with `train_only_bn` (the fork's)."""
    stops = [layer.index for layer in spec.layers if layer.stopbackward and spec.dialect.stopbackward_freezes]
    only = [layer.index + 1 for layer in spec.layers if layer.train_only_bn]
    return max([*stops, *only], default=0)


def expect_learning(network: Network) -> None:
    """Raise TrainingError where the last `stopbackward` leaves no weights behind it that could learn."""
    stops = [layer for layer in network.spec.layers if layer.stopbackward]
    if stops and not any(any(_learning(module)) for module in network.layers[stops[-1].index + 1 :]):
        where = network.spec.place(stops[-1])
        raise TrainingError(f"{where} stopbackward: expected layers with weights behind it, which learn; found none")


def freeze(network: Network) -> None:
    """Let layers before the last `stopbackward` keep their statistics too, where the dialect has it so; call it after
    `train`, which begins anew."""
    if network.spec.dialect.stopbackward_freezes:
        last = max((layer.index for layer in network.spec.layers if layer.stopbackward), default=0)
        for module in network.layers[:last]:
            module.eval()


def _learning(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def _rate_scale(layer: LayerSpec) -> float | None:
    """The factor of a layer's rate; None where the original updates nothing.

    A [batchnorm] has no update function at all. The parts of recurrent layers are made with a rate of their own, 1 for
    connected ones and 0, which nobody ever sets, for the convolutions of a [crnn].
    """
    if isinstance(layer, s.Batchnorm | s.Crnn):
        return None
    return 1.0 if isinstance(layer, s.Rnn | s.Gru | s.Lstm) else layer.learning_rate


def _fusible(network: Network) -> bool:
    """Whether torch's fused kernels take these parameters."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in network.parameters())
