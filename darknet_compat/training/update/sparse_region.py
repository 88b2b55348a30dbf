"""A [region] with very many classes, trained at the cost of those that a batch has to do with.

A class output gets a gradient only at the cells of truths, and with a tree only in the groups of siblings on the way to
a label. So the 1x1 convolution before the head is split: its rows for boxes and objectness run everywhere, its rows for
classes at those cells and for those groups. Gradients are the full head's. The rows' updates wait until a row is next
read, see `sparse_sgd`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.definition.spec import Net, NetworkSpec, Region
from darknet_compat.errors import TrainingError
from darknet_compat.heads.split import splittable
from darknet_compat.network.heads import by_anchor
from darknet_compat.network.network import Network
from darknet_compat.network.windows import Convolutional
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import LossResult
from darknet_compat.training.losses.base import HeadLoss, squares
from darknet_compat.training.losses.classes import ClassRows
from darknet_compat.training.losses.region import BoxOutputs, Chosen, RegionLoss
from darknet_compat.training.options import ObjectnessRule
from darknet_compat.training.update.optimizer import DarknetSGD, make_optimizer
from darknet_compat.training.update.sparse_sgd import RowSGD

MANY_CLASSES = 200
"""From how many classes on a sparse head is worth its bookkeeping."""


def sparsely_trainable(spec: NetworkSpec) -> bool:
    """Whether the network ends in a plain 1x1 convolution and a [region] with a softmax, flat or over a tree."""
    region = spec.layers[-1] if spec.layers else None
    return splittable(spec) and isinstance(region, Region) and (region.softmax or region.tree is not None)


def worth_sparse(network: Network) -> bool:
    """Whether a sparse head can and should train the network: many classes, and updates that are linear."""
    spec, region = network.spec, network.spec.layers[-1] if network.spec.layers else None
    linear = network.batchnorm == "cpu" or not (spec.net.adam or spec.net.clip)
    return linear and sparsely_trainable(spec) and isinstance(region, Region) and region.classes >= MANY_CLASSES


class Features(nn.Module):
    """What the last convolution of `network` reads."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.source = network, network.spec.layers[-2].sources[0]

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] → [N, channels, H', W']."""
        return self.network.outputs_of(images, [self.source])[0]


class SparseHead(nn.Module):
    """The last convolution and its [region], in training: `head(Features(network)(images), truth, seen)`.

    Takes the place of `Losses`, with `Features` in that of the network, which has to be on its device by then. The
    convolution's weights now belong to `rows`, which gathers their gradients; see `SparseSGD`. Not for several
    processes, whose gradients nobody would add up. Raises TrainingError for a network that it cannot stand for.
    """

    box_rows: Tensor

    def __init__(self, network: Network, *, rule: ObjectnessRule = "darknet", net: Net | None = None) -> None:
        super().__init__()
        if not sparsely_trainable(network.spec):
            raise TrainingError(
                f"{network.spec.name}: has no [region] with a softmax after a plain 1x1 convolution at its end, so it "
                "cannot be trained by a sparse head"
            )
        net = net or network.spec.net
        spec = network.spec.layers[-1]
        layer, region = network.layers[-2:]
        assert isinstance(layer, Convolutional) and isinstance(spec, Region)
        self.convolution, self.region = layer, region
        self.loss = RegionLoss(spec, region, rule)  # type: ignore[arg-type]
        self.first = spec.coords + 1
        self.entries = self.first + spec.classes
        boxes = torch.arange(spec.num)[:, None] * self.entries + torch.arange(self.first)
        self.register_buffer("box_rows", boxes.flatten(), persistent=False)  # [num·(coords + 1)]
        self.to(layer.weights.device)
        layer.weights.requires_grad_(False)
        layer.weights.grad = None
        self.rows = RowSGD(layer.weights, net.momentum, net.decay * net.step_rows)
        for hook in (layer.register_forward_pre_hook, layer.register_state_dict_pre_hook):
            hook(lambda *_: self.rows.flush())

    def forward(self, features: Tensor, truth: Truth, seen: int, size: tuple[int, int] | None = None) -> LossResult:
        """As `Losses` has it; the deltas in the result are those of boxes and objectness."""
        biases = self.convolution.biases
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            x = features.detach()
            box_weights = self.rows.read(self.box_rows)  # [num·(coords + 1), channels]
            located = self._located(x, box_weights)
            chosen = self.loss.choose(located, truth, lambda label, whole: self._probability(x, label, whole))
            box_delta = self.loss.box_delta(located, truth, chosen, seen, None)  # [N, num, coords + 1, H, W]
            box_gradient = -(box_delta * self.loss.slope(located)).flatten(1, 2)
            classes = self._classes(x, chosen)
            cost = squares(box_delta) + squares(classes.delta)
            gradient = F.conv2d(box_gradient, box_weights.T[:, :, None, None]).contiguous()  # [N, channels, H, W]
            at = (classes.image, classes.cell)
            gradient.flatten(2).transpose(1, 2).index_put_(at, classes.to_features, accumulate=True)
            by_row = torch.einsum("nkp,ncp->kc", box_gradient.flatten(2), x.flatten(2).float())
            rows = torch.cat([self.box_rows, classes.rows])
            by_row = torch.cat([by_row, classes.to_rows])
            to_biases = torch.zeros_like(biases).index_add_(0, self.box_rows, box_gradient.sum((0, 2, 3)))
            to_biases.index_add_(0, classes.rows, classes.to_biases)
            figures = self.loss.figures(located, chosen, ClassRows(classes.delta, classes.probability))

        def keep(factor: Tensor) -> None:
            self.rows.add(rows, factor * by_row)

        loss: Tensor = _Handed.apply(features, biases, gradient, to_biases, cost, keep)  # type: ignore[no-untyped-call]
        return LossResult(loss, (HeadLoss(box_delta.flatten(1, 2), box_gradient, cost, figures),), ("",))

    def _located(self, x: Tensor, weights: Tensor) -> BoxOutputs:
        """Boxes and objectness everywhere."""
        biases = self.convolution.biases[self.box_rows].to(x.dtype)
        raw = F.conv2d(x, weights.to(x.dtype)[:, :, None, None], biases).float()
        raw = by_anchor(raw, self.loss.spec.num)  # [N, num, coords + 1, H, W]
        located = self.loss.head.locate(raw)
        return self.loss.located(torch.cat([located, raw[:, :, self.first - 1 :].sigmoid()], 2))

    def _probability(self, x: Tensor, label: Tensor, whole: Tensor) -> Tensor:
        """The absolute probability of labels [N] at every slot, [N, D]; 0 in images that are not `whole`."""
        labels, num = self.loss.labels, self.loss.spec.num
        result = torch.zeros(len(x), num * x.shape[2] * x.shape[3], device=x.device)
        image = whole.nonzero()[:, 0]  # [W]
        if not len(image):
            return result
        nodes, depth, inside, places = labels.siblings(label[image])  # [W, L] thrice, [W, depth]
        rows = torch.arange(num, device=x.device)[:, None] * self.entries + self.first + nodes[:, None]  # [W, num, L]
        unique, place = rows.unique(return_inverse=True)
        weights = self.rows.read(unique)[place].flatten(1, 2)  # [W, num·L, channels]
        logits = weights @ x[image].flatten(2).float() + self.convolution.biases[rows].flatten(1)[..., None]
        logits = logits.unflatten(1, (num, -1))  # [W, num, L, H·W]
        logits = torch.where(inside[:, None, :, None], logits, -torch.inf)
        index = depth[:, None, :, None].expand_as(logits)
        shape = (len(image), num, places.shape[1], logits.shape[3])
        largest = torch.full(shape, -torch.inf, device=x.device).scatter_reduce(2, index, logits, "amax")
        sums = torch.zeros_like(largest).scatter_add(2, index, (logits - largest.gather(2, index)).exp())
        on_way = logits.gather(2, places.clamp_min(0)[:, None, :, None].expand(shape))
        steps = torch.where((places >= 0)[:, None, :, None], on_way - largest - sums.log(), 0.0)
        result[image] = steps.sum(2).exp().flatten(1)
        return result

    def _classes(self, x: Tensor, chosen: Chosen) -> _Classes:
        """Class deltas of the chosen slots and what they come to."""
        labels, slots, area = self.loss.labels, chosen.classes, x.shape[2] * x.shape[3]
        image, which = slots.matched.nonzero(as_tuple=True)  # [M], of each truth that has a slot
        label, slot = chosen.label[image, which], slots.index[image, which]
        features = x.flatten(2).transpose(1, 2)[image, slot % area].float()  # [M, channels]
        truth, depth = (labels.groups[label] >= 0).nonzero(as_tuple=True)  # [P], each group on each way
        group = labels.groups[label[truth], depth]
        sizes = labels.sizes[group]
        pair = torch.arange(len(group), device=x.device).repeat_interleave(sizes)  # [E], each sibling in it
        nodes = labels.offsets[group][pair] + torch.arange(len(pair), device=x.device) - (sizes.cumsum(0) - sizes)[pair]
        row = (slot // area)[truth][pair] * self.entries + self.first + nodes
        rows, place = row.unique(return_inverse=True)  # [U]
        weights = self.rows.read(rows)  # [U, channels]
        at = (truth[pair], place)
        logits = (features @ weights.T)[at] + self.convolution.biases[row]  # [E]
        largest = torch.full_like(sizes, -torch.inf, dtype=logits.dtype).scatter_reduce(0, pair, logits, "amax")
        shifted = logits - largest[pair]
        log_p = shifted - torch.zeros_like(largest).index_add(0, pair, shifted.exp()).log()[pair]
        on_way = nodes == labels.nodes[label[truth], depth][pair]
        live = labels.live(slots, chosen.label)[image, which][truth, depth]  # [P]
        delta = torch.where(live[pair], self.loss.spec.class_scale * (on_way.float() - log_p.exp()), 0.0)
        pull = torch.zeros(len(image), len(rows), device=x.device)
        pull[at] = delta
        own = torch.zeros(len(image), device=x.device).index_add(0, truth[pair], torch.where(on_way, log_p, 0.0)).exp()
        probability = torch.zeros(slots.matched.shape, device=x.device)
        probability[image, which] = own
        to_rows, to_features = -pull.T @ features, -pull @ weights
        return _Classes(delta, probability, rows, to_rows, -pull.sum(0), image, slot % area, to_features)


class _Classes(NamedTuple):
    """`delta` [E] of all that was computed; `probability` [N, T] of each truth's label.

    Gradients: of `rows` [U] of the weights, `to_rows` [U, channels], and of their biases [U]; of features at (`image`,
    `cell`) [M], `to_features` [M, channels].
    """

    delta: Tensor
    probability: Tensor
    rows: Tensor
    to_rows: Tensor
    to_biases: Tensor
    image: Tensor
    cell: Tensor
    to_features: Tensor


class _Handed(torch.autograd.Function):
    """A number whose gradients with respect to features and biases are given, and that of weights is handed over."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        biases: Tensor,
        to_features: Tensor,
        to_biases: Tensor,
        value: Tensor,
        keep: Callable[[Tensor], None],
    ) -> Tensor:
        ctx.save_for_backward(to_features, to_biases)
        ctx.keep, ctx.dtype = keep, features.dtype
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        to_features, to_biases = ctx.saved_tensors
        ctx.keep(grads[0])
        return (grads[0] * to_features).to(ctx.dtype), grads[0] * to_biases, None, None, None, None


class SparseSGD:
    """`DarknetSGD` of a network whose last convolution belongs to a sparse head: the same updates.

    Weights that nobody reads meanwhile are brought up to date by `flush`; so they are before the network computes or
    gives its state. When that happens changes how their steps are rounded, and nothing else. Raises TrainingError where
    the cfg asks for `adam` or `clip`, which are not linear.
    """

    def __init__(self, network: Network, head: SparseHead, net: Net | None = None) -> None:
        net = net or network.spec.net
        dense = make_optimizer(network, net)
        clipped = net.clip and network.batchnorm == "cuda"
        if clipped or not isinstance(dense, DarknetSGD):
            what = "clip" if clipped else "adam"
            raise TrainingError(f"{network.spec.name}: {what} in [net] goes with a full head only, not a sparse one")
        self.dense, self.rows = dense, head.rows
        self.factor = network.spec.layers[-2].learning_rate / net.step_rows

    def step(self, rate: float, batch: int | None = None) -> None:
        """One update at `rate`, as `DarknetSGD.step`."""
        self.dense.step(rate, batch)
        self.rows.step(rate * self.factor)

    def zero_grad(self) -> None:
        """Forget gradients that no step has used."""
        self.dense.zero_grad()
        self.rows.pending.clear()

    def flush(self) -> None:
        """Bring all weights up to date."""
        self.rows.flush()

    def state_dict(self) -> dict[str, Any]:
        """Both parts' states."""
        return {"dense": self.dense.state_dict(), "rows": self.rows.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state; load the network's first."""
        self.dense.load_state_dict(state["dense"])
        self.rows.load_state_dict(state["rows"])
