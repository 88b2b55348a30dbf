"""TensorRT-RTX's builder in a process of its own, in which the same graph gives the same bytes.

Where a profile has a range, of batches or of sizes, the library takes the order of a few equal values from their
addresses in memory, and so from whatever moves these: the system, which shuffles them for each process; Python's
hashes; what the process has allocated before, among it lists of the folders in which Python looks for modules, and in
which any program may put a file; and the builder's own threads, which allocate at the same time. In the process that is
made here the first three are the same each time. The threads run on one processor, each as long as it can, and come
mostly too late to move what belongs to the first profile with a range, so that this one is built first
(`profiles.ranges_first`).

A library that ends its process, or one that the system ends for want of memory, costs no more than a line.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from darknet_compat.errors import DarknetCompatError, ExportError
from darknet_compat.export.tensorrt.build import BuildProgress, EngineBuild
from darknet_compat.nvidia.library import import_tensorrt

_ADDR_NO_RANDOMIZE = 0x0040000  # of <sys/personality.h>
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_KEPT = ("PATH", "LD_LIBRARY_PATH")
"""Of the environment; whatever else is there would move what Python allocates."""
_FLAGS = ("-S", "-s", "-c")
_BEGINNING = """
import sys
del sys.path[0]  # the current folder
import json
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location
packages = json.loads(sys.argv[1])
class Finder:
    def find_spec(name, path=None, target=None):
        return spec_from_file_location(name, packages[name]) if name in packages else None
sys.meta_path.insert(sys.meta_path.index(PathFinder), Finder)
from darknet_compat.export.tensorrt.build_process import main
main()
"""
"""What the process runs: it finds our packages without a look into the folders that they are in."""


def build_in_own_process(build: EngineBuild, graph: bytes, progress: BuildProgress | None = None) -> Any:
    """`build.run(…, graph, progress)` by TensorRT-RTX in a process of its own; in this one where that is not Linux.

    Raises ExportError with the builder's reason, and where the process has ended without one.
    """
    if sys.platform != "linux":
        return build.run(import_tensorrt("rtx"), graph, progress)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"PYTHONHASHSEED": "0"}
    packages = _packages()
    with _memory() as given, _memory() as made, _memory() as complaints:
        _fill(given, graph)
        command = [sys.executable, *_FLAGS, _BEGINNING, json.dumps(packages), str(given), str(made)]
        with subprocess.Popen(
            command, cwd="/", env=environment, pass_fds=(given, made), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=complaints,
        ) as child:  # fmt: skip
            try:
                _converse(child, build, progress)
            except BaseException:
                child.kill()
                raise
        if child.returncode or not os.fstat(made).st_size:
            raise ExportError(f"{build.artefact.name}: TensorRT-RTX's builder {_end_of(child.returncode, complaints)}")
        return mmap.mmap(made, 0, access=mmap.ACCESS_READ)


def _packages() -> dict[str, str]:
    """The packages that the process imports, and the file that each begins with."""
    names = ("darknet_compat", "tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_libs", "numpy")
    specs = {name: find_spec(name) for name in names}
    return {name: os.path.abspath(spec.origin) for name, spec in specs.items() if spec is not None and spec.origin}


def _converse(child: subprocess.Popen[bytes], build: EngineBuild, progress: BuildProgress | None) -> None:
    """Tell the process what is to be built, and listen. Raises ExportError with its reason."""
    assert child.stdin is not None and child.stdout is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:  # one that has ended says why by other ways
        pickle.dump(build, child.stdin)
    for line in child.stdout:
        said = json.loads(line)
        if isinstance(said, str):
            raise ExportError(said)
        if progress is not None:
            progress(*said)


def _end_of(code: int, complaints: int) -> str:
    """How the process has ended, where it did not say by itself."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"was ended by {name}" + (", as happens for want of memory" if name == "SIGKILL" else "")
    os.lseek(complaints, 0, os.SEEK_SET)
    with os.fdopen(os.dup(complaints), errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return f"fails: {lines[-1][:300]}" if lines else "gives no plan and no reason"


@contextlib.contextmanager
def _memory() -> Iterator[int]:
    """A file in memory alone."""
    number = os.memfd_create("darknet-compat") if sys.platform == "linux" else -1
    try:
        yield number
    finally:
        os.close(number)


def _fill(number: int, content: Any) -> None:
    try:
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
    except OSError as error:
        raise ExportError(f"the model cannot be handed to TensorRT-RTX: {error.strerror or error}") from None


# ------------------------------------------------------------------------------------------------- the process


def main() -> None:
    """What the process does: the file `given` is the graph, `made` becomes the plan; standard input has the Build."""
    _fix_addresses()
    given, made = int(sys.argv[2]), int(sys.argv[3])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # whatever the library prints

        def say(what: object) -> None:
            print(json.dumps(what), file=answers, flush=True)

        build: EngineBuild = pickle.load(sys.stdin.buffer)
        if any(profile.least != profile.most for profile in build.profiles):
            _take_turns()
        graph = mmap.mmap(given, 0, access=mmap.ACCESS_READ)
        try:
            plan = build.run(import_tensorrt("rtx"), graph, lambda *step: say(step))
            _fill(made, plan)
        except DarknetCompatError as error:
            say(str(error))


def _fix_addresses() -> None:
    """Begin anew without the system's shuffling of addresses, where that is allowed (in Docker it is not)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process hears it, and ends this one
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    now = libc.personality(0xFFFFFFFF)  # which asks
    if now & _ADDR_NO_RANDOMIZE:
        return
    if libc.personality(now | _ADDR_NO_RANDOMIZE) >= 0 and libc.personality(0xFFFFFFFF) & _ADDR_NO_RANDOMIZE:
        os.execv(sys.executable, [sys.executable, *_FLAGS, _BEGINNING, *sys.argv[1:]])


def _take_turns() -> None:
    """Let the threads run on one processor, none interrupted by another that becomes ready."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
