"""JSON from strangers: whatever is in it, a value or one typed line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeGuard

from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats.textfile import MAX_TEXT_BYTES, read_text


def read_json(
    path: str | Path, error: type[DarknetCompatError], what: str, limit: int = MAX_TEXT_BYTES, hint: str = ""
) -> Any:
    """A file's value (`parse_json`). `what` names the kind of file expected, `hint` ends the line with what to do.

    Raises `error` for what cannot be read, more than `limit` bytes, and what is no JSON.
    """
    text = read_text(path, error, what, limit)
    try:
        return parse_json(text)
    except json.JSONDecodeError as cause:
        raise error(f"{path}:{cause.lineno}: expected {what}, found damaged JSON: {cause.msg}{hint}") from None
    except ValueError as cause:
        raise error(f"{path}: expected {what}, found {cause}{hint}") from None


def parse_json(text: str) -> Any:
    """The value of a text. Integers of more than 64 bits become floats, as in other languages, the largest infinity:
    Python's would overflow whatever takes them. Raises ValueError."""
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def _whole(digits: str) -> int | float:
    fits = len(digits) <= 20 and -(1 << 63) <= int(digits) < 1 << 63
    return int(digits) if fits else float(digits)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number; True is one to Python."""
    return isinstance(value, int) and not isinstance(value, bool)
