"""From what is asked of a graph's outputs to what its artefact says of them."""

from __future__ import annotations

from typing import Any

from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.export.onnx.checks import answers, refuse
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.heads.cut import cut_of

MAX_DETECTIONS = 100
"""How many a picture has in `nms` by default, as in TensorRT's plug-in."""


def form_of(spec: NetworkSpec, options: OnnxOptions) -> dict[str, Any]:
    """The artefact's fields about the outputs: by default boxes where the network answers. Raises ExportError for what
    cannot be exported, naming the layer, before any work."""
    outputs = options.gives or ("boxes" if answers(spec) else "heads")
    layout = options.foreign
    refuse(spec, outputs, layout, options.nms_kind or spec.nms_kind)
    told: dict[str, Any] = {"outputs": outputs, "layout": layout, "target": options.target}
    told["nms_kind"] = options.nms_kind or spec.nms_kind
    if outputs == "heads":
        told["cut"] = cut_of(spec, options.heads_layout or "nchw", options.heads_cut == "after").to_json()
    if layout == "nms":
        told["max_detections"] = options.max_detections or MAX_DETECTIONS
    return told
