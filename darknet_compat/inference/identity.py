"""All that a detector's answers depend on, the pictures apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.catalogue.locate import locate
from darknet_compat.inference.detector import Detector
from darknet_compat.vision.header import max_pixels


def model_key(model: str | Path, weights: str | Path | None, detector: Detector, batch: int) -> dict[str, Any]:
    """Plain values, for JSON, of which none is a path. Raises CatalogError for a model that is not there."""
    sources = locate(model, weights, download=False)
    files = [path for path in (sources.cfg, sources.weights) if path is not None]
    description = detector.runtime.description
    return {
        "files": [sha256_of(path) for path in files],
        "backend": detector.choice.backend,
        "precision": description.precision,
        "input": [description.width, description.height, description.resize],
        "names": list(detector.names),
        "thresh": detector.thresh,
        "nms": [detector.nms, detector.nms_kind, detector.beta_nms],
        "tree": [detector.hier_thresh, detector.hierarchy, detector.level, detector.map],
        "batch": batch,
        "max_pixels": detector.max_pixels or max_pixels(),
    }
