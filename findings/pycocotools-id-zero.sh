#!/usr/bin/env bash
# pycocotools 2.0.11: an annotation whose id is 0 can be found by a detection, yet counts as missed, and the detection as wrong.
#
# COCOeval writes down the id of the annotation that a detection matched, and later takes 0 for "none". Two boxes, both
# found exactly: with ids 0 and 1 AP is a quarter, with ids 1 and 2 it is 1. Nothing is said.
#
# Seen: ids from 0: AP 0.252, ids from 1: AP 1.000.
#
# It matters to those who turn Darknet's label files into COCO's JSON with a counter that starts at 0, as classes in those
# files do: the class of the first box of all loses in AP, the fewer boxes it has the more. Count annotations from 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[10, 10, 20, 20], [50, 10, 20, 20]]


def average_precision(first):
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": 1, "width": 100, "height": 100}],
        "categories": [{"id": 0, "name": "thing"}],
        "annotations": [
            {"id": first + i, "image_id": 1, "category_id": 0, "bbox": box, "area": 400, "iscrowd": 0}
            for i, box in enumerate(boxes)
        ],
    }
    found = [{"image_id": 1, "category_id": 0, "bbox": box, "score": 0.9 - i / 10} for i, box in enumerate(boxes)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[0]


zero, one = average_precision(0), average_precision(1)
print(f"ids from 0: AP {zero:.3f}, ids from 1: AP {one:.3f}")
assert one == 1
assert zero < 0.5, "an annotation of id 0 counts now"
PYTHON
