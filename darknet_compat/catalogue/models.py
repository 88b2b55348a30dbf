"""The models that have a name: the original's, the fork's, this project's own. `catalog` finds and fetches by them."""

from __future__ import annotations

from darknet_compat.catalogue.fork import FORK
from darknet_compat.catalogue.model import HEADERS, Figure, Model, WeightsFile
from darknet_compat.catalogue.original import ORIGINAL

__all__ = ["ALIASES", "HEADERS", "MODELS", "Figure", "Model", "WeightsFile"]

MODELS: dict[str, Model] = {model.name: model for model in (*ORIGINAL, *FORK)}
"""Every model by name: classifiers, detectors, this project's own."""

ALIASES = {
    "tiny-darknet": "tiny",
    "tiny-yolo": "yolov2-tiny",
    "tiny-yolo-voc": "yolov2-tiny-voc",
    "tiny-yolov1": "yolov1-tiny",
    "yolo": "yolov2",
    "yolo-voc": "yolov2-voc",
}
"""Names that older releases used."""
