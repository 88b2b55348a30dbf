"""An ONNX file → its int8 form."""
