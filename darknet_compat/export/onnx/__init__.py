"""A definition and its weights → an ONNX file."""
