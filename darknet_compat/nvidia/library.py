"""TensorRT and TensorRT-RTX as they are installed here: their messages kept, their features asked by name.

A target is which of the two an engine is for. TensorRT proper takes a GPU for whatever it does; TensorRT-RTX takes one
to run an engine, but builds it anywhere.

`trt` is the module's name wherever it is used, and what it makes is always called by one name, `builder`, `network`,
`config`, `engine`, `context` and so on: a test reads the sources by these names, and holds what they use against the
real module of each version (tests/runtime/tensorrt_names.py has the list).
"""

from __future__ import annotations

import importlib
from collections import deque
from functools import cache
from types import ModuleType
from typing import Any

from darknet_compat.errors import BackendError
from darknet_compat.formats.textfile import first_line
from darknet_compat.formats.words import EngineTarget
from darknet_compat.nvidia.driver import Gpu, find_gpu

_MODULES: dict[EngineTarget, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
NAMES: dict[EngineTarget, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt-rtx"}
"""As the registry and our extras call them."""


def load_tensorrt(number: int = 0, target: EngineTarget = "tensorrt") -> tuple[Any, Gpu]:
    """The target's module, and the GPU of this number. Raises BackendError where either is missing, and where it is no
    GPU for TensorRT-RTX."""
    gpu = find_gpu(number, NAMES[target])
    trt = import_tensorrt(target)
    if target == "rtx" and gpu.capability not in (known := capabilities(trt)):
        listed = ", ".join(f"{major}.{minor}" for major, minor in known)
        raise BackendError(f"tensorrt-rtx {trt.__version__} is for compute capability {listed}, here is {gpu}")
    return trt, gpu


def expect_tensorrt(name: str) -> None:
    """Raise BackendError where the library that the registry calls so can run nothing here."""
    load_tensorrt(0, next(target for target, known in NAMES.items() if known == name))


def import_tensorrt(target: EngineTarget = "tensorrt") -> ModuleType:
    """The target's module. Of `tensorrt` nothing may be made before `find_gpu` has found one.

    Raises BackendError where it is not installed, or cannot be loaded.
    """
    module, name = _MODULES[target], NAMES[target]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise BackendError(f"{name} is installed without its part {error.name}; install it again") from None
        raise BackendError(f"{name} is not installed: pip install 'darknet-compat[{name}]'") from None
    except (ImportError, OSError) as error:
        raise BackendError(f"{name} cannot be loaded: {first_line(error)}") from None


def capabilities(trt: Any) -> dict[tuple[int, int], Any]:
    """The compute capabilities that TensorRT-RTX builds for → its own names of them."""
    known = trt.ComputeCapability.__members__
    numbers = {int(name[2:]): kind for name, kind in known.items() if name.startswith("SM") and name[2:].isdigit()}
    return {divmod(number, 10): kind for number, kind in sorted(numbers.items())}


@cache
def logger_of(trt: Any) -> Any:
    """The one logger of a module, which prints nothing and keeps what went wrong; `reason` tells it. One, since
    TensorRT goes on with the first that it was given while anything lives that was made with it."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=8)
            self.warnings: deque[str] = deque(maxlen=32)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(msg)
            elif severity == trt.ILogger.WARNING:
                self.warnings.append(msg)

    return Logger()


def forget(logger: Any) -> None:
    """Forget what was logged: before something is begun whose reason for failing is to be told."""
    logger.errors.clear()
    logger.warnings.clear()


def reason(logger: Any) -> str:
    """What went wrong, in one line: the first error of those kept, from which others follow; they are forgotten."""
    if not logger.errors:
        return "TensorRT gives no reason"
    first = logger.errors[0]
    logger.errors.clear()
    return first_line(first)


def strongly_typed(trt: Any) -> bool:
    """Whether networks take their precision from the graph; else from flags (TensorRT 8)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
