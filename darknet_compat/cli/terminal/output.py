"""What all commands print with: text for people, JSON for programs, progress on a terminal and only there."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from darknet_compat.formats.textfile import count as count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.status import Status

    from darknet_compat.inference.backends import Choice
    from darknet_compat.inference.hierarchy import PathStep

_Item = TypeVar("_Item")
_PIPED_WIDTH = 10_000
"""Columns where no terminal says how many there are: nothing is cut or wrapped in a pipe."""

_below: list[Console] = []
"""The console of a bar that is being drawn below what is printed; whatever went past it would leave it standing."""


class _Pipe:
    """Lines to a pipe or file, as rich's console writes them there, which takes long to import."""

    def __init__(self) -> None:
        columns = os.environ.get("COLUMNS", "")
        self.width = int(columns) if columns.isdecimal() and int(columns) else _PIPED_WIDTH

    def print(self, text: str, style: str | None = None, soft_wrap: bool = True) -> None:
        """One line."""
        print(text)


def out() -> Console | _Pipe:
    """Where the lines on stdout go."""
    return console() if _below or sys.stdout.isatty() or os.environ.get("FORCE_COLOR") else _Pipe()


def _columns(text: str) -> int:
    """How many columns a terminal takes for it."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def console(*, stderr: bool = False) -> Console:
    """Where text goes: coloured on a terminal, plain in a pipe or file; square brackets are never markup."""
    from rich.console import Console

    if _below:
        return _below[-1]
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def say(text: str) -> None:
    """One line to the person, on stderr, so that stdout stays what was asked for."""
    print(f"darknet-compat: {printable(text)}", file=sys.stderr)


def say_last(text: str, *, quiet: bool) -> None:
    """What there was in all: on stdout; where a program reads that (`quiet`), on stderr, if a person reads that."""
    if not quiet:
        print_line(text, bold=True)
    elif sys.stderr.isatty():
        say(text)


def announce(choice: Choice, verbose: bool) -> None:
    """Say which backend runs the model and why, where that is wanted."""
    if verbose:
        say(f"{choice.backend}: {choice.why}")


def print_json(document: Any) -> None:
    """The one document of a `--json` run."""
    print(json.dumps(document, indent=1, allow_nan=False))


def printable(text: object) -> str:
    """Text that stays on its line and sends the terminal no commands, whatever a file or its name holds."""
    escape = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "".join(
        c if c.isprintable() else escape.get(c, c.encode("unicode_escape").decode("ascii")) for c in str(text)
    )


def print_line(text: str, *, bold: bool = False) -> None:
    """One line on stdout."""
    out().print(printable(text), style="bold" if bold else None, soft_wrap=True)


def print_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, left: Sequence[str] = (), indent: int = 0
) -> None:
    """Columns as wide as they need, at the right except those in `left`; two blanks between them if there is room.

    A column without content is left out, and so is a table without rows. A last column in `left` is wrapped at the
    terminal's width.
    """
    cells = [list(headers), *([printable(cell) for cell in row] for row in rows)]
    if len(cells) == 1:
        return
    shown = [number for number in range(len(headers)) if any(row[number] for row in cells[1:])]
    widths = {number: max(_columns(row[number]) for row in cells) for number in shown}
    to = out()
    least = indent + sum(widths.values()) + len(widths) - 1
    wraps = least > to.width and headers[shown[-1]] in left
    gap = " " * (2 if wraps or least + len(widths) - 1 <= to.width else 1)
    for row in cells:
        line = " " * indent
        for number in shown:
            blank = " " * (widths[number] - _columns(row[number]))
            start, line = (
                len(line),
                line + (row[number] + blank if headers[number] in left else blank + row[number]) + gap,
            )
        lines = [line.rstrip()]
        if headers[shown[-1]] in left and len(lines[0]) > to.width:
            hanging = start if start + 16 <= to.width else indent
            lines = textwrap.wrap(lines[0], to.width, subsequent_indent=" " * hanging, break_on_hyphens=False)
        for line in lines:
            to.print(line, style="bold" if row is cells[0] else None, soft_wrap=True)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """`label  text` lines, the text wrapped at the terminal's width; a label that repeats is shown once."""
    fields = list(fields)
    indent = 2 + max((len(label) for label, _ in fields), default=0)
    to, last = out(), ""
    for label, text in fields:
        head = "" if label == last else label
        lines = textwrap.wrap(
            printable(text), max(20, to.width - indent), break_on_hyphens=False, break_long_words=False
        )
        for line in lines or [""]:
            to.print(f"{head:{indent}}{line}".rstrip(), soft_wrap=True)
            head = ""
        last = label


def path_text(path: Sequence[PathStep]) -> str:
    """The way down the tree; how sure each step is, where that has changed."""
    parts, last = [], ""
    for step in path:
        percent = f"{100 * step.probability:.0f} %"
        parts.append(step.name if percent == last else f"{step.name} {percent}")
        last = percent
    return " > ".join(parts)


def in_units(number: float, units: Sequence[str] = ("", " k", " M", " G", " T")) -> str:
    """Three significant digits and a unit of thousands: 11.8 M."""
    for unit in units[:-1]:
        if number < 999.5:
            return f"{number:.0f}{unit}" if unit == units[0] else f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.3g}{units[-1]}"


def in_bytes(number: int) -> str:
    """A file's length: 203 MB."""
    return in_units(number, (" bytes", " kB", " MB", " GB"))


def start_bar(
    what: str, total: int | None, *columns: str, done: int = 0, width: int | None = None, **fields: Any
) -> Bars:
    """A bar on stderr, begun; whoever calls stops it. `columns` from left to right, each a word of those below or a
    text with rich's fields in braces, of which `fields` are ours. Without a `width` it takes what room there is."""
    from rich import progress

    known: dict[str, progress.ProgressColumn] = {
        "bar": progress.BarColumn(bar_width=width),
        "of": progress.MofNCompleteColumn(),
        "left": progress.TimeRemainingColumn(compact=True),
        "took": progress.TimeElapsedColumn(),
        "bytes": progress.DownloadColumn(),
        "speed": progress.TransferSpeedColumn(),
    }
    shown = [known.get(column) or progress.TextColumn(column) for column in columns]
    bars = progress.Progress(*shown, console=console(stderr=True), transient=True, expand=width is None)
    bars.add_task(what, total=total, completed=done, **fields)
    bars.start()
    return bars


class Transfers:
    """A context in which something is loaded: a spinner, and a bar once it turns out that a file has to come.

    Called with (bytes done, bytes in all or None) it is the progress callback of `catalog.fetch` and `Detector`. Off a
    terminal it says in one line that a download has begun; with `quiet` nothing.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self.what, self.quiet = printable(what), quiet
        self.fetched = False
        self._status: Status | None = None
        self._bars: Bars | None = None

    def __enter__(self) -> Transfers:
        if sys.stderr.isatty():
            self._status = console(stderr=True).status(f"loading {self.what}")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        for live in (self._status, self._bars):
            if live is not None:
                live.stop()

    def __call__(self, done: int, total: int | None) -> None:
        """Report `done` bytes of `total`."""
        if not self.fetched:
            self._begin()
        self.fetched = True
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], completed=done, total=total)

    def _begin(self) -> None:
        if self._status is None:
            if not self.quiet:
                say(f"fetching the weights of {self.what}")
            return
        self._status.stop()
        columns = ("{task.description}", "bar", "bytes", "speed", "left")
        self._bars = start_bar(f"fetching {self.what}", None, *columns)


class Counter:
    """A context in which many things are looked at; called with (done, all) it draws a bar on stderr, on a terminal,
    with how many there have been a second since the first call."""

    def __init__(self, what: str) -> None:
        self.what, self._quiet = printable(what), not sys.stderr.isatty()
        self._bars: Bars | None = None
        self._since, self._first = 0.0, 0

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, done: int, total: int) -> None:
        """Report `done` things of `total`."""
        if self._quiet:
            return
        if self._bars is None:
            columns = ("{task.description}", "bar", "of", "{task.fields[rate]}", "left")
            self._bars = start_bar(self.what, total, *columns, rate="")
            self._since, self._first = perf_counter(), done
        seconds = perf_counter() - self._since
        rate = f"{(done - self._first) / seconds:.1f}/s" if done > self._first and seconds else ""
        self._bars.update(self._bars.task_ids[0], completed=done, rate=rate)


@contextmanager
def counted(items: Iterator[_Item], total: int) -> Iterator[Iterator[_Item]]:
    """The same items, with a bar on stderr while they come, if there are many and that is a terminal: below what is
    printed, where both streams are one."""
    if total < 3 or not sys.stderr.isatty():
        yield items
        return
    from rich import progress

    columns = (
        progress.MofNCompleteColumn(),
        progress.BarColumn(bar_width=None),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
    )
    below = console(stderr=True)
    with progress.Progress(*columns, console=below, transient=True, expand=True) as bars:
        if sys.stdout.isatty():
            _below.append(below)
        try:
            yield iter(bars.track(items, total=total))
        finally:
            _below.clear()
