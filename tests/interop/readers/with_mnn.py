"""Alibaba's MNN: its converter makes a .mnn of the file, its runtime runs that.

`_tools` is what the command `mnnconvert` calls; the command itself installs a package by pip and reports its use.
"""

import _tools
import MNN
import numpy as np

WINOGRAD_MEMORY_LEVEL = 3
"""Of MNN's HintMode. At its default, 3, convolutions in large tiles lose 1e-3; at 0 they are exact to 1e-6."""


def read(model, images, work):
    converted = str(work / "model.mnn")
    files = ["--modelFile", str(model), "--MNNModel", converted]
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "none"])
    net = MNN.Interpreter(converted)
    net.setSessionHint(WINOGRAD_MEMORY_LEVEL, 0)
    session = net.createSession({"backend": "CPU", "precision": "high", "numThread": 2})
    taken = net.getSessionInput(session, "images")
    net.resizeTensor(taken, images.shape)
    net.resizeSession(session)
    kind, order = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    taken.copyFrom(MNN.Tensor(images.shape, kind, images, order))
    net.runSession(session)
    found = {}
    for name, value in net.getSessionOutputAll(session).items():
        out = MNN.Tensor(value.getShape(), kind, np.zeros(value.getShape(), np.float32), order)
        value.copyToHostTensor(out)
        found[name] = np.array(out.getData(), np.float32).reshape(value.getShape())
    return found, f"MNN {MNN.version()}"
