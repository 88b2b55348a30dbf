"""onnxruntime-web, what browsers run, in Node.js: one thread of WebAssembly."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np


def read(model, images, work):
    package = Path(os.environ["INTEROP"]) / "web" / "node_modules" / "onnxruntime-web"
    images.astype("<f4").tofile(work / "images.f32")
    sides = ",".join(map(str, images.shape))
    program = Path(__file__).with_name("web.mjs")
    subprocess.run(["node", program, package, model, sides, work / "images.f32", work], check=True)
    shapes = json.loads((work / "shapes.json").read_text())
    found = {name: np.fromfile(work / f"{name}.raw", kind).reshape(shape) for name, (kind, shape) in shapes.items()}
    return found, f"onnxruntime-web {json.loads((package / 'package.json').read_text())['version']}"
