"""Labelled pictures, whatever format they come in: one kind of value for training, evaluation and calibration."""
