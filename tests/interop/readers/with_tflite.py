"""TFLite by onnx2tf, which makes a .tflite of the file for pictures of one size; LiteRT runs that, on one picture.

It turns images and maps to NHWC, which are turned back here, and keeps the outputs' names and other shapes.
"""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def convert(model, images, work):
    here = Path(sys.executable).parent
    shape = f"images:{','.join(map(str, images.shape))}"
    command = [here / "onnx2tf", "-i", model, "-o", work / "tflite", "-ois", shape, "-n"]
    subprocess.run(command, check=True, env=os.environ | {"PATH": f"{here}:{os.environ['PATH']}"})
    return next((work / "tflite").glob("*_float32.tflite"))


def read(model, images, work):
    converted = model.with_name(f"{model.stem}_float32.tflite")  # already
    if not converted.exists():
        converted = convert(model, images, work)
    interpreter = Interpreter(str(converted), num_threads=2)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    interpreter.set_tensor(taken["index"], np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    found = {one["name"]: interpreter.get_tensor(one["index"]) for one in outputs}
    found = {name: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for name, value in found.items()}
    return (
        found,
        f"LiteRT {importlib.metadata.version('ai-edge-litert')} by onnx2tf {importlib.metadata.version('onnx2tf')}",
    )
