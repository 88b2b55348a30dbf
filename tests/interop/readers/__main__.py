"""Runs one reader on one file: `python tests/interop/readers NAME MODEL IMAGES.npy FOUND.npz WORK`.

Needs numpy and what the reader imports, nothing of this project: it runs in the reader's own environment.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np

name, model, images, found, work = sys.argv[1:]
outputs, version = importlib.import_module(f"with_{name}").read(Path(model), np.load(images), Path(work))
np.savez(found, **{key: np.asarray(value) for key, value in outputs.items()})
print(json.dumps({"version": version}))
