"""NVIDIA's driver and libraries, found and loaded in one place."""
