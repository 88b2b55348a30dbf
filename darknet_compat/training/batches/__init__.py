"""Labelled pictures → batches for training."""
