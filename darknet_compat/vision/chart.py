"""Charts by matplotlib, which is imported once one is drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats.atomic import atomic_write


def new_figure(width: float, height: float, error: type[DarknetCompatError], extra: str = "eval") -> Any:
    """An empty figure, its sides in inches. Raises `error` without matplotlib, which `extra` brings."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise error(f"matplotlib is not installed, for charts: pip install 'darknet-compat[{extra}]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def to_png(figure: Any, dpi: int = 120) -> bytes:
    """A figure as PNG, in so many pixels an inch."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    return picture.getvalue()


def write_figure(figure: Any, path: str | Path, error: type[DarknetCompatError]) -> None:
    """Write a figure as PNG, SVG or PDF, by its suffix. Raises `error` for another, or where it cannot be written."""
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=Path(path).suffix.lstrip(".").lower(), dpi=120)
    except ValueError:
        raise error(f"{path}: expected a name that ends in .png, .svg or .pdf") from None
    with atomic_write(path, error) as file:
        file.write(picture.getvalue())
