#!/usr/bin/env bash
# opencv-python-headless 4.14.0.94: readNetFromDarknet reads over options that change a layer's numbers, without a word:
# temperature= of [softmax], scale= of [upsample], binary= and xnor= of [convolutional].
#
# Others it cannot do are refused by name (groups= of [softmax], flipped= of [convolutional]), so one would trust the silence.
#
# Seen: softmax of [1, 2] at temperature=2: [0.269 0.731], as without, not [0.378 0.622]; upsample of 1 by scale=0.5: 1.0,
# not 0.5; filter [1, -3] on [1, 2] with binary=1: -5, as in floats, not -2; with xnor=1: -5, not 0 (the input is 1, 1 then).
#
# It matters above all for XNOR networks, whose weights mean something only after they are made binary: they load, run, and
# answer nonsense. With a temperature the best class stays the best, but its probability is another.
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



picture = np.array([1, 2], np.float32).reshape(1, 2, 1, 1)
start = "[net]\nwidth=1\nheight=1\nchannels=2\n"
through, weights = "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n", [0, 0, 1, 0, 0, 1]


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


soft = run(start + through + "[softmax]\ntemperature=2\n", weights, picture).ravel()
print(f"softmax, temperature=2: {soft.round(3)}, expected {softmax(picture.ravel() / 2).round(3)}")
assert np.allclose(soft, softmax(picture.ravel()), atol=1e-5), "temperature= is read now"

large = run(start + through + "[upsample]\nstride=2\nscale=0.5\n", weights, picture)
print(f"upsample, scale=0.5: {large[0, 0, 0, 0]}, expected 0.5")
assert large.shape == (1, 2, 2, 2) and large[0, 0, 0, 0] == 1, "scale= is read now"

# binary: each weight becomes the filter's mean magnitude with its sign; xnor: the input also becomes its sign
for option, expected in (("binary", 2 * 1 - 2 * 2), ("xnor", 2 * 1 - 2 * 1)):
    got = run(start + f"[convolutional]\n{option}=1\nfilters=1\nsize=1\nactivation=linear\n", [0, 1, -3], picture).item()
    print(f"{option}=1: {got}, expected {expected}")
    assert got == -5, f"{option}= is read now"
PYTHON
