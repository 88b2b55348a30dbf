"""What `gpu_check.py` found: figures beside what is asked, as JSON, as a table, and as a part of the guide."""

from __future__ import annotations

import json
import re
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import BackendError, DarknetCompatError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.network import Network
from darknet_compat.parity.seeded import seed_weights

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs" / "gpu"
PAGE = REPOSITORY / "docs" / "guide" / "tensorrt.md"
MARKS = ("<!-- gpu: the newest record, written by tools/gpu_check.py -->", "<!-- /gpu -->")

BARS: dict[str, tuple[str, float, str]] = {
    "batch 1, device": ("<=", 0.5, "ms"),
    "batch 64, device": (">=", 10_000, "images/s"),
    "batch 1, end to end": ("<=", 1.15, "times the engine alone"),
    "batch 64, end to end": ("<=", 1.15, "times the engine alone"),
    "batch 1, plain loop": (">=", 0.98, "of its rate"),
    "batch 64, plain loop": (">=", 0.98, "of its rate"),
    "int8 or fp8 against fp16": (">=", 1.5, "times its rate"),
    "yolo9000 by candidates": ("<=", 1.1, "times a head of 20 classes"),
    "threads": ("<=", 0, "errors, differing results and MB of growth"),
    "training step": (">=", 2500, "images/s"),
}
"""What is asked of an H200 → comparison, bound, unit."""


RESERVE = 2.0
"""How many minutes before the end the last engine is begun: building one takes about as long."""


@dataclass
class Check:
    """One run: how much of everything, and what came out."""

    rehearse: bool
    folder: Path
    models: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    minutes: float = 60
    started: float = field(default_factory=time.monotonic)

    def expect_time(self) -> None:
        """Raise BackendError where nothing may be begun any more that could take minutes."""
        if time.monotonic() - self.started > 60 * (self.minutes - RESERVE):
            raise BackendError(f"the {self.minutes:g} minutes are nearly over; --minutes gives more")

    @property
    def device(self) -> str:
        """Where torch computes."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def runs(self) -> int:
        """How often what is timed is run."""
        return 3 if self.rehearse else 50

    def add(
        self, part: str, what: str, value: float | None, unit: str, *, passed: bool | None = None, **more: Any
    ) -> None:
        """A figure, or with `why` something that was not run. `passed`: the verdict, where it is not by BARS."""
        bar = None if self.rehearse else BARS.get(what)
        met = passed
        if bar is not None and value is not None:
            met = value <= bar[1] if bar[0] == "<=" else value >= bar[1]
        bound = f"{bar[0]} {bar[1]:,g} {bar[2]}" if bar else ""
        row = {"part": part, "what": what, "value": value, "unit": unit, "bound": bound, "met": met, **more}
        self.rows.append(row)
        print(line(row), flush=True)

    @contextmanager
    def attempt(self, part: str, what: str) -> Iterator[None]:
        """Whatever is raised inside is why `what` was not run; it must not lose what else there is to measure."""
        try:
            yield
        except DarknetCompatError as error:
            self.add(part, what, None, "", why=str(error))
        except Exception as error:  # a defect
            traceback.print_exc()
            self.add(part, what, None, "", why=f"{type(error).__name__}: {error}".splitlines()[0])

    def network(self, name: str, size: int | None = None) -> Network:
        """A network of the catalogue with seeded weights."""
        network = Network(load_spec(cfg_dir() / f"{name}.cfg", (size, size) if size else None))
        seed_weights(network)
        return network.eval()

    def timed(self, work: Callable[[], object]) -> float:
        """The median of seconds, warmed up; what is queued on the GPU is waited for."""
        seconds = []
        for run in range(self.runs + 3):
            wait()
            start = time.perf_counter()
            work()
            wait()
            if run >= 3:
                seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)


def wait() -> None:
    """Until what is queued on the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def line(row: dict[str, Any]) -> str:
    """A figure as it is printed."""
    value = f"not run: {row['why']}" if row["value"] is None else f"{row['value']:,.4g} {row['unit']}"
    verdict = {True: "met", False: "NOT MET", None: ""}[row["met"]]
    return f"{row['part']:9} {row['what']:44} {value:32} {row['bound']:40} {verdict}".rstrip()


def markdown(document: dict[str, Any]) -> str:
    """The record as a table."""
    versions = ", ".join(f"{name} {version}" for name, version in document["machine"]["versions"].items())
    lines = [f"{document['date']}, {document['gpu']}; {versions}.", ""]
    lines += ["| part | what | measured | bound | |", "|---|---|---|---|---|"]
    for row in document["rows"]:
        value = f"not run: {row['why']}" if row["value"] is None else f"{row['value']:,.4g} {row['unit']}"
        verdict = {True: "met", False: "**not met**", None: ""}[row["met"]]
        lines.append(f"| {row['part']} | {row['what']} | {value} | {row['bound']} | {verdict} |")
    return "\n".join(lines) + "\n"


def write(document: dict[str, Any], folder: Path, readme: Path | None) -> list[Path]:
    """The JSON, the newest record's table, and the part of the guide."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", document["gpu"].partition(" (")[0]).strip("-")[:40]
    paths = {folder / f"{document['date']}-{name}.json": json.dumps(document, indent=1) + "\n",
             folder / "README.md": f"# The newest record of tools/gpu_check.py\n\n{markdown(document)}"}  # fmt: skip
    for page in (folder / "README.md", readme):
        if page is not None and page.exists() and MARKS[0] in (text := page.read_text()):  # what else it says stays
            before, _, rest = text.partition(MARKS[0])
            _, _, after = rest.partition(MARKS[1])
            paths[page] = f"{before}{MARKS[0]}\n{markdown(document)}{MARKS[1]}{after}"
    for path, text in paths.items():
        with atomic_write(path) as file:
            file.write(text.encode())
    return list(paths)
