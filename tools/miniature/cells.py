"""A table's cells: one configuration with one seed each, whose result is a JSON file of its own.

A cell whose result is there, for the same settings, is not run again: a table that was killed goes on where it was.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from darknet_compat.formats.atomic import atomic_write

Result = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """How tables are made: the data and where it lies, with labelled pictures for classifiers; where results go, seeds,
    how many times the usual batches, and how many cells run at once, on a core each."""

    data: str = "digits"
    path: Path | None = None
    pictures: Path | None = None
    out: Path = Path("runs/paper")
    seeds: tuple[int, ...] = (0, 1, 2)
    budget: float = 1.0
    processes: int = 2

    def batches(self, usual: int) -> int:
        """How many batches there are of what usually takes so many."""
        return max(1, round(self.budget * usual))


@dataclass(frozen=True)
class Cell:
    """`work(setting, cell, folder)` gives the result of a configuration and a seed; `settings` are what it depends on
    beside these. Files go into `folder`, which nothing else uses."""

    table: str
    config: str
    seed: int
    work: Callable[[Setting, Cell, Path], Result]
    settings: Result = field(default_factory=dict)

    def folder(self, setting: Setting) -> Path:
        """Where its files lie."""
        return setting.out / setting.data / self.table / f"{self.config}-{self.seed}"

    def file(self, setting: Setting) -> Path:
        """Its result."""
        return self.folder(setting).with_suffix(".json")

    def asked(self, setting: Setting) -> Result:
        """What stands in the result beside what came out, as JSON has it."""
        named = {"path": setting.path, "pictures": setting.pictures}
        of_data = {name: str(path) for name, path in named.items() if path is not None}
        asked = {"config": self.config, "seed": self.seed, "budget": setting.budget, **of_data, **self.settings}
        plain: Result = json.loads(json.dumps(asked))
        return plain

    def known(self, setting: Setting) -> Result | None:
        """The result, where it is there and answers what is asked."""
        try:
            found = json.loads(self.file(setting).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found["result"] if found.get("asked") == self.asked(setting) else None


def run(cells: Iterable[Cell], setting: Setting) -> None:
    """Run what is not known yet, `processes` at a time."""
    missing = [cell for cell in cells if cell.known(setting) is None]
    if not missing:
        return
    if setting.processes == 1 or len(missing) == 1:
        for cell in missing:
            _finish(setting, cell)
        return
    # A fresh interpreter a process: torch's threads do not survive a fork.
    with ProcessPoolExecutor(setting.processes, get_context("spawn"), _alone) as pool:
        for future in [pool.submit(_finish, setting, cell) for cell in missing]:
            future.result()


def results(cells: Sequence[Cell], setting: Setting) -> dict[str, list[Result]]:
    """The known results of each configuration, in the cells' order."""
    found: dict[str, list[Result]] = {}
    for cell in cells:
        if (result := cell.known(setting)) is not None:
            found.setdefault(cell.config, []).append(result)
    return found


def _alone() -> None:
    """A process of the pool uses one core."""
    import torch

    torch.set_num_threads(1)


def _finish(setting: Setting, cell: Cell) -> None:
    """Run a cell and keep its result."""
    folder = _folder_for(setting, cell)
    wall, processor = time.perf_counter(), time.process_time()
    result = cell.work(setting, cell, folder)
    spent = {
        "cpu_seconds": round(time.process_time() - processor, 1),
        "seconds": round(time.perf_counter() - wall, 1),
    }
    write_json(cell.file(setting), {"asked": cell.asked(setting), "result": result | spent})
    headline = ", ".join(f"{name} {value:.3f}" for name, value in result.items() if isinstance(value, float))
    print(f"{cell.table} {cell.config} {cell.seed}: {headline} ({spent['cpu_seconds']} s)", file=sys.stderr, flush=True)


def _folder_for(setting: Setting, cell: Cell) -> Path:
    """Its folder, in which what other settings left has no place: a training would go on from it."""
    folder, asked = cell.folder(setting), cell.asked(setting)
    note = folder / "asked.json"
    if not note.is_file() or json.loads(note.read_text("utf-8")) != asked:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, asked)
    return folder


def write_json(path: Path, document: Any) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write((json.dumps(document, indent=1) + "\n").encode())


def mean(values: Sequence[float]) -> float:
    """The mean over seeds."""
    return statistics.fmean(values)


def spread(values: Sequence[float]) -> float:
    """Half the range over seeds."""
    return (max(values) - min(values)) / 2


def shown(values: Sequence[float], digits: int = 1, scale: float = 100) -> str:
    """Mean and half the range, in per cent unless another `scale` is given."""
    if not values:
        return ""
    more = f" ± {scale * spread(values):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * mean(values):.{digits}f}{more}"
