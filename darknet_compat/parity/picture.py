"""The pictures that both sides are shown: from a file, and one for where there is none, the same for everybody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import BackendError
from darknet_compat.formats.textfile import count
from darknet_compat.vision.image import decode
from darknet_compat.vision.opencv import opencv

if TYPE_CHECKING:
    from darknet_compat.parity.reference import Original


def seeded_image(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """A picture of random blocks and grain, float32 [C, H, W], 0..1: as uneven as a photograph."""
    random = np.random.default_rng(seed)
    channels, height, width = shape
    blocks = random.random((channels, -(-height // 16), -(-width // 16)), np.float32)
    blocks = blocks.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    return np.asarray(0.8 * blocks + 0.2 * random.random(shape, np.float32), np.float32)


def sequence_length(spec: NetworkSpec) -> int:
    """How many pictures a network reads at once at least: one, or the time steps of a recurrent one."""
    return spec.net.time_steps if any(layer.recurrent for layer in spec.layers) else 1


def seeded_images(spec: NetworkSpec, seed: int) -> np.ndarray:
    """The least that a network reads: one such picture, or a sequence of different ones, [N, C, H, W]."""
    shape = spec.net.input[:3]
    return np.stack([seeded_image(shape, seed + step) for step in range(sequence_length(spec))])


def loaded(original: Original, path: str | Path, channels: int) -> np.ndarray:
    """A file as float32 [C, H, W], 0..1: as the original reads it, or for a network of one channel its brightness as
    `inference.batch.prepare` makes it, since the original would load three planes. Raises BackendError for networks of
    other channels, which no picture has."""
    if channels == 3:
        return original.load_image(path)
    if channels != 1:
        raise BackendError(f"{path}: the network reads {count(channels, 'channel')}, a picture has 3, or in grey 1")
    cv2 = opencv()
    grey = cv2.cvtColor(decode(path), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey[None] / np.float32(255), np.float32)
