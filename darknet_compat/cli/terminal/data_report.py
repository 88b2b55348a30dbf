"""What is in a data set and what is wrong with it, for people and for programs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.datasets.base import Dataset
    from darknet_compat.datasets.check import Report

_SUFFIXES = (".data", ".txt", ".list", ".json")
_MOST_CLASSES = 100
"""Rows of the table; of more classes the commonest are shown."""


def is_dataset(name: str) -> bool:
    """Whether this is a data set rather than a model."""
    from darknet_compat.datasets.readers.digits import is_digits

    return is_digits(name) or os.path.isdir(name) or Path(name).suffix.lower() in _SUFFIXES


def show(name: str, split: str | None, decode: bool, json: bool) -> None:
    """Look at a data set and print what was found. Raises DatasetError where pictures or labels cannot be used."""
    from darknet_compat.datasets.check import check_dataset
    from darknet_compat.datasets.open import open_dataset
    from darknet_compat.errors import DatasetError

    dataset = open_dataset(name, split=split)
    with terminal.Counter("reading pictures" if decode else "reading labels", quiet=json) as progress:
        report = check_dataset(dataset, decode_pictures=decode, progress=progress)
    if json:
        terminal.print_json(report.to_dict())
    else:
        print_report(report)
    if report.wrong:
        raise DatasetError(f"{name}: {terminal.count(report.wrong, 'picture')} of {report.pictures:,} cannot be used")


def write(name: str, split: str | None, out: Path, json: bool) -> None:
    """Write a data set as the original reads it: `split` for training or, without one, what is held out as well.
    Raises DatasetError."""
    from darknet_compat.datasets.open import open_dataset
    from darknet_compat.datasets.writers.darknet import write_darknet

    train = open_dataset(name, split=split)
    valid = None if split else _held_out(name, train)
    with terminal.Counter("writing labels", quiet=json) as progress:
        path = write_darknet(out, train, valid, progress=progress)
    if not json:
        terminal.print_line(f"-> {path}")


def _held_out(name: str, train: Dataset) -> Dataset | None:
    """The validation or test pictures, unless they are among those for training, as VOC's val is in its trainval."""
    from darknet_compat.datasets.open import open_dataset
    from darknet_compat.errors import DatasetError

    known = {str(sample.image) for sample in train}
    for split in ("valid", "test"):
        with suppress(DatasetError):  # there is none
            found = open_dataset(name, split=split, names=train.names or None)
            if known.isdisjoint(str(sample.image) for sample in found):
                return found
    return None


def print_report(report: Report) -> None:
    """Counts, a table of the classes, and what is worth a look."""
    from darknet_compat.datasets.check import KINDS

    marks = [
        f"{number:,} {what}"
        for number, what in (
            (report.difficult, "difficult"),
            (report.crowd, "of crowds"),
            (report.whole_pictures, "without a box"),
        )
        if number
    ]
    of_them = f" ({', '.join(marks)})" if marks else ""
    number = sum(report.objects)
    terminal.print_line(
        f"{report.title}: {terminal.count(report.pictures, 'picture')}, {terminal.count(number, 'object')}{of_them}, "
        f"{len(report.names):,} class{'' if len(report.names) == 1 else 'es'}"
    )
    rows = sorted(zip(report.objects, report.pictures_with, report.names, strict=True), key=lambda row: -row[0])
    terminal.print_table(
        ("class", "objects", "", "pictures"),
        [
            (name, f"{objects:,}", f"{100 * objects / max(number, 1):.1f} %", f"{pictures:,}")
            for objects, pictures, name in rows[:_MOST_CLASSES]
            if objects
        ],
        left=("class",),
        indent=2,
    )
    findings: list[tuple[int, str, str, tuple[str, ...]]] = [
        (finding.count, kind, KINDS[kind], finding.examples) for kind, finding in report.findings.items()
    ]
    if report.never_seen:
        findings.append((len(report.never_seen), "never seen", "classes that do not occur", report.never_seen[:12]))
    terminal.print_fields(
        (f"{count:,} {kind}", f"{words}: {'; '.join(places)}{'; …' if count > len(places) else ''}")
        for count, kind, words, places in findings
    )
