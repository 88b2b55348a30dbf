"""Tencent's ncnn by pnnx, which makes a .param and a .bin of the file for pictures of one size, one at a time.

ncnn has no axis for the batch, and names inputs and outputs in0, out0, out1 in their order. fp16=0 keeps the weights'
bits: by default pnnx halves them.
"""

import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np


def read(model, images, work):
    param = model.with_suffix(".ncnn.param")  # converted already
    if not param.exists():
        here, param = work / "model.onnx", work / "model.ncnn.param"
        here.symlink_to(model.resolve())
        shape = f"inputshape=[{','.join(map(str, images.shape))}]f32"
        program = Path(sys.executable).with_name("pnnx")
        subprocess.run([program, here.name, shape, "fp16=0"], cwd=work, check=True)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(param)) or net.load_model(str(param.with_suffix(".bin"))):
        raise RuntimeError("ncnn does not load what pnnx has written")
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(np.ascontiguousarray(images[0])))
    found = {}
    # A part of a Split that nobody reads is an output to ncnn too.
    for number, name in enumerate(sorted(name for name in net.output_names() if name.startswith("out"))):
        failed, value = extractor.extract(name)
        if failed:
            raise RuntimeError(f"ncnn does not compute {name}")
        found[str(number)] = np.array(value)[None]
    return found, f"ncnn {ncnn.__version__} by pnnx"
