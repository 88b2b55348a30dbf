"""tinygrad's own ONNX front end, on the CPU."""

import importlib.metadata

from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner


def read(model, images, work):
    found = OnnxRunner(model)({"images": Tensor(images)})
    return {name: value.numpy() for name, value in found.items()}, f"tinygrad {importlib.metadata.version('tinygrad')}"
