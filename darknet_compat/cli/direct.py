"""The commands that are started most, without typer: importing it, and having it look at forty options, takes a quarter
of the time that one photograph needs.

What is plain is run at once; anything else (help, a mistake, an unusual spelling) is left to typer, so that there is
one place that explains.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from darknet_compat.cli.terminal.failures import exit_code, remarks_said_once, standard_streams
from darknet_compat.errors import DarknetCompatError, OptionError
from darknet_compat.options import Field, Options, checked, field_of, flag, made, options_of
from darknet_compat.vision.header import limited_pixels

VERBS = ("detect", "classify")


class _NotPlain(Exception):
    """A line for typer."""


def direct(arguments: Sequence[str]) -> int | None:
    """Run `VERB …` and give the exit code: 0, or 1 for bad input. None for what typer has to look at, of which nothing
    has been done yet."""
    with standard_streams():
        return _run(*arguments)


def _run(verb: str, *words: str) -> int | None:
    function = getattr(import_module(f"darknet_compat.cli.commands.{verb}"), verb)
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    groups = {name: hint for name, hint in hints.items() if inspect.isclass(hint) and issubclass(hint, Options)}
    known = {name: field for group in groups.values() for name, field in options_of(group).items()}
    known |= {name: field for name in parameters if (field := field_of(hints[name])) is not None}
    try:
        values = _values(words, known)
        plain: dict[str, Any] = {
            name: checked(name, values.pop(name), known[name]) for name in parameters if name in values
        }
        for name, kind in groups.items():
            plain[name] = made(kind, None, {field: values[field] for field in options_of(kind) if field in values})
        with remarks_said_once(), limited_pixels(getattr(plain["options"], "max_pixels", None)):
            function(**plain)
    except (_NotPlain, OptionError):
        return None
    except (DarknetCompatError, ImportError, OSError, MemoryError, KeyboardInterrupt) as error:
        return exit_code(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _values(words: Sequence[str], known: dict[str, Field]) -> dict[str, Any]:
    """What each option is given. Raises _NotPlain."""
    named = {flag(name): name for name, field in known.items() if not field.option.positional}
    values: dict[str, Any] = {}
    positional: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-" or not word.startswith("-"):
            positional.append(word)
            continue
        typed, equals, text = word.partition("=")
        if typed not in named:
            raise _NotPlain
        field = known[named[typed]]
        if field.type is bool:
            if equals:
                raise _NotPlain
            values[named[typed]] = True
            continue
        if not equals:
            if not rest or rest[0].startswith("-"):
                raise _NotPlain
            text = rest.pop(0)
        if _is_list(field):
            values.setdefault(named[typed], []).append(text)
        else:
            values[named[typed]] = _typed(text, field)
    return values | _placed(positional, known)


def _placed(words: list[str], known: dict[str, Field]) -> dict[str, Any]:
    """The words without a name, each where it belongs."""
    values: dict[str, Any] = {}
    for name, field in known.items():
        if field.option.positional and words:
            values[name], words = (words, []) if _is_list(field) else (_typed(words[0], field), words[1:])
    if words:
        raise _NotPlain
    return values


def _is_list(field: Field) -> bool:
    return field.option.parse is None and not field.choices and get_origin(field.type) in (list, tuple)


def _typed(text: str, field: Field) -> Any:
    if field.option.parse or field.choices or field.type is str:
        return text
    if field.type is Path:
        return Path(text)
    try:
        return field.type(text)
    except (TypeError, ValueError):
        raise _NotPlain from None
