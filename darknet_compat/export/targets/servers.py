"""A model repository for NVIDIA's Triton."""

from __future__ import annotations

from darknet_compat.export.targets.base import FITTED, ExportedModel, Target, Texts

MOST_BATCH = 8
"""How many requests are put together; each backend takes any number."""

BACKENDS = {
    "onnxruntime": 'backend: "onnxruntime"',
    "openvino": 'backend: "openvino"\ndefault_model_filename: "model.onnx"',
    "tensorrt": 'backend: "tensorrt"\ndefault_model_filename: "model.plan"',
}
"""What runs the model → the first lines of its configuration. The first is the default."""


_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32"}


def _config(made: ExportedModel, backend: str) -> str:
    from darknet_compat.heads.output_layouts import LAYOUTS, axis_length  # which needs numpy, as `--help` does not

    artefact = made.artefact
    lines = []
    for output in LAYOUTS[artefact.layout or "nms"].outputs:
        dims = ", ".join(str(axis_length(axis, {"K": artefact.max_detections})) for axis in output.axes[1:])
        labels = ', label_filename: "labels.txt"' if output.name == "det_scores" else ""
        lines.append(f'  {{ name: "{output.name}", data_type: {_TYPES[output.type]}, dims: [{dims}]{labels} }}')
    listed = ",\n".join(lines)
    return f"""name: "{made.name}"
{BACKENDS[backend]}
max_batch_size: {MOST_BATCH}
input [
  {{ name: "images", data_type: TYPE_FP32, dims: [{artefact.channels}, {artefact.height}, {artefact.width}] }}
]
output [
{listed}
]
dynamic_batching {{ max_queue_delay_microseconds: 2000 }}
"""


_CLIENT = '''"""Asks Triton what is in a picture: python client.py PICTURE [ADDRESS]. By tritonclient, OpenCV."""

import sys

import cv2
import numpy as np
import tritonclient.grpc as grpc

NAMES = [line.rstrip("\\n") for line in open("{name}/labels.txt", encoding="utf-8")]
WIDTH, HEIGHT, LETTERBOX = {width}, {height}, {letterbox}


{fitted}

def detect(client, picture):
    """(name, score, x1 y1 x2 y2 in the picture's pixels) of each object."""
    images, scale, place = fitted(picture)
    given = grpc.InferInput("images", [1, *images.shape], "FP32")
    given.set_data_from_numpy(images[None])
    found = client.infer("{name}", [given])
    count = int(found.as_numpy("num_dets")[0, 0])
    boxes = (found.as_numpy("det_boxes")[0, :count] - np.tile(place, 2)) / np.tile(scale, 2)
    scores, classes = (found.as_numpy(name)[0, :count] for name in ("det_scores", "det_classes"))
    return [(NAMES[number], float(score), box.tolist()) for number, score, box in zip(classes, scores, boxes)]


if __name__ == "__main__":
    address = sys.argv[2] if len(sys.argv) > 2 else "localhost:8001"
    for name, score, box in detect(grpc.InferenceServerClient(address), cv2.imread(sys.argv[1])):
        print(f"{{name}}: {{score:.0%}}", *(f"{{side:.0f}}" for side in box))
'''


def _triton(made: ExportedModel) -> Texts:
    artefact = made.artefact
    client = _CLIENT.format(
        name=made.name, width=artefact.width, height=artefact.height, letterbox=made.letterboxed, fitted=FITTED
    )
    configs = {f"{made.name}/configs/{backend}.pbtxt": _config(made, backend) for backend in BACKENDS}
    first = next(iter(BACKENDS))
    return {
        f"{made.name}/config.pbtxt": _config(made, first),
        **configs,
        "client.py": client,
    }


TRITON = Target(
    "triton",
    "NVIDIA Triton Inference Server, a model repository",
    {"layout": "nms", "sizes": "fixed", "nms_kind": "default"},
    _triton,
    lambda made: (
        "`docker run --rm -p 8000:8000 -p 8001:8001 -v $PWD:/models nvcr.io/nvidia/tritonserver:25.10-py3"
        " tritonserver --model-repository /models`",
        "`pip install tritonclient[grpc] opencv-python-headless && python client.py dog.jpg`",
        "OpenVINO instead of ONNX Runtime: `tritonserver … --model-config-name openvino`.",
        f"TensorRT: build {made.name}/1/model.plan with `trtexec` of `export --layout nms --target tensorrt`, then"
        " `--model-config-name tensorrt`.",
    ),
    "Triton's model_config.proto (tritonclient 2.73.0), and its pages on model repositories and custom configurations",
    ("Suppression is inside: --thresh and --nms of the export count. A cfg's nms_kind is left for the plain one.",),
    place="{name}/1/model.onnx",
    labels="{name}/labels.txt",
)
