"""The torch runtime: the network itself, on the CPU or a GPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from darknet_compat.errors import BackendError
from darknet_compat.formats import spec as s
from darknet_compat.formats.spec import LayerSpec, NetworkSpec
from darknet_compat.network import heads
from darknet_compat.network.network import Network
from darknet_compat.runtime.base import Description, Floats, Precision, Resize

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_DETECTS = (s.Region, s.Yolo, s.Detection)
_DETECTING = (heads.Region, heads.Yolo, heads.Detection)


class TorchRuntime:
    """Runs a Network, batch normalization folded; the heads in float32 whatever the precision of the layers below.

    `network` is copied, and may be trained on. `device` is torch's name for one; by default a GPU if there is one.
    """

    def __init__(
        self,
        network: Network,
        *,
        precision: Precision = "fp32",
        resize: Resize = "letterbox",
        device: str | None = None,
    ) -> None:
        if precision not in _DTYPES:
            raise BackendError(f"torch runs in {', '.join(_DTYPES)}, not in {precision}")
        self.description = describe(network.spec, precision=precision, resize=resize)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = _DTYPES[precision]
        folded = network.folded().eval()
        self.heads = [copy.deepcopy(folded.layers[head.index]).to(self.device) for head in folded.spec.heads]
        self.network = folded.to(self.device, self.dtype)

    @torch.inference_mode()
    def infer(self, images: Floats) -> Mapping[str, Floats]:
        """See `Runtime.infer`."""
        raw = self.network(torch.from_numpy(images).to(self.device, self.dtype))
        raws = (raw,) if isinstance(raw, Tensor) else raw
        activated = [(head, head(x.float())) for head, x in zip(self.heads, raws, strict=True)]
        if self.description.task == "classify":
            return {"classes": _array(activated[-1][1].flatten(1))}
        size = (images.shape[3], images.shape[2])
        found = [head.boxes(x, size) for head, x in activated if isinstance(head, _DETECTING)]
        xywh, objectness, classes = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return {"boxes": _array(xywh), "objectness": _array(objectness), "classes": _array(classes)}


def describe(spec: NetworkSpec, *, precision: Precision = "fp32", resize: Resize = "letterbox") -> Description:
    """What an artefact made from `spec` says of itself. Raises BackendError for a network that neither detects nor
    classifies."""
    net = spec.net
    head = _head(spec)
    detects = isinstance(head, _DETECTS)
    return Description(
        name=spec.name,
        task="detect" if detects else "classify",
        width=net.width,
        height=net.height,
        channels=net.channels,
        classes=head.classes if isinstance(head, _DETECTS) else head.output.size,
        resize=resize,
        precision=precision,
        tree=spec.tree,
        map=head.map if isinstance(head, s.Region | s.Yolo) else None,
    )


def _head(spec: NetworkSpec) -> LayerSpec:
    """The head that names the classes; all heads of a network share them."""
    if not spec.net.input.image or not spec.heads or isinstance(spec.heads[0], s.Iseg):
        raise BackendError(f"{spec.name}: neither detects nor classifies pictures; use load_network and layer_outputs")
    if len({isinstance(head, _DETECTS) for head in spec.heads}) > 1:
        raise BackendError(f"{spec.name}: both detects and classifies; use load_network and layer_outputs")
    return spec.heads[-1]


def _array(x: Tensor) -> Floats:
    array: Floats = x.float().cpu().numpy()
    return array
