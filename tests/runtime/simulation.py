"""A GPU, its driver and TensorRT, simulated: `tests/runtime/simulated`."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("simulated") / "driver.c"
NEWEST = "11.4.0"


@dataclass(frozen=True)
class Left:
    """What nobody has given back."""

    contexts: int
    memory: int
    host: int
    streams: int
    events: int
    graphs: int


class Driver:
    """The simulated driver's switches."""

    def __init__(self, library: Path) -> None:
        # By its name it is found from now on by whoever loads libcuda.so.1.
        self.library = ctypes.CDLL(str(library))

    def left(self) -> Left:
        found = (ctypes.c_int * 6)()
        self.library.sim_left(found)
        return Left(*found)

    def limit(self, megabytes: int) -> None:
        self.library.sim_limit(megabytes)

    def capability(self, major: int, minor: int) -> None:
        self.library.sim_capability(major, minor)

    @contextmanager
    def on(self) -> Iterator[None]:
        self.library.sim_enable(1)
        try:
            yield
        finally:
            self.library.sim_enable(0)
            self.capability(9, 0)


def build_driver(folder: Path) -> Driver:
    """The driver, compiled; the test is skipped where that is not possible."""
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("the simulated driver takes Linux and gcc")
    library = folder / "libcuda.so.1"
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(SOURCE),
        "-Wl,-soname,libcuda.so.1",
        "-ldl",
        "-lpthread",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return Driver(library)


def use_version(monkeypatch: pytest.MonkeyPatch, version: str = NEWEST) -> Any:
    """From now on `import tensorrt`, or `tensorrt_rtx`, gives the simulated one of this version."""
    from darknet_compat.export.tensorrt import engine
    from tests.runtime.simulated.tensorrt import make

    trt = make(version)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx" if version.startswith("rtx") else "tensorrt", trt)
    # A simulation is of this process only; `build_process` has tests with the real one.
    monkeypatch.setattr(engine, "build_in_own_process", lambda build, graph, progress: build.run(trt, graph, progress))
    return trt
