"""Phones and accelerators: ncnn, TFLite, Core ML, Rockchip's and Hailo's."""

from __future__ import annotations

from darknet_compat.export.targets.base import ExportedModel, Target, Texts, Tool, one_picture


def _shape(made: ExportedModel) -> str:
    artefact = made.artefact
    return f"1,{artefact.channels},{artefact.height},{artefact.width}"


_ROWS = {
    "yolov8": "4 + classes rows, boxes in columns; centre and size in pixels, then each class's score",
    "yolov5": "boxes in rows; centre and size in pixels, objectness, then each class's probability given an object",
}
"""What the output holds, by the layout."""


def _phone(made: ExportedModel) -> Texts:
    artefact = made.artefact
    facts = f"""task: detect
imgsz: [{artefact.height}, {artefact.width}]
input: RGB, 0..1, {artefact.resize}
output: {_ROWS[artefact.layout or ""]}
thresh: {artefact.thresh:g}
nms: {artefact.nms:g}
"""
    return {"metadata.yaml": facts}


NCNN = Target(
    "ncnn",
    "ncnn, by pnnx",
    one_picture("yolov8", precision="fp32"),
    _phone,
    lambda made: (
        f"`pip install pnnx && pnnx {made.model} inputshape=[{_shape(made)}]f32 fp16=0`, unless it is done already.",
        f'`net.load_param("{made.name}.ncnn.param")`, `net.load_model("{made.name}.ncnn.bin")`; in0 → out0.',
    ),
    "pnnx 20261020 and ncnn 1.0.20261020, and the files that Ultralytics' export for ncnn writes",
    ("ncnn has no batch: in0 is [3, H, W], out0 [4 + classes, boxes]. `fp16=1` halves the file.",),
    trees=False,  # pnnx 20261020 makes a slice of the Gather that puts the nodes in order
    tool=Tool(
        "pnnx",
        "pnnx",
        lambda made: (
            made.model,
            f"inputshape=[{_shape(made)}]f32",
            "fp16=0",
            f"ncnnparam={made.name}.ncnn.param",  # else hyphens become something else
            f"ncnnbin={made.name}.ncnn.bin",
        ),
        lambda made: {one: one for one in (f"{made.name}.ncnn.param", f"{made.name}.ncnn.bin")},
    ),
)

TFLITE = Target(
    "tflite",
    "TFLite (LiteRT), by onnx2tf",
    one_picture("yolov5", precision="fp32"),
    _phone,
    lambda made: (
        "With Python 3.12: `pip install onnx2tf`, and",
        f"`onnx2tf -i {made.model} -o . -n`, unless it is done already: _float32.tflite and _float16.tflite.",
        'From Python: `ai_edge_litert.interpreter.Interpreter(model_path="…_float32.tflite")`.',
    ),
    "onnx2tf 2.6.9, which turns images to [1, H, W, 3], and LiteRT 2.1.2",
    ("The output is [1, boxes, 5 + classes]; of `yolov8`'s, whose last axis are the boxes, onnx2tf turns the axes.",),
    tool=Tool(
        "onnx2tf",
        "onnx2tf",
        lambda made: ("-i", made.model, "-o", "converted", "-n"),
        lambda made: {
            f"converted/{made.name}_{kind}.tflite": f"{made.name}_{kind}.tflite" for kind in ("float32", "float16")
        },
    ),
)


COREML = Target(
    "coreml",
    "Core ML, by coremltools",
    one_picture("yolov8"),
    _phone,
    lambda made: (
        "`pip install torch coremltools 'numpy<2.4'` and this export again, unless it is done already:"
        f" {made.name}.mlpackage.",
        f'On a Mac: `coremltools.models.MLModel("{made.name}.mlpackage").predict({{"images": …}})["output0"]`;'
        " in Xcode add it to the target.",
    ),
    "coremltools 9.0, which converts torch's traces alone (its converter for ONNX is gone since 6), also on Linux",
    (
        "The package is made of the network, not of the file beside it, and gives the same.",
        "With `--precision fp16` it computes in fp16 (iOS 15, macOS 12 on).",
    ),
    network="darknet_compat.network.coreml:write_coreml",
)


def _rknn(made: ExportedModel) -> Texts:
    program = f'''"""Makes {made.name}.rknn: python convert.py [CHIP] [PICTURES.txt, for int8]; by rknn-toolkit2."""

import sys

from rknn.api import RKNN

chip, pictures = [*sys.argv[1:], "rk3588", None][:2] if len(sys.argv) < 3 else sys.argv[1:3]
rknn = RKNN()
rknn.config(mean_values=[[0, 0, 0]], std_values=[[255, 255, 255]], target_platform=chip)
for done in (
    rknn.load_onnx("{made.model}"),
    rknn.build(do_quantization=pictures is not None, dataset=pictures),
    rknn.export_rknn("{made.name}.rknn"),
):
    if done:
        sys.exit(done)
'''
    return {"convert.py": program}


def _hailo(made: ExportedModel) -> Texts:
    return {
        "model.alls": "normalization_0 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])\n",
    }


_HEADS = one_picture("heads", heads_cut="before", precision="fp32")

RKNN = Target(
    "rknn",
    "Rockchip's NPUs, by rknn-toolkit2",
    _HEADS,
    _rknn,
    lambda made: ("`pip install rknn-toolkit2`", "`python convert.py rk3588` (or rk3566, rk3568, rk3576 …)"),
    "rknn-toolkit2 2.3: RKNN.config, load_onnx, build and export_rknn",
    (
        "The outputs are the heads as they come from the last convolutions; decode them on the processor.",
        "`mean_values` and `std_values` scale the pixels, so that the NPU reads bytes.",
    ),
)

HAILO = Target(
    "hailo",
    "Hailo's NPUs, by its Dataflow Compiler",
    _HEADS,
    _hailo,
    lambda made: (
        f"`hailo parser onnx {made.model} --hw-arch hailo8 --har-path {made.name}.har`",
        f"`hailo optimize {made.name}.har --calib-set-path pictures.npy --model-script model.alls`",
        f"`hailo compiler {made.name}_optimized.har`",
    ),
    "Hailo Dataflow Compiler 3.30's command line and model script commands",
    ("The outputs are the heads as they come from the last convolutions; decode them on the processor.",),
)
