#!/usr/bin/env bash
# opencv-python-headless 4.14.0.94: the importer's batch normalization divides by a third formula, neither of Darknet's two.
#
# Darknet's CPU code divides by sqrt(variance) + 1e-6, its CUDA code by sqrt(variance + 1e-5); OpenCV's importer by
# sqrt(variance + 1e-6). For usual variances the three agree; for a channel that hardly ever varied they do not.
#
# Seen, 1 at a variance of 1e-6: OpenCV 707.1, CPU 999.0, CUDA 301.5.
#
# It matters for networks with dead channels, whose rolling variance training drove towards 0 (pruned and tiny ones have many):
# who uses OpenCV as a stand-in for Darknet when comparing numbers finds differences that no conversion made.
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



variance = 1e-6
start = "[net]\nwidth=1\nheight=1\nchannels=1\n[convolutional]\nbatch_normalize=1\nfilters=1\nsize=1\nactivation=linear\n"
picture = np.ones((1, 1, 1, 1), np.float32)
got = run(start, [0, 1, 0, variance, 1], picture).item()  # bias, scale, mean, variance, the filter
cpu, cuda, third = 1 / (variance**0.5 + 1e-6), 1 / (variance + 1e-5) ** 0.5, 1 / (variance + 1e-6) ** 0.5
print(f"1 at a variance of 1e-6: OpenCV {got:.1f}, Darknet's CPU {cpu:.1f}, Darknet's CUDA {cuda:.1f}")
assert abs(got / third - 1) < 1e-3, "another formula now"
usual = run(start, [0, 1, 0, 0.5, 1], picture).item()
assert abs(usual * 0.5**0.5 - 1) < 1e-4
PYTHON
