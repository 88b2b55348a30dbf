"""Sections of a `.cfg` → specs of layers, a file a family."""
