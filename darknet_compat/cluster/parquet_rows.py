"""What was found in pictures as rows of a table (Parquet), one row a picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections

_STEP = pa.struct([("name", pa.string()), ("probability", pa.float32())])
_DETECTION = pa.struct(
    [
        ("class", pa.string()),
        ("class_id", pa.int32()),
        ("score", pa.float32()),
        ("box", pa.list_(pa.float32())),  # left, top, right, bottom in pixels of the picture
        ("uncertainty", pa.list_(pa.float32())),  # null but of [Gaussian_yolo]
        ("path", pa.list_(_STEP)),  # null without a WordTree
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("detections", pa.list_(_DETECTION)),  # best first; null where the picture could not be read
        ("dropped", pa.int32()),
        ("error", pa.string()),  # null where it could be read
    ]
)
"""The names are those of `detect --json`."""


def row(file: str, answer: Detections | Failure) -> dict[str, Any]:
    """One row."""
    if isinstance(answer, Failure):
        return {"file": file, "error": str(answer.error)}
    if not answer.finite:
        return {"file": file, "error": f"{file}: boxes that are not finite; are the weights this model's?"}
    found: list[dict[str, Any]] = [
        {"class": d.name, "class_id": d.class_id, "score": d.score, "box": d.box, "uncertainty": d.uncertainty}
        for d in answer
    ]
    for one, path in zip(found, answer.paths, strict=False):
        one["path"] = [{"name": step.name, "probability": step.probability} for step in path]
    size = {"width": answer.width, "height": answer.height}
    return {"file": file, **size, "detections": found, "dropped": answer.dropped}


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as a table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)
