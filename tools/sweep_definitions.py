#!/usr/bin/env python
"""What the commands do with every definition in a folder: answered, refused in one line, or a fault.

    python tools/sweep_definitions.py FOLDER RECORD [PICTURE]

For each .cfg in FOLDER: `info`; with seeded weights `export`, `info` and `detect` (or `classify`) of what was exported,
and the same of the definition itself on torch. Each command is a process of its own with bounds on memory and time,
forked from one that has the packages imported. RECORD gets lines of JSON for each definition; what it has already is
not run again. The summary at the end counts how commands ended, and names each one that was neither answered nor
refused in one line. Exit code 1 if there are such.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from darknet_compat.cli.main import application
from darknet_compat.cli.main import main as command_line
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.slots import slots
from darknet_compat.errors import DarknetCompatError
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.parity.seeded import seed_weights

MEMORY = 14 << 30
"""Bytes of address space that a command may take; libraries alone claim several GB of it."""
SECONDS = 300
"""Of processor time; a busy machine may take `MOST` times as long by the clock."""
MOST = 10
PICTURE = Path("/usr/share/darknet/data/dog.jpg")
ENDED = {0: "answered", 1: "refused"}
FEW = ["--thresh", 0.9, "--nms", 1]
"""For `detect`: random weights make every box a candidate for every class, and suppressing those takes minutes."""
SIDE = 320
"""Pixels a side of the input, where the layers permit: at their own sizes a whole folder takes hours."""


def in_a_process(work: Callable[[], object], folder: Path) -> tuple[str, str, str]:
    """How `work` ended in a process of its own, and what it wrote to standard output and error."""
    outs = [folder / "out", folder / "err"]
    child = os.fork()
    if not child:
        _be_the_child(work, outs)
    ended = _wait(child)
    out, err = (path.read_text(errors="backslashreplace") for path in outs)
    if "Traceback (most recent call last)" in err:
        return "traceback", out, err
    if ended == "refused" and sum(line.startswith("darknet-compat: ") for line in err.splitlines()) < 1:
        return "refused without a line", out, err
    return ended, out, err


def _be_the_child(work: Callable[[], object], outs: list[Path]) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    for number, path in enumerate(outs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(child: int) -> str:
    end = time.monotonic() + SECONDS * MOST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGXCPU:
                break
            return ENDED.get(code, f"killed by signal {-code}" if code < 0 else f"exit code {code}")
        time.sleep(0.02)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return f"longer than {SECONDS} s"


def _run(*words: object) -> Callable[[], object]:
    def work() -> None:
        sys.argv = ["darknet-compat", *map(str, words)]
        command_line()

    return work


def _save_random(cfg: Path, weights: Path) -> Callable[[], object]:
    def work() -> None:
        try:
            network = load_network(cfg, size=_quick_size(cfg))
            seed_weights(network)
            save_weights(network, weights)
        except DarknetCompatError as error:
            print(f"darknet-compat: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    return work


def _quick_size(cfg: Path) -> tuple[int, int] | None:
    """The size to make weights at; None for the definition's own, where the layers do not permit another or a file of
    weights depends on it, as with [connected] and [local]: `export` takes the file at the definition's own size."""

    def shapes(size: tuple[int, int] | None) -> list[tuple[int, ...]] | None:
        try:
            return [slot.shape for slot in slots(load_spec(cfg, size, quiet=True))]
        except DarknetCompatError:
            return None

    small, own = shapes((SIDE, SIDE)), shapes(None)
    return (SIDE, SIDE) if small is not None and own in (None, small) else None


Found = dict[str, dict[str, object]]


class Commands:
    """Runs commands in `folder`, and keeps of each how it ended, in what time, and what it said last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: Found = {}

    def ran(self, what: str, work: Callable[[], object]) -> bool:
        """Whether it answered."""
        start = time.monotonic()
        ended, out, err = in_a_process(work, self.folder)
        said = err if ended not in ENDED.values() else "\n".join((err or out).splitlines()[-1:])
        self.found[what] = {"ended": ended, "seconds": round(time.monotonic() - start, 2), "said": said[-3000:]}
        return ended == "answered"


def described(cfg: Path, _: Path, run: Commands) -> None:
    """What needs no weights."""
    run.ran("info", _run("info", cfg))
    run.ran("info --json", _run("info", cfg, "--json"))


def computed(cfg: Path, picture: Path, run: Commands) -> None:
    """What needs weights; a definition that is refused is so whatever they are."""
    weights, graph = run.folder / "random.weights", run.folder / "graph.onnx"
    run.ran("random weights", _save_random(cfg, weights))
    if not weights.exists():
        weights.write_bytes(bytes(20))
    verb = _verb(cfg)

    def looked(what: str, model: Path, *more: object) -> None:
        more = (*more, *(FEW if verb == "detect" else []))
        small = run.ran(what, _run(verb, model, picture, "--size", SIDE, *more))
        if not small and run.found[what]["ended"] == "refused":
            run.ran(what, _run(verb, model, picture, *more))

    looked(f"{verb} torch", cfg, "--weights", weights, "--backend", "torch")
    if run.ran("export", _run("export", cfg, "--weights", weights, "--out", graph)):
        run.ran("info exported", _run("info", graph))
        looked(f"{verb} exported", graph, "--backend", "onnxruntime")


STAGES = {"described": described, "computed": computed}
"""All definitions go through the first before any goes through the second, which takes fifty times as long."""


def _verb(cfg: Path) -> str:
    """What to ask the definition for; of one that is refused it is all the same."""
    try:
        return "detect" if any(head.detects for head in load_spec(cfg, quiet=True).heads) else "classify"
    except DarknetCompatError:
        return "detect"


def summary(record: Path) -> list[str]:
    """Counts by command, and a line for each command that was neither answered nor refused in one line."""
    counts: Counter[tuple[str, str]] = Counter()
    faults, definitions = [], set()
    for line in record.read_text().splitlines():
        of = json.loads(line)
        definitions.add(of["cfg"])
        for what, how in of["commands"].items():
            counts[what, how["ended"]] += 1
            if how["ended"] not in ENDED.values():
                faults.append(f"{of['cfg']}: {what}: {how['ended']}: {str(how['said']).splitlines()[-1:]}")
    print(f"{len(definitions)} definitions")
    for (what, ended), count in sorted(counts.items()):
        print(f"  {what:20} {ended:24} {count}")
    return faults


def main() -> None:
    """Sweep what the record does not have yet, then sum up."""
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    folder, record = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    picture = Path(sys.argv[3]) if len(sys.argv) == 4 else PICTURE
    application()  # imported once, here, and what its commands import later
    for package in ("torch", "onnx", "onnxruntime", "cv2"):
        import_module(package)
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    have = {(line["cfg"], line["stage"]) for line in lines}
    for stage, commands in STAGES.items():
        for cfg in sorted(folder.glob("*.cfg")):
            if (cfg.name, stage) not in have:
                with tempfile.TemporaryDirectory(prefix="sweep-") as name:
                    run = Commands(Path(name))
                    commands(cfg, picture, run)
                with record.open("a") as file:
                    file.write(json.dumps({"cfg": cfg.name, "stage": stage, "commands": run.found}) + "\n")
    faults = summary(record)
    for fault in faults:
        print(fault)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
