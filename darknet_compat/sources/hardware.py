"""Decoding by hardware, where FFmpeg has it and the machine, too; its frames are brought back into memory."""

from __future__ import annotations

from typing import Any

from darknet_compat.errors import SourceError
from darknet_compat.vision.pyav import pyav, reason


def usable(hardware: str | None, name: str) -> tuple[Any, str | None]:
    """What PyAV takes to decode by `hardware`, "auto" for the first that there is; and why there is none, in one line
    about the source `name`. Formats that it does not know are decoded in software.

    Raises SourceError for one that this FFmpeg has never heard of.
    """
    if hardware is None:
        return None, None
    av = pyav()
    from av.codec.hwaccel import HWAccel, hwdevices_available

    known = hwdevices_available()
    if hardware != "auto" and hardware not in known:
        raise SourceError(f"hardware: expected auto, or what FFmpeg has here, {', '.join(known)}; found {hardware}")
    because = []
    for device in known if hardware == "auto" else [hardware]:
        try:
            found = HWAccel(device, allow_software_fallback=True)
            found.create(av.codec.Codec("h264", "r"))
        except NotImplementedError:
            because.append(f"{device} decodes no H.264 here")
        except (av.error.FFmpegError, OSError, RuntimeError, ValueError) as error:
            because.append(f"{device}: {reason(error)}")
        else:
            return found, None
    return None, f"{name}: decoded in software ({'; '.join(because) or 'FFmpeg has no hardware here'})"
