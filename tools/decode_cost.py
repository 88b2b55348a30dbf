"""What JPEGs decoded at a half, a quarter or an eighth of their size would do to answers, and save.

    python tools/decode_cost.py MODEL.cfg … [--room 1]

The original's seven photographs, as they are and enlarged to twice and four times (cubic, quality 95), each decoded as
`detect` does and by OpenCV's IMREAD_REDUCED_COLOR_* at the least size that still is `--room` times the network's input
in both directions. Printed are the agreement in percent (`evaluation.compare.agreement`); of the objects above 0.25 in
pictures that were reduced, how many are not found again (at an IoU of 0.5) and how far scores and boxes move at most,
boxes as a part of the picture's longer side; and the processor time of decoding and fitting a picture. The last line
is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from darknet_compat.evaluation.compare.agreement import CERTAIN, LEAST, agreement
from darknet_compat.formats.arrays import Bytes
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.parity.reference import find_original
from darknet_compat.runtime.machine import machine
from darknet_compat.vision.boxes import iou

PHOTOGRAPHS = ("dog", "eagle", "giraffe", "horses", "kite", "person", "scream")
ENLARGED = (1, 2, 4)
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decoded(data: bytes, by: int) -> Bytes:
    """A file's picture, BGR, reduced by this factor."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[by]), np.uint8)


def photographs(enlarged: int) -> list[bytes]:
    """The seven as JPEG files."""
    original = find_original()
    if original is None:
        raise SystemExit("the original's photographs are needed: tools/install-original")
    files = [(original.data / f"{name}.jpg").read_bytes() for name in PHOTOGRAPHS]
    if enlarged == 1:
        return files
    larger = [cv2.resize(decoded(data, 1), None, fx=enlarged, fy=enlarged, interpolation=2) for data in files]
    return [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for one in larger]


def moved(before: Detections, after: Detections) -> tuple[int, int, list[float], list[float]]:
    """How many objects, how many of them are not found again, and how far scores and boxes of the others move."""
    lost, scores, boxes = 0, [0.0], [0.0]
    certain = np.flatnonzero(before.scores > CERTAIN)
    for row in certain:
        others = np.flatnonzero(after.class_ids == before.class_ids[row])
        overlaps = iou(before.boxes[[row]], after.boxes[others])[0]
        if overlaps.max(initial=0.0) < 0.5:
            lost += 1
            continue
        found = others[overlaps.argmax()]
        scores.append(abs(float(after.scores[found] - before.scores[row])))
        boxes.append(float(np.abs(after.boxes[found] - before.boxes[row]).max()) / max(before.width, before.height))
    return len(certain), lost, scores, boxes


def timed(files: Sequence[bytes], factors: Sequence[int], description: Any) -> float:
    """Processor milliseconds for decoding and fitting a picture, the median of five rounds."""
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for data, by in zip(files, factors, strict=True):
            prepare(decoded(data, by), description)
        rounds.append(1000 * (time.process_time() - start) / len(files))
    return statistics.median(rounds)


def measure(detector: Detector, files: Sequence[bytes], room: float) -> dict[str, Any]:
    """One model on one size of photographs."""
    description = detector.runtime.description
    least = (room * description.width, room * description.height)
    before, after, factors = [], [], []
    for data in files:
        exact = decoded(data, 1)
        height, width = exact.shape[:2]
        by = max(by for by in REDUCED if by == 1 or (width / by >= least[0] and height / by >= least[1]))
        before.append(detector(exact))
        found = before[-1] if by == 1 else detector(decoded(data, by))
        stretched = np.array([width / found.width, height / found.height] * 2, np.float32)
        after.append(dataclasses.replace(found, boxes=found.boxes * stretched, width=width, height=height))
        factors.append(by)
    rows = [moved(*pair) for pair, by in zip(zip(before, after, strict=True), factors, strict=True) if by > 1]
    return {
        "factors": factors,
        "agreement": round(agreement(before, after).int8, 2),
        "objects": sum(row[0] for row in rows),
        "lost": sum(row[1] for row in rows),
        "score": round(max((max(row[2]) for row in rows), default=0.0), 3),
        "box": round(max((max(row[3]) for row in rows), default=0.0), 4),
        "ms": [round(timed(files, each, description), 2) for each in ([1] * len(files), factors)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.cfg")
    parser.add_argument("--room", type=float, default=1.0, help="how many times the network's input is left at least")
    options = parser.parse_args()
    print(f"{'model':30} size agreement objects lost  score    box     exact   reduced")
    rows: dict[str, Any] = {}
    for cfg in options.models:
        detector = Detector(cfg, backend="onnxruntime", thresh=LEAST)
        for enlarged in ENLARGED:
            row = rows[f"{cfg.stem} x{enlarged}"] = measure(detector, photographs(enlarged), options.room)
            print(
                f"{cfg.stem:30} {enlarged:3}x {row['agreement']:7.2f} % {row['objects']:7} {row['lost']:4}"
                f" {row['score']:6.3f} {row['box']:6.3f} {row['ms'][0]:6.2f} ms {row['ms'][1]:6.2f} ms",
                flush=True,
            )
    print(json.dumps({"machine": machine(), "room": options.room, "models": rows}))


if __name__ == "__main__":
    main()
