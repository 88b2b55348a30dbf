"""Damaged files of one format, thrown at its reader: each ends soon, in little memory, with an answer or a typed line.

    python -m tests.attack.fuzz "engine record" --count 10000 --start 0

Mutation N of a format is always the same file. The last line is JSON.
"""

from __future__ import annotations

import argparse
import base64
import copy
import json
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from darknet_compat.errors import DarknetCompatError
from tests.attack.formats import FORMATS, Format
from tests.formats.test_mutations import hostile, mutated_bytes, mutated_text, peak_memory

SECONDS = 10.0
"""Of the processor, for one file."""
BYTES = 500_000_000
"""Above the file."""

PIECES = (
    b"0", b"-1", b"1e400", b"nan", b"9" * 50, b"9" * 5000, b"../../etc/passwd", b"\0", b"\xff\xfe", b"<", b"&x;", b'"',
    b"[", b"{", b"]", b"}", b"null", b"true", b"\r\n", b" ", b",", b"=", b"<!DOCTYPE a [", b"\x1b[31m", b"[" * 500,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308, float("nan"), float("inf"), "",
    "x", "0", "\x1b[31m", "\u202e", "a" * 3000, "../../etc/passwd", "9" * 5000, [], [[]], [0] * 50, {}, {"a": 1},
    [None], {"": []},
)  # fmt: skip


class TooSlowError(BaseException):
    """A reader took longer than SECONDS."""


@dataclass
class Tally:
    """What became of the files. `untyped` and `slow` are faults, each with the number of its mutation."""

    files: int = 0
    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    slowest: float = 0.0
    grown: int = 0


def damaged(one: Format, seeds: list[bytes], random: Random) -> bytes:
    """A file with something wrong, mostly something small."""
    data = random.choice(seeds)
    way = random.random()
    if way < 0.1 or one.kind == "bit":
        return _flipped(data, random)
    if one.kind == "json" and way < 0.7:
        return _changed_json(data, random)
    if one.kind == "text" and way < 0.5:
        return mutated_text(random, data)
    if one.kind == "bytes" or way < 0.75:
        return mutated_bytes(random, data)
    return _pieced(data, random)


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    if changed:
        bit = random.randrange(8 * len(changed))
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _pieced(data: bytes, random: Random) -> bytes:
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(data) + 1)
        end = start + random.choice([0, 0, 1, 3, 20])
        data = data[:start] + random.choice([b"", *PIECES, hostile(random)]) + data[end:]
    return data


def _changed_json(data: bytes, random: Random) -> bytes:
    """Another value, one key less or more, somewhere in the document."""
    document = json.loads(data)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        places = [(None, None), *_places(document)]
        holder, key = random.choice(places)
        if holder is None:
            if random.random() < 0.05:
                document = copy.deepcopy(random.choice(VALUES))
            continue
        if random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(random.choice(VALUES))
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:200]:
        yield value, key
        yield from _places(inner)


@contextmanager
def limited() -> Iterator[None]:
    """TooSlowError after SECONDS of the processor's time."""

    def stop(number: int, frame: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def attempt(one: Format, folder: Path, data: bytes, tally: Tally) -> str | None:
    """Have one file read and count what became of it; the reader's fault in one line, None where it has none."""
    (folder / one.file).write_bytes(data)
    tally.files += 1
    began = time.process_time()
    try:
        with limited(), np.errstate(all="ignore"):
            one.read(folder)
        tally.read += 1
    except DarknetCompatError as error:
        tally.refused[f"{type(error).__name__} {place_of(error)}"] += 1
        message = str(error).encode("utf-8", "surrogateescape").decode("latin-1")
        if min(message, default=" ") < " " or len(message) > 2000:
            return f"a message that is no line: {message[:200]!r}"
    except TooSlowError:
        return f"took more than {SECONDS:g} s"
    except Exception as error:
        return f"{type(error).__name__} at {place_of(error)}: {str(error)[:200]!r}"
    finally:
        tally.slowest = max(tally.slowest, time.process_time() - began)
    return None


def place_of(error: BaseException) -> str:
    """Where in the project an error was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "darknet_compat" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"


def fuzz(name: str, start: int, *, seconds: float = 1e9, count: int = 1 << 60, keep: Path | None = None) -> Tally:
    """Throw mutations of a format, from number `start` on. Those with a fault go into the folder `keep`."""
    one, tally, end = FORMATS[name], Tally(), time.monotonic() + seconds
    seeds = list(one.seeds())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one.around(folder)
        (folder / one.file).parent.mkdir(parents=True, exist_ok=True)
        base = peak_memory(reset=True)
        for number in range(start, start + count):
            if number % 16 == 0 and time.monotonic() > end:
                break
            data = damaged(one, seeds, Random(f"{name} {number}"))
            fault = attempt(one, folder, data, tally)
            grown = peak_memory() - base - len(data)
            tally.grown = max(tally.grown, grown)
            if grown > BYTES:
                fault = fault or f"took {grown >> 20} MiB"
                base = peak_memory(reset=True)
            if fault is not None:
                (tally.slow if fault.startswith("took") else tally.untyped).append(f"{number}: {fault}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name.replace(' ', '-')}-{number}").write_bytes(data)
    return tally


CORPUS = Path(__file__).with_name("corpus")


def corpus_file(name: str) -> Path:
    """Where the small damaged files of a format are kept."""
    return CORPUS / f"{''.join(letter if letter.isalnum() else '-' for letter in name)}.json"


def write_corpus(name: str, most: int = 8, length: int = 2500, tried: int = 4000) -> None:
    """Keep a few small mutations of a format, each with another end: what `make test` replays."""
    one, kept, ends = FORMATS[name], list[str](), set[str]()
    seeds = list(one.seeds())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one.around(folder)
        (folder / one.file).parent.mkdir(parents=True, exist_ok=True)
        for number in range(tried):
            data, tally = damaged(one, seeds, Random(f"{name} {number}")), Tally()
            fault = attempt(one, folder, data, tally)
            end = fault or "".join(tally.refused) or "read"
            if end not in ends and len(data) <= length and len(kept) < most:
                ends.add(end)
                kept.append(base64.b64encode(data).decode())
    path = corpus_file(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=0) + "\n")


def limits(parser: argparse.ArgumentParser) -> None:
    """The options of how long a part of the bench goes on."""
    parser.add_argument("--seconds", type=float, help="default: 10, or until --count")
    parser.add_argument("--count", type=int, help="so many")
    parser.add_argument("--start", type=int, default=0, help="the first number")


def limits_of(given: argparse.Namespace) -> tuple[float, int]:
    """Seconds and how many, of which the first to come ends it."""
    seconds = given.seconds if given.seconds is not None else 10 if given.count is None else 1e9
    return seconds, 1 << 60 if given.count is None else given.count


def main() -> None:
    """One format, as the bench runs it: in a process of its own, which what is damaged may end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=FORMATS)
    limits(parser)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--corpus", action="store_true", help="write the corpus of the format anew, and nothing else")
    given = parser.parse_args()
    if given.corpus:
        write_corpus(given.format)
        return
    seconds, count = limits_of(given)
    tally = fuzz(given.format, given.start, seconds=seconds, count=count, keep=given.keep)
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main()
