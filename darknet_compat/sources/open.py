"""One door to all sources."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from darknet_compat.sources.base import Frames, Given
from darknet_compat.sources.pictures import Pictures, pictures_of


def open_source(what: Any) -> Frames:
    """The frames of `what`: a picture's path, a folder, a glob, a list of paths (.txt), or any iterable of pictures (as
    `vision.image.decode` reads them) or Frames. Raises ImageError where that means nothing."""
    if isinstance(what, Frames):
        return what
    if isinstance(what, str | os.PathLike):
        name = os.fspath(what)
        return Pictures(pictures_of(name), name)
    if isinstance(what, list | tuple) and all(isinstance(one, str | Path) for one in what):
        return Pictures([path for one in what for path in pictures_of(os.fspath(one))])
    if (
        isinstance(what, Iterable)
        and not isinstance(what, bytes | bytearray | memoryview)
        and not hasattr(what, "ndim")
    ):
        return Given(what)
    return Given([what])
