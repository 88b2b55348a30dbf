"""Where an exported model first departs from torch, with few layers looked at.

To give a layer's value an engine has to keep it, which changes how it fuses layers and so may hide what is looked for;
and building an engine takes minutes. So one layer at a time is marked, and half of those left are ruled out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from darknet_compat.errors import BackendError
from darknet_compat.export.onnx.layer_outputs import expose_layers
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.words import Precision
from darknet_compat.inference.backends import open_runtime
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import TOLERANCES, Difference, compare
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.exported import ExportedRuntime


def first_true(items: Sequence[int], holds: Callable[[int], bool]) -> int | None:
    """The first of `items` for which something holds that then holds for all later ones; None where it never does.

    Asks for about log2 of them.
    """
    if not items or not holds(items[-1]):
        return None
    low, high = 0, len(items) - 1
    while low < high:
        middle = (low + high) // 2
        if holds(items[middle]):
            high = middle
        else:
            low = middle + 1
    return items[low]


def first_departing(
    network: Network, model: Path, images: Floats, engine: str, precision: Precision = "fp32"
) -> Difference | None:
    """The first layer whose value in `engine`, running the exported `model`, is beyond the tolerance from torch's.

    None where even the last layer is within it. Takes it that what departs stays departed.
    """
    tolerance = TOLERANCES["torch", engine, precision]
    seen: dict[int, Difference] = {}
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        probed = Path(folder) / "layers.onnx"
        known = sorted(expose_layers(model, probed))

        def departs(index: int) -> bool:
            (name,) = expose_layers(model, probed, {index}).values()
            runtime, _ = open_runtime(probed, None, Use(engine, precision, (images.shape[3], images.shape[2])))
            if not isinstance(runtime, ExportedRuntime):
                raise BackendError(f"{engine}: does not run an exported file")
            with torch.inference_mode():
                (expected,) = network.outputs_of(torch.from_numpy(images), [index])
            title = f"{index} {network.spec.layers[index].type}"
            seen[index] = compare(title, expected.numpy(), runtime.run(images)[name], tolerance)
            return seen[index].verdict == "differs"

        first = first_true(known, departs)
    return None if first is None else seen[first]
