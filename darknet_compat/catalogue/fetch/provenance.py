"""Whether a downloaded file still is what it was, also where nobody published a checksum: its own record beside it.

The record of `yolov2.weights` is `yolov2.weights.json`: the SHA-256 at first use, the length and time of modification
by which a later use knows the file untouched without reading it, and the published checksums it was held against.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from darknet_compat.catalogue.fetch.checksum import Expected, checksum_problem, file_checksums
from darknet_compat.errors import CatalogError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.jsonfile import parse_json


def record_path(path: Path) -> Path:
    """Where the record of the file at `path` lies."""
    return path.with_name(path.name + ".json")


def read_record(path: Path) -> dict[str, Any]:
    """The record of the file at `path`; empty where there is none or it is damaged."""
    try:
        record = parse_json(record_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def verify(path: Path, expected: Expected, remedy: str) -> None:
    """Hold the file at `path` against what was published of it and against its own record.

    Reads the file only when it is new or touched, and then writes the record, if the folder permits. Raises
    CatalogError, saying what was found, what was expected and what to do: `remedy`, where the right file is to be had.
    """
    try:
        status = path.stat()
        if problem := expected.size_problem(status.st_size):
            raise _damaged(path, f"is {problem}", remedy)
        record = read_record(path)
        published = expected.checksums or "unknown"
        stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "published": published}
        if record and stamp.items() <= record.items():
            return
        found = file_checksums(path, list({"sha256": None} | expected.checksums))
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror or error}") from None
    if problem := checksum_problem(expected, found):
        raise _damaged(path, f"is not the published file: {problem}", remedy)
    if expected.sha256 is None and record.get("sha256", found["sha256"]) != found["sha256"]:
        what = f"has changed since its first use: sha256 is {found['sha256']}, was {record['sha256']}"
        raise _damaged(path, what, remedy)
    # Where nobody may write, as in an installation, there is no record and the file is read each time.
    with suppress(CatalogError), atomic_write(record_path(path), CatalogError) as file:
        file.write(json.dumps({"sha256": found["sha256"], **stamp}, indent=1).encode() + b"\n")


def _damaged(path: Path, what: str, remedy: str) -> CatalogError:
    return CatalogError(f"{path}: {what}; {remedy}, or name the file with --weights to use it as it is")
