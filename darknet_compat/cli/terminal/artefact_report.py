"""`darknet-compat info` of an exported file: how it wants to be used, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.formats.exported.artefact import Artefact, float32_layers
from darknet_compat.runtime.registry import is_built


def show(path: Path, artefact: Artefact, json: bool) -> None:
    """Print what the file says of itself."""
    if json:
        plain = {name: getattr(artefact, name) for name in Artefact.__dataclass_fields__ if name != "tree"}
        tree = {"tree_nodes": None if artefact.tree is None else len(artefact.tree)}
        terminal.print_json({"file": str(path), "bytes": path.stat().st_size} | plain | tree)
        return
    terminal.print_line(f"{path}: {terminal.in_bytes(path.stat().st_size)}, {artefact.precision}", bold=True)
    terminal.print_fields(_fields(artefact))
    if is_built(path):
        terminal.say(f"`engine {path}` says what it was built for, `engine {path} --layers` what is in it")


def _kind(artefact: Artefact) -> str:
    """The suppression's own name, where it has one."""
    beta = f" beta {artefact.beta_nms:g}" if artefact.nms_kind == "diounms" else ""
    return "" if artefact.nms_kind == "default" else f" ({artefact.nms_kind}{beta})"


def _fields(artefact: Artefact) -> Iterator[tuple[str, str]]:
    yield "model", artefact.name
    yield "dialect", artefact.dialect
    form = "pixels as bytes" if artefact.input == "uint8" else "planes of 0..1"
    batch = "any batch" if artefact.batch is None else f"batch {artefact.batch}"
    yield "input", f"{artefact.width} x {artefact.height} x {artefact.channels}, {form}, {batch}, {artefact.resize}"
    if artefact.sizes is not None:
        least, most = artefact.sizes
        yield "sizes", f"{least} to {most} a side in steps of {artefact.step}"
    gives = artefact.outputs if artefact.task == "detect" or artefact.outputs == "heads" else "classes"
    yield "gives", gives + (f" as {artefact.layout}" if artefact.layout else "")
    if artefact.target is not None:
        yield "runs on", f"{artefact.target} alone"
    names = f": {', '.join(artefact.names[:6])}{', …' if len(artefact.names) > 6 else ''}" if artefact.names else ""
    yield "classes", f"{artefact.classes:,}{names}"
    if artefact.tree is not None:
        yield "tree", terminal.count(len(artefact.tree), "node")
    if artefact.task == "detect":
        inside = ", in force inside" if artefact.outputs == "detections" else ""
        yield "thresholds", f"thresh {artefact.thresh:g}, nms {artefact.nms:g}{_kind(artefact)}{inside}"
    if (lost := artefact.quantization) is not None and "drop" in lost:
        pictures = terminal.count(lost["pictures"], "picture")
        yield "int8 loses", f"{lost['drop']:.1f} points of {lost['measure']} on {pictures}"
    if (layers := float32_layers(artefact, "onnxruntime")) is not None:
        other = float32_layers(artefact, "file")
        yield "float32", f"layers {layers}" + ("" if layers == other else f" in onnxruntime; elsewhere {other}")
    for what, checksum in (("cfg", artefact.cfg_sha256), ("weights", artefact.weights_sha256)):
        if checksum:
            yield f"{what} sha256", checksum
    yield "made by", ", ".join(f"{name} {version}" for name, version in artefact.tools.items())
