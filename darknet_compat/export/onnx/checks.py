"""What cannot be exported, told before any work."""

from __future__ import annotations

from darknet_compat.definition import spec as s
from darknet_compat.definition.builds import misread
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.layers import EMIT
from darknet_compat.formats.words import Build, OtherLayout, Outputs
from darknet_compat.heads.answers import detects
from darknet_compat.vision.boxes import distance_exponent


def refuse(spec: NetworkSpec, outputs: Outputs, layout: OtherLayout | None, nms_kind: str) -> None:
    """Raise ExportError for what cannot be exported, naming the layer, before any work."""
    for layer in spec.layers:
        if why := _obstacle(layer, spec):
            raise ExportError(f"{spec.place(layer)} {why}")
    if not spec.net.input.image:
        raise ExportError(
            f"{spec.name}: reads {spec.net.input} values; only networks that read pictures can be exported"
        )
    if not spec.heads and spec.output_index < 0:
        raise ExportError(f"{spec.name}: has no layer but [{spec.layers[-1].type}], which gives nothing to export")
    if outputs != "heads" and not answers(spec):
        raise ExportError(f"{spec.name}: neither detects nor classifies pictures; export its outputs as heads")
    if outputs == "detections" and layout is None and not detects(spec):
        raise ExportError(f"{spec.name}: classifies, and has no detections; export boxes, which are its classes")
    if outputs == "detections" and distance_exponent(nms_kind, spec.beta_nms) is not None:
        raise ExportError(
            f"{spec.name}: nms_kind={nms_kind} spares boxes far apart, which no suppression inside a graph does; export"
            " boxes, which Detector then suppresses so, or with --nms-kind default, by IoU alone"
        )
    if outputs == "detections" and layout is None and spec.tree is not None:
        raise ExportError(
            f"{spec.name}: how far down its tree a box goes is decided when it is used (--hier-thresh, --level, --map),"
            " not in the graph; export boxes, with which Detector goes that way, or a --layout, which settles it"
        )
    if layout is not None and not detects(spec):
        raise ExportError(f"{spec.name}: classifies, and layouts are for boxes; leave out --layout {layout}")
    if layout is not None and spec.tree is not None and spec.dialect.leaves_first:
        raise ExportError(
            f"{spec.name}: the fork names the last node of a tree that is likelier than not, by that node's probability"
            f" and not the objectness, which --layout {layout} cannot say; export boxes"
        )


def refuse_build(spec: NetworkSpec, build: Build) -> None:
    """Raise ExportError for a layer that only the CPU build computes so."""
    for layer in spec.layers:
        if isinstance(layer, s.Convolutional) and misread(layer, build):
            raise ExportError(
                f"{spec.place(layer)} has a stride, which the CPU build misreads; load the network with"
                " batchnorm='cuda'"
            )


def _obstacle(layer: LayerSpec, spec: NetworkSpec) -> str | None:
    read = any(layer.index in other.sources for other in spec.layers if not other.silent)
    if layer.answers:
        return "is a head that other layers read, which cannot be exported" if read else None
    if layer.silent:
        return "is read by other layers, which cannot be exported" if read else None
    if layer.recurrent or (isinstance(layer, s.History) and layer.steps > 1):
        return "is recurrent; only feed-forward networks can be exported"
    return None if type(layer) in EMIT else "is of a kind that has no nodes yet"


def answers(spec: NetworkSpec) -> bool:
    """Whether the network detects or classifies pictures."""
    if spec.bare_classes:
        return True
    if any(isinstance(head, s.Detection) and head.lack for head in spec.heads):
        return False
    # Heads that detect share the classes; a classifier's have no such number.
    kinds = {getattr(head, "classes", None) for head in spec.heads}
    return spec.net.input.image and len(kinds) == 1 and not any(isinstance(head, s.Iseg) for head in spec.heads)


def classes_of(spec: NetworkSpec) -> int:
    """How many classes the answers have; 0 where there are no answers."""
    if not answers(spec):
        return 0
    if spec.bare_classes:
        return spec.bare_classes
    head = spec.heads[-1]
    return int(getattr(head, "classes", head.output.size))
