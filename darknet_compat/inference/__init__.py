"""Pictures in, detections and classes out, on any runtime."""
