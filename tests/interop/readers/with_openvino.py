"""OpenVINO on the processor, in float32, each output by its name."""

import openvino


def read(model, images, work):
    compiled = openvino.Core().compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([images])
    outputs = {output.any_name: found[output] for output in compiled.outputs}
    return outputs, f"OpenVINO {openvino.__version__.partition('-')[0]}"
