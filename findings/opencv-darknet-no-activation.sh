#!/usr/bin/env bash
# opencv-python-headless 4.14.0.94: readNetFromDarknet takes a layer without activation= for linear; Darknet for logistic.
#
# In Darknet's parser a [convolutional] or [connected] that names no activation gets the logistic one. OpenCV's importer
# reads the same cfg without a word and applies none.
#
# Seen: [convolutional] of [-2, 0, 3]: OpenCV [-2. 0. 3.], Darknet's rule [0.119 0.5 0.953]; [connected] alike.
#
# It matters for small handwritten cfgs of classifiers, which lean on the default: all numbers differ, though an argmax over the
# last layer hides it. Write activation= into every layer.
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



picture = np.array([-2, 0, 3], np.float32).reshape(1, 3, 1, 1)
logistic = 1 / (1 + np.exp(-picture.ravel()))
weights = [0] * 3 + list(np.eye(3).ravel())  # biases, then filters that hand each channel through
start = "[net]\nwidth=1\nheight=1\nchannels=3\n"
through = "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n"
for name, cfg, floats in (
    ("[convolutional]", "[convolutional]\nfilters=3\nsize=1\n", weights),
    ("[connected]", through + "[connected]\noutput=3\n", weights * 2),
):
    got = run(start + cfg, floats, picture).ravel()
    named = run(start + cfg + "activation=logistic\n", floats, picture).ravel()
    print(f"{name}: OpenCV {got.round(3)}, Darknet's rule {logistic.round(3)}")
    assert np.allclose(named, logistic, atol=1e-5)
    assert np.allclose(got, picture.ravel(), atol=1e-5), "the default is no longer linear"
PYTHON
