"""An evaluation as a page to look at: figures, curves, what is taken for what, honest scores, examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.report import plots
from darknet_compat.evaluation.report.diagnosis import KINDS, Confusion, calibration, confusion, false_positives
from darknet_compat.evaluation.report.examples import SHOWN, Verdicts, judged
from darknet_compat.evaluation.run.detections import Results
from darknet_compat.evaluation.scores import voc
from darknet_compat.evaluation.scores.metrics import METRICS, Score
from darknet_compat.formats.page import Html, beside, headline, image, joined, paragraph, section, table, write_page
from darknet_compat.formats.textfile import count
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.detector import Detector

EXAMPLES = 12


def write_report(path: Path, label: str, results: Results, score: Score, detector: Detector) -> Path:
    """Write the page. Raises DatasetError where it cannot be written, or where matplotlib is missing."""
    metric = METRICS[score.metric]
    found, truths = metric.as_scored(results.found, results.sizes), results.truths
    names = results.entries.names
    tree = detector.runtime.description.tree if detector.map is None else None
    description = detector.runtime.description
    about = (
        f"{count(len(results.entries), 'picture')}, {count(len(truths), 'object')},"
        f" {count(len(found), 'detection')} above {detector.thresh:g}, suppressed at {detector.nms:g};"
        f" {description.width} x {description.height}, {description.resize}, {detector.choice.backend},"
        f" {description.precision}"
    )
    sections = [
        headline([(name, percent(value)) for name, value in score.figures.items()]),
        section(metric.title, beside(class_table(score), _curves(found, truths, names))),
        section("What is wrong with the best detections", beside(*_mistakes(found, truths, names, tree))),
        section("What is taken for what", beside(*_confusion(confusion(found, truths, names, tree), tree))),
        section("Are the scores honest?", *_calibration(found, truths)),
        section("Examples", *_examples(results, found)),
    ]
    if results.problems:
        sections.append(section("Wrong with the data", *(paragraph(problem) for problem in results.problems)))
    write_page(path, f"{label} on {results.entries.title}", about, sections, DatasetError)
    return path


def percent(value: float | None) -> str:
    """A share as text."""
    return "none" if value is None else f"{100 * value:.2f} %"


def class_table(score: Score) -> Html:
    """A row for each class that has objects."""
    objects = score.headers.index("objects")
    rows = [
        [percent(cell) if isinstance(cell, float) or cell is None else cell for cell in row]
        for row in score.rows
        if row[objects]
    ]
    return table(score.headers, rows, left=("class",))


def _curves(found: Found, truths: Truths, names: Sequence[str]) -> Html:
    scores = voc.score(found, truths, names)
    points = [(one.name, one.average_precision, one.curve) for one in scores.classes if one.positives]
    more = f", the {plots.MOST_CURVES} classes with most objects" if len(points) > plots.MOST_CURVES else ""
    caption = f"Precision and recall at IoU 0.5; the figures are areas under the curves{more}."
    return image(plots.curves(points), caption, width=640)


def _mistakes(found: Found, truths: Truths, names: Sequence[str], tree: WordTree | None) -> list[Html]:
    wrong = false_positives(found, truths, names, tree)
    rows = [("right", wrong.right, "")] + [(name, wrong.kinds[name], meaning) for name, meaning in KINDS.items()]
    caption = f"Of each class as many detections as it has objects, {wrong.considered:,} in all."
    return [
        image(plots.mistakes(wrong), caption, width=640),
        table(("kind", "detections", "which is"), rows, left=("kind", "which is")),
    ]


def _confusion(found: Confusion, tree: WordTree | None) -> list[Html]:
    caption = f"Each object by the best detection above {SHOWN:g} that overlaps it by half, whatever its class."
    picture, parts = image(plots.confusion(found), caption, width=680), list[Html]()
    if tree is not None:
        rows = [("its own class", found.right), ("a class above it, which is right, too", found.above)]
        rows += [("a class below it", found.below), ("another class", found.wrong)]
        parts.append(table(("an object called by", "objects"), rows, left=("an object called by",)))
    if found.busiest():
        parts.append(table(("is", "detected as", "times"), found.busiest(), left=("is", "detected as")))
    return [picture, joined(parts)]


def _calibration(found: Found, truths: Truths) -> list[Html]:
    honest = calibration(found, truths)
    caption = "On the line, of detections with a score of 0.7 seven in ten are right. Numbers count detections."
    error = "nothing was detected" if honest.error is None else f"expected calibration error {percent(honest.error)}"
    return [image(plots.calibration(honest), caption, width=500), paragraph(f"At IoU 0.5: {error}.")]


def _examples(results: Results, found: Found) -> list[Html]:
    """Pictures evenly from the whole of the data, each with what was found in it and what was missed."""
    rows = [place for place, answer in enumerate(results.answers) if answer is not None]
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(int)]
    said = (
        f"Detections above {SHOWN:g} in {count(len(chosen), 'picture')}, evenly from all of them. Green: right at IoU"
        " 0.5; red: wrong, or an object that was found already; orange: objects that were missed."
    )
    verdicts = Verdicts.of(found.rows(found.scores > SHOWN), results.truths)
    pictures = [judged(results.entries.rows[place], place, verdicts, results.entries.names) for place in chosen]
    return [paragraph(said), beside(*pictures)]
