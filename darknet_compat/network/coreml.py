"""A network as a Core ML package, by coremltools, which reads torch's traces and no ONNX files since its version 6.

It converts on any system; what it has made runs on Apple's alone.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import tempfile
import warnings
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.errors import ExportError
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.textfile import plain
from darknet_compat.heads.boxes import Boxes
from darknet_compat.heads.descent import Descent
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.network.heads import Head
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.network.torch_ops import TorchOps


class LaidOut(nn.Module):
    """A detector whose one output is in the layout of an artefact: images [1, C, H, W], 0..1 → `output0`."""

    def __init__(self, network: Network, artefact: Artefact) -> None:
        super().__init__()
        self.network, self.ops, self.layout = network.folded().eval(), TorchOps(), LAYOUTS[artefact.layout or "yolov8"]
        self.size = artefact.width, artefact.height
        tree = artefact.tree
        self.descent = None if tree is None else Descent(tree, artefact.hier_thresh)
        self.register_buffer("pixels", torch.tensor([*self.size, *self.size], dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] → the detections in the artefact's layout (`heads.output_layouts`)."""
        raw = self.network(images)
        parts = []
        for head, x in zip(self.network.spec.heads, raw if isinstance(raw, tuple) else (raw,), strict=True):
            module = self.network.layers[head.index]
            if isinstance(module, Head) and module.spec.detects:
                parts.append(module.boxes(module(x), self.size))
        found = Boxes(*(torch.cat(same, 1) for same in zip(*parts, strict=True)))
        if self.descent is not None:
            found = found._replace(classes=self.descent(self.ops, found.classes))
        assert self.layout.encode is not None
        (laid_out,) = self.layout.encode(self.ops, found, self.pixels)
        assert isinstance(laid_out, Tensor)
        return laid_out


def write_coreml(cfg: Path, weights: Path, folder: Path, artefact: Artefact) -> str:
    """Write the network of a `.cfg`, at the size of its exported `artefact`, as NAME.mlpackage, and say so in a
    sentence, or what is missing. Raises ExportError where coremltools does not convert it."""
    if find_spec("coremltools") is None:
        return "coremltools is not installed, which converts the network: pip install coremltools 'numpy<2.4'"
    size = artefact.width, artefact.height
    model = LaidOut(load_network(cfg, weights, size=size, dialect=artefact.dialect), artefact).eval()  # type: ignore[arg-type]
    place = folder / f"{artefact.name}.mlpackage"
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as work:
        package = Path(work) / place.name
        _convert(model, artefact, package)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(package, place)
    return f"converted by coremltools: {place.name}, which only Apple's systems run"


def traced(model: LaidOut, artefact: Artefact) -> Any:
    """What coremltools reads."""
    shape = 1, artefact.channels, artefact.height, artefact.width
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.export is to be preferred
        return torch.jit.trace(model, torch.zeros(shape), check_trace=False)


def _convert(model: LaidOut, artefact: Artefact, package: Path) -> None:
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    shape = 1, artefact.channels, artefact.height, artefact.width
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # its bars
            warnings.simplefilter("ignore")
            import coremltools as ct

            half = artefact.precision == "fp16"
            converted = ct.convert(
                traced(model, artefact),
                inputs=[ct.TensorType("images", shape)],
                outputs=[ct.TensorType("output0")],
                minimum_deployment_target=ct.target.iOS15,
                compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            )
            converted.user_defined_metadata["names"] = "\n".join(artefact.names or ())
            converted.save(str(package))
    except Exception as error:  # whatever it meets in a graph or on the disk
        why = plain(str(error).strip().splitlines()[0])[:200] if str(error).strip() else type(error).__name__
        raise ExportError(f"{package.name}: coremltools does not convert it: {why}") from None
