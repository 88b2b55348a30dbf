"""PyAV, FFmpeg's libraries, imported when a video first needs them; and their errors in one line."""

from __future__ import annotations

from types import ModuleType

from darknet_compat.errors import BackendError


def pyav() -> ModuleType:
    """The module `av`. Raises BackendError where it is not installed."""
    try:
        import av
    except ImportError as cause:
        raise BackendError(f"videos and streams need PyAV ({cause}): pip install 'darknet-compat[video]'") from None
    return av


def reason(error: BaseException) -> str:
    """What FFmpeg says went wrong, without its error number, the file's name, or a line's end."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
