"""What Detector and Classifier share: pictures in, one answer each out, in order."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np

from darknet_compat.errors import BackendError, MetadataError, WeightsError
from darknet_compat.formats.arrays import Floats
from darknet_compat.inference.batch import Failure, Prepared, attempt, map_batches, prepared_batches
from darknet_compat.inference.hierarchy import HierarchyRule
from darknet_compat.inference.model import LoadedModel
from darknet_compat.sources.base import Frame, Frames
from darknet_compat.sources.open import open_source
from darknet_compat.vision.header import expect_max_pixels

Source = Any
"""A picture: a path, encoded bytes, a PIL image, an ndarray uint8 [H, W, 3] in BGR as OpenCV gives it, or a Frame of a
source (`sources.open`)."""

Answer = TypeVar("Answer")
_Self = TypeVar("_Self", bound="Answering[Any]")


class Answering(ABC, Generic[Answer]):
    """A network on some runtime, with names for its classes, that answers pictures. Can be shared between threads.

    And between processes: one that is forked goes on with it, and a pickled one opens the model's files again.
    """

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls: type[_Self], *arguments: Any, **options: Any) -> _Self:
        """Remembers how it is made, for `__reduce__`."""
        self = super().__new__(cls)
        self._arguments = arguments, options
        return self

    def __init__(
        self,
        loaded: LoadedModel,
        hier_thresh: float | None,
        hierarchy: HierarchyRule,
        level: int | None,
        max_pixels: int | None,
    ) -> None:
        self.runtime = loaded.runtime
        self.choice = loaded.choice
        self.names = loaded.names
        self.max_pixels = expect_max_pixels(max_pixels)
        self._expect_tree_for(level)
        self.hier_thresh = self.runtime.description.hier_thresh if hier_thresh is None else hier_thresh
        self.hierarchy, self.level = hierarchy, level

    def _expect_tree_for(self, level: int | None) -> None:
        """Raise MetadataError for a level of a WordTree where there is none."""
        if level is not None and self.runtime.description.tree is None:
            raise MetadataError(f"level: {self.runtime.description.name} has no WordTree")

    def __reduce__(self) -> tuple[Any, ...]:
        """How it was made, with paths that hold from any folder, and what was changed since."""
        arguments, options = self._arguments
        options = {name: _from_anywhere(value) for name, value in options.items() if name != "progress"}
        own = {name: value for name, value in vars(self).items() if name not in _OF_THIS_PROCESS}
        return _made_again, (type(self), tuple(map(_from_anywhere, arguments)), options), own

    def _asked(self, asked: Mapping[str, Any]) -> Any:
        """What a call's keywords ask for, once for all its pictures. Raises BackendError for those it does not know."""
        if asked:
            raise BackendError(f"{next(iter(asked))}: no such option of a call")
        return None

    def _least(self, asked: Any) -> float:
        """The threshold that candidates have to pass."""
        return 0.0

    @abstractmethod
    def _answer(self, item: Prepared, outputs: Mapping[str, Floats], asked: Any) -> Answer:
        """From one picture's outputs (`Runtime.infer`, without N)."""

    @overload
    def __call__(self, source: list[Source], **asked: Any) -> list[Answer]: ...
    @overload
    def __call__(self, source: Source, **asked: Any) -> Answer: ...
    def __call__(self, source: Source | list[Source], **asked: Any) -> Answer | list[Answer]:
        """The answer to one picture, or a list of them for a list.

        `asked` is for this call alone; see the class. Raises ImageError for a picture that cannot be read, where
        `stream` goes on.
        """
        answers: list[Answer] = []
        for _, result in self.stream(source if isinstance(source, list) else [source], **asked):
            if isinstance(result, Failure):
                raise result.error
            answers.append(result)
        return answers if isinstance(source, list) else answers[0]

    def stream(
        self, sources: Iterable[Source] | str | Path, batch: int = 1, **asked: Any
    ) -> Iterator[tuple[Source, Answer | Failure]]:
        """Each picture with its answer, or with the Failure that says why it could not be read; in order.

        `sources` are pictures, or what `sources.open` opens: a path (a folder, a list, a glob) or Frames, and then
        each answer comes with its Frame. Of a live source the newest frame is taken when the network is free, one at a
        time and none ahead.

        `batch` of them go through the network at once, while the next ones are read: up to twice `batch` sources are
        taken ahead of the picture that is answered. In mode "throughput" several threads (`Runtime.streams`) each read
        a batch, run the network and make answers of what it gives, and two batches more than that are taken ahead.

        Raises BackendError where the runtime fails, WeightsError for weights that give no numbers, SourceError for a
        source that breaks off.
        """
        yield from self._stream(sources, batch, self._asked(asked))

    def _stream(
        self, sources: Iterable[Source] | str | Path, batch: int, asked: Any
    ) -> Iterator[tuple[Source, Answer | Failure]]:
        description, streams, most = self.runtime.description, self.runtime.streams, self.max_pixels
        if isinstance(sources, str | os.PathLike):
            sources = open_source(sources)
        if isinstance(sources, Frames) and sources.live:
            for frame in sources:
                yield from self._answers([attempt(frame, description, most)], asked)
            return
        if streams == 1:
            for prepared in prepared_batches(sources, description, batch, most):
                yield from self._answers(prepared, asked)
            return

        def work(group: list[Source]) -> list[tuple[Source, Answer | Failure]]:
            return self._answers([attempt(source, description, most) for source in group], asked)

        for answers in map_batches(sources, work, batch, streams):
            yield from answers

    def _answers(self, batch: list[Prepared | Failure], asked: Any) -> list[tuple[Source, Answer | Failure]]:
        readable = [item for item in batch if isinstance(item, Prepared)]
        images = np.stack([item.pixels for item in readable]) if readable else None
        outputs = {} if images is None else self.runtime.infer(images, self._least(asked))
        self._expect_numbers(outputs)
        rows = iter(range(len(readable)))
        return [
            (item.source, item if isinstance(item, Failure) else self._answer(item, _row(outputs, next(rows)), asked))
            for item in batch
        ]

    def _expect_numbers(self, outputs: Mapping[str, Floats]) -> None:
        """Raise WeightsError for outputs in which no value is a number: they would pass no threshold, in silence."""
        scores = outputs.get("objectness")
        if scores is not None and scores.size and np.isnan(scores).all():
            raise WeightsError(
                f"{self.runtime.description.name}: gives no numbers (nan); are the weights this model's, or is their"
                " training to blame?"
            )


_OF_THIS_PROCESS = {"runtime", "choice", "_arguments"}


def _from_anywhere(value: Any) -> Any:
    """The same, but for the path of a file, which becomes an absolute one."""
    is_file = isinstance(value, str | os.PathLike) and os.path.isfile(value)
    return os.path.abspath(value) if is_file else value


def _made_again(kind: type[_Self], arguments: tuple[Any, ...], options: dict[str, Any]) -> _Self:
    return kind(*arguments, **options)


def _row(outputs: Mapping[str, Floats], row: int) -> dict[str, Floats]:
    return {name: array[row] for name, array in outputs.items()}


def picture_of(source: Source) -> Any:
    """What was given of a picture, to be kept with its answer: nothing of a frame that is not a file, since there may
    be very many of them."""
    if not isinstance(source, Frame):
        return source
    return source.picture if isinstance(source.picture, str | os.PathLike) else None
