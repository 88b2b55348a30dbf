"""ONNX Runtime on the processor, with its own optimisations."""

import onnxruntime


def read(model, images, work):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(
        zip(names, session.run(None, {"images": images}), strict=True)
    ), f"ONNX Runtime {onnxruntime.__version__}"
