"""What scoring costs: our COCO and VOC figures against pycocotools, on the same ready detections.

    python tools/score_cost.py [--pictures 5000] [--detections 200] [--classes 80] [--runs 3]

Random detections, most of them near objects, seven objects a picture; from tables in memory to the twelve figures, in
turn, medians and ratios. pycocotools gets its own structures, made beforehand and not timed. The last line is the same
as JSON.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores import coco, voc
from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import interleaved
from tests.evaluation.making import annotations_document

OBJECTS = 7


def made(pictures: int, detections: int, classes: int) -> tuple[Found, Truths]:
    """Objects, and detections of which four in five are near one."""
    rng = np.random.default_rng(0)
    objects, count = pictures * OBJECTS, pictures * detections
    images, kinds = np.repeat(np.arange(pictures), OBJECTS), rng.integers(0, classes, objects)
    boxes = np.concatenate([rng.uniform(0, 400, (objects, 2)), rng.uniform(10, 240, (objects, 2))], 1)
    where = np.repeat(np.arange(pictures), detections)
    near = where * OBJECTS + rng.integers(0, OBJECTS, count)
    stray = rng.random(count) < 0.2
    moved = boxes[near] + rng.normal(0, 8, (count, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], 2)
    called = np.where(stray, rng.integers(0, classes, count), kinds[near])
    return Found.of(where, called, moved, rng.random(count)), Truths.of(images, kinds, boxes)


def official(found: Found, truths: Truths, pictures: int, names: list[str]) -> Callable[[], Any]:
    """pycocotools' evaluation of the same, as a task that gives its evaluator."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sizes = np.full((pictures, 2), 640)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = annotations_document(truths, range(1, pictures + 1), [""] * pictures, sizes, names)
        truth.createIndex()
        columns = (found.images.tolist(), found.classes.tolist(), found.boxes.tolist(), found.scores.tolist())
        entries = [
            {"image_id": image + 1, "category_id": kind + 1, "bbox": box, "score": score}
            for image, kind, box, score in zip(*columns, strict=True)
        ]
        answers = truth.loadRes(entries)

    def run() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator = COCOeval(truth, answers, "bbox")
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
        return evaluator

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=200)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    names = [str(number) for number in range(arguments.classes)]
    found, truths = made(arguments.pictures, arguments.detections, arguments.classes)
    theirs = official(found, truths, arguments.pictures, names)
    last: dict[str, Any] = {}

    def keep(name: str, task: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            last[name] = task()

        return run

    tasks = {
        "coco": keep("coco", lambda: coco.score(found, truths, names)),
        "voc": keep("voc", lambda: voc.score(found, truths, names)),
        "pycocotools": keep("pycocotools", theirs),
    }
    timed = interleaved(tasks, arguments.runs, warmup=0)
    equal = list(last["coco"].figures.values()) == last["pycocotools"].stats.tolist()
    seconds = {name: timing.median for name, timing in timed.items()}
    ratios = {name: seconds[name] / seconds["pycocotools"] for name in ("coco", "voc")}
    for name, value in seconds.items():
        print(f"{name:12} {value:8.2f} s" + (f"  {ratios[name]:.3f} of pycocotools'" if name in ratios else ""))
    print(f"the twelve figures are {'the same' if equal else 'NOT the same'}")
    print(f"{len(found):,} detections, {len(truths):,} objects; {machine()}")
    print(json.dumps({"seconds": seconds, "ratios": ratios, "equal": equal, **vars(arguments)}))


if __name__ == "__main__":
    main()
