"""The onnx package's own evaluator, in numpy."""

import onnx
from onnx.reference import ReferenceEvaluator


def read(model, images, work):
    evaluator = ReferenceEvaluator(str(model))
    return dict(
        zip(evaluator.output_names, evaluator.run(None, {"images": images}), strict=True)
    ), f"onnx {onnx.__version__}"
