"""Small text files, read whole and safely: the beginning of every list, tree and map reader."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from darknet_compat.errors import DarknetCompatError

MAX_TEXT_BYTES = 64 << 20
"""A text file beyond this is something else."""

MAX_LIST_BYTES = 4 << 20
"""Far beyond any list of classes (ImageNet's 21,842 labels have 0.3 MB), and read in less than a second."""


def read_text(path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES) -> str:
    """A text file's content, bytes that are no UTF-8 kept as surrogates.

    `what` names the kind of file expected (`a .cfg`, say). Raises `error` for a folder, no permission, binary data, or
    more than `limit` bytes.
    """
    try:
        with Path(path).open("rb") as file:
            # Python sets aside what it is told to read: for a small file no more than that, for a pipe the limit.
            about = os.fstat(file.fileno())
            data = file.read((min(limit, about.st_size) if stat.S_ISREG(about.st_mode) else limit) + 1)
    except OSError as cause:
        raise error(f"{path}: cannot be read as {what}: {cause.strerror or cause}") from None
    except ValueError as cause:  # a NUL byte in the path
        raise error(f"{shown(str(path))}: cannot be read as {what}: {cause}") from None
    if b"\0" in data:
        raise error(f"{path}: expected {what} (text), found binary data; is another file meant?")
    if len(data) > limit:
        raise error(f"{path}: expected {what}, found a file of more than {limit >> 10} KiB; is another file meant?")
    return data.decode("utf-8-sig", errors="surrogateescape")


def read_lines(path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES) -> list[str]:
    """The lines of a text file, Unix or Windows ends removed, and no empty line for the end of the last one."""
    lines = [line.removesuffix("\r") for line in read_text(path, error, what, limit).split("\n")]
    return lines if lines[-1] else lines[:-1]


def plain(text: str, limit: int = 60) -> str:
    """Text from a file such that a message stays one short printable line whatever the file held."""
    escaped = text[: limit + 1].encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def shown(text: str, limit: int = 60) -> str:
    """The same in quotation marks."""
    return f"'{plain(text, limit)}'"
