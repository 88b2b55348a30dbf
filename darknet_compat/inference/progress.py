"""What a job tells whoever started it while it works: small values, given one at a time to its progress callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from darknet_compat.inference.backends import Choice

_Event = TypeVar("_Event")

Progress = Callable[[_Event], None]
"""What is called with each event of a job; which ones there are, the job says."""


class Loading(NamedTuple):
    """A model is being made ready; its weights are being fetched where `done` bytes are stated."""

    what: str
    done: int | None = None
    total: int | None = None


class Opened(NamedTuple):
    """A model is ready, on this backend for this reason."""

    choice: Choice


class Counted(NamedTuple):
    """`done` of `total` things of one kind."""

    what: str
    done: int
    total: int


class Noted(NamedTuple):
    """Something that a person should know, in one line."""

    text: str


def silent(event: object) -> None:
    """The progress of a job that nobody follows."""


def fetching(tell: Progress[Loading], what: str) -> Callable[[int, int | None], None]:
    """The progress of a model's loading and of its files' transfer as events."""
    tell(Loading(what))
    return lambda done, total: tell(Loading(what, done, total))


def counting(tell: Progress[Counted], what: str) -> Callable[[int, int], None]:
    """The progress of going through many things as events."""
    return lambda done, total: tell(Counted(what, done, total))
