"""`.cfg` text ⇄ sections that know their line numbers.

The grammar is the original's (`read_cfg`, `read_option`, `option_find` in its parser.c and option_list.c): blanks are
removed everywhere, a line that then starts with `[` opens a section, `#` or `;` start a comment line, everything else
is `key=value`. Where a key stands twice in a section the first one counts. A value is read as C's `atoi` and `atof`
read it: the longest number at its start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from darknet_compat.errors import CfgError
from darknet_compat.formats.textfile import plain, read_text, shown

MAX_CFG_BYTES = 256 << 10
"""The largest definition the original ships has 20 kB; a file beyond this is something else, or only costs time."""

_BLANKS = str.maketrans("", "", " \t\r\n\v\f")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS = 1000  # Python refuses to read longer whole numbers, or takes long
_LIMITS: dict[type, tuple[float, float]] = {int: (-(2**31), 2**31 - 1), float: (-3.4028234e38, 3.4028234e38)}
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class CfgOption:
    """One `key=value` line.

    `value` is None where the line has no `=`: the option then stands at its default, and hides those of its name that
    follow. It is empty where nothing follows the `=`: the original drops such a line, and it counts nowhere.
    """

    key: str
    value: str | None
    line: int


@dataclass(frozen=True)
class Section:
    """One `[type]` with its options in file order."""

    type: str
    options: tuple[CfgOption, ...]
    line: int

    @cached_property
    def counting(self) -> dict[str, CfgOption]:
        """The option that counts for each key: the first one that is not empty (original: `option_find`)."""
        return {option.key: option for option in reversed(self.options) if option.value != ""}

    @property
    def given(self) -> dict[str, str]:
        """The values that count, of lines that have one."""
        return {key: option.value for key, option in self.counting.items() if option.value is not None}

    def find(self, key: str) -> CfgOption | None:
        """The option that counts for `key`."""
        return self.counting.get(key)


@dataclass(frozen=True)
class Cfg:
    """A whole definition: its sections, and the name (a path, usually) that messages call it by."""

    sections: tuple[Section, ...]
    name: str = "<cfg>"


def read_cfg(path: str | Path) -> Cfg:
    """Read a `.cfg` file.

    Raises CfgError for anything that is no readable text file with sections: a folder, no permission, a `.weights`
    file given by mistake, an option before the first section.
    """
    return parse_cfg(read_text(path, CfgError, "a .cfg", MAX_CFG_BYTES), name=str(path))


def parse_cfg(text: str, name: str = "<cfg>") -> Cfg:
    """Sections of a definition's text (original: `read_cfg`). Raises CfgError with the line that cannot be one."""
    sections: list[Section] = []
    type_, opened = "", 0
    options: list[CfgOption] = []
    for number, line in lines_that_count(text):
        if line[0] == "[":
            if not line.endswith("]"):
                raise CfgError(f"{name}:{number}: expected a section such as [net], found {shown(line)}")
            if opened:
                sections.append(Section(type_, tuple(options), opened))
            type_, opened, options = line[1:-1], number, []
            continue
        if not opened:
            hint = "; this looks like a web page" if line[0] == "<" else ""
            raise CfgError(f"{name}:{number}: expected [net] first, found {shown(line)}{hint}")
        options.append(option_on(line, number))
    if not opened:
        raise CfgError(f"{name}: no sections; expected a .cfg that starts with [net]")
    sections.append(Section(type_, tuple(options), opened))
    return Cfg(tuple(sections), name)


def lines_that_count(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines of a file of options, without blanks, empty lines and comments (original: `strip`)."""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.translate(_BLANKS)
        if line and line[0] not in "#;":
            yield number, line


def option_on(line: str, number: int) -> CfgOption:
    """The option on such a line (original: `read_option`)."""
    key, equals, value = line.partition("=")
    return CfgOption(key, value if equals else None, number)


def format_cfg(cfg: Cfg | Iterable[Section]) -> str:
    """The text of sections, without comments; parsing it again gives the same types, keys and values."""
    sections = cfg.sections if isinstance(cfg, Cfg) else tuple(cfg)
    blocks = []
    for section in sections:
        lines = [f"[{section.type}]"]
        lines += [option.key if option.value is None else f"{option.key}={option.value}" for option in section.options]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def place(name: str, line: int, section: str, layer: int | None = None) -> str:
    """What every message about a section begins with: file, line, the number of the layer as Darknet counts ([net] is
    none, nor are sections of a `.data` file), section."""
    number = "" if layer is None else f"layer {layer} "
    return f"{name}:{line}: {number}[{plain(section)}]"


def one_slip(written: str, meant: str) -> bool:
    """Whether one slip of the pen makes the one of the other: a letter more, less, or other, or two changed over."""
    if written == meant or abs(len(written) - len(meant)) > 1 or len(meant) < 3:  # B1 may be as good as B2
        return False
    start = 0
    while start < min(len(written), len(meant)) and written[start] == meant[start]:
        start += 1
    a, b = written[start:], meant[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


class SectionOptions:
    """Typed reading of one section, remembering what was asked for, so that the rest can be reported.

    `notes` collects what a person should know though the original would accept it in silence: values that are
    numbers only at their start, and, after `finish`, options that nobody read.
    """

    def __init__(self, section: Section, cfg_name: str, layer: int | None = None) -> None:
        """`layer` is the section's number among a network's layers, where it is one."""
        self.section = section
        self.cfg_name = cfg_name
        self.layer = layer
        self.notes: list[str] = []
        self._read: set[str] = set()

    def error(self, message: str, key: str | None = None) -> CfgError:
        """A CfgError that points at `key`'s line, or at the section's where the key is absent."""
        return CfgError(f"{self.where(key)} {message}")

    def missing(self, key: str, wanted: str) -> CfgError:
        """A CfgError for a section that lacks `key`, whose value `wanted` describes; it asks about an option whose name
        is one slip of the pen away."""
        near = next((option for option in self.section.options if one_slip(option.key, key)), None)
        hint = f"; did you mean that by {plain(near.key)}= in line {near.line}?" if near else ""
        return self.error(f"needs {key}={wanted}{hint}", key)

    def note(self, message: str, key: str | None = None) -> None:
        """As `error`, as a remark that ends nothing."""
        self.notes.append(f"{self.where(key)} {message}")

    def where(self, key: str | None = None) -> str:
        """What messages about `key` begin with (`place`)."""
        option = self.section.find(key) if key else None
        return self._at(option.line if option else self.section.line)

    def has(self, key: str) -> bool:
        """Whether the option is there, without counting it as read; a slip of the pen may mean one that is not."""
        there = (option := self.section.find(key)) is not None and option.value is not None
        if not there:
            self._read.add(key)
        return there

    def text(self, key: str, default: str = "") -> str:
        """The option as it stands, blanks removed."""
        option = self._find(key)
        return default if option is None or option.value is None else option.value

    def integer(self, key: str, default: int, minimum: int | None = None, maximum: int | None = None) -> int:
        """The option as `atoi` reads it. Raises CfgError where it is no 32-bit number or out of bounds."""
        return self._bounded(key, self._number(key, self.text(key), default, _INTEGER, int), minimum, maximum)

    def real(self, key: str, default: float, minimum: float | None = None, maximum: float | None = None) -> float:
        """The option as `atof` reads it. Raises CfgError where it is no number or out of bounds."""
        return self._bounded(key, self._number(key, self.text(key), default, _REAL, float), minimum, maximum)

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch: any number but 0 is on."""
        return self.integer(key, int(default)) != 0

    def integers(self, key: str, ends_at: str | None = None) -> tuple[int, ...]:
        """A comma-separated list of whole numbers, up to the first `ends_at`; empty where the option is absent."""
        return tuple(self._number(key, item, 0, _INTEGER, int) for item in self._items(key, ends_at))

    def reals(self, key: str, ends_at: str | None = None) -> tuple[float, ...]:
        """A comma-separated list of numbers, up to the first `ends_at`; empty where the option is absent."""
        return tuple(self._number(key, item, 0.0, _REAL, float) for item in self._items(key, ends_at))

    def without_effect(self, key: str, neutral: float) -> None:
        """An option that the original reads and nothing here goes by: a remark unless it stands at `neutral`."""
        value = self.real(key, neutral)
        if value != neutral:
            self.note(f"unused option {key}={plain(self.text(key))}", key)

    def finish(self, known: Collection[str] = ()) -> list[str]:
        """All notes: odd values, then every option nobody read (original: `option_unused`), each with its line.

        Those among `known` may stand unread. One that is a slip of the pen away from one that was read, or is known,
        is said to be meant for it.
        """
        for option in self.section.options:
            if remark := self._remark(option, known):
                self.notes.append(f"{self._at(option.line)} {remark}")
        return self.notes

    def _at(self, line: int) -> str:
        return place(self.cfg_name, line, self.section.type, self.layer)

    def _remark(self, option: CfgOption, known: Collection[str]) -> str:
        """What a person should know about an option, if anything."""
        key = plain(option.key)
        if option.value == "":
            return f"nothing follows {key}=, the line does not count"
        if option is not self.section.find(option.key):
            return f"{key} stands twice; the first one counts"
        if option.key not in self._read:
            return "" if option.key in known else f"unused option {key}{self._given(option, known)}"
        return f"{key} has no value; its default is taken" if option.value is None else ""

    def _given(self, option: CfgOption, known: Collection[str]) -> str:
        """An unread option's value, and which other one may be meant; the shortest of several, then the first."""
        meant = sorted(
            (key for key in {*self._read, *known} if one_slip(option.key, key)), key=lambda key: (len(key), key)
        )
        hint = f"; did you mean {meant[0]}?" if meant else ""
        return ("" if option.value is None else f"={plain(option.value)}") + hint

    def _find(self, key: str) -> CfgOption | None:
        self._read.add(key)
        return self.section.find(key)

    def _items(self, key: str, ends_at: str | None = None) -> list[str]:
        text = self.text(key)
        items = (text.split(ends_at)[0] if ends_at else text).split(",")
        if items == [""]:
            return []
        if "" in items:  # after a comma at the end, say: to the original one more number
            self.note(f"{key}={shown(self.text(key))}: an empty place in a list is read as 0", key)
        return items

    def _number(self, key: str, text: str, default: _Number, pattern: re.Pattern[str], kind: type[_Number]) -> _Number:
        if not text:
            return default
        match = pattern.match(text)
        if match is None:
            raise self.error(f"{key}: expected a number, found {shown(text)}", key)
        number = match.group()
        lowest, highest = _LIMITS[kind]
        if len(number) > _MAX_DIGITS or not lowest <= (value := kind(number)) <= highest:
            raise self.error(f"{key}: {shown(text)} is beyond 32 bits", key)
        if number != text:
            self.note(f"{key}={shown(text)} is read as {plain(number)}", key)
        return value

    def _bounded(self, key: str, value: _Number, minimum: _Number | None, maximum: _Number | None) -> _Number:
        if minimum is not None and value < minimum:
            raise self.error(f"{key}: expected {minimum} or more, found {value}", key)
        if maximum is not None and value > maximum:
            raise self.error(f"{key}: expected {maximum} or less, found {value}", key)
        return value
