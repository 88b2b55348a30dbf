"""Engines: found or built, opened and run."""
