"""What is known of a model that has a name: where its files are, how it wants to be used, what was published of it.

Floats are what the network of the `.cfg` holds, so that a download can be told from
another network's before it is read. Checksums are only those that others published; where none is known the file's own
is recorded at its first use (see `provenance`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from darknet_compat.catalogue.fetch.checksum import UNKNOWN, Expected, Part
from darknet_compat.formats.words import Task

HEADERS = (16, 20)
"""The lengths of a `.weights` header in bytes: three int32, then images seen as 4 or, since version 0.2, 8 bytes."""

Mirror = str | Part | tuple[Part, ...]


@dataclass(frozen=True)
class WeightsFile:
    """A `.weights` file: its name, how much is in it, where it can be had.

    `floats` counts the network's numbers, `header` its header's bytes where the file's length is known. `published` are
    checksums that others published of it.
    """

    file: str
    floats: int
    header: int | None = None
    mirrors: tuple[Mirror, ...] = ()
    published: Expected = UNKNOWN

    @property
    def size(self) -> int | None:
        """The file's length in bytes, where known."""
        return None if self.header is None else self.header + 4 * self.floats

    @property
    def expected(self) -> Expected:
        """All that a download is held against."""
        headers = HEADERS if self.header is None else (self.header,)
        return replace(self.published, sizes=tuple(header + 4 * self.floats for header in headers))


@dataclass(frozen=True)
class Figure:
    """A published result: `value` of `measure` on `data`, as `source` states it, at the square input `size` if said."""

    measure: str
    value: float
    data: str
    size: int | None
    source: str


@dataclass(frozen=True)
class Model:
    """What a name stands for. `cfg`, `names` and `labels` are paths inside the packaged `cfg/`.

    `thresh`, `hier_thresh` and `nms` are the defaults of the program that it comes from.
    """

    name: str
    title: str
    paper: str
    task: Task
    cfg: str
    names: str
    weights: WeightsFile
    labels: str | None = None
    thresh: float = 0.5
    hier_thresh: float = 0.5
    nms: float = 0.45
    figures: tuple[Figure, ...] = ()


_AUTHOR = ("https://data.pjreddie.com/files/", "https://pjreddie.com/media/files/")
"""The first author's files lie at the first of these (2026); the older address leads there, or to a web page."""

HANK_AI = "https://github.com/hank-ai/darknet/releases/download/v2.0/"
"""Where the fork's successor keeps the released weights of COCO, with MD5 sums in its issue 21."""


def author(file: str) -> tuple[str, ...]:
    """The first author's addresses of a file."""
    return tuple(base + file for base in _AUTHOR)
