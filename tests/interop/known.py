"""What is known to fail, and the option that helps; the page on interoperability shows these."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """A runtime that does not read a layout, of all networks or of one."""

    runtime: str
    layout: str
    network: str | None
    why: str


_WHOLE = ("default", "fixed", "heads")
_NMS = "has no use for suppression inside: export boxes, or `--layout region`, and suppress behind it"

_GATHER = "pnnx makes a slice of the Gather that orders a WordTree's nodes: `--outputs heads`"

KNOWN = (
    Known("opencv", "default", None, "asks for sizes that are known when it loads: `--sizes fixed`, `--for opencv`"),
    Known("opencv", "detections", None, _NMS),
    Known("tensorrt", "detections", None, "RTX's builder has no NonMaxSuppression: export boxes, `engine` suppresses"),
    Known("mnn", "detections", None, "fills the outputs up to all candidates: export boxes"),
    Known("ncnn", "detections", None, "has no suppression: export boxes, `--for ncnn`"),
    Known("ncnn", "fp16", None, "pnnx writes layers that ncnn does not have: export fp32, and say fp16=1 to pnnx"),
    Known("tract", "fp16", None, "adds up in fp16: export fp32"),
    Known("ncnn", "default", "yolo9000-digits", _GATHER),
    Known("ncnn", "fixed", "yolo9000-digits", _GATHER),
    *(
        Known("reference", layout, network, "mixes up the pads of max pooling (`findings/onnx-reference-maxpool.sh`)")
        for layout in _WHOLE
        for network in ("yolov2-tiny", "yolov3-tiny")
    ),
)


def known(runtime: str, layout: str, network: str) -> Known | None:
    """The row of a cell, if it has one."""
    rows = (row for row in KNOWN if (row.runtime, row.layout) == (runtime, layout))
    return next((row for row in rows if row.network in (None, network)), None)
