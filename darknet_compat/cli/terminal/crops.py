"""Pictures of what was found, one a detection, in a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darknet_compat.inference.results import Detections


def cut_out(found: Detections, place: Path, image: Any = None) -> list[str]:
    """Write what is inside each box of the picture, or of `image` (as a Detector takes it), beside `place` in a folder
    for each class; the files' paths. Raises CannotWriteError."""
    from darknet_compat.formats.atomic import results_folder
    from darknet_compat.vision.draw import ascii_name, save

    paths = []
    for number, (one, part) in enumerate(zip(found, found.crop(image), strict=True), start=1):
        name = ascii_name(one.name, one.class_id)
        folder = place.parent / "".join(c if c.isalnum() or c in " -_." else "_" for c in name).strip(". ")
        results_folder(folder)
        save(part[..., ::-1], folder / f"{place.stem}-{number}{place.suffix}")
        paths.append(str(folder / f"{place.stem}-{number}{place.suffix}"))
    return paths
