"""OpenCV, imported when a picture first needs it: it is an extra, and too slow to load for `--help`."""

from __future__ import annotations

from types import ModuleType

from darknet_compat.errors import BackendError


def opencv() -> ModuleType:
    """The module `cv2`. Raises BackendError where it is not installed."""
    try:
        import cv2
    except ImportError as cause:
        raise BackendError(f"pictures need OpenCV ({cause}): pip install 'darknet-compat[vision]'") from None
    return cv2
