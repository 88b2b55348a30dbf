"""A target's folder: the exported file with what belongs beside it, and what its own tool makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from onnx import ModelProto

from darknet_compat.errors import ExportError
from darknet_compat.export.targets.base import ExportedModel, Target, Tool
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.textfile import count, plain

LIMIT = 1800
"""Seconds that a converter may take."""


def write_target(
    target: Target, folder: Path, artefact: Artefact, brought: Mapping[str, bytes] = MappingProxyType({})
) -> list[str]:
    """Write what belongs beside the exported file, with what was `brought` of a package of others; have the target's
    tool convert it where that is installed, and say in sentences what was converted, or what is missing.

    Raises ExportError where a file cannot be written, or where the tool fails.
    """
    made = ExportedModel(target.place.format(name=artefact.name), artefact)
    _tell_more(folder / made.model, target.properties(made))
    labels = target.labels.format(name=artefact.name)
    texts = {**target.files(made), labels: made.labels, "README.md": page(target, made)}
    for name, data in {**{name: text.encode() for name, text in texts.items()}, **brought}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / name, ExportError) as file:
            file.write(data)
    return [_convert(target.tool, folder, made)] if target.tool else []


def page(target: Target, made: ExportedModel) -> str:
    """The folder's README: what it is for, what to do next, what differs, and where the facts are from."""
    artefact = made.artefact
    size = f"{artefact.width} x {artefact.height}"
    steps = "".join(f"{number}. {step}\n" for number, step in enumerate(target.steps(made), 1))
    notes = " ".join(target.notes)
    outputs = artefact.layout or artefact.outputs
    return f"""# {made.name} for {target.title}

`{made.model}`: {size} pixels, RGB, 0..1, {artefact.resize}; outputs `{outputs}`; {count(artefact.classes, "class")}.

{steps}
{notes}{" " if notes else ""}Facts from: {target.source}.
"""


def _tell_more(path: Path, properties: Mapping[str, str]) -> None:
    """Add metadata to an ONNX file. Two messages of Protocol Buffers one behind another are read as one."""
    if properties:
        more = ModelProto()
        for key, value in properties.items():
            more.metadata_props.add(key=key, value=value)
        with path.open("ab") as file:
            file.write(more.SerializeToString())


def program_of(tool: Tool) -> str | None:
    """Where a tool is: beside this Python, or on the PATH; None where it is not installed."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(tool.program, path=os.pathsep.join([beside, os.environ.get("PATH", "")]))


def _convert(tool: Tool, folder: Path, made: ExportedModel) -> str:
    program = program_of(tool)
    if program is None:
        return f"{tool.program} is not installed, which converts the file: pip install {tool.package}"
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as work:
        shutil.copyfile(folder / made.model, Path(work) / made.model)  # onnx2tf writes over what it reads
        path = os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", "")])
        given: dict[str, Any] = {"cwd": work, "env": os.environ | {"PATH": path}, "timeout": LIMIT}
        try:
            done = subprocess.run([program, *tool.arguments(made)], capture_output=True, text=True, **given)
        except subprocess.TimeoutExpired:
            raise ExportError(f"{made.model}: {tool.program} does not end within {LIMIT // 60} minutes") from None
        except OSError as error:
            raise ExportError(f"{program}: cannot be started: {error.strerror or error}") from None
        kept = tool.keeps(made)
        absent = next((name for name in kept if not (Path(work) / name).is_file()), None)
        if done.returncode or absent:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            said = plain(lines[-1].strip())[:200] if lines else f"exit status {done.returncode}"
            raise ExportError(f"{made.model}: {tool.program} does not convert it: {said}")
        for name, new in kept.items():
            os.replace(Path(work) / name, folder / new)
    return f"converted by {tool.program}: {', '.join(kept.values())}"
