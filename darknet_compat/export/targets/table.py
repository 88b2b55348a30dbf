"""The programs that `export --for` knows, a row each."""

from __future__ import annotations

from darknet_compat.export.targets.base import Target
from darknet_compat.export.targets.cameras import DEEPSTREAM, FRIGATE
from darknet_compat.export.targets.devices import COREML, HAILO, NCNN, RKNN, TFLITE
from darknet_compat.export.targets.programs import OPENCV, OPENVINO, ULTRALYTICS
from darknet_compat.export.targets.servers import TRITON
from darknet_compat.export.targets.web import WEB

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (FRIGATE, DEEPSTREAM, TRITON, ULTRALYTICS, OPENCV, OPENVINO, NCNN, TFLITE, COREML, RKNN, HAILO, WEB)
}
"""By name."""
