"""What a detector answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from darknet_compat.errors import BackendError, ImageError
from darknet_compat.formats.arrays import Bytes, Floats, Ints
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.inference import convert
from darknet_compat.inference.hierarchy import PathStep


class _Detection(NamedTuple):
    name: str
    score: float
    box: tuple[float, float, float, float]
    class_id: int


class Detection(_Detection):
    """One box with one class; `box` is x1, y1, x2, y2 in pixels of the picture. Four values to unpack.

    `track_id` is the number of the object, where frames are tracked and it has one already. `uncertainty` is that of
    the box's centre x and y, width and height, each 0 to 1, where the model has such (`[Gaussian_yolo]`).
    """

    track_id: int | None = None
    uncertainty: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture, best first; a box that carries two classes is two detections.

    `boxes` float32 [N, 4]: x1, y1, x2, y2 in pixels of the given picture, which they may reach beyond, as the
    original's do (`clipped` cuts them). `scores` float32 [N], `class_ids` int64 [N], `names` one a detection.
    `width` and `height` are the picture's. With a WordTree `paths` has one a detection, from the root to its node, each
    step with its absolute probability, so that one sees where confidence ran out. `dropped` counts candidates above
    the threshold for which a head with many classes had no room; it is 0 unless thresholds are very low.

    `places` int64 [N] is where Darknet's programs have each detection: they print and count in the order in which
    their suppression leaves the boxes, which is that of the scores only within a class (`select.darknet_places`).

    `source` is the picture as it was given, where that is known: `plot`, `crop` and `save` look at it. Detections are
    a sequence: `found[0]` is the best one as a Detection, `found["dog"]`, `found[found.scores > 0.8]`, `found[:3]` and
    `found[[2, 0]]` are Detections.

    `track_ids` int64 [N], where frames are tracked: the same number for the same object in every frame, from 1 on, and
    -1 for what was seen for the first time.

    `uncertainties` float32 [N, 4], of a box's centre x and y, width and height, each 0 to 1, where the model has them
    (the fork's `[Gaussian_yolo]`, whose scores they have lowered by their mean).
    """

    boxes: Floats
    scores: Floats
    class_ids: Ints
    names: tuple[str, ...]
    width: int
    height: int
    paths: tuple[tuple[PathStep, ...], ...] = ()
    dropped: int = 0
    places: Ints | None = None
    source: Any = None
    track_ids: Ints | None = None
    uncertainties: Floats | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        tracks = [-1] * len(self) if self.track_ids is None else self.track_ids.tolist()
        sure = [None] * len(self) if self.uncertainties is None else map(tuple, self.uncertainties.tolist())
        rows = zip(self.names, self.scores, self.boxes, self.class_ids, tracks, sure, strict=True)
        for name, score, box, class_id, track, uncertainty in rows:
            x1, y1, x2, y2 = box.tolist()
            one = Detection(name, float(score), (x1, y1, x2, y2), int(class_id))
            if track > 0:
                one.track_id = track
            one.uncertainty = uncertainty
            yield one

    @overload
    def __getitem__(self, key: int) -> Detection: ...
    @overload
    def __getitem__(self, key: str | slice | Any) -> Detections: ...
    def __getitem__(self, key: Any) -> Detection | Detections:
        """One detection by its number; else those of some classes, of a slice, of a mask, or of these numbers."""
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            return next(iter(self[[range(len(self))[key]]]))
        wanted = [key] if isinstance(key, str) else key
        if isinstance(wanted, list | tuple | set) and wanted and all(isinstance(one, str) for one in wanted):
            key = np.array([name in wanted for name in self.names], bool)
        if not isinstance(key, slice):
            key = np.asarray(key)
            key = key.astype(np.int64) if not key.size else key
        rows = np.arange(len(self))[key].tolist()
        places = None if self.places is None else self.places[rows].argsort().argsort()
        return replace(
            self,
            boxes=self.boxes[rows].reshape(-1, 4),
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            names=tuple(self.names[row] for row in rows),
            paths=tuple(self.paths[row] for row in rows) if self.paths else (),
            places=places,
            track_ids=None if self.track_ids is None else self.track_ids[rows],
            uncertainties=None if self.uncertainties is None else self.uncertainties[rows].reshape(-1, 4),
        )

    @property
    def name(self) -> str:
        """The picture's path, empty where it came otherwise."""
        return os.fspath(self.source) if isinstance(self.source, str | os.PathLike) else ""

    @property
    def finite(self) -> bool:
        """Whether all boxes are numbers, which those of weights that belong to another model may not be."""
        return bool(np.isfinite(self.boxes).all())

    def clipped(self) -> Detections:
        """These detections with boxes cut to the picture."""
        limits = np.array([self.width, self.height, self.width, self.height], np.float32)
        boxes = np.clip(self.boxes, 0, limits)
        return replace(self, boxes=boxes)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        found: list[dict[str, Any]] = [
            {"class": d.name, "class_id": d.class_id, "score": round(d.score, 6), "box": [round(x, 2) for x in d.box]}
            | ({} if self.track_ids is None else {"track_id": d.track_id})
            | ({} if d.uncertainty is None else {"uncertainty": [round(x, 6) for x in d.uncertainty]})
            for d in self
        ]
        for entry, path in zip(found, self.paths, strict=False):
            entry["path"] = [{"name": step.name, "probability": round(step.probability, 6)} for step in path]
        return {"width": self.width, "height": self.height, "detections": found}

    # -------------------------------------------------------------------------------------------- pictures

    def plot(self, image: Any = None) -> Bytes:
        """The picture with boxes and labels drawn in, uint8 [H, W, 3] in BGR, as OpenCV has pictures.

        `image` is the picture in any form that a Detector takes; by default `source`. Raises ImageError where neither
        is known, or the picture has another size.
        """
        from darknet_compat.vision.draw import draw

        drawn = draw(self._pixels(image), self.boxes, self.names, self.scores, self.class_ids)
        return np.ascontiguousarray(drawn[..., ::-1])

    def crop(self, image: Any = None) -> list[Bytes]:
        """What is inside each box, uint8 [h, w, 3] in BGR, cut to the picture; at least a pixel each way.

        Raises ImageError where the picture is not at hand, or is of another size.
        """
        pixels = self._pixels(image)[..., ::-1]
        limits = np.array([self.width, self.height] * 2)
        corners = np.nan_to_num(np.concatenate([np.floor(self.boxes[:, :2]), np.ceil(self.boxes[:, 2:])], axis=1))
        parts = []
        for x1, y1, x2, y2 in np.clip(corners, 0, limits).astype(int).tolist():
            left, top = min(x1, self.width - 1), min(y1, self.height - 1)
            parts.append(np.ascontiguousarray(pixels[top : max(y2, top + 1), left : max(x2, left + 1)]))
        return parts

    def save(self, path: str | Path, image: Any = None) -> Path:
        """Write a file of the kind that its suffix names: .json, .csv, .txt (YOLO labels), else the picture that `plot`
        draws. Raises ImageError where it cannot be written."""
        path = Path(path)
        texts = {".json": self.to_json, ".csv": self.to_csv, ".txt": self.to_yolo}
        if (text := texts.get(path.suffix.lower())) is None:
            from darknet_compat.vision.draw import save

            save(self.plot(image)[..., ::-1], path)
            return path
        with atomic_write(path, ImageError) as file:
            file.write(text().encode())
        return path

    def _pixels(self, image: Any) -> Bytes:
        """The picture, uint8 [H, W, 3] in RGB."""
        from darknet_compat.vision.image import decode

        image = self.source if image is None else image
        if image is None:
            raise ImageError("these detections do not know their picture; give it: plot(image)")
        pixels = decode(image)
        if pixels.shape[1::-1] != (self.width, self.height):
            found = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise ImageError(f"detections in a picture of {self.width} x {self.height} pixels, found one of {found}")
        return pixels

    # ------------------------------------------------------------------------------------- other tools' forms

    def to_json(self) -> str:
        """`to_dict` as text, with the picture's name."""
        return json.dumps({"file": self.name, **self.to_dict()}, indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """A line a detection under `file,class,class_id,score,left,top,right,bottom`."""
        return convert.to_csv([self])

    def to_df(self) -> Any:
        """A `pandas.DataFrame` with a row a detection."""
        pandas = _installed("pandas")
        return pandas.DataFrame(convert.rows(self), columns=convert.CSV_HEADERS)

    def to_yolo(self, *, scores: bool = False) -> str:
        """Darknet's labels, a line each (`convert.to_yolo`); of `clipped()` boxes where they are to be trained on."""
        return convert.to_yolo(self, scores=scores)

    def to_coco(self, names: Sequence[str] | None = None, root: str | Path | None = None) -> dict[str, Any]:
        """A document in COCO's form with this picture alone (`convert.to_coco` takes several)."""
        return convert.to_coco([self], names, root)

    def to_labelme(self) -> dict[str, Any]:
        """A document that labelme opens beside the picture."""
        return convert.to_labelme(self)

    def to_supervision(self) -> Any:
        """A `supervision.Detections`. Raises BackendError where the package is not installed."""
        from darknet_compat.inference.interop import to_supervision

        return _installed("supervision").Detections(**to_supervision(self))

    def to_fiftyone(self) -> Any:
        """A `fiftyone.Detections`. Raises BackendError where the package is not installed."""
        from darknet_compat.inference.interop import to_fiftyone

        fiftyone = _installed("fiftyone")
        return fiftyone.Detections(detections=[fiftyone.Detection(**one) for one in to_fiftyone(self)])


def _installed(package: str) -> Any:
    """A package that not everybody has. Raises BackendError without it."""
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise BackendError(f"{package} is not installed: pip install {package} ({error})") from None
