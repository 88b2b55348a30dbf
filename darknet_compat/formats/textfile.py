"""Small text files, read whole and safely: the beginning of every list, tree and map reader."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from darknet_compat.errors import DarknetCompatError

MAX_TEXT_BYTES = 64 << 20
"""A text file beyond this is something else."""

MAX_LIST_BYTES = 4 << 20
"""Far beyond any list of classes (ImageNet's 21,842 labels have 0.3 MB), and read in less than a second."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How the files begin that Windows' tools write as "Unicode"."""


def read_text(path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES) -> str:
    """A text file's content: UTF-8, bytes that are not kept as surrogates, or UTF-16 with a byte order mark.

    `what` names the kind of file expected (`a .cfg`, say). Raises `error` for a folder, no permission, binary data, or
    more than `limit` bytes.
    """
    return _read_bytes(path, error, what, limit).decode("utf-8-sig", errors="surrogateescape")


def read_words(path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES) -> list[str]:
    """The lines of a file of words for people, in whatever encoding it was written; raises as `read_text`.

    A path has to stay the bytes it is, a word has to be text: it is drawn, printed, put into JSON.
    """
    return _lines(_as_words(_read_bytes(path, error, what, limit)))


def _as_words(data: bytes) -> str:
    """Text out of UTF-8, else GBK (as Chinese Windows writes it), else Western European (Windows-1252).

    Many a Latin word is also GBK: an accented letter and the letter after it, whatever that is. So most characters have
    to be of the 3,755 common ones (GB 2312's level 1), whose first byte is no small accented letter in Latin-1 and
    whose second byte is no ASCII.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    beyond_ascii = [letter.encode("gb18030") for letter in text if not letter.isascii()]
    common = [letter for letter in beyond_ascii if 0xB0 <= letter[0] <= 0xD7 and letter[1] >= 0xA1]
    if 2 * len(common) > len(beyond_ascii):
        return text
    return data.decode("cp1252", errors="replace")


def _read_bytes(path: str | Path, error: type[DarknetCompatError], what: str, limit: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            # Python sets aside what it is told to read: for a small file no more than that, for a pipe the limit.
            about = os.fstat(file.fileno())
            data = file.read((min(limit, about.st_size) if stat.S_ISREG(about.st_mode) else limit) + 1)
    except OSError as cause:
        raise error(f"{path}: cannot be read as {what}: {cause.strerror or cause}") from None
    except ValueError as cause:  # a NUL byte in the path
        raise error(f"{shown(str(path))}: cannot be read as {what}: {cause}") from None
    if b"\0" in data and data.startswith(_UTF16):
        data = data[: len(data) // 2 * 2].decode("utf-16", errors="replace").encode()
    if b"\0" in data:
        raise error(f"{path}: expected {what} (text), found binary data; is another file meant?")
    if len(data) > limit:
        raise error(f"{path}: expected {what}, found a file of more than {limit >> 10} KiB; is another file meant?")
    return data


def read_lines(path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES) -> list[str]:
    """The lines of a text file, Unix or Windows ends removed, and no empty line for the end of the last one."""
    return _lines(read_text(path, error, what, limit))


def _lines(text: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def plain(text: str, limit: int = 60) -> str:
    """Text from a file such that a message stays one short printable line whatever the file held."""
    escaped = text[: limit + 1].encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def shown(text: str, limit: int = 60) -> str:
    """`plain` text in quotation marks."""
    return f"'{plain(text, limit)}'"


def first_line(error: object, limit: int = 300) -> str:
    """The first line that an error of another library says anything in, else its kind."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return said[:limit]


def count(number: int, thing: str, things: str | None = None) -> str:
    """`1 picture`, `2 pictures`, `2 classes`; `things` where neither s nor es makes the plural."""
    plural = things or f"{thing}{'es' if thing.endswith(('s', 'x', 'ch')) else 's'}"
    return f"{number:,} {thing if number == 1 else plural}"
