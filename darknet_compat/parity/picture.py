"""A picture for where there is none, the same for everybody."""

from __future__ import annotations

import numpy as np

from darknet_compat.definition.spec import NetworkSpec


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
