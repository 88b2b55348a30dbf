"""Writes docs/reference/commands.md and dialects.md out of the options values and the table of dialects.

    python tools/write_reference.py

tests/test_reference.py holds the committed pages against what this makes.
"""

# ruff: noqa: E402
from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY)]

from darknet_compat.cli import commands
from darknet_compat.cli.main import verbs
from darknet_compat.definition import dialects
from darknet_compat.options import Field, Options, Size, field_of, flag, options_of

FOLDER = REPOSITORY / "docs" / "reference"
Given = tuple[str, Field, Any]
"""An option's name, what is known of it, and its default, `inspect.Parameter.empty` for none."""


# ---------------------------------------------------------------------------------------------- the command line
def command_line() -> str:
    """The page of all verbs: usage, what each does, its options."""
    parts = [
        "# The command line",
        "Made by `python tools/write_reference.py` from the options values that the commands and the Python interface"
        " share; `darknet-compat VERB --help` says the same.\n"
        "Exit code: 0 for success, 1 for bad input, 2 for bad usage.",
    ]
    for name, function in functions():
        parts += section(name, function)
    return "\n\n".join(parts) + "\n"


def functions() -> Iterator[tuple[str, Callable[..., None]]]:
    """Each verb, with the one below it where it has such, and its function."""
    for verb in verbs():
        module = import_module(f"{commands.__name__}.{verb}")
        if not hasattr(module, "COMMANDS"):
            yield verb, getattr(module, verb)
            continue
        for below, function in module.COMMANDS.items():
            yield f"{verb} {below}", function


def section(name: str, function: Callable[..., None]) -> Iterator[str]:
    """What is said of one verb."""
    given = list(options(function))
    words = [placed(*one) for one in given if one[1].option.positional]
    named = [one for one in given if not one[1].option.positional]
    yield f"## {name}"
    yield f"```text\ndarknet-compat {' '.join([name, *words, *(['[OPTIONS]'] if named else [])])}\n```"
    yield inspect.getdoc(function) or ""
    rows = [(placed(*one, bare=True), *said(*one)) for one in given if one[1].option.positional]
    rows += [(f"{flag_of(*one)}{valued(*one)}", *said(*one)) for one in named]
    if rows:
        yield table(("option", "what it is", "default"), rows, code=(0, 2))


def options(function: Callable[..., None]) -> Iterator[Given]:
    """Its options in the order in which they are shown."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if inspect.isclass(hint) and issubclass(hint, Options):
            defaults = inspect.signature(hint).parameters
            yield from ((own, field, defaults[own].default) for own, field in options_of(hint).items())
        elif (field := field_of(hint)) is not None:
            yield name, field, parameter.default


def placed(name: str, field: Field, default: Any, *, bare: bool = False) -> str:
    """An argument as the usage line has it."""
    shown = (field.option.metavar or name.upper()).removesuffix("...") + ("..." if several(field) else "")
    return shown if bare or default is inspect.Parameter.empty else f"[{shown}]"


def several(field: Field) -> bool:
    """Whether it may be given several times."""
    return field.option.parse is None and getattr(field.type, "__origin__", None) in (list, tuple)


def flag_of(name: str, field: Field, default: Any) -> str:
    """Its name as it is typed; of one that is on by default also the name that turns it off."""
    return f"{flag(name)} / {flag(f'no_{name}')}" if field.type is bool and default is True else flag(name)


def valued(name: str, field: Field, default: Any) -> str:
    """What follows the name, after a space."""
    if field.type is bool:
        return ""
    kind = {int: "N", float: "NUMBER", Path: "PATH"}.get(field.type, "TEXT")
    return f" {field.option.metavar or '|'.join(field.choices) or kind}"


def said(name: str, field: Field, default: Any) -> tuple[str, str]:
    """Its help, with its bounds or its choices where its name does not have them; and its default."""
    option = field.option
    text = option.help
    if field.choices and option.metavar:
        text += f" One of {', '.join(field.choices)}."
    if option.least is not None:
        text += f" From {option.least:g} on." if option.most is None else f" {option.least:g} to {option.most:g}."
    if several(field) and not option.positional:
        text += " May be given several times."
    if default is True:
        return text, flag(name)
    if default is False or default in (inspect.Parameter.empty, None, ()):  # not 0, which equals False
        return text, ""
    if isinstance(default, tuple) and not isinstance(default, Size):
        return text, ",".join(map(str, default))
    return text, str(default)


# -------------------------------------------------------------------------------------------------- the dialects
def dialect_page() -> str:
    """The page of what means different things, one row a line of the table, and of the words that only the fork has."""
    told = documented(dialects.Dialect)
    rows = [
        (row, " ".join(told[row].split()), *map(written, dialects.ROWS[row])) for row in told if row in dialects.ROWS
    ]
    only = [
        ("sections", listed(f"[{name}]" for name in dialects._ONLY_THERE)),
        ("activation", listed(dialects._ACTIVATIONS)),
        *((f"[{section}]", listed(words)) for section, words in dialects._OPTIONS.items()),
    ]
    parts = [
        "# Dialects",
        "Made by `python tools/write_reference.py` from `darknet_compat/definition/dialects.py`, the one statement of"
        " it.\n[Files of the fork](../guide/fork.md) says how a definition's dialect is settled, and `--dialect` names"
        " it.",
        "## Same words, different meanings",
        table(("row", "what it settles", "original", "fork"), rows, code=(0, 2, 3)),
        "## Words that only the fork has",
        "Any of these makes a definition the fork's. They mean what they mean there, whatever the dialect. So do"
        " `policy=sgdr`, several layers in `from` of `[shortcut]`, and more `anchors` than `num`.",
        table(("where", "words"), only, code=(0,)),
    ]
    return "\n\n".join(parts) + "\n"


def listed(words: Iterable[str]) -> str:
    """In the order of the alphabet."""
    return ", ".join(f"`{word}`" for word in sorted(words))


def documented(kind: type) -> dict[str, str]:
    """The text under each field of a class; fields that share one, the next."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    found: dict[str, str] = {}
    waiting: list[str] = []
    assert isinstance(body, ast.ClassDef)
    for part in body.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            waiting.append(part.target.id)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and waiting:
            found |= dict.fromkeys(waiting, str(part.value.value))
            waiting = []
    return found


def written(value: Any) -> str:
    """A value of the table, as a definition would say it where it can."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(written, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def table(headers: tuple[str, ...], rows: list[tuple[str, ...]], code: tuple[int, ...] = ()) -> str:
    """A table in Markdown; cells of the columns in `code` are literal."""

    def cell(column: int, text: str) -> str:
        text = text.replace("|", "\\|")
        return f"`{text}`" if text and column in code else text.replace("<", "&lt;")

    lines = [headers, tuple("---" for _ in headers), *[tuple(map(cell, range(len(row)), row)) for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PAGES = {"commands.md": command_line, "dialects.md": dialect_page}

if __name__ == "__main__":
    for page, made in PAGES.items():
        (FOLDER / page).write_text(made(), "utf-8")
