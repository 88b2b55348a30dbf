"""What is in a data set and what is wrong with it, for people and for programs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.datasets.options import PACKED, Reading

if TYPE_CHECKING:
    from darknet_compat.datasets.base import Dataset
    from darknet_compat.datasets.check import Report
    from darknet_compat.formats.words import LabelsFormat

_SUFFIXES = (".data", ".txt", ".list", ".json", ".yaml", ".yml", ".csv", ".xml", *PACKED)
_MOST_CLASSES = 100
"""Rows of the table; of more classes the commonest are shown."""


@dataclass(frozen=True)
class DatasetSource:
    """A data set as it is to be opened."""

    name: str
    split: str | None = None
    names: Path | None = None
    reading: Reading = field(default_factory=Reading)

    def open(self, split: str | None = None, names: tuple[str, ...] | None = None) -> Dataset:
        """Open it, its own split or another one. Raises DatasetError, MetadataError."""
        from darknet_compat.datasets.open import open_dataset
        from darknet_compat.formats.metadata import read_names

        names = names or (read_names(self.names) if self.names else None)
        return open_dataset(self.name, names=names, split=split or self.split, reading=self.reading)


def is_dataset(name: str) -> bool:
    """Whether this is a data set rather than a model."""
    from darknet_compat.datasets.readers.digits import is_digits

    return is_digits(name) or os.path.isdir(name) or Path(name).suffix.lower() in _SUFFIXES


def show(source: DatasetSource, decode: bool, json: bool) -> None:
    """Look at a data set and print what was found. Raises DatasetError where pictures or labels cannot be used."""
    from darknet_compat.datasets.check import check_dataset
    from darknet_compat.errors import DatasetError

    dataset = source.open()
    with terminal.Counter("reading pictures" if decode else "reading labels") as progress:
        report = check_dataset(dataset, decode_pictures=decode, progress=progress)
    if json:
        terminal.print_json(report.to_dict() | _layout(source, dataset))
    else:
        print_report(report)
        if os.path.isdir(source.name):
            print_layout(source, dataset)
    if report.refusal:
        raise DatasetError(f"{source.name}: {report.refusal}")


def _layout(source: DatasetSource, dataset: Dataset) -> dict[str, Any]:
    from darknet_compat.datasets.open import recognise
    from darknet_compat.datasets.readers.digits import is_digits

    facts = {"split": dataset.split or None, "splits": list(dataset.splits)}
    if is_digits(source.name):
        return {"layout": "digits", "layout_why": "made here", **facts}
    found = recognise(source.name, source.reading.layout)
    return {"layout": found.layout, "layout_why": found.why, **facts}


def print_layout(source: DatasetSource, dataset: Dataset) -> None:
    """Which layout was taken for a folder and why, and its other parts."""
    from darknet_compat.datasets.open import LAYOUTS

    facts = _layout(source, dataset)
    fields = [("layout", f"{facts['layout']}, {LAYOUTS[facts['layout']].title}: {facts['layout_why']}")]
    others = [name for name in dataset.splits if name != dataset.split]
    if others:
        fields.append(("", f"this is its part {dataset.split}; the others (--split): {', '.join(others)}"))
    terminal.print_fields(fields)


def write(source: DatasetSource, out: Path, form: LabelsFormat, json: bool) -> None:
    """Write a data set in another layout: the split that was asked for, or without one all the parts there are. Raises
    DatasetError."""
    from darknet_compat.datasets.writers.layouts import write_dataset
    from darknet_compat.errors import DatasetError

    if os.path.isdir(source.name) and out.resolve().is_relative_to(Path(source.name).resolve()):
        raise DatasetError(f"{out}: lies in {source.name}, whose pictures it would double; choose another folder")
    train = source.open()
    parts = {"train": train}
    if source.split is None:
        parts |= _held_out(source, train)
    with terminal.Counter("writing pictures and labels") as progress:
        path = write_dataset(out, form, parts, progress=progress)
    if not json:
        terminal.print_line(f"-> {path}")


def _held_out(source: DatasetSource, train: Dataset) -> dict[str, Dataset]:
    """The validation and test pictures, unless they are among those for training, as VOC's val is in its trainval."""
    from darknet_compat.errors import DatasetError

    known = _pictures(train)
    found: dict[str, Dataset] = {}
    for split in ("valid", "test"):
        with suppress(DatasetError):  # there is none
            dataset = source.open(split, train.names or None)
            pictures = _pictures(dataset)
            if dataset.split != train.split and known.isdisjoint(pictures):
                found[split] = dataset
                known |= pictures
    return found


def _pictures(dataset: Dataset) -> set[str]:
    return {path for path in dataset.rows(0, len(dataset)).paths if path} if not dataset.is_composed else set()


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
    shown = [
        (name, f"{objects:,}", f"{100 * objects / max(number, 1):.1f} %", f"{pictures:,}")
        for objects, pictures, name in rows[:_MOST_CLASSES]
        if objects
    ]
    if shown:
        terminal.print_table(("class", "objects", "", "pictures"), shown, left=("class",), indent=2)
    findings: list[tuple[int, str, str, tuple[str, ...]]] = [
        (finding.count, kind, KINDS[kind], finding.examples) for kind, finding in report.findings.items()
    ]
    if report.never_seen:
        findings.append((len(report.never_seen), "never seen", "classes that do not occur", report.never_seen[:12]))
    terminal.print_fields(
        (f"{count:,} {kind}", f"{words}: {'; '.join(places)}{'; …' if count > len(places) else ''}")
        for count, kind, words, places in findings
    )
