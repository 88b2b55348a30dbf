"""The reference pages: what is made from the code is what it makes, and the fields they name are those there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from darknet_compat.cli.main import application
from darknet_compat.definition.dialects import ROWS
from tests.cli.support import REPOSITORY
from tools.write_reference import PAGES

REFERENCE = REPOSITORY / "docs" / "reference"


@pytest.mark.parametrize("page", PAGES)
def test_made_pages_are_what_the_code_makes(page: str) -> None:
    assert (REFERENCE / page).read_text("utf-8") == PAGES[page](), "run: python tools/write_reference.py"


def every_command(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below, other in command.commands.items():
        yield from every_command(other, f"{name} {below}".strip())


@pytest.mark.parametrize(("name", "command"), list(every_command(typer.main.get_command(application()))))
def test_the_page_has_the_options_that_typer_takes(name: str, command: Any) -> None:
    text = (REFERENCE / "commands.md").read_text("utf-8")
    section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    listed = {line.split("`")[1].split()[0] for line in section.splitlines() if line.startswith("| `--")}
    taken = {(one.opts + one.secondary_opts)[-1] for one in command.params if one.param_type_name == "option"}
    assert listed == {flag for flag in taken if flag not in ("--help", "-h")}


def test_every_row_of_dialects_is_there() -> None:
    text = (REFERENCE / "dialects.md").read_text("utf-8")
    assert [row for row in ROWS if f"| `{row}` |" not in text] == []
