"""The original's library asked about files, through the small C program `original.c`."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import Original


@dataclass
class Seen:
    """What the original makes of a cfg: a row (out_w, out_h, out_c, outputs) a layer, and options it left unused."""

    layers: list[tuple[int, ...]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


@functools.cache
def _program(original: Original) -> Path:
    folder = tempfile.mkdtemp(prefix="darknet-compat-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source, program = Path(__file__).with_name("original.c"), Path(folder) / "original"
    library = original.library.parent
    command = ["cc", "-O1", f"-I{original.include}", source, "-o", program]
    command += [f"-L{library}", "-ldarknet", f"-Wl,-rpath,{library}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def ask(original: Original, *words: str | Path, cwd: Path | None = None) -> tuple[str, str]:
    """What the program prints, and what the library says meanwhile."""
    done = subprocess.run(
        [_program(original), *words], capture_output=True, text=True, errors="replace", timeout=300, cwd=cwd
    )
    assert done.returncode == 0, f"{words}: ended with {done.returncode}: {done.stderr[-500:]}"
    return done.stdout, done.stderr


def shapes(original: Original, cfgs: Sequence[Path]) -> dict[Path, Seen]:
    """What the original makes of each cfg; no layers where it died of it."""
    found = {path: Seen() for path in cfgs}
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda half: ask(original, "shapes", *half) if half else ("", ""), (cfgs[::2], cfgs[1::2]))
        )
    for out, err in answers:
        seen = Seen()
        for line in out.splitlines():
            if line.startswith("== "):
                seen = found[Path(line[3:])]
            else:
                seen.layers.append(tuple(map(int, line.split())))
        for line in err.splitlines():
            if line.startswith("== "):
                seen = found[Path(line[3:])]
            elif line.startswith("Unused field: '"):
                seen.unused.append(line.removeprefix("Unused field: '").removesuffix("'"))
    return found


def values(original: Original, cfg: Path, weights: Path) -> dict[tuple[int, str], NDArray[np.float32]]:
    """The arrays of each layer, flat, after the original has loaded a weights file."""
    out = weights.with_name(weights.name + ".values")
    printed, _ = ask(original, "values", cfg, weights, out)
    floats = np.fromfile(out, np.float32)
    arrays, at = {}, 0
    for line in printed.splitlines():
        layer, name, count = line.split()
        arrays[int(layer), name] = floats[at : at + int(count)]
        at += int(count)
    assert at == len(floats)
    return arrays


def tree(original: Original, path: Path) -> dict[str, NDArray[np.int32]]:
    """The fields of the original's `tree`."""
    printed, _ = ask(original, "tree", path)
    return {name: np.array(numbers, np.int32) for name, *numbers in map(str.split, printed.splitlines())}
