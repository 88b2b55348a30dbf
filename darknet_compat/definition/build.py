"""The name of a build of the original, by itself: whoever runs models needs it, and need not import definitions."""

from __future__ import annotations

from typing import Literal

Build = Literal["cuda", "cpu"]
"""Which build of the original to equal (`load_network(batchnorm=)`). They differ in batch normalization, which divides
by sqrt(variance + 1e-5) in the CUDA build, with which the official weights were trained, and by sqrt(variance) + 1e-6
in the CPU build."""
