"""What is known of a network without running it, in words and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from darknet_compat.catalogue import catalog
from darknet_compat.cli.terminal import layer_table
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.formats.textfile import count
from darknet_compat.inference.about import About


def fields(about: About) -> Iterator[tuple[str, str]]:
    """Label and text of everything but the layers, in the order in which it is read."""
    spec, known = about.spec, about.known
    parameters = sum(cost.parameters for cost in about.costs)
    operations = sum(cost.operations for cost in about.costs)
    if known:
        yield "model", f"{known.name}: {known.title}"
    yield "definition", spec.name
    yield "dialect", dialect_text(spec)
    yield "input", f"{spec.net.input}{_fitting(spec)}"
    yield "parameters", f"{parameters:,}, {terminal.in_bytes(4 * parameters)} as float32"
    many = f"{operations / 1e9:.2f} billion" if operations >= 1e7 else f"{operations:,}"
    step = " a step" if any(layer.recurrent for layer in spec.layers) else ""
    yield "operations", f"{many}{step}, two for each multiply-add"
    yield "weights", _weights_text(about)
    for head in spec.heads:
        yield "head", f"layer {head.index}, {_head_text(head)}"
    if about.names:
        yield "classes", f"{len(about.names):,}: {_abridged(about.names)}"
    if tree := spec.tree:
        leaves, deepest = int(tree.leaves.sum()), int(tree.depths.max())
        yield (
            "tree",
            f"{count(len(tree), 'node')}, {leaves:,} of them leaves, {count(len(tree.group_sizes), 'group')},"
            f" {count(deepest + 1, 'level')}",
        )
    for name, path in spec.files.items():
        yield "file", f"{name} is {path}"
    if known:
        yield "source", known.paper
        for figure in known.figures:
            at = f" at {figure.size}" if figure.size else ""
            yield "published", f"{figure.measure} {figure.value:g} on {figure.data}{at} ({figure.source})"
        for mirror in known.weights.mirrors:
            yield "mirror", _address(mirror)
    for one in spec.unfollowed:
        yield "train leaves", one
    for note in spec.notes:
        yield "note", note


def dialect_text(spec: NetworkSpec) -> str:
    """Whose words the definition is read as, and what told."""
    signs = spec.dialect.signs
    return spec.dialect.name + (f": {', '.join(signs)}" if signs else "")


def _fitting(spec: NetworkSpec) -> str:
    """How pictures are fitted to the input."""
    if not spec.net.input.image:
        return ""
    return ", pictures stretched to it" if spec.resize == "stretch" else ", pictures letterboxed"


def _weights_text(about: About) -> str:
    if about.header:
        header = about.header
        version = f"{header.major}.{header.minor}.{header.revision}"
        size = about.weights.stat().st_size if about.weights else 0
        return (
            f"{about.weights}: exactly this network's {size:,} bytes; header of {header.layout.size} bytes,"
            f" version {version}, {count(header.seen, 'image')} seen in training"
        )
    if about.problem:
        return f"{about.weights}: not read, see below"
    if about.known is None:
        return "none named; offsets are for a header of 20 bytes"
    if not about.known.weights.mirrors:
        return f"{about.known.weights.file}, which nobody is known to publish"
    return f"{about.known.weights.file}, not on this machine; darknet-compat fetch {about.known.name} brings it"


def _head_text(head: Any) -> str:
    if isinstance(head, s.Region):
        kind = "tree" if head.tree else "softmax" if head.softmax else "logistic"
        sides = f"{count(head.num, 'anchor')} in cells: {_anchors(head.anchors)}"
        return f"region: {kind} over {count(head.classes, 'class')}, {sides}"
    if isinstance(head, s.YoloHead):
        mine = [head.anchors[number] for number in head.mask]
        sides = f"{count(len(mine), 'anchor')} in pixels: {_anchors(mine)}"
        return f"{head.type}: logistic over {count(head.classes, 'class')}, {sides}"
    if isinstance(head, s.Detection):
        return (
            f"detection: {count(head.classes, 'class')}, {count(head.num, 'box')} a cell of {head.side} x {head.side}"
        )
    return f"{head.type} over {count(head.output.size, 'value')}"


def _anchors(anchors: Any) -> str:
    return ", ".join(f"{width:g}x{height:g}" for width, height in anchors)


def _abridged(names: tuple[str, ...]) -> str:
    return ", ".join(names if len(names) <= 20 else (*names[:10], "...", names[-1]))


def _address(mirror: Any) -> str:
    """An address, or those of a mirror's pieces."""
    if isinstance(mirror, tuple):
        return " + ".join(_address(piece) for piece in mirror)
    return mirror if isinstance(mirror, str) else str(mirror.url)


# ---------------------------------------------------------------------------------------------------------- JSON


def to_dict(about: About) -> dict[str, Any]:
    """All of it for JSON; `offset` and sizes in bytes, shapes [c, h, w]."""
    spec, net, known = about.spec, about.spec.net, about.known
    header = about.header
    return {
        "name": known.name if known else None,
        "cfg": spec.name,
        "dialect": {"name": spec.dialect.name, "signs": list(spec.dialect.signs)},
        "resize": spec.resize,
        "input": {"width": net.width, "height": net.height, "channels": net.channels, "values": net.input.size},
        "parameters": sum(cost.parameters for cost in about.costs),
        "operations": sum(cost.operations for cost in about.costs),
        "layers": [layer_table.to_dict(*pair) for pair in zip(spec.layers, about.costs, strict=True)],
        "weights": header
        and {
            "file": str(about.weights),
            "bytes": header.layout.size + 4 * sum(cost.parameters for cost in about.costs if cost.offset is not None),
            "version": [header.major, header.minor, header.revision],
            "seen": header.seen,
        },
        "heads": [_head_to_dict(head) for head in spec.heads],
        "classes": list(about.names),
        "tree": spec.tree and {"nodes": len(spec.tree), "groups": len(spec.tree.group_sizes)},
        "files": dict(spec.files),
        "unfollowed": list(spec.unfollowed),
        "notes": list(spec.notes),
        "catalogue": known and known_to_dict(known),
    }


def _head_to_dict(head: Any) -> dict[str, Any]:
    anchors = [list(anchor) for anchor in getattr(head, "anchors", ())]
    return {
        "index": head.index,
        "type": head.type,
        "classes": getattr(head, "classes", head.output.size),
        "anchors": anchors,
        "mask": list(getattr(head, "mask", range(len(anchors)))),
    }


def known_to_dict(model: catalog.Model) -> dict[str, Any]:
    """A catalogue entry for JSON; `path` is None where the weights are not on this machine."""
    local = catalog.local_weights(model)
    return {
        "name": model.name,
        "title": model.title,
        "paper": model.paper,
        "task": model.task,
        "weights": model.weights.file,
        "floats": model.weights.floats,
        "path": local and str(local),
        "mirrors": [_address(mirror) for mirror in model.weights.mirrors],
        "checksums": dict(model.weights.expected.checksums),
        "figures": [vars(figure) for figure in model.figures],
    }
