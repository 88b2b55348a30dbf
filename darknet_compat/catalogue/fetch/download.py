"""Download a file once and for good: several mirrors, resumed, checked, and there under its name only when it is right.

`transfer` speaks with one address; this decides which, keeps two processes from each other's way, and puts the result
in place.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from darknet_compat.catalogue.fetch.checksum import BLOCK, UNKNOWN, Expected, Part, checksum_problem, file_checksums
from darknet_compat.catalogue.fetch.http import Refused, host
from darknet_compat.catalogue.fetch.transfer import Patience, Transfer, TransferProgress
from darknet_compat.errors import DownloadError
from darknet_compat.formats.lock import is_open_file, try_lock

PATIENCE = Patience()

LOCK_POLL = 0.1
"""Seconds between two looks at a lock that another process holds."""


def download(
    urls: Sequence[str | Part | Sequence[Part]],
    destination: str | Path,
    *,
    expected: Expected = UNKNOWN,
    progress: TransferProgress | None = None,
    patience: Patience = PATIENCE,
) -> Path:
    """Bring a file to `destination` from the first of `urls` that gives the right one, and return its path.

    Each of `urls` is a mirror: an address, or the pieces to join in order. While the file comes it is
    `destination` + `.part`, which an interrupted download leaves and a later one resumes. Only what has the `expected`
    length and checksums is moved to `destination`; a file that is already there and has them is not fetched again. A
    second process that wants the same file waits for the first.

    `progress(done, total)` counts bytes, `total` None where no server says; `done` falls back when a mirror has to
    start over. `patience` is granted to each address. Raises DownloadError, with every mirror's reason in its one line.
    """
    destination = Path(destination)
    reported = progress or (lambda done, total: None)
    reasons = []
    with _locked(destination):
        if destination.is_file() and _problem(destination, expected) is None:
            return destination
        part = destination.with_name(destination.name + ".part")
        for mirror in urls:
            pieces = _pieces(mirror, expected)
            try:
                _bring(pieces, part, expected, reported, patience)
            except Refused as reason:
                reasons.append(f"{host(pieces[0].url)}: {reason}")
                continue
            _place(part, destination)
            return destination
    raise DownloadError(
        f"{destination.name}: no mirror gave it ({'; '.join(reasons) or 'none is known'});"
        f" if you have the file, put it at {destination}"
    )


def _pieces(mirror: str | Part | Sequence[Part], expected: Expected) -> list[Part]:
    """A mirror's parts, the only one holding what is known of the whole."""
    if isinstance(mirror, str):
        return [Part(mirror, expected)]
    if not isinstance(mirror, Part):
        pieces = list(mirror)
        return pieces if len(pieces) > 1 else _pieces(pieces[0], expected)
    own = mirror.expected.checksums | expected.checksums
    return [Part(mirror.url, Expected(expected.sizes or mirror.expected.sizes, **own))]


def _bring(pieces: list[Part], part: Path, expected: Expected, progress: TransferProgress, patience: Patience) -> None:
    """Complete `part` from one mirror; Refused with the reason if that fails."""
    if len(pieces) == 1:
        Transfer(pieces[0].url, part, pieces[0].expected, progress, patience).run()
        return
    total = expected.sizes[0] if len(expected.sizes) == 1 else None
    paths, before = [], 0
    for number, piece in enumerate(pieces, start=1):
        path = part.with_name(f"{part.name}{number}")
        Transfer(piece.url, path, piece.expected, _shifted(progress, before, total), patience).run()
        before += path.stat().st_size
        paths.append(path)
    _join(paths, part)
    if problem := _problem(part, expected):
        part.unlink()
        raise Refused(f"the joined file {problem}")
    for path in paths:
        path.unlink()
        path.with_name(path.name + ".json").unlink(missing_ok=True)


def _shifted(progress: TransferProgress, before: int, total: int | None) -> TransferProgress:
    """Report one piece's progress as the whole's."""
    return lambda done, _: progress(before + done, total)


def _join(paths: list[Path], whole: Path) -> None:
    try:
        with whole.open("wb") as file:
            for path in paths:
                with path.open("rb") as piece:
                    shutil.copyfileobj(piece, file, BLOCK)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise DownloadError(f"{whole}: cannot be written: {error.strerror or error}; its parts are kept") from None


def _problem(path: Path, expected: Expected) -> str | None:
    """Why the file at `path` is not the expected one; None where it is."""
    if problem := expected.size_problem(path.stat().st_size):
        return f"is {problem}"
    problem = checksum_problem(expected, file_checksums(path, list(expected.checksums)))
    return f"has another checksum: {problem}" if problem else None


def _place(part: Path, destination: Path) -> None:
    """Give a complete file its name, durably and at once."""
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, destination)
    except OSError as error:
        raise DownloadError(f"{destination}: cannot be written: {error.strerror or error}") from None
    part.with_name(part.name + ".json").unlink(missing_ok=True)


@contextmanager
def _locked(destination: Path) -> Iterator[None]:
    """Hold `destination` + `.lock`, waiting for whoever has it; a process that dies lets go of it."""
    path = destination.with_name(destination.name + ".lock")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        while not (try_lock(file.fileno()) and is_open_file(path, file.fileno())):
            file.close()
            time.sleep(LOCK_POLL)
            file = path.open("ab")
    except OSError as error:
        raise DownloadError(
            f"{destination.parent}: cannot be written: {error.strerror or error};"
            " name another folder in DARKNET_COMPAT_CACHE"
        ) from None
    try:
        yield
    finally:
        # While it is held: who waits for it sees that it is no longer the file of that name. Windows keeps open files.
        with suppress(OSError):
            path.unlink()
        file.close()
