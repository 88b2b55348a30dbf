"""What a job tells, on the terminal: spinners and bars while it works, notes as lines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.output import announce
from darknet_compat.inference.progress import Counted, Loading, Noted, Opened

_Self = TypeVar("_Self", bound="JobProgress")


class JobProgress:
    """A context that is the progress callable of a job; `quiet` leaves notes only."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self._display: Any = None
        self._what: tuple[type, str] | None = None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def __call__(self, event: Any) -> None:
        """Show one event."""
        if isinstance(event, Loading):
            display = self._showing(Loading, event.what, partial(terminal.Transfers, quiet=self.quiet))
            if event.done is not None:
                display(event.done, event.total)
        elif isinstance(event, Counted):
            self._showing(Counted, event.what, terminal.Counter)(event.done, event.total)
        else:
            self.clear()
            self.show(event)

    def show(self, event: Any) -> None:
        """Show an event that is not about how far something is."""
        if isinstance(event, Noted):
            terminal.say(event.text)
        elif isinstance(event, Opened):
            announce(event.choice, self.verbose)

    def clear(self) -> None:
        """End the bar or spinner that is being shown."""
        if self._display is not None:
            self._display.__exit__(None, None, None)
        self._display = self._what = None

    def _showing(self, kind: type, what: str, make: Callable[[str], AbstractContextManager[Any]]) -> Any:
        """The bar or spinner for events of this kind and for `what`, begun where another one, or none, is shown."""
        if self._what != (kind, what):
            self.clear()
            self._display = make(what).__enter__()
            self._what = (kind, what)
        return self._display
