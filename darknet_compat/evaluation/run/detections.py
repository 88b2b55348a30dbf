"""A detector over a data set: every picture once, in batches, kept as they come, and ready for every score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.datasets.base import CountProgress, Dataset
from darknet_compat.datasets.open import open_dataset, recognise
from darknet_compat.datasets.options import Reading
from darknet_compat.datasets.readers.digits import is_digits
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.material.entries import Composed, Entries, Problem
from darknet_compat.evaluation.run.journal import Detected, Journal, key
from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.textfile import shown
from darknet_compat.formats.words import Task
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.vision.image import decode

THRESH = 0.005
"""With what the original's `detector valid` keeps a score."""


AnswerStream = Callable[[Detector, Sequence[Path | Composed], int], Iterable[Detected]]
"""What has pictures answered, so many at once, in order."""


@dataclass(frozen=True, eq=False)
class Results:
    """What was found in the pictures of `entries`: `answers`, one a picture, None where it could not be read; `sizes`
    int64 [pictures, 2], width and height; `problems` with all that was wrong with the data."""

    entries: Entries
    answers: tuple[Detections | None, ...]
    sizes: Ints
    problems: tuple[Problem, ...]

    @property
    def found(self) -> Found:
        """All detections, boxes as the detector gave them."""
        return Found.from_detections(self.answers)

    @property
    def dropped(self) -> int:
        """Candidates above the threshold for which a head with many classes had no room (`Detections.dropped`)."""
        return sum(answer.dropped for answer in self.answers if answer is not None)

    @property
    def truths(self) -> Truths:
        """All objects."""
        return self.entries.truths(self.sizes)


def open_for(
    source: str | Path,
    names: Sequence[str],
    split: str | None = None,
    task: Task | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """The data set to score a model with these classes on; `split` None is what one tests on.

    Annotations that name their classes are read by the model's names; so are numbers for which the data has names of
    its own. Other numbers are taken to number the classes as the model does. Raises DatasetError where the classes are
    others, or have another order although some share their name.
    """

    def opened(split: str | None) -> Dataset:
        dataset = open_dataset(source, split=split, task=task, reading=reading) if has_own else None
        if dataset is not None and (dataset.names or is_digits(source)):
            return dataset
        return open_dataset(source, names=names, split=split, task=task, reading=reading)

    has_own = is_digits(source) or recognise(source, reading.layout if reading else None).layout in _NUMBERED
    dataset = opened(split) if split is not None else _test_split(Path(source), opened)
    if _is_reordered(dataset.names, names) and len(set(names)) < len(names):
        raise DatasetError(f"{dataset.title}: {_reordered(dataset.names, names)}, and names that repeat match nothing")
    return dataset


_NUMBERED = ("darknet", "yaml", "yolo", "list")
"""Layouts whose labels are numbers of classes."""


def _test_split(path: Path, opened: Callable[[str | None], Dataset]) -> Dataset:
    """What one tests on, where the source has it; else all there is."""
    usual = ("test", "valid") if path.is_dir() else ("valid",) if path.suffix.lower() == ".data" else ("test",)
    usual = ("valid", "test") if path.suffix.lower() in (".yaml", ".yml") else usual
    for split in (*usual, None):
        try:
            return opened(split)
        except DatasetError as error:
            if split is None or "split" not in str(error):
                raise
    raise AssertionError("unreachable")


def _is_reordered(theirs: Sequence[str], names: Sequence[str]) -> bool:
    return tuple(theirs) != tuple(names) and sorted(theirs) == sorted(names)


def _reordered(theirs: Sequence[str], names: Sequence[str]) -> str:
    """In words that the data has the model's classes in another order."""
    place = next(place for place, pair in enumerate(zip(theirs, names, strict=True)) if pair[0] != pair[1])
    return (
        f"has the model's classes in another order (class {place} is {shown(theirs[place])} here,"
        f" {shown(names[place])} there)"
    )


def matched_classes(entries: Entries, names: Sequence[str]) -> Entries:
    """The entries with their classes numbered as the model's, found by name where the data has fewer or has them in
    another order, as VOC's alphabet and Roboflow's exports do: that is noted, since it may also be a wrong list.

    Raises DatasetError for a class that the model does not have.
    """
    if not entries.names or entries.names == tuple(names):
        return replace(entries, names=tuple(names))
    number_of: dict[str, int] = {}
    for number, name in enumerate(names):
        number_of.setdefault(name, number)
    missing = next((name for name in entries.names if name not in number_of), None)
    if missing is not None:
        raise DatasetError(
            f"{entries.title}: its class {shown(missing)} is not one of the model's {len(names)}; are these the"
            " names that belong to the model (--names)?"
        )
    if _is_reordered(entries.names, names):
        note = f"{entries.title}: {_reordered(entries.names, names)}: they are matched by their names"
        entries = replace(entries, notes=(*entries.notes, note))
    return entries.with_classes(names, np.array([number_of[name] for name in entries.names], np.int64))


def at_level(entries: Entries, tree: WordTree, level: int) -> Entries:
    """The entries with each class replaced by its ancestor at `level` of the WordTree, 0 being the roots."""
    ancestors = [tree.path(node)[: level + 1][-1] for node in range(len(tree))]
    return entries.with_classes(entries.names, np.array(ancestors, np.int64))


def detect_all(
    detector: Detector,
    entries: Entries,
    settings: dict[str, Any],
    *,
    batch: int = 1,
    progress: CountProgress | None = None,
    folder: Path | None = None,
    stream: AnswerStream | None = None,
) -> Results:
    """What the detector finds in every picture, from the journal in the cache as far as that goes.

    `settings` are `inference.identity.model_key`'s. An interrupted run is taken up at the beginning of a batch, so that
    every picture meets the network in the same company as in one that was not. `stream` does the work elsewhere than in
    the detector's own threads.
    """
    path = (folder or cache_dir() / "evaluations") / f"{key(settings, entries)[:32]}.found"
    with Journal(path, detector.names, len(entries)) as journal:
        if len(journal.answers) < len(entries):
            journal.keep(len(journal.answers) // batch * batch)
        done = len(journal.answers)
        if progress:
            progress(done, len(entries))
        if done == len(entries):
            answers: Iterable[Detected] = ()
        elif stream is not None:
            answers = stream(detector, [row.source for row in entries.rows[done:]], batch)
        else:
            answers = (answer for _, answer in detector.stream(entries.images(done), batch))
        for answer in answers:
            journal.append(answer)
            if progress:
                progress(len(journal.answers), len(entries))
        return collect(entries, journal.answers)


def collect(entries: Entries, answers: Sequence[Detected | None]) -> Results:
    """Results from answers in the entries' order; sizes of unread pictures are the stated ones, else 1 x 1."""
    problems = list(entries.problems)
    missing = {problem.entry for problem in problems if problem.kind == "missing"}
    sizes = np.ones((len(entries), 2), np.int64)
    read: list[Detections | None] = []
    for place, (entry, answer) in enumerate(zip(entries.rows, answers, strict=True)):
        if isinstance(answer, Detections):
            sizes[place] = answer.width, answer.height
        elif entry.size is not None:
            sizes[place] = entry.size
        if isinstance(answer, Failure) and entry.number + 1 not in missing:
            problems.append(Problem(entry.number + 1, "unreadable", str(answer.error)))
        read.append(answer if isinstance(answer, Detections) else None)
    problems.sort(key=lambda problem: problem.entry)
    return Results(entries, tuple(read), sizes, tuple(problems))


def stated_sizes(entries: Entries) -> tuple[Ints, tuple[Problem, ...]]:
    """Each picture's size where no detector has read it: as the annotations state it, else by decoding it."""
    sizes, problems = np.ones((len(entries), 2), np.int64), list(entries.problems)
    missing = {problem.entry for problem in problems if problem.kind == "missing"}
    for place, entry in enumerate(entries.rows):
        if entry.size is not None:
            sizes[place] = entry.size
            continue
        try:
            sizes[place] = decode(entry.image).shape[1::-1]
        except ImageError as error:
            if entry.number + 1 not in missing:
                problems.append(Problem(entry.number + 1, "unreadable", str(error)))
    return sizes, tuple(sorted(problems, key=lambda problem: problem.entry))
