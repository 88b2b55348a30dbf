"""What a definition says of itself, before it is exported or run."""

from __future__ import annotations

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.errors import BackendError
from darknet_compat.formats.words import Precision, Resize
from darknet_compat.runtime.base import Description


def describe(spec: NetworkSpec, *, precision: Precision = "fp32", resize: Resize | None = None) -> Description:
    """What an artefact made from `spec` says of itself; `resize` is by default how such networks are trained.

    Raises BackendError for a network that neither detects nor classifies pictures.
    """
    if problem := _unfit(spec):
        raise BackendError(f"{problem}; use load_network and layer_outputs")
    net, head = spec.net, spec.heads[-1] if spec.heads else None  # all heads have the same classes
    return Description(
        name=spec.name,
        task="detect" if isinstance(head, s.BoxHead) else "classify",
        width=net.width,
        height=net.height,
        channels=net.channels,
        classes=_classes(head) if head is not None else spec.bare_classes,
        resize=resize or spec.resize,
        precision=precision,
        tree=spec.tree,
        map=spec.map,
        nms_kind=spec.nms_kind,
        leaves_first=spec.dialect.leaves_first,
        labels_beside=spec.dialect.labels_beside,
        beta_nms=spec.beta_nms,
        are_probabilities=not spec.bare_classes,
    )


def _classes(head: LayerSpec) -> int:
    return head.classes if isinstance(head, s.BoxHead) else head.output.size


def _unfit(spec: NetworkSpec) -> str | None:
    """Why `spec` answers no pictures, or None."""
    shape, layers = spec.net.input, spec.heads
    if not shape.image or not (layers or spec.bare_classes) or any(isinstance(head, s.Iseg) for head in layers):
        return f"{spec.name}: neither detects nor classifies pictures"
    if any(layer.recurrent for layer in spec.layers):
        return f"{spec.name}: reads sequences, not single pictures"
    if shape.c not in (1, 3):
        return f"{spec.name}: reads {shape.c} channels, but pictures have 3, or 1 if grey"
    detecting = [head for head in layers if isinstance(head, s.BoxHead)]
    if detecting and len(detecting) < len(layers):
        return f"{spec.name}: both detects and classifies"
    for head in detecting:
        if isinstance(head, s.Detection) and head.lack:
            return f"{spec.place(head)} {head.lack}"
    if len({head.classes for head in detecting}) > 1:
        return f"{spec.name}: its heads have {' and '.join(str(head.classes) for head in detecting)} classes"
    return None
