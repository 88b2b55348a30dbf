"""TensorRT as it is installed here: found only where there is a GPU, its messages kept, its features asked by name.

`trt` is the module's name wherever it is used, and what it makes is always called by one name, `builder`, `network`,
`config`, `engine`, `context` and so on: a test reads the sources by these names, and holds what they use against the
real module of each version (tests/runtime/tensorrt_names.py has the list).
"""

from __future__ import annotations

import importlib
from collections import deque
from types import ModuleType
from typing import Any

from darknet_compat.errors import BackendError
from darknet_compat.nvidia.driver import Gpu, find_gpu


def load_tensorrt(number: int = 0) -> tuple[Any, Gpu]:
    """The module `tensorrt`, and the GPU of this number. Raises BackendError where either is missing."""
    gpu = find_gpu(number)
    return import_tensorrt(), gpu


def import_tensorrt() -> ModuleType:
    """The module `tensorrt`; nothing of it may be made before `find_gpu` has found one."""
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        if error.name != "tensorrt":
            raise BackendError(f"tensorrt is installed without its part {error.name}; install it again") from None
        raise BackendError("tensorrt is not installed: pip install 'darknet-compat[tensorrt]'") from None
    except (ImportError, OSError) as error:
        raise BackendError(f"tensorrt cannot be loaded: {_first_line(error)}") from None


def make_logger(trt: Any) -> Any:
    """A logger that prints nothing and keeps what went wrong; `reason(logger)` says it."""

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
    return _first_line(first)


def strongly_typed(trt: Any) -> bool:
    """Whether networks take their precision from the graph; else from flags (TensorRT 8)."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
