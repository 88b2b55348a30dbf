"""Anchor boxes from labelled ones."""
