"""Figure 2 and Table 1: average IoU of boxes with k anchors, by the paper's k-means and by the usual one.

Of PASCAL VOC 2007's boxes, where a list of them lies beside the checkout, and of the digits' scenes; or, with --data
and --path, of any boxes that `darknet-compat anchors` reads.
"""

from __future__ import annotations

from pathlib import Path

from darknet_compat.datasets.anchors.find import average_iou, curve, find_anchors
from darknet_compat.datasets.anchors.shapes import Shapes, read_csv, shapes_of
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers.digits import DigitScenes
from tools.miniature.cells import Cell, Result, Setting

TABLE = "priors"
KS = range(1, 16)
VOC_BOXES = Path(__file__).resolve().parents[3] / "shared" / "data" / "voc2007-trainval-boxes.csv"
NETWORK = (416, 416)
HAND = (
    (128, 128), (128 / 2**0.5, 128 * 2**0.5), (128 * 2**0.5, 128 / 2**0.5),
    (256, 256), (256 / 2**0.5, 256 * 2**0.5), (256 * 2**0.5, 256 / 2**0.5),
    (512, 512), (512 / 2**0.5, 512 * 2**0.5), (512 * 2**0.5, 512 / 2**0.5),
)  # fmt: skip
"""The nine of Faster R-CNN in pixels of a picture whose shorter side is 600: what Table 1's anchor boxes seem to be."""
SHORTER = 600
SCENES = 1500
TITLES = {"voc": "VOC 2007", "coco": "COCO"}
PAPER = {"by IoU": {5: 61.0, 9: 67.2}, "by squared error": {5: 58.7}, "by hand": {9: 60.9}}
"""Table 1."""


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run: one cell a set of boxes."""
    if setting.data != "digits":
        return [[Cell(TABLE, setting.data, 0, fit)]]
    return [[Cell(TABLE, name, 0, fit) for name in ("voc", "digits") if name == "digits" or VOC_BOXES.exists()]]


def fit(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Average IoU at each k, by both distances; of VOC's also with the anchors by hand."""
    shapes = shapes_of(DigitScenes("train", SCENES), NETWORK) if cell.config == "digits" else _boxes(setting)
    result: Result = {"boxes": len(shapes.sizes)}
    for name, by in (("by IoU", "iou"), ("by squared error", "sse")):
        result[name] = {str(k): value for k, value in curve(shapes.sizes, KS, by=by)}  # type: ignore[arg-type]
    result["anchors"] = find_anchors(shapes.sizes, 5).sizes.tolist()
    if cell.config == "voc":
        # VOC's longer side is 500 pixels as a rule: 375 x 500 becomes 600 x 800 there and 312 x 416 here.
        scale = NETWORK[0] / 500 * 375 / SHORTER
        result["by hand"] = {"9": average_iou(shapes.sizes, [(w * scale, h * scale) for w, h in HAND])}
    return result


def _boxes(setting: Setting) -> Shapes:
    path = setting.path or VOC_BOXES
    return read_csv(path, NETWORK) if path.suffix == ".csv" else shapes_of(open_dataset(path), NETWORK)
