"""typer's arguments and options out of our own (`darknet_compat.options`), so that each is stated once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from darknet_compat.errors import OptionError
from darknet_compat.options import Field, Options, Size, field_of, flag, made, options_of
from darknet_compat.vision.header import limited_pixels

_Parameter = inspect.Parameter


def command(function: Callable[..., None]) -> Callable[..., None]:
    """The function as typer takes it: a parameter that is an Options value becomes one of typer's for each field, one
    that is `Annotated` with an Option becomes one; others stay as they are.

    Values are checked when the options are made; what is wrong with one is bad usage (exit code 2).
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[Options]] = {}
    parameters: list[_Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if inspect.isclass(hint) and issubclass(hint, Options):
            groups[name] = hint
            parameters += _of_options(hint)
        else:
            parameters.append(_typed(name, hint, parameter.default))

    def run(**values: Any) -> None:
        plain = {name: value.value if isinstance(value, _Choice) else value for name, value in values.items()}
        with usage_errors(), limited_pixels(plain.get("max_pixels")):
            for name, kind in groups.items():
                own = {field: plain.pop(field) for field in options_of(kind)}
                plain[name] = made(kind, None, own)
            function(**plain)

    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn an OptionError into typer's error about usage."""
    try:
        yield
    except OptionError as error:
        raise typer.BadParameter(error.reason, param_hint=flag(error.option) if error.option else None) from None


class _Choice(str, Enum):
    """The base of the enumerations that stand for a Literal."""


def _of_options(kind: type[Options]) -> Iterator[_Parameter]:
    fields = inspect.signature(kind).parameters
    hints = get_type_hints(kind, include_extras=True)
    for name in options_of(kind):
        yield _typed(name, hints[name], fields[name].default)


def _typed(name: str, hint: Any, default: Any) -> _Parameter:
    field = field_of(hint)
    if field is not None:
        hint, default = _annotation(name, field, default), _default(name, field, default)
    # By keyword only, so that one without a default may follow one that has it.
    return _Parameter(name, _Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _default(name: str, field: Field, default: Any) -> Any:
    if field.option.parse and default and isinstance(default, tuple):  # as one types it
        return str(default) if isinstance(default, Size) else ",".join(map(str, default))
    return _choices(name, field.choices)(default) if field.choices and isinstance(default, str) else default


def _annotation(name: str, field: Field, default: Any) -> Any:
    option, kind = field.option, field.type
    given: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    if option.parse:
        kind, given["parser"] = str, parser(option.parse)
    elif field.choices:
        kind = _choices(name, field.choices)
        if len("|".join(field.choices)) > _WIDEST and not option.metavar:
            given |= {"metavar": "NAME", "help": f"{option.help} One of {', '.join(field.choices)}."}
    elif kind in (int, float):
        given |= {"min": option.least, "max": option.most}
    elif kind is not Path and get_origin(kind) is tuple:
        kind = list[str]
    if field.optional:
        kind = kind | None
    if option.positional:
        return Annotated[kind, typer.Argument(**given)]
    # A flag that is on by default is left its `--no-` form.
    names = () if default is True else (flag(name),)
    return Annotated[kind, typer.Option(*names, **given)]


def parser(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same as typer's parser: an OptionError is bad usage."""

    def parsed(value: Any) -> Any:
        try:
            return parse(value)
        except OptionError as error:
            raise typer.BadParameter(error.reason) from None

    return parsed


_WIDEST = 60
"""Characters of choices that have room beside an option's name on a line of 80."""

_ENUMERATIONS: dict[tuple[str, ...], type[_Choice]] = {}


def _choices(name: str, values: tuple[str, ...]) -> type[_Choice]:
    """typer shows a Literal's choices from version 0.15 on only; an Enum's always."""
    if values not in _ENUMERATIONS:
        _ENUMERATIONS[values] = _Choice(name.title(), {value: value for value in values})  # type: ignore[call-overload]
    return _ENUMERATIONS[values]
