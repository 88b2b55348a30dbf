"""Commands made from options values: a new field is a new option, with its help, its default and its check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from darknet_compat.cli.arguments import command
from darknet_compat.errors import OptionError
from darknet_compat.options import Option, Options, Size, parse_size


@dataclass(frozen=True)
class Made(Options):
    data: Annotated[str, Option("What to look at.", metavar="DATA", positional=True)]
    out: Annotated[Path | None, Option("Where to.", metavar="DIR")] = None
    most_batches: Annotated[int, Option("How many.", metavar="N", least=1, most=8)] = 4
    kind: Annotated[Literal["fast", "exact"], Option("Which.")] = "fast"
    size: Annotated[Size | None, Option("How large.", parse=parse_size)] = None
    check: Annotated[bool, Option("Look first.")] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "exact" and not self.check:
            raise OptionError("needs --check", "kind")


def run(*arguments: str) -> tuple[int, str, list[Any]]:
    seen: list[Any] = []

    def work(options: Made, loud: Annotated[bool, Option("Whether.")] = False) -> None:
        """Do it."""
        seen.extend((options, loud))

    work.__annotations__["options"] = Made
    app = typer.Typer(rich_markup_mode=None)
    app.command()(command(work))
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output, seen


def test_fields_become_options() -> None:
    code, _, (options, loud) = run(
        "d", "--most-batches", "2", "--kind", "exact", "--size", "32x64", "--out", "x", "--loud"
    )
    assert code == 0
    assert options == Made("d", Path("x"), 2, "exact", Size(32, 64))
    assert type(options.kind) is str
    assert loud is True
    assert run("d", "--no-check")[2][0].check is False


def test_help_has_each_fact() -> None:
    _, text, _ = run("--help")
    for part in ("DATA", "What to look at.", "--out DIR", "--most-batches N", "default: 4; 1<=x<=8", "fast|exact"):
        assert part in text
    assert "--check" in text and "--no-check" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("d", "--most-batches", "9"), "Invalid value for '--most-batches'"),
        (("d", "--kind", "slow"), "'slow' is not one of"),
        (("d", "--size", "big"), "expected a number of pixels"),
        (("d", "--kind", "exact", "--no-check"), "Invalid value for --kind: needs --check"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], message: str) -> None:
    code, text, seen = run(*arguments)
    assert (code, seen) == (2, [])
    assert message in text
