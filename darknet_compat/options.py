"""Options of a piece of work, each stated once: help, default and check stand on the field of a frozen dataclass.

    @dataclass(frozen=True)
    class CountOptions(Options):
        data: Annotated[str, Option("What to count.", positional=True)]
        batch: Annotated[int, Option("Pictures per forward pass.", metavar="N", least=1)] = 4

    made(CountOptions, None, {"data": "photos", "batch": 8})

The command line is made from the same fields (`cli.arguments`), so that a new option touches one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from inspect import get_annotations
from math import nan
from numbers import Real
from operator import index
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from darknet_compat.errors import OptionError
from darknet_compat.formats.textfile import plain, shown
from darknet_compat.formats.words import MOST_BATCH

MOST_PIXELS = 8192
"""A side of a network's input."""


@dataclass(frozen=True)
class Option:
    """What is known of an option beside its type and default.

    `least` and `most` bound a number, both included. `choices` are the texts there are, where no Literal says so.
    `parse` makes the value of a text or of anything else that is given, its own results among it; it raises
    OptionError. `positional` has no `--name` on the command line.
    """

    help: str
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    parse: Callable[[Any], Any] | None = None
    choices: tuple[str, ...] = ()
    positional: bool = False


class Field(NamedTuple):
    """The type of an option without its `| None`, whether it may be None, and its Option."""

    type: Any
    optional: bool
    option: Option

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts there are to choose from, if it is a choice."""
        return get_args(self.type) if get_origin(self.type) is Literal else self.option.choices


class Options:
    """The base of options values: every field is checked when a value is made. Raises OptionError."""

    def __post_init__(self) -> None:
        for name, field in options_of(type(self)).items():
            # Frozen: values are put into their type once, here.
            object.__setattr__(self, name, checked(name, getattr(self, name), field))


_Made = TypeVar("_Made", bound=Options)


def options_of(kind: Any) -> dict[str, Field]:
    """The fields of an options dataclass that have an Option: its own in order, then those that it inherits."""
    hints, known = get_type_hints(kind, include_extras=True), {one.name for one in fields(kind)}
    names = dict.fromkeys(name for one in kind.__mro__ for name in get_annotations(one))
    found = {name: field_of(hints[name]) for name in names if name in known}
    return {name: field for name, field in found.items() if field is not None}


def field_of(hint: Any) -> Field | None:
    """What `Annotated[type, Option(…)]` says; None for any other annotation."""
    if get_origin(hint) is not Annotated:
        return None
    plain, *extras = get_args(hint)
    option = next((extra for extra in extras if isinstance(extra, Option)), None)
    if option is None:
        return None
    kinds = get_args(plain)
    if NoneType not in kinds:
        return Field(plain, False, option)
    return Field(Union[tuple(kind for kind in kinds if kind is not NoneType)], True, option)  # noqa: UP007


def flag(option: str) -> str:
    """`max_batches` as it is typed: --max-batches; and `from_`, which Python keeps for itself: --from."""
    return "--" + option.rstrip("_").replace("_", "-")


def made(kind: type[_Made], options: _Made | None, given: Mapping[str, Any]) -> _Made:
    """An options value as it is, or one made of keyword arguments. Raises OptionError, also for both at once."""
    if options is not None:
        if given:
            raise OptionError(f"expected {kind.__name__} or keyword arguments, found both")
        if not isinstance(options, kind):
            raise OptionError(f"expected {kind.__name__}, found {type(options).__name__}")
        return options
    known = options_of(kind)
    if unknown := next((name for name in given if name not in known), None):
        raise OptionError(f"no such option; there are {', '.join(known)}", unknown)
    try:
        return kind(**given)
    except TypeError as error:  # a field without default
        raise OptionError(f"{kind.__name__}: {error}") from None


def checked(name: str, value: Any, field: Field) -> Any:
    """The value in its option's type. Raises OptionError, which names the option."""
    if value is None and field.optional:
        return None
    try:
        return _parsed(value, field)
    except OptionError as error:
        raise error if error.option else OptionError(error.reason, name) from None


def _parsed(value: Any, field: Field) -> Any:
    kind, option = field.type, field.option
    if option.parse:
        return option.parse(value)
    if field.choices:
        if value not in field.choices:
            raise OptionError(f"expected one of {', '.join(field.choices)}, found {shown(str(value))}")
        return value
    if kind is bool:
        return bool(value)
    if kind in (int, float):
        return _number(value, kind, option)
    if kind is Path:
        return Path(value)
    if kind is str:
        return str(value)
    (kind, *_) = get_args(kind)  # a list or a tuple of these
    return tuple(map(kind, [value] if isinstance(value, (str, Path)) else value))


def _number(value: Any, kind: Any, option: Option) -> Any:
    least, most = option.least, option.most
    wanted = "a whole number" if kind is int else "a number"
    if least is not None:
        wanted += f" from {least:g} on" if most is None else f" from {least:g} to {most:g}"
    try:
        number = nan if isinstance(value, (str, bool)) else float(value)
    except (TypeError, ValueError):
        number = nan
    whole = number == number if kind is float else number.is_integer()  # which nan is neither
    if not (whole and (least is None or least <= number) and (most is None or number <= most)):
        raise OptionError(f"expected {wanted}, found {plain(repr(value))}")
    return kind(value)


# ------------------------------------------------------------------------------------------- kinds of values


class Size(NamedTuple):
    """A network's input in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def parse_size(value: Any) -> Size:
    """`416`, `608x416`, 416 or (608, 416). Raises OptionError."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", value.strip().lower())
        if not match:
            raise OptionError(
                f"expected a number of pixels, or WIDTHxHEIGHT such as 608x416, found {shown(str(value))}"
            )
        size = Size(int(match[1]), int(match[2] or match[1]))
    else:
        try:
            size = Size(*map(index, (value, value) if isinstance(value, Real) else value))
        except (TypeError, ValueError):
            raise OptionError(f"expected a number of pixels, or (width, height), found {plain(repr(value))}") from None
    if not (0 < size.width <= MOST_PIXELS and 0 < size.height <= MOST_PIXELS):
        raise OptionError(f"expected 1 to {MOST_PIXELS} pixels a side, found {size}")
    return size


def parse_sizes(value: Any) -> tuple[Size, ...]:
    """`288,416,608x352`, or such sizes. Raises OptionError."""
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, Real) else value
    return tuple(map(parse_size, parts))


def parse_counts(value: Any) -> tuple[int, ...]:
    """`1,8`, or a sequence of such numbers of pictures. Raises OptionError."""
    parts = [part.strip() for part in (value.split(",") if isinstance(value, str) else map(str, value))]
    counts = tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 5 else 0 for part in parts)
    if not counts or not all(0 < count <= MOST_BATCH for count in counts):
        raise OptionError(
            f"expected numbers from 1 to {MOST_BATCH} with commas between, such as 1,8, found {shown(str(value))}"
        )
    return counts


def parse_sides(value: Any) -> tuple[int, ...]:
    """`320,352,384`, or such numbers. Raises OptionError."""
    text = value if isinstance(value, str) else ",".join(map(str, value))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= MOST_PIXELS for part in parts):
        raise OptionError(f"expected pixels such as 320,352,384, found {shown(text)}")
    return tuple(map(int, parts))


def parse_fraction(value: Any) -> float:
    """A number from 0 to 1. Raises OptionError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if 0 <= number <= 1:  # which nan is not
        return number
    hint = f"; {value} % is {number / 100:g}" if 1 < number <= 100 else ""
    raise OptionError(f"expected a number from 0 to 1 such as 0.25, found {shown(str(value))}{hint}")


def parse_words(value: Any) -> tuple[str, ...]:
    """`dog,cat`, or a sequence of such; numbers count as words. Raises OptionError for none."""
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    words = tuple(str(part).strip() for part in parts)
    if not words or not all(words):
        raise OptionError(f"expected words with commas between, found {shown(str(value))}")
    return words


def parse_choices(*known: str) -> Callable[[Any], tuple[str, ...]]:
    """What parses `a,b`, or a sequence, of some of the `known`; it raises OptionError."""

    def parse(value: Any) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in (value.split(",") if isinstance(value, str) else value))
        if not parts or not set(parts) <= set(known):
            raise OptionError(f"expected some of {', '.join(known)}, with commas between, found {shown(str(value))}")
        return parts

    return parse


# ---------------------------------------------------------------------------------- options of whatever has pictures
MaxPixels = Annotated[
    int | None,
    Option(
        "Refuse pictures that claim to have more pixels, before there is memory for them. Default: 100 million.",
        metavar="N",
        least=1,
    ),
]
