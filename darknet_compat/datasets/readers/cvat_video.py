"""CVAT's XML for videos ("CVAT for video 1.1"): tracks, with a box in each frame that they are in; and the video."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Layout, Sample, Wanted
from darknet_compat.datasets.files import class_number
from darknet_compat.datasets.readers.cvat import BOXES, Events, has_tracks, is_cvat, parse
from darknet_compat.datasets.readers.polygons import Corners
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.formats.textfile import count, shown
from darknet_compat.sources.base import Frame
from darknet_compat.sources.video import open_video


@dataclass
class _Task:
    """What a file says: of the video the name, the pixels, and the first, the last and the step of the frames that were
    looked at; of each frame what is where."""

    words: dict[str, str] = field(default_factory=dict)
    objects: dict[int, list[tuple[str, Corners]]] = field(default_factory=dict)

    def whole(self, word: str, default: int) -> int:
        """A whole number of the task's. Raises DatasetError."""
        text = self.words.get(word, "") or str(default)
        if not (text.isascii() and text.isdecimal()):
            raise DatasetError(f"<{word}>: expected a whole number, found {shown(text, 40)}")
        return int(text)

    @property
    def frames(self) -> range:
        """The numbers of the frames that were looked at."""
        last = max(self.objects, default=0)
        start = self.whole("start_frame", 0)
        stop = self.whole("stop_frame", max(self.whole("size", last + 1) + start - 1, last))
        step = re.search(r"step\s*=\s*([1-9]\d*)", self.words.get("frame_filter", ""))
        return range(start, stop + 1, int(step[1]) if step else 1)


class _Reader(Events):
    """What is where in each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.task = _Task()
        self._label = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if self._above == ["annotations"] and tag == "track":
            self._label = attributes.get("label", "").strip()
            if self._label == "":
                raise DatasetError(f"track {shown(attributes.get('id', '?'), 40)}: it has no label")
        elif self._above[-1:] == ["track"] and tag in BOXES and attributes.get("outside", "0") != "1":
            frame = attributes.get("frame", "")
            if not (frame.isascii() and frame.isdecimal() and len(frame) < 10):
                raise DatasetError(f"track {shown(self._label)}: expected a frame's number, found {shown(frame, 40)}")
            corners = BOXES[tag](attributes, f"frame {frame}: {tag}")
            self.task.objects.setdefault(int(frame), []).append((self._label, corners))
        self._above.append(tag)
        self._text = ""

    def end(self, tag: str) -> None:
        """An element ends."""
        self._above.pop()
        if tag == "name" and self._above[-2:] == ["labels", "label"]:
            self.names.append(self._text.strip())
        elif self._above[:2] == ["annotations", "meta"] and tag in _WORDS:
            self.task.words.setdefault(tag, self._text.strip())


_WORDS = ("size", "start_frame", "stop_frame", "frame_filter", "source", "width", "height")


class AnnotatedVideo(Dataset):
    """The frames of a video that were looked at, in order; those without objects as well. Raises DatasetError."""

    is_composed = True

    def __init__(self, path: Path, names: tuple[str, ...] | None, pictures: Path | None) -> None:
        reader = _Reader()
        parse(path, reader)
        task = reader.task
        self.video = self.made_of = _video_of(path, task.words.get("source", ""), pictures)
        self.title = self.video.name
        self.names = names or tuple(dict.fromkeys(reader.names))
        number_of = {name: number for number, name in enumerate(self.names)}
        try:
            self._frames = task.frames
            self._size = task.whole("width", 0), task.whole("height", 0)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        self._objects: dict[int, tuple[list[int], list[Corners]]] = {}
        for frame, objects in task.objects.items():
            numbers = [class_number(name, number_of, str(path)) for name, _ in objects]
            self._objects[frame] = numbers, [corners for _, corners in objects]
        self._film = _Film(self.video)

    def __len__(self) -> int:
        return len(self._frames)

    def sample(self, index: int) -> Sample:
        """Frame number `index` of those that were looked at, decoded."""
        frame = self._frames[index]
        pixels = self._film.frame(frame)
        size = pixels.shape[1], pixels.shape[0]
        if self._size[0] and size != self._size:
            wanted = "{} x {}".format(*self._size)
            raise DatasetError(f"{self.video}: {size[0]} x {size[1]}, annotated as {wanted}; is it another video?")
        classes, corners = self._objects.get(frame, ([], []))
        return Sample(f"{self.video.stem}-{frame:06d}", pixels, Labels.from_corners(corners, size, classes))

    def place(self, index: int) -> str:
        """What a message calls frame number `index`."""
        return f"{self.video}, frame {self._frames[index]}"

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the file states them."""
        return self._size if self._size[0] else None


class _Film:
    """Frames by their numbers; quick where they are asked for in order, else the video is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._frames: Iterator[tuple[int, Frame]] | None = None
        self._last: tuple[int, Frame] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._begin()

    def frame(self, number: int) -> Bytes:
        """uint8 [H, W, 3], BGR. Raises DatasetError where the video is shorter, ImageError where it cannot be read."""
        with self._lock:
            if self._last is None or self._frames is None or number < self._last[0]:
                self._frames, self._last = enumerate(open_video(str(self.path))), None
            while self._last is None or self._last[0] < number:
                if (following := next(self._frames, None)) is None:
                    there = 0 if self._last is None else self._last[0] + 1
                    raise DatasetError(
                        f"{self.path}: has {count(there, 'frame')}, and frame {number} is annotated;"
                        " is it another video?"
                    )
                self._last = following
            return np.ascontiguousarray(self._last[1].pixels()[..., ::-1])


def _video_of(path: Path, name: str, pictures: Path | None) -> Path:
    """The video beside a file, in a folder beside it, or where the user says. Raises DatasetError."""
    last = PurePath(name.replace("\\", "/")).name
    if pictures is not None and pictures.is_file():
        return pictures
    folders = (
        [pictures] if pictures is not None else [path.parent, *map(path.parent.joinpath, _FOLDERS), path.parent.parent]
    )
    for folder in folders:
        if last and (folder / last).is_file():
            return folder / last
    called = shown(last) if last else "its video, which it does not name"
    raise DatasetError(f"{path}: found no {called} beside it; --pictures names the video, or its folder")


_FOLDERS = ("images", "videos", "data")


def claims(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a file of CVAT's with tracks" if is_cvat(path) and has_tracks(path) else None
    files = _files(path)
    return f"there is {files[0].name} with tracks" if files else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The file, or the one in a folder. Raises DatasetError, also for a part of it."""
    files = [path] if path.is_file() else _files(path)
    if len(files) > 1:
        raise DatasetError(f"{path}: has {len(files)} videos' annotations, {files[0].name} among them; name one")
    if wanted.split is not None:
        raise DatasetError(f"{path}: one video, which has no split {shown(wanted.split)}")
    return AnnotatedVideo(files[0], wanted.names, wanted.pictures)


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.xml")) if is_cvat(file) and has_tracks(file)]


LAYOUTS = {"cvat-video": Layout("CVAT's XML for a video", 0, claims, open_layout, pictures=True)}
"""See `datasets.base.Layout`."""
