"""Anchors for a data set as one piece of work: from an options value to shapes, how well they fit, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darknet_compat.datasets.anchors.find import Anchors, average_iou, curve, find_anchors
from darknet_compat.datasets.anchors.options import AnchorOptions, Distance
from darknet_compat.datasets.anchors.shapes import Shapes, read_csv, shapes_of
from darknet_compat.datasets.base import CountProgress
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError
from darknet_compat.formats.atomic import results_folder
from darknet_compat.formats.textfile import count
from darknet_compat.options import made
from darknet_compat.vision.header import limited_pixels

_WORDS: dict[Distance, str] = {"iou": "by IoU", "sse": "by squared error"}
_CURVE = range(1, 16)


@dataclass(frozen=True)
class ChosenAnchors:
    """The `anchors`, the `shapes` that they stand for, and the average IoU, 0..1, of these and of others by name."""

    options: AnchorOptions
    shapes: Shapes
    anchors: Anchors
    fits: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found, shapes, options = self.anchors, self.shapes, self.options
        return {
            "k": len(found.sizes),
            "anchors": (found.sizes / options.stride).round(6).tolist(),
            "anchors_pixels": found.sizes.round(4).tolist(),
            "average_iou": found.average_iou,
            "average_ious": self.fits,
            "boxes": len(shapes.sizes),
            "left_out": shapes.left_out,
            "pictures": shapes.pictures,
            "size": list(options.size),
            "stride": options.stride,
            "resize": options.resize,
            "seed": options.seed,
            "note": shapes.note,
        }


def choose_anchors(
    options: AnchorOptions | None = None,
    *,
    others: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    progress: CountProgress | None = None,
    **given: Any,
) -> ChosenAnchors:
    """Find anchors for a data set by k-means over its boxes' shapes (YOLO9000 paper, section 2).

    Takes an `AnchorOptions` or its fields as keyword arguments. `others` are anchors to compare with, by name: widths
    and heights in pixels of an input of `options.size`. `progress` is called with (pictures done, all). Raises
    OptionError for options that cannot be, and DatasetError where there are no boxes, or too few for so many anchors.
    """
    options = made(AnchorOptions, options, given)
    if options.out is not None:
        results_folder(options.out.parent)
    with limited_pixels(options.max_pixels):
        shapes = _shapes(options, progress)
    if not len(shapes.sizes):
        raise DatasetError(f"{options.boxes}: there are no boxes in its {count(shapes.pictures, 'picture')}")
    found = {
        by: find_anchors(shapes.sizes, options.k, by=by, seed=options.seed, restarts=options.restarts)
        for by in sorted(_WORDS, key=lambda by: by != options.by)
    }
    fits = {_WORDS[by]: one.average_iou for by, one in found.items()}
    fits |= {name: average_iou(shapes.sizes, sizes) for name, sizes in (others or {}).items()}
    if options.out is not None:
        _draw(
            options.out, shapes, found[options.by], {name: (len(s), fits[name]) for name, s in (others or {}).items()}
        )
    return ChosenAnchors(options, shapes, found[options.by], fits)


def _shapes(options: AnchorOptions, progress: CountProgress | None) -> Shapes:
    if Path(options.boxes).suffix.lower() == ".csv":
        return read_csv(options.boxes, options.size, options.resize)
    from darknet_compat.datasets.open import open_dataset

    dataset = open_dataset(options.boxes, split=options.split, reading=Reading.of(options))
    return shapes_of(dataset, options.size, options.resize, progress)


def _draw(out: Path, shapes: Shapes, found: Anchors, others: Mapping[str, tuple[int, float]]) -> None:
    from darknet_compat.datasets.anchors.plot import save_anchors_plot

    curves: dict[str, Sequence[tuple[int, float]]] = {
        words: curve(shapes.sizes, _CURVE, by=by) for by, words in _WORDS.items()
    }
    save_anchors_plot(out, shapes, found, curves | {name: [point] for name, point in others.items()})
