"""A chain's comparison as one HTML page that can be sent to somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.errors import BackendError
from darknet_compat.formats.page import Html, folded, headline, image, paragraph, section, table, write_page
from darknet_compat.formats.textfile import count
from darknet_compat.parity.compare import Difference
from darknet_compat.parity.matching import Matching, ObjectAgreement
from darknet_compat.parity.plot import stages_plot
from darknet_compat.parity.stages import Chain, StageParity
from darknet_compat.runtime.machine import describe_machine


def write_report(chain: Chain, path: Path) -> None:
    """Write the page. Raises BackendError without matplotlib, or where it cannot be written."""
    name = Path(chain.cfg).name
    width, height = chain.size
    verdict = "passed" if chain.passed else "FAILED"
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    about = (
        f"{name} at {width} x {height} with {Path(chain.weights).name}, {count(len(chain.pictures), 'picture')}, {when}"
    )
    same = sum(stage.passed for stage in chain.stages)
    sections = [
        headline([("verdict", verdict), ("stages that hold", f"{same} of {len(chain.stages)}")]),
        section("Stages", _judged(STAGE_HEADERS, map(stage_cells, chain.stages), left=("worst at",)), _notes()),
        section("Answers", _judged(ANSWER_HEADERS, answer_rows(chain.stages))),
        section(
            "Differences", image(stages_plot(chain.stages), "The largest difference in each value, of all pictures")
        ),
        section("Value by value", *(_values(stage) for stage in chain.stages)),
        section("Pictures", *(_pictures(stage) for stage in chain.stages if stage.answers)),
        section("Where this was run", paragraph(_machine()), _files(chain)),
    ]
    if chain.not_run:
        sections.insert(2, section("Not run", table(("stage", "why"), chain.not_run, left=("stage", "why"))))
    write_page(path, f"{name}: {verdict}", about, sections, BackendError)


STAGE_HEADERS = ("stage", "precision", "values", "largest", "tolerance", "worst at", "")
ANSWER_HEADERS = ("stage", "answers", "missing", "extra", "score", "box, px", "")


def stage_cells(stage: StageParity) -> tuple[str, ...]:
    """A stage's row of the first table."""
    compared = sum(row.verdict != "nothing to compare" for row in stage.rows)
    name = f"{stage.reference} → {stage.stage}"
    if (worst := stage.worst) is None:
        return name, stage.precision, "0", "", "", "", "nothing compared"
    figures = (f"{worst.relative:.1e}", f"{worst.tolerance:.1e}", worst.name)
    return name, stage.precision, str(compared), *figures, "DIFFERS" if stage.first else "same"


def answer_rows(stages: Sequence[StageParity]) -> list[tuple[str, ...]]:
    """The second table: each stage's answers, of all pictures together."""
    return [
        _answers(f"{stage.reference} → {stage.stage}", stage.answers)
        if stage.agreement is None
        else _agreeing(f"{stage.reference} → {stage.stage}", stage.agreement)
        for stage in stages
    ]


def _agreeing(name: str, found: ObjectAgreement) -> tuple[str, ...]:
    mark = (
        f"{'' if found.passed else 'DIFFERS: '}{found.percent:.1f} % agree" if found.objects else "nothing to compare"
    )
    return name, str(found.objects), "", "", "", "", mark


def _answers(name: str, matchings: Sequence[Matching]) -> tuple[str, ...]:
    matched, missing, extra = (
        sum(getattr(one, count) for one in matchings) for count in ("matched", "missing", "extra")
    )
    differs = any(one.verdict == "differs" for one in matchings)
    score, box = (max((getattr(one, what) for one in matchings), default=0.0) for what in ("score", "box"))
    mark = "DIFFERS" if differs else "same" if matched else "nothing to compare"
    return name, str(matched), str(missing), str(extra), f"{score:.1e}", f"{box:.1e}", mark


def _values(stage: StageParity) -> Html:
    headers = ("value", "shape", "largest value", "max abs", "relative", "mean", "expected", "found", "")
    values = _judged(headers, map(_value_cells, stage.rows))
    return folded(f"{stage.reference} → {stage.stage}, value by value: {count(len(stage.rows), 'row')}", values)


def _value_cells(row: Difference) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape[1:]))
    if row.verdict == "nothing to compare":
        return row.name, shape, "", "", "", "", "", "", row.note
    figures = (f"{row.scale:.4g}", f"{row.max_abs:.1e}", f"{row.relative:.1e}", f"{row.mean_abs:.1e}")
    mark = "DIFFERS" if row.verdict == "differs" else row.note
    return row.name, shape, *figures, f"{row.expected:.7g}", f"{row.found:.7g}", mark


def _pictures(stage: StageParity) -> Html:
    headers = ("picture", *ANSWER_HEADERS[1:])
    rows = [_answers(one.picture, [one]) for one in stage.answers]
    apart = stage.answers[0].tolerance if stage.answers else None
    allowed = f", at most {apart.score:g} in score and {apart.box:g} px in a side" if apart else ""
    return _judged(headers, rows, caption=f"{stage.reference} → {stage.stage}{allowed}")


def _judged(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str] = (), caption: str = ""
) -> Html:
    """A table whose last column, the verdict, stands second, where a narrow page still shows it."""
    name, *others, verdict = headers
    moved = ((first, last, *between) for first, *between, last in rows)
    return table((name, verdict, *others), moved, left=(name, verdict, *left), caption=caption)


def _notes() -> Html:
    return paragraph(
        "Differences are parts of the reference's largest value, the worst of all pictures. Batch normalization is the"
        " original's CPU build's in every stage. A head with a WordTree is held against its definition in float64: the"
        " CPU build reads such trees wrongly."
    )


def _files(chain: Chain) -> Html:
    paths = [path for path in map(Path, (chain.cfg, chain.weights)) if path.is_file()]
    rows = [(path.name, sha256_of(path)) for path in paths]
    return table(("file", "SHA-256"), rows, left=("file", "SHA-256"))


def _machine() -> str:
    found = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    cores = count(found["cores"], "core")
    return f"{found['processor']}, {cores}, {found['system']}, python {found['python']}, {versions}"
