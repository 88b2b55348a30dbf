"""Ray, imported when it is first needed; a cluster to work on; and what goes wrong there, in one line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from types import ModuleType
from typing import Any

from darknet_compat.errors import BackendError, DarknetCompatError
from darknet_compat.formats.textfile import first_line
from darknet_compat.vision.opencv import quiet as silence

_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray 2.60 warns of otherwise
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What Ray reads of the environment, where the user has not said otherwise."""
_STORE = 256 << 20
"""Bytes of the memory that processes of a cluster on this machine share; paths and answers need no more, and what does
not fit is spilled to the disk."""


def ray_module() -> ModuleType:
    """The module `ray`. Raises BackendError where it is not installed."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as cause:
        raise BackendError(f"--engine ray needs Ray ({cause}): pip install 'darknet-compat[ray]'") from None
    found: ModuleType = ray
    return found


def serve_module() -> ModuleType:
    """The module `ray.serve`. Raises BackendError where it is not installed."""
    ray_module()
    try:
        from ray import serve
    except ImportError as cause:
        raise BackendError(f"serve --engine ray needs Ray Serve ({cause}): pip install 'darknet-compat[ray]'") from None
    found: ModuleType = serve
    return found


@contextmanager
def connected(*, quiet: bool = True) -> Iterator[ModuleType]:
    """Ray, with the cluster that RAY_ADDRESS names, else one on this machine that ends with the context.

    A program that has called `ray.init` itself keeps its own. `quiet` keeps what Ray's programs print to themselves,
    and standard output free of Ray. Raises BackendError where there is no Ray, or no cluster.
    """
    ray = ray_module()
    if ray.is_initialized():
        with one_line():
            yield ray
        return
    asked: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        asked |= {"address": "local", "include_dashboard": False, "object_store_memory": _STORE}
    with ExitStack() as stack:
        if quiet:
            stack.enter_context(silence())
            stack.enter_context(redirect_stdout(sys.stderr))  # where Ray says that a worker has died
        try:
            ray.init(**asked)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BackendError(f"no cluster of Ray: {first_line(error)}") from None
        try:
            _quieten(ray)
            with one_line():
                yield ray
        finally:
            ray.shutdown()


def _quieten(ray: ModuleType) -> None:
    """Leave errors, and on a terminal the bars."""
    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = sys.stderr.isatty()
    context.print_on_execution_start = False


@contextmanager
def one_line() -> Iterator[None]:
    """A context that raises what a worker raised, where that was meant for the user, and BackendError for what Ray
    could not do."""
    import ray.exceptions

    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DarknetCompatError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is not None:
            raise type(cause)(*cause.args) from None
        raise BackendError(f"Ray: {first_line(error)}") from error


def cores(ray: ModuleType) -> int:
    """How many processor cores the whole cluster has."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))
