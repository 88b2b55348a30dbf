"""The one command for a machine with an NVIDIA GPU: builds engines, holds them against ONNX Runtime, measures, records.

    python tools/gpu_check.py                   # 12 minutes; writes docs/gpu/DATE-GPU.json and docs/gpu/README.md
    python tools/gpu_check.py --only training   # one part: speed, parity, threads, tree, torch, training
    python tools/gpu_check.py --minutes 60      # all of it, where 12 minutes do not suffice
    python tools/gpu_check.py --rehearse        # small and quick, on whatever is here; writes nothing unless --out

What matters most comes first, and nothing that may take minutes is begun in the last two. What cannot be run is
recorded as not run, with the reason. The record is written after each part, so that what was measured stays whatever
happens after it. The last line is a summary as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_engines import check_parity, check_speed, check_threads, check_tree
from gpu_record import DOCS, PAGE, REPOSITORY, Check, write
from gpu_torch import check_torch, check_training

from darknet_compat.errors import DarknetCompatError
from darknet_compat.nvidia.driver import find_gpu
from darknet_compat.runtime.machine import describe_machine

MODELS = REPOSITORY.parent / "shared" / "data" / "models"

PARTS: dict[str, Callable[[Check], None]] = {
    "speed": check_speed,
    "parity": check_parity,
    "threads": check_threads,
    "tree": check_tree,
    "torch": check_torch,
    "training": check_training,
}
"""What matters most first, since the time may end before the last."""


def record(check: Check, parts: list[str], save: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """Run the parts; whatever one of them raises is why it was not run. `save` is called after each."""
    try:
        gpu = str(find_gpu())
    except DarknetCompatError as error:
        gpu = f"none: {error}"
    document = {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": gpu,
        "machine": describe_machine(),
        "rehearsal": check.rehearse,
        "rows": check.rows,
    }
    for name in parts:
        with check.attempt(name, name):
            check.expect_time()
            PARTS[name](check)
        if save is not None:
            save(document)
    return document


def main() -> None:
    """Run, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="Run this part; may be repeated.")
    parser.add_argument("--rehearse", action="store_true", help="Small, quick, on whatever is here.")
    parser.add_argument("--minutes", type=float, default=12, help="When it has to end. Default: %(default)s.")
    models = "Trained models, a folder each with a .cfg and its .weights. Default: %(default)s."
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help=models)
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"Where records go. Default: {DOCS.name} in docs/.")
    arguments = parser.parse_args()
    written: list[Path] = []

    def save(document: dict[str, Any]) -> None:
        written[:] = write(document, arguments.out or DOCS, None if arguments.out else PAGE)

    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        check = Check(arguments.rehearse, Path(folder), arguments.models, minutes=arguments.minutes)
        keeps = not arguments.rehearse or arguments.out
        document = record(check, arguments.only or list(PARTS), save if keeps else None)
    for path in written:
        print(path)
    met = [row["met"] for row in document["rows"] if row["met"] is not None]
    missing = sum(row["value"] is None for row in document["rows"])
    print(json.dumps({"gpu": document["gpu"], "met": sum(met), "not met": len(met) - sum(met), "not run": missing}))
    sys.exit(0 if all(met) and not missing else 1)


if __name__ == "__main__":
    main()
