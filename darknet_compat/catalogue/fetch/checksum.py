"""What is known of a file before it is there, length and checksums, and how to hold the file against it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 20
"""Bytes read at a time."""

_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32, "git_blob": 40}


@dataclass(frozen=True)
class Expected:
    """The published facts about a file; `Expected()` knows nothing.

    `sizes` are the lengths it may have, in bytes. `git_blob` is git's object id: the SHA-1 of `blob SIZE\\0` and the
    file. All checksums that are given must agree. MD5 and SHA-1 tell a damaged file, not a forged one, and often
    nothing better was ever published.
    """

    sizes: tuple[int, ...] = ()
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None
    git_blob: str | None = None

    def __post_init__(self) -> None:
        for kind, value in self.checksums.items():
            if len(value) != _DIGITS[kind] or set(value) - set("0123456789abcdef"):
                raise ValueError(f"{kind} is {_DIGITS[kind]} hexadecimal digits in lower case, not {value!r}")

    @property
    def checksums(self) -> dict[str, str]:
        """The checksums that are known, by kind, the strongest first."""
        return {kind: value for kind in _DIGITS if (value := getattr(self, kind)) is not None}

    def size_problem(self, size: int) -> str | None:
        """Why a file of `size` bytes is not the expected one; None where it may be."""
        if not self.sizes or size in self.sizes:
            return None
        return f"{size:,} bytes long, expected {' or '.join(f'{known:,}' for known in self.sizes)}"


UNKNOWN = Expected()


@dataclass(frozen=True)
class Part:
    """A file, or one piece of a file that a mirror keeps in several."""

    url: str
    expected: Expected = UNKNOWN


class Digests:
    """The checksums of a file while its bytes go by.

    `length` is the whole file's, which git's checksum needs to begin with; without it `git_blob` cannot be among
    `kinds`.
    """

    def __init__(self, kinds: Iterable[str], length: int | None = None) -> None:
        self._hashes: dict[str, _Hash] = {}
        for kind in kinds:
            # usedforsecurity: MD5 and SHA-1 are all that was published, also where a system forbids them for secrets.
            algorithm = "sha1" if kind == "git_blob" else kind
            self._hashes[kind] = hashlib.new(algorithm, usedforsecurity=False)
            if kind == "git_blob":
                if length is None:
                    raise ValueError("git_blob needs the file's length first")
                self._hashes[kind].update(b"blob %d\0" % length)

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        for digest in self._hashes.values():
            digest.update(data)

    def update_from(self, path: Path) -> None:
        """Take a file's bytes."""
        with path.open("rb") as file:
            while data := file.read(BLOCK):
                self.update(data)

    def values(self) -> dict[str, str]:
        """The checksums of all bytes so far, by kind."""
        return {kind: digest.hexdigest() for kind, digest in self._hashes.items()}


def file_checksums(path: Path, kinds: list[str]) -> dict[str, str]:
    """The checksums of the file at `path`, by kind, in one reading."""
    digests = Digests(kinds, path.stat().st_size)
    digests.update_from(path)
    return digests.values()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal."""
    return file_checksums(path, ["sha256"])["sha256"]


def checksum_problem(expected: Expected, found: dict[str, str]) -> str | None:
    """Where `found` contradicts what was published; None where all agree."""
    for kind, value in expected.checksums.items():
        if found[kind] != value:
            return f"{kind} is {found[kind]}, expected {value}"
    return None
