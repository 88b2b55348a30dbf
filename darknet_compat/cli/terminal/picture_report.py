"""FILES on the command line → pictures, where their annotated copies go, and what is said of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from darknet_compat.cli.options import explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import OptionError
from darknet_compat.formats.atomic import results_folder

if TYPE_CHECKING:
    from darknet_compat.inference.answering import Answering
    from darknet_compat.inference.options import ClassifyOptions, DetectOptions

_Answer = TypeVar("_Answer")
_Model = TypeVar("_Model", bound="Answering[Any]")

WRITTEN = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes that annotated copies keep; all others become .jpg."""

_NOT_PICTURES = {".weights": "--weights", ".names": "--names"}


@dataclass
class AnswersReport:
    """What has been said of each picture: an entry apiece for `--json`, a line on stderr for each that failed.

    `listener` is told of each that failed.
    """

    json: bool
    entries: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    listener: Callable[[dict[str, Any]], None] | None = None

    def add(self, file: str | Path, entry: dict[str, Any]) -> None:
        """Keep the entry of a picture that was read."""
        self.entries.append({"file": str(file), **entry})

    def fail(self, file: str | Path, message: str) -> None:
        """Say that a picture could not be read, and remember it for the exit code."""
        self.failed = True
        self.entries.append({"file": str(file), "error": message})
        if self.listener is not None:
            self.listener(self.entries[-1])
        terminal.say(message)

    def finish(self) -> None:
        """Print the document; raise SystemExit with 1 if anything failed."""
        if self.json:
            terminal.print_json({"images": self.entries})
        if self.failed:
            raise SystemExit(1)


def find_pictures(files: Sequence[str], answers: AnswersReport) -> list[Path]:
    """The pictures that `files` mean (`sources.pictures`); whatever means none fails in `answers`.

    Raises OptionError for a file that belongs to an option.
    """
    for file in files:
        if option := _NOT_PICTURES.get(Path(file).suffix.lower()):
            raise OptionError(f"{terminal.printable(file)} is no picture; name it with {option}")
    from darknet_compat.sources.pictures import find_pictures as found

    return found(files, answers.fail)


def output_paths(pictures: Iterable[Path], folder: Path, suffix: str | None = None) -> dict[Path, Path]:
    """Each picture's place in `folder`, which is made: its own name, numbered where that is taken; with another suffix,
    where one is given.

    No two pictures share a place, not even where names differ in case alone, and no place is one of `pictures`.
    Raises CannotWriteError where the folder cannot be made or written into.
    """
    results_folder(folder)
    pictures = list(pictures)
    taken = {_key(picture) for picture in pictures}
    places: dict[Path, Path] = {}
    namesakes: Counter[str] = Counter()
    for picture in pictures:
        ending = suffix or (picture.suffix if picture.suffix.lower() in WRITTEN else ".jpg")
        place, name = folder / f"{picture.stem}{ending}", f"{picture.stem}{ending}".casefold()
        while _key(place) in taken:
            namesakes[name] += 1
            place = folder / f"{picture.stem}-{namesakes[name] + 1}{ending}"
        taken.add(_key(place))
        places[picture] = place
    return places


def _key(path: Path) -> str:
    return os.path.realpath(path).casefold()


def open_model(
    make: Callable[[terminal.Transfers], _Model], options: DetectOptions | ClassifyOptions, quiet: bool, verbose: bool
) -> _Model:
    """Make a model ready, with progress on a terminal."""
    with terminal.Transfers(options.model, quiet=quiet) as progress, explaining(options.size):
        model = make(progress)
    terminal.announce(model.choice, verbose)
    return model


def answer_all(
    model: Answering[_Answer],
    pictures: Sequence[Path],
    answers: AnswersReport,
    show: Callable[[Path, _Answer, float], None],
    batch: int,
    **asked: Any,
) -> None:
    """Put all pictures to a model, with progress on a terminal; those that cannot be read fail in `answers`, the others
    are `show`n with the seconds that they took. `asked` is what the model's calls take."""
    from darknet_compat.inference import job
    from darknet_compat.inference.batch import Failure

    results = job.answers(model, pictures, batch, **asked)
    with terminal.counted(results, len(pictures)) as counted:
        for picture, answer, seconds in counted:
            if isinstance(answer, Failure):
                answers.fail(picture, str(answer.error))
            else:
                show(picture, answer, seconds)
