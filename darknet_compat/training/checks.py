"""What training looks for before it begins: whether there is something to learn, and whether the classes fit."""

from __future__ import annotations

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.check import Report
from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.spec.net import Net
from darknet_compat.errors import CfgError, DatasetError
from darknet_compat.formats.textfile import count

_AT_ONCE = 256
_COMPOSED = 16
"""Pictures made on the fly that are looked at: all are of one kind."""


def expect_boxes(spec: NetworkSpec, dataset: Dataset) -> None:
    """Raise DatasetError where a detector is to learn from data without a single box, CfgError where its head gives
    none. Data with boxes are known by the first few pictures."""
    if not any(head.detects for head in spec.heads):
        return
    for head in spec.heads:
        if isinstance(head, s.Detection) and head.lack:
            raise CfgError(f"{spec.place(head)} {head.lack}; there is nothing to learn boxes with")
    last = min(len(dataset), _COMPOSED) if dataset.is_composed else len(dataset)
    at_once = _COMPOSED if dataset.is_composed else _AT_ONCE
    whole = 0
    for start in range(0, last, at_once):
        labels = dataset.rows(start, min(start + at_once, last)).labels
        if labels.is_drawn.any():
            return
        whole += len(labels)
    found = f"{count(whole, 'label')} of whole pictures" if whole else "no label"
    raise DatasetError(
        f"{dataset.title}: {spec.name} detects, and not one box to learn it from is in"
        f" {count(len(dataset), 'picture')}, {found}; `info` says what it finds there"
    )


def expect_classes(classes: int, dataset: Dataset, report: Report) -> None:
    """Raise DatasetError where labels are numbers and what they number is not clear: beyond the cfg's `classes` without
    names of their own, or names of another count than the cfg's of which the last ones never occur, as a wrong list of
    names has them."""
    used, named = report.highest + 1, len(dataset.names)
    if not dataset.is_numbered or not used:
        return
    if not named and used > classes:
        raise DatasetError(
            f"{dataset.title}: its labels go up to class {used - 1}, the cfg has"
            f" {count(classes, 'class')}; --names names them"
        )
    if named and named != classes and named > used:
        raise DatasetError(
            f"{dataset.title}: {named} classes are named, the cfg has {classes}, and labels go up to class {used - 1};"
            f" give the right names (--names), or classes={named} in the cfg if it is to learn those"
        )


def expect_more_used(dataset: Dataset, report: Report) -> None:
    """Raise DatasetError where more of the labels in Darknet's files had to be left out than could be used: they mean
    something else, pixels or corners."""
    left_out = report.findings.get("left out")
    if dataset.is_numbered and left_out is not None and left_out.count > sum(report.objects):
        raise DatasetError(
            f"{dataset.title}: {left_out.count:,} labels lie outside of their pictures or are malformed, more than the"
            f" {sum(report.objects):,} that do not; --no-check trains all the same"
        )


def schedule_notes(net: Net) -> list[str]:
    """What a person should know of the schedule."""
    if 0 < net.max_batches < net.burn_in:
        return [
            f"burn_in={net.burn_in} is longer than the whole run of {count(net.max_batches, 'batch')}:"
            f" the rate never comes to learning_rate={net.learning_rate:g}"
        ]
    return []
