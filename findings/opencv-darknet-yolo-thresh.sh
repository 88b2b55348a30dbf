#!/usr/bin/env bash
# opencv-python-headless 4.14.0.94: a network read from a cfg sets low scores of a [yolo] layer (by the look of it those up to
# 0.2) to 0, unless the cfg's [yolo] has a line thresh=, which Darknet does not read there and official cfgs do not have.
#
# What forward() returns looks like raw rows (x, y, w, h, objectness, a score per class), and the caller sets a
# threshold afterwards; but a low one finds nothing more.
#
# Seen: expected 0.174 and 0.237; [yolo] 0.0 and 0.237; with thresh=0.001 0.174 and 0.237.
#
# It matters whenever mAP is measured through OpenCV: Darknet's valid keeps scores from 0.005 on. The tail of the curve
# is cut off, and the model looks worse than it is. Add thresh=0.001 to each [yolo].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.14.0.94 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import cv2
import numpy as np


def run(cfg, weights, picture):
    """What OpenCV's importer makes of the cfg and the floats behind a weights file's header."""
    data = struct.pack("<iiiQ", 0, 2, 0, 0) + np.asarray(weights, "<f4").tobytes()
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.encode(), np.uint8), np.frombuffer(data, np.uint8))
    net.setInput(picture)
    return net.forward().copy()



picture = np.zeros((1, 7, 1, 1), np.float32)
picture[0, 4:, 0, 0] = 2, -1.4, -1  # objectness and two classes, before the logistic
logistic = 1 / (1 + np.exp(-picture.ravel()))
expected = logistic[4] * logistic[5:]
start = "[net]\nwidth=1\nheight=1\nchannels=7\n[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
start += "[yolo]\nmask=0\nanchors=10,14\nclasses=2\nnum=1\n"
weights = [0] * 7 + list(np.eye(7).ravel())  # biases, then filters that hand each channel through
cut, whole = (run(start + more, weights, picture).ravel()[5:] for more in ("", "thresh=0.001\n"))
print(f"expected {expected.round(3)}; [yolo] {cut.round(3)}; with thresh=0.001 {whole.round(3)}")
assert np.allclose(whole, expected, atol=1e-5)
assert cut[0] == 0 and np.isclose(cut[1], expected[1], atol=1e-5), "low scores are handed out now"
PYTHON
