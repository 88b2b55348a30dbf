"""IREE: its ONNX importer and compiler, for the processor."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import iree.runtime
import numpy as np
import onnx


def read(model, images, work):
    graph = onnx.load(str(model))
    names = [output.name for output in graph.graph.output]
    for value in graph.graph.input:
        for dimension, side in zip(value.type.tensor_type.shape.dim, images.shape, strict=True):
            dimension.dim_value = side
    onnx.save(graph, work / "one.onnx")
    here = Path(sys.executable).parent
    subprocess.run([here / "iree-import-onnx", work / "one.onnx", "-o", work / "one.mlir"], check=True)
    options = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"]
    options.append("--iree-llvmcpu-target-cpu=host")
    subprocess.run([here / "iree-compile", work / "one.mlir", *options, "-o", work / "one.vmfb"], check=True)
    module = iree.runtime.load_vm_flatbuffer_file(str(work / "one.vmfb"), driver="local-task")
    found = module[graph.graph.name](images)
    found = found if isinstance(found, (tuple, list)) else [found]
    outputs = {name: np.asarray(value) for name, value in zip(names, found, strict=True)}
    return outputs, f"IREE {importlib.metadata.version('iree-base-compiler')}"
