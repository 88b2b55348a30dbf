"""The original's own label finding, called in a process of its own: `python original_labels.py LIBRARY < questions`.

A question is [function, arguments…]; the answers come as one JSON list. Where the original would look for labels is
what it says when it finds no file there and ends, so each of those questions is asked in a fork.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class _BoxLabel(ctypes.Structure):
    _fields_ = [
        ("id", ctypes.c_int),
        *((name, ctypes.c_float) for name in ("x", "y", "w", "h", "left", "right", "top", "bottom")),
    ]


def ask(library: Path, questions: list[Any]) -> list[Any]:
    """The original's answers."""
    done = subprocess.run(
        [sys.executable, __file__, str(library)],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def _label_path(library: Any, path: str) -> str:
    """`fill_truth_detection` for a picture whose labels are nowhere."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        truth = (ctypes.c_float * 150)()
        library.fill_truth_detection(path.encode(), 30, truth, 20, 0, *(ctypes.c_float(v) for v in (0, 0, 1, 1)))
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said.removeprefix("Couldn't open file: ").rstrip("\n")


def _boxes(library: Any, path: str) -> list[list[float]]:
    """`read_boxes`."""
    count = ctypes.c_int()
    library.read_boxes.restype = ctypes.POINTER(_BoxLabel)
    boxes = library.read_boxes(path.encode(), ctypes.byref(count))
    return [[box.id, box.x, box.y, box.w, box.h] for box in boxes[: count.value]]


def _truth(library: Any, path: str, labels: list[str]) -> list[float]:
    """`fill_truth`."""
    truth = (ctypes.c_float * len(labels))()
    strings = (ctypes.c_char_p * len(labels))(*(label.encode() for label in labels))
    library.fill_truth(path.encode(), strings, len(labels), truth)
    return list(truth)


def main() -> None:
    """Answer what stands on stdin."""
    library = ctypes.CDLL(sys.argv[1], os.RTLD_LAZY | os.RTLD_DEEPBIND)
    functions = {"label_path": _label_path, "boxes": _boxes, "truth": _truth}
    answers = [functions[name](library, *arguments) for name, *arguments in json.load(sys.stdin)]
    sys.stdout.flush()
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
