"""From what a user names to pictures, here or at addresses (s3://, gs://, hdfs://), and the bytes of one of these."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from darknet_compat.cluster.parquet_folder import opened
from darknet_compat.errors import ImageError
from darknet_compat.formats.textfile import first_line, read_lines
from darknet_compat.sources.base import Failed, Frame
from darknet_compat.sources.kind import ADDRESS
from darknet_compat.sources.pictures import MAX_LIST_BYTES, SUFFIXES, find_pictures
from darknet_compat.vision.image import decode


def find(files: Iterable[str], failed: Failed) -> list[str]:
    """The pictures that `files` mean, in order and each once: as `sources.pictures.find_pictures`, and addresses of
    pictures, folders and lists; a list may have addresses, too. Whatever means none is handed to `failed`."""
    found: dict[str, None] = {}
    for file in files:
        try:
            if ADDRESS.match(file):
                names = _at(file)
            elif Path(file).suffix.lower() == ".txt" and Path(file).is_file() and (listed := _addresses(file)):
                names = listed
            else:
                names = [str(path) for path in find_pictures([file], failed)]
        except ImageError as error:
            failed(file, str(error))
        else:
            found |= dict.fromkeys(names)
    return list(found)


def source(file: str, folder: str, max_pixels: int | None) -> Any:
    """What a Detector reads: the path of `file` seen from `folder`, or a Frame that reads it at its address when its
    pixels are asked for, which is by a thread of its own."""
    if not ADDRESS.match(file):
        return Path(folder, file)

    def pixels() -> Any:
        return decode(_read(file), max_pixels)

    return Frame(pixels, file)


def _read(file: str) -> bytes:
    try:
        system, path = opened(file)
        with system.open_input_stream(path) as stream:
            data: bytes = stream.read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ImageError(f"{file}: cannot be read: {_reason(error)}") from None
    return data


def _at(file: str) -> list[str]:
    """The pictures that an address means. Raises ImageError where there are none."""
    try:
        system, path = opened(file)
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return (
                _listed(_read(file).decode("utf-8", "replace").splitlines(), file) if path.endswith(".txt") else [file]
            )
        entries = system.get_file_info(fs.FileSelector(path)) if info.type == fs.FileType.Directory else []
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ImageError(f"{file}: cannot be read: {_reason(error)}") from None
    if info.type == fs.FileType.NotFound:
        raise ImageError(f"{file}: no such file or folder")
    before, _, asked = file.partition("?")
    names = sorted(one.base_name for one in entries if one.is_file)
    pictures = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    if not pictures:
        raise ImageError(f"{file}: no pictures (.jpg, .png, .bmp, .tif, .webp, ...) in this folder")
    return [f"{before.rstrip('/')}/{name}{'?' if asked else ''}{asked}" for name in pictures]


def _addresses(file: str) -> list[str]:
    """The lines of a list that has addresses; none where it has none."""
    lines = read_lines(Path(file), ImageError, "a list of pictures", MAX_LIST_BYTES)
    return _listed(lines, file) if any(ADDRESS.match(line) for line in lines) else []


def _listed(lines: Iterable[str], file: str) -> list[str]:
    """Those of a list at an address are looked for beside it."""
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ImageError(f"{file}: expected one picture a line, found an empty file")
    folder = f"{file.rpartition('/')[0]}/" if ADDRESS.match(file) else ""
    return [name if ADDRESS.match(name) or name.startswith("/") else folder + name for name in names]


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)  # Arrow's own words have the file once more, and several sentences
    return os.strerror(number) if number else first_line(error)
