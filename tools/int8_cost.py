"""What int8 costs: how far trained models answer as in float32, on ONNX Runtime in integers and on OpenVINO.

    python tools/int8_cost.py MODEL.cfg … [--calibrate half|all|photographs] [--mixed]

Pictures are the original's seven photographs, each as it is, mirrored, darker, cut, blurred and smaller: 42; every
second of them tells the ranges ("half"), or all, or the seven alone, with which the chain of `parity --stages` compares
too. For each runtime: the agreement of the answers in percent (`evaluation.compare.agreement`), of how many objects,
and the largest difference of an output as a part of that output's largest value. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.evaluation.compare.agreement import LEAST, agreement, same_best
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import Accuracy, quantize_onnx
from darknet_compat.formats.arrays import Bytes, Floats
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.parity.reference import find_original
from darknet_compat.runtime.exported import describe, read_artefact
from darknet_compat.runtime.machine import machine

PHOTOGRAPHS = ("dog", "eagle", "giraffe", "horses", "kite", "person", "scream")
RUNTIMES = ("onnxruntime", "openvino")


def pictures() -> Iterator[Bytes]:
    """The 42, BGR; the seven as they are come first."""
    original = find_original()
    if original is None:
        raise SystemExit("the original's photographs are needed: tools/install-original")
    read = [cv2.imread(str(original.data / f"{name}.jpg")) for name in PHOTOGRAPHS]
    yield from read
    for picture in read:
        height, width = picture.shape[:2]
        yield np.ascontiguousarray(picture[:, ::-1])
        yield (picture * 0.6).astype(np.uint8)
        yield np.ascontiguousarray(picture[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8])
        yield cv2.GaussianBlur(picture, (5, 5), 0)
        yield cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def answers(path: Path, runtime: str, every: list[Bytes]) -> tuple[list[Any], list[dict[str, Floats]]]:
    """What a file answers about each picture, and its outputs."""
    classifies = read_artefact(path).task == "classify"
    model: Any = Classifier(path, backend=runtime) if classifies else Detector(path, backend=runtime, thresh=LEAST)
    pixels = [prepare(picture, model.runtime.description).pixels[None] for picture in every]
    return [model(picture) for picture in every], [dict(model.runtime.infer(one)) for one in pixels]


def compared(before: Any, after: Any, classifies: bool) -> tuple[Accuracy, float]:
    """Agreement, and the largest difference of an output."""
    judged = same_best(before[0], after[0]) if classifies else agreement(before[0], after[0])
    apart = 0.0
    for name in before[1][0].keys() - {"dropped"}:
        exact, found = (np.stack([one[name] for one in side[1]]) for side in (before, after))
        largest = np.abs(exact).reshape(len(exact), -1).max(1)
        difference = np.abs(found - exact).reshape(len(exact), -1).max(1)
        apart = max(apart, float((difference / largest).max()))
    return judged, apart


def measure(cfg: Path, calibrate: str, mixed: bool) -> dict[str, Any]:
    """Export, quantize and compare one model."""
    every = list(pictures())
    used = {"half": every[::2], "all": every, "photographs": every[: len(PHOTOGRAPHS)]}[calibrate]
    compare = used if calibrate == "photographs" else every
    with tempfile.TemporaryDirectory() as folder:
        exact, int8 = Path(folder) / "m.onnx", Path(folder) / "q.onnx"
        export_onnx(StoredWeights(load_spec(cfg), cfg.with_suffix(".weights")), exact, cfg=cfg)
        description = describe(read_artefact(exact), str(exact), "fp32", None)
        classifies = description.task == "classify"
        start = time.process_time()
        quantize_onnx(exact, int8, (prepare(one, description).pixels[None] for one in used), None, mixed=mixed)
        row: dict[str, Any] = {"seconds": round(time.process_time() - start, 1)}
        said = read_artefact(int8).quantization or {}
        row |= {name: said[name] for name in ("float32", "mixed") if name in said}
        before = answers(exact, "onnxruntime", compare)
        for runtime in RUNTIMES:
            judged, apart = compared(before, answers(int8, runtime, compare), classifies)
            row[runtime] = {"agreement": round(judged.int8, 2), "objects": judged.objects, "apart": round(apart, 3)}
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.cfg")
    parser.add_argument("--calibrate", choices=("half", "all", "photographs"), default="half")
    parser.add_argument("--mixed", action="store_true", help="leave in float32 what costs more than its time is worth")
    options = parser.parse_args()
    print(f"{'model':32} {'objects':>7} " + " ".join(f"{runtime:>12} apart" for runtime in RUNTIMES))
    rows = {}
    for cfg in options.models:
        row = rows[cfg.stem] = measure(cfg, options.calibrate, options.mixed)
        found = [row[runtime] for runtime in RUNTIMES]
        cells = " ".join(f"{one['agreement']:10.2f} % {one['apart']:5.2f}" for one in found)
        print(f"{cfg.stem:32} {found[0]['objects']:7} {cells}", flush=True)
    print(json.dumps({"machine": machine(), "calibrate": options.calibrate, "mixed": options.mixed, "models": rows}))


if __name__ == "__main__":
    main()
