"""One address → a `.part` file, over http(s), resumed where it broke off.

The `.part` keeps what has arrived, its neighbour `.part.json` what it is a part of (address, ETag or date), so that a
later attempt, or a later run, asks for the rest only and notices when the file on the server is another by then.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.message import Message
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

from darknet_compat.catalogue.fetch.checksum import BLOCK, Digests, Expected, checksum_problem, file_checksums
from darknet_compat.catalogue.fetch.http import (
    MAX_REDIRECTS,
    TELLING,
    Interrupted,
    Refused,
    Unreachable,
    interrupted,
    plain,
    refuse_page,
    request,
)
from darknet_compat.catalogue.fetch.watch import SpeedWatch, within
from darknet_compat.errors import DownloadError
from darknet_compat.formats.jsonfile import parse_json
from darknet_compat.formats.textfile import count

TransferProgress = Callable[[int, "int | None"], None]
"""Called with the bytes there are and the bytes there will be (None where the server does not say)."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d+|\*)/(\d{1,18}|\*)")


@dataclass(frozen=True)
class Origin:
    """Where a `.part` comes from, kept beside it, and what tells its version where the server says so."""

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong ETag, or else the date."""
        return self.etag or self.modified

    def differs(self, headers: Message, total: int | None) -> bool:
        """Whether an answer from the same address is about another version of the file."""
        etag, modified = _strong(headers.get("ETag")), headers.get("Last-Modified")
        return any(
            old is not None and new is not None and old != new
            for old, new in ((self.etag, etag), (self.modified, modified), (self.total, total))
        )

    @classmethod
    def read(cls, path: Path) -> Origin | None:
        """The origin kept at `path`; None where there is none or it is damaged."""
        try:
            fields = parse_json(path.read_text("utf-8"))
            texts, total = (fields["url"], fields["etag"], fields["modified"]), fields["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not (isinstance(texts[0], str) and isinstance(total, int | None)):
            return None
        return cls(*texts, total) if all(text is None or _fits_header(text) for text in texts) else None


@dataclass(frozen=True)
class Patience:
    """How long to try one address.

    `timeout` is in seconds, for connecting and for each wait for data; in each such time at least `slowest` bytes a
    second have to arrive. `attempts` in a row may bring less than that, with a `pause` in seconds, doubled each time,
    between them.
    """

    timeout: float = 30.0
    attempts: int = 3
    pause: float = 1.0
    slowest: float = 1000.0

    @property
    def least(self) -> float:
        """How many bytes make an attempt a successful one."""
        return self.slowest * self.timeout


class Transfer:
    """Bring one address's file to `part`; `run` does it.

    `expected` ends a transfer early when the server announces another length, and is checked at the end.
    """

    def __init__(
        self, url: str, part: Path, expected: Expected, progress: TransferProgress, patience: Patience
    ) -> None:
        self.url, self.part, self.expected = url, part, expected
        self.progress, self.patience = progress, patience
        self.origin_file = part.with_name(part.name + ".json")
        self.watch = SpeedWatch()

    def run(self) -> None:
        """Complete and check `part`. Raises Refused with the reason; DownloadError where this machine is at fault."""
        failures, furthest = 0, self._length()
        while True:
            try:
                return self._attempt()
            except Interrupted as interruption:
                reached = self._length()
                failures = 1 if reached - furthest >= self.patience.least else failures + 1
                furthest = max(furthest, reached)
                if isinstance(interruption, Unreachable) and not reached:  # no need to have someone off line wait
                    raise Refused(str(interruption)) from None
                if failures >= self.patience.attempts:
                    raise Refused(f"{interruption}, after {count(failures, 'attempt')}") from None
                time.sleep(self.patience.pause * 2 ** (failures - 1))

    def discard(self) -> None:
        """Forget what has arrived."""
        for path in (self.part, self.origin_file):
            _locally(path, partial(path.unlink, missing_ok=True))

    def _attempt(self) -> None:
        offset = self._resumable()
        with self._open(offset) as response:
            if response.status == 416:
                self._past_the_end(offset, response.headers)
                return
            start, total = self._begin(response, offset)
            self.watch = SpeedWatch()
            with self.watch.over(response, self.patience.timeout, self.patience.least):
                digests = self._receive(response, start, total)
        self._check(digests, resumed=start > 0)

    def _resumable(self) -> int:
        """How much of the `.part` the next request may build upon."""
        if not (offset := self._length()):
            return 0
        origin = Origin.read(self.origin_file)
        same = origin is not None and origin.url == self.url and origin.validator is not None
        # With a checksum a wrong continuation is found out in the end, so whatever is there is worth a try.
        return offset if same or self.expected.checksums else 0

    def _open(self, offset: int) -> Any:
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            origin = Origin.read(self.origin_file)
            if origin is not None and origin.url == self.url and origin.validator:
                headers["If-Range"] = origin.validator
        longest = self.patience.timeout * (MAX_REDIRECTS + 1)
        return within(longest, lambda: request(self.url, headers, self.patience.timeout))

    def _begin(self, response: Any, offset: int) -> tuple[int, int | None]:
        """Where in the file this answer's data starts, and the file's whole length, once it may be taken."""
        headers: Message = response.headers
        refuse_page(headers, b"")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(
                f"the file arrives compressed ({plain(headers['Content-Encoding'])}) though that was not asked for"
            )
        start, length = 0, _number(headers.get("Content-Length"))
        total = length
        if response.status == 206:
            start, total = offset, self._continues(headers, offset, length)
        elif response.status != 200:
            raise Refused(f"HTTP {response.status} {plain(response.reason)}")
        if total is not None:
            if problem := self.expected.size_problem(total):
                raise Refused(f"the file there is {problem}")
            self._make_room(total - start)
        return start, total

    def _continues(self, headers: Message, offset: int, length: int | None) -> int | None:
        """The whole file's length, by an answer that should continue the `.part`; Interrupted if it does not."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if not offset or match is None or match[1] is None or int(match[1]) != offset:
            self.discard()
            raise Interrupted("the server sent another part than the one asked for")
        total = _number(match[2])
        if total is None and length is not None:
            total = offset + length
        origin = Origin.read(self.origin_file)
        if origin is not None and origin.url == self.url and origin.differs(headers, total):
            self.discard()
            raise Interrupted("the file on the server has changed meanwhile")
        return total

    def _receive(self, response: Any, start: int, total: int | None) -> Digests:
        """Append the answer's data to the `.part`; the checksums of all of it, prefix included."""
        kinds = [kind for kind in self.expected.checksums if kind != "git_blob" or total is not None]
        digests = Digests(kinds, total)
        if start:
            _locally(self.part, lambda: digests.update_from(self.part))
        limit = total if total is not None else max(self.expected.sizes, default=None)
        done = start
        self.progress(done, total)
        blocks = self._blocks(response, fresh=not start)
        first = next(blocks, b"")
        if not start:
            # Another version, or a server that knows no ranges: what has arrived before is of no use. Not sooner, as
            # a page is no reason to throw it away.
            self._start_over(response.headers, total)
        with _locally(self.part, lambda: self.part.open("ab", buffering=0)) as file:
            for data in chain((first,), blocks):
                done += len(data)
                if limit is not None and done > limit:
                    self.discard()
                    raise Refused(f"more than the expected {limit:,} bytes arrive")
                _locally(self.part, partial(_write, file, data))
                digests.update(data)
                self.progress(done, total)
        if self.watch.slow:
            raise self._too_slow()
        if total is not None and done < total:
            raise Interrupted(f"the connection ended at {done:,} of {total:,} bytes")
        return digests

    def _start_over(self, headers: Message, total: int | None) -> None:
        self.discard()
        origin = Origin(self.url, _strong(headers.get("ETag")), headers.get("Last-Modified"), total)
        _locally(self.part, lambda: self.origin_file.write_text(json.dumps(asdict(origin)), "utf-8"))

    def _blocks(self, response: Any, fresh: bool) -> Iterator[bytes]:
        """The answer's data as it comes; the beginning of a file only once there is enough to tell a web page."""
        head = b""
        while fresh and len(head) < TELLING and (data := self._read(response)):
            head += data
        if head:
            refuse_page(response.headers, head)
            yield head
        while data := self._read(response):
            yield data

    def _read(self, response: Any) -> bytes:
        try:
            data: bytes = response.read1(BLOCK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self.watch.slow:
                raise self._too_slow() from None
            raise interrupted(error) from None
        self.watch.arrived += len(data)
        return data

    def _too_slow(self) -> Interrupted:
        return Interrupted(f"fewer than {self.patience.slowest:,.0f} bytes a second arrived")

    def _check(self, digests: Digests, resumed: bool) -> None:
        size = self._length()
        problem = self.expected.size_problem(size)
        if problem is None:
            found = digests.values()
            missing = [kind for kind in self.expected.checksums if kind not in found]
            found |= _locally(self.part, lambda: file_checksums(self.part, missing)) if missing else {}
            problem = checksum_problem(self.expected, found)
        if problem is None:
            return
        short = bool(self.expected.sizes) and size < min(self.expected.sizes)
        if not (short and self._resumable()):
            self.discard()
        if resumed or short:
            raise Interrupted(f"the file is {problem}" if short else f"the resumed file's {problem}")
        raise Refused(f"the file is {problem}" if "bytes long" in problem else f"the file's {problem}")

    def _past_the_end(self, offset: int, headers: Message) -> None:
        """HTTP 416: either the `.part` is already whole, or it is of another file."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is not None and _number(match[2]) == offset:
            digests = Digests(list(self.expected.checksums), offset)
            _locally(self.part, lambda: digests.update_from(self.part))
            self.progress(offset, offset)
            self._check(digests, resumed=True)
            return
        self.discard()
        raise Interrupted("the server has no such part (HTTP 416)")

    def _length(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _make_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise DownloadError(
                f"{self.part.parent}: {needed:,} bytes are needed and {free:,} are free;"
                " make room, or name another folder in DARKNET_COMPAT_CACHE"
            )


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all of `data`; an unbuffered file may take less at once."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _locally(part: Path, action: Callable[[], Any]) -> Any:
    """Do something with local files; what goes wrong there is no mirror's fault and ends the download."""
    try:
        return action()
    except OSError as error:
        kept = "what has arrived is kept and will be resumed"
        raise DownloadError(f"{part}: cannot be written: {error.strerror or error}; {kept}") from None


def _strong(etag: str | None) -> str | None:
    """An ETag that promises the same bytes; a weak one only promises the same meaning."""
    return etag if etag and not etag.startswith("W/") else None


def _fits_header(value: object) -> bool:
    """Whether it may be sent as it is, on one line."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 18 else None
