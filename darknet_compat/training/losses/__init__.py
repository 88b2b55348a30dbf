"""What is to be learned from a batch: the original's `delta` of every head, as gradients of raw outputs."""

from darknet_compat.training.losses.network import Losses, LossResult

__all__ = ["LossResult", "Losses"]
