"""How far apart two arrays are, and how far they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from darknet_compat.formats.arrays import Array
from darknet_compat.formats.textfile import count
from darknet_compat.runtime.registry import ROWS

_Key = tuple[str, str, str]
_T = TypeVar("_T")


def _for_runtimes(table: Mapping[_Key, _T]) -> dict[_Key, _T]:
    """A table in which a row for the "cpu" or the "gpu" stands for each runtime that the registry names as such."""
    named = {key: value for key, value in table.items() if key[1] not in ("cpu", "gpu")}
    generic = {
        (reference, row.name, precision): value
        for (reference, stage, precision), value in table.items()
        for row in ROWS
        if row.tolerances == stage
    }
    return generic | named


TOLERANCES = _for_runtimes(
    {
        ("original", "torch", "fp32"): 1e-4,
        ("definition", "torch", "fp32"): 1e-5,
        ("opencv", "torch", "fp32"): 1e-4,
        ("torch", "folded", "fp32"): 1e-4,
        ("torch", "cpu", "fp32"): 1e-4,
        ("torch", "cpu", "bf16"): 0.25,
        ("torch", "cpu", "int8"): 0.5,
        ("torch", "cpu", "fp16"): 2e-2,
        ("onnxruntime", "gpu", "fp32"): 1e-3,
        ("onnxruntime", "gpu", "fp16"): 2e-2,
        ("torch", "gpu", "fp32"): 1e-3,
        ("torch", "gpu", "fp16"): 2e-2,
        ("torch", "gpu", "int8"): 0.5,
    }
)
"""(stage, next stage, precision) → the largest difference allowed, as a part of the reference's largest value. The only
table of tolerances; a lower precision gets rows of its own.

bf16 and int8 are for outputs of trained networks: of four, on seven photographs, the largest differences were 0.19 and
0.48, both in class probabilities of cells without an object; the detections agree (`evaluation.agreement`). Inside
Yolo-Fastest one convolution's values reach 0.52 in int8, which `--layers` names. Random
weights are no measure of them: each of yolov2-voc's layers, seeded, makes bf16's relative error 1.11 times as large
(0.9 % after the first, 22 % after the last), where trained ones keep it at 1 to 6 %."""


class Apart(NamedTuple):
    """How far an answer may be from the reference's: its score, and each side of its box in pixels of the picture."""

    score: float
    box: float


ANSWERS = _for_runtimes(
    {
        ("original", "torch", "fp32"): Apart(0.002, 0.5),
        ("definition", "torch", "fp32"): Apart(0.002, 0.5),
        ("torch", "cpu", "fp32"): Apart(0.002, 0.5),
        ("torch", "gpu", "fp32"): Apart(0.005, 1.0),
        ("torch", "gpu", "fp16"): Apart(0.03, 5.0),
    }
)
"""The same for detections and classes, which have to be the same ones."""

AGREEMENT = _for_runtimes(
    {
        ("torch", "cpu", "bf16"): 99.0,
        ("torch", "cpu", "int8"): 99.0,
        ("torch", "gpu", "int8"): 99.0,
    }
)
"""Where so few bits are left that single scores and boxes move: the least agreement of all answers with the
reference's, in percent (`evaluation.agreement`)."""

Verdict = Literal["same", "differs", "nothing to compare"]


@dataclass(frozen=True)
class Difference:
    """One array against its reference.

    `max_abs` and `mean_abs` are absolute differences, `relative` is `max_abs` over `scale`, the reference's largest
    value. `worst` is where, `expected` and `found` what stands there. A value that is not finite on one side only is
    an infinite difference.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    max_abs: float
    mean_abs: float
    relative: float
    tolerance: float
    worst: tuple[int, ...]
    expected: float
    found: float
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def compare(name: str, expected: Array, found: Array, tolerance: float, note: str = "") -> Difference:
    """Compare an array of any shape with its reference, of as many values in the same order.

    Nothing is compared, and said so, where there are no values, or where the reference is all zeros and so has no
    scale and `found` is too. A reference without any finite value is no reference: that differs.
    """
    if expected.size != found.size:
        raise ValueError(f"{name}: expected {count(expected.size, 'value')}, found {found.size}")
    left, right = expected.astype(np.float64).reshape(found.shape), found.astype(np.float64)
    alike = ~np.isfinite(left) & ((left == right) | (np.isnan(left) & np.isnan(right)))
    with np.errstate(invalid="ignore"):
        difference = np.where(alike, 0.0, np.abs(left - right))
    difference[np.isnan(difference)] = np.inf
    if not difference.size:
        return Difference(name, found.shape, 0, 0, 0, 0, tolerance, (), 0, 0, "nothing to compare", "no values")
    at = np.unravel_index(int(difference.argmax()), difference.shape)
    scale = float(np.abs(left[np.isfinite(left)]).max(initial=0.0))
    largest = float(difference.max())
    void = not np.isfinite(left).any()
    empty = scale == 0 and largest == 0 and not void
    relative = 0.0 if largest == 0 else largest / scale if scale else float("inf")
    verdict: Verdict = "nothing to compare" if empty else "same" if relative <= tolerance and not void else "differs"
    return Difference(
        name=name,
        shape=found.shape,
        scale=scale,
        max_abs=largest,
        mean_abs=float(difference.mean()),
        relative=relative,
        tolerance=tolerance,
        worst=tuple(int(index) for index in at),
        expected=float(left[at]),
        found=float(right[at]),
        verdict=verdict,
        note="not a finite value in the reference" if void else note or ("all zeros on both sides" if empty else ""),
    )


def verdict(differences: Sequence[Difference]) -> bool:
    """Whether all is the same, and something was compared at all."""
    compared = [difference for difference in differences if difference.verdict != "nothing to compare"]
    return bool(compared) and all(difference.verdict == "same" for difference in compared)
