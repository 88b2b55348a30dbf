"""The words for how a network is run; free of numpy, so that the command line can show them at once."""

from __future__ import annotations

from typing import Literal

Task = Literal["detect", "classify"]
Resize = Literal["letterbox", "stretch"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""What the layers compute in. int8 is a property of the file: those in fp32 do not become it by being asked to."""

Mode = Literal["latency", "throughput"]
"""latency: one picture at a time, as soon as possible, by all cores. throughput: as many pictures a second as possible,
several at a time, each by few cores, which then seldom wait for one another."""
