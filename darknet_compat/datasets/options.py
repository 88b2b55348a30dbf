"""What can be asked of how a data set is read, each option stated once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from darknet_compat.options import Option

LabelRule = Literal["clip", "skip", "strict"]
"""What becomes of labels that are not as they should be.

`clip`, as the original and the fork: a box that reaches out of its picture is cut at the border, one that lies outside
is left out, a picture without a file of labels is background. `skip`: such labels, and malformed ones, are left out.
`strict`: all of that is an error.
"""

PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
"""Suffixes of data sets as they are downloaded."""

LayoutName = Annotated[
    str | None,
    Option("How DATA is laid out: coco, voc, yolo, csv, … Default: as its files tell.", metavar="NAME"),
]
LabelsRule = Annotated[
    LabelRule,
    Option(
        "What becomes of faulty labels: boxes are cut at the picture's border, as in the original; or left out; or an"
        " error."
    ),
]
PicturesFolder = Annotated[
    Path | None, Option("Where DATA's pictures are, if not where its annotations say.", metavar="DIR")
]


class Reading(NamedTuple):
    """How a data set is to be read."""

    layout: str | None = None
    labels: LabelRule = "clip"
    pictures: Path | None = None
    beside: bool = False
    """Whether Darknet's labels are looked for where the fork looks first (`labels_beside` of a dialect)."""

    @classmethod
    def of(cls, options: Any, beside: bool = False) -> Reading:
        """The reading options among the fields of another options value."""
        return cls(options.layout, options.labels, options.pictures, beside)
