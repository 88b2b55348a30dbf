"""An ONNX file → a TensorRT engine."""
