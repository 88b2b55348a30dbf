"""Which names of TensorRT our sources use, read off the sources, and which names its real bindings have.

python tests/runtime/tensorrt_names.py        # writes recorded_names.json anew from the real bindings
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted((REPOSITORY / "darknet_compat").rglob("*.py"))
RECORD = Path(__file__).with_name("recorded_names.json")

VERSIONS = {
    "8.6.1": "tensorrt-bindings==8.6.1",
    "10.0.1": "tensorrt-cu12-bindings==10.0.1",
    "10.16.1": "tensorrt-cu13-bindings==10.16.1.11",
    "11.0.0": "tensorrt-cu13-bindings==11.0.0.114",
    "11.4.0": "tensorrt-cu13-bindings==11.4.0.106",
    "rtx 1.7.1": "tensorrt-rtx-cu13-bindings==1.7.1.116",
}
"""The oldest and the newest of each line of versions, as PyPI has their bindings, a megabyte each; TensorRT-RTX is a
library of its own with the same names."""

OF = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "layer": "ILayer",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "parser_error": "ParserError",
    "optimization_profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "refitter": "Refitter",
    "parser_refitter": "OnnxParserRefitter",
    "serialization": "ISerializationConfig",
    "inspector": "EngineInspector",
}
"""What our sources call things → their class."""

Name = tuple[str, ...]


class Used(NamedTuple):
    """`names`: ("BuilderFlag", "REFIT") for a member of a class, ("nptype",) for one of the module. `optional`: those
    that the sources ask for before they use them."""

    names: set[Name]
    optional: set[Name]


def used_names(sources: list[Path] = SOURCES) -> Used:
    """Of all sources that speak of `trt`."""
    names: set[Name] = set()
    optional: set[Name] = set()
    for source in sources:
        text = source.read_text(encoding="utf-8")
        if not re.search(r"\btrt\.(?!_)", text):  # those that ask for its version at most use nothing of it
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and (name := _name(node)):
                names.add(name)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr":
                owner, what = node.args
                assert isinstance(what, ast.Constant)
                if (path := _path(owner)) is not None:
                    optional.add((*path, str(what.value)))
    return Used(names, optional & names | {name for name in optional if name[0] in OF.values()})


def _path(node: ast.expr) -> Name | None:
    """() for `trt`, ("BuilderFlag",) for `trt.BuilderFlag`, ("ICudaEngine",) for `engine` or `self.engine`."""
    text = ast.unparse(node).removeprefix("self.").removeprefix("opened.").removeprefix("self.opened.")
    if text == "trt":
        return ()
    if text.startswith("trt.") and text.count(".") == 1:
        return (text.removeprefix("trt."),)
    return (OF[text],) if text in OF else None


def _name(node: ast.Attribute) -> Name | None:
    path = _path(node.value)
    if path is None or node.attr.startswith("__"):
        return None
    return (*path, node.attr)


# ------------------------------------------------------------------------------------------- the real bindings

_NEEDED = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")
_NEEDED_BY_RTX = ("tensorrt_rtx", "tensorrt_onnxparser_rtx")
_EXPORTED = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
    # Version 8 has these besides.
    "_ZN11nvuffparser15createUffParserEv", "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv", "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)  # fmt: skip
"""What the bindings want of TensorRT's own libraries before they can be imported."""

_DUMP = """
import json, re, sys
import MODULE as trt
def parameters(function):
    head = (function.__doc__ or "").strip().splitlines() or [""]
    lines = [line for line in head if re.match(r"(\\d+\\. )?\\w+\\(self", line)]
    return sorted({part for line in lines for part in re.findall(r"[(,] (\\w+):", line)})
found = {"": {name: None for name in dir(trt) if not name.startswith("__")}}
for name in found[""]:
    kind = getattr(trt, name)
    if isinstance(kind, type):
        members = {n: v for base in reversed(kind.__mro__[:-1]) for n, v in vars(base).items()}
        found[name] = {n: parameters(v) if callable(v) else None for n, v in members.items() if not n.startswith("_")}
print(json.dumps(found))
"""

Bindings = dict[str, dict[str, list[str] | None]]
"""A class's name ("" for the module) → its members; of functions the names of their parameters."""


class Absent(Exception):
    """The real bindings cannot be had here, and why."""


def folder_of(version: str) -> Path:
    """The unpacked bindings of a version, fetched from PyPI once. Raises Absent."""
    folder = Path(sys.prefix) / "share" / "tensorrt-bindings" / version
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check",
                       "--only-binary=:all:", "--retries=1", "--target", f"{made}/new", VERSIONS[version]]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise Absent(f"{VERSIONS[version]} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            if not folder.is_dir():  # another worker may have been quicker
                os.rename(f"{made}/new", folder)
    return folder


def real_names(version: str, folder: Path) -> Bindings:
    """What the real bindings of a version have; they are imported in a process of their own, with stub libraries that
    are built in `folder`. Raises Absent."""
    bindings = folder_of(version)
    if shutil.which("gcc") is None:
        raise Absent("gcc is not installed, to build stub libraries")
    source = "\n".join(f"void *f{n}(void) __asm__(\"{name}\"); void *f{n}(void) {{ return 0; }}"
                       for n, name in enumerate(_EXPORTED))  # fmt: skip
    rtx = version.startswith("rtx")
    for name in _NEEDED_BY_RTX if rtx else _NEEDED:
        library = f"lib{name}.so.{version.removeprefix('rtx ').split('.')[0]}"
        command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / library), f"-Wl,-soname,{library}"]
        subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(bindings)}
    dump = _DUMP.replace("MODULE", "tensorrt_rtx_bindings" if rtx else "tensorrt_bindings")
    done = subprocess.run([sys.executable, "-c", dump], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise AssertionError(f"the bindings {version} cannot be imported: {done.stderr[-500:]}")
    found: Bindings = json.loads(done.stdout)
    return found


def kept(found: Bindings, used: Used) -> Bindings:
    """Of the classes that we use all names, and of the module those that we use."""
    classes = {name[0] for name in used.names | used.optional} | set(OF.values()) | {"DataType", "IProfiler"}
    own = {name[0]: found[""][name[0]] for name in used.names | used.optional if name[0] in found[""]}
    return {"": own} | {name: members for name, members in sorted(found.items()) if name in classes - {""}}


def recorded() -> dict[str, Bindings]:
    """What the real bindings had when they were recorded."""
    known: dict[str, Bindings] = json.loads(RECORD.read_text())
    return known


def main() -> None:
    """Record."""
    with tempfile.TemporaryDirectory() as folder:
        used = used_names()
        found = {version: kept(real_names(version, Path(folder)), used) for version in VERSIONS}
    RECORD.write_text(json.dumps(found, indent=None, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
