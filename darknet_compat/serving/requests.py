"""What comes in: bodies of a bounded length within a bounded time, the pictures in them, and what is asked of these."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from darknet_compat.formats.textfile import first_line, shown
from darknet_compat.serving.fetch import fetch
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.refused import RequestRefused

MOST_PICTURES = 256
"""In one request."""


class Picture(NamedTuple):
    """A picture's name, if it has one, and its encoded bytes."""

    name: str | None
    data: bytes


class RequestPictures(NamedTuple):
    """What a request holds, whether it is answered by a list, and a form's texts by the names of their fields."""

    pictures: list[Picture]
    many: bool
    fields: Sequence[tuple[str, str]] = ()


async def read_body(request: Request, options: ServeOptions) -> bytes:
    """The body. Raises RequestRefused for one that is too large or comes too slowly."""
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > options.max_bytes:
        raise _too_large(options)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestRefused(415, "expected a body without Content-Encoding")
    parts: list[bytes] = []
    size = 0

    async def take() -> None:
        nonlocal size
        async for chunk in request.stream():
            size += len(chunk)
            if size > options.max_bytes:
                raise _too_large(options)
            parts.append(chunk)

    try:
        await asyncio.wait_for(take(), options.timeout)
    except asyncio.TimeoutError:
        raise RequestRefused(408, f"the request did not arrive within {options.timeout:g} s") from None
    except ClientDisconnect:
        raise RequestRefused(400, "the request was cut off") from None  # nobody reads this; it is counted
    return b"".join(parts)


def _too_large(options: ServeOptions) -> RequestRefused:
    return RequestRefused(413, f"expected {options.max_bytes:,} bytes at most; --max-bytes allows more")


async def pictures_of(request: Request, options: ServeOptions) -> RequestPictures:
    """The pictures of a request: its body is one, or a form with files, or JSON with `images` in base64 or with a
    `url`. Raises RequestRefused."""
    body = await read_body(request, options)
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        found = _form(body, parameters.get(b"boundary", b""))
    elif kind == b"application/json":
        found = await _document(body, options)
    else:
        found = RequestPictures([Picture(None, body)], many=False)
    if not found.pictures or not all(picture.data for picture in found.pictures):
        raise RequestRefused(400, "expected a picture, found nothing")
    if len(found.pictures) > MOST_PICTURES:
        raise RequestRefused(413, f"expected {MOST_PICTURES} pictures at most, found {len(found.pictures)}")
    return found


def asked_of(given: Iterable[tuple[str, str]], names: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """A query, or a form's fields, as a call's keywords. Raises RequestRefused for what is not among `names`, or
    has no such value."""
    asked: dict[str, Any] = {}
    for name, text in given:
        if name not in names:
            raise RequestRefused(400, f"{shown(name)}: no such parameter; there are {', '.join(sorted(names))}")
        try:
            asked[name] = names[name](text)
        except ValueError as error:
            raise RequestRefused(400, f"{name}: {error}") from None
    return asked


def fraction(text: str) -> float:
    """A number from 0 to 1. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, found {shown(text)}")
    return value


def whole(text: str) -> int:
    """A whole number from 0 to 1000. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and int(text) <= 1000):
        raise ValueError(f"expected a whole number from 0 to 1000, found {shown(text)}")
    return int(text)


def words(text: str) -> list[str]:
    """Words with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _form(body: bytes, boundary: bytes) -> RequestPictures:
    """The files of a form, and its texts."""
    pictures: list[Picture] = []
    fields: list[tuple[str, str]] = []
    header: dict[str, bytes] = {}
    state: dict[str, Any] = {"field": b"", "value": b"", "data": bytearray()}

    def on_header_end() -> None:
        header[state["field"].decode("latin-1").lower()] = bytes(state["value"])
        state["field"], state["value"] = b"", b""

    def on_part_end() -> None:
        _, options = parse_options_header(header.get("content-disposition", b""))
        name, data = options.get(b"filename"), bytes(state["data"])
        if name is None:
            fields.append((options.get(b"name", b"").decode("utf-8", "replace"), data.decode("utf-8", "replace")))
        else:
            pictures.append(Picture(name.decode("utf-8", "replace"), data))
        state["data"] = bytearray()
        header.clear()

    def more(key: str) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            state[key] += data[start:end]

        return add

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_header_field": more("field"),
                "on_header_value": more("value"),
                "on_header_end": on_header_end,
                "on_part_data": more("data"),
                "on_part_end": on_part_end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RequestRefused(400, f"a malformed form: {first_line(error)}") from None
    return RequestPictures(pictures, len(pictures) != 1, fields)


async def _document(body: bytes, options: ServeOptions) -> RequestPictures:
    """`{"images": ["base64", …]}` or `{"url": "…"}`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestRefused(400, "the body is no JSON") from None
    if not isinstance(document, dict):
        raise RequestRefused(400, 'expected {"images": [base64, …]} or {"url": "…"}')
    if isinstance(url := document.get("url"), str):
        try:
            data = await asyncio.wait_for(asyncio.to_thread(fetch, url, options), options.timeout + 1)
        except asyncio.TimeoutError:  # the host's name is looked up without an end
            raise RequestRefused(504, f"the address's picture did not come within {options.timeout:g} s") from None
        return RequestPictures([Picture(url, data)], many=False)
    images = document.get("images")
    if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
        raise RequestRefused(400, 'expected {"images": [base64, …]} or {"url": "…"}')
    try:
        return RequestPictures([Picture(None, base64.b64decode(one, validate=True)) for one in images], many=True)
    except (binascii.Error, ValueError):
        raise RequestRefused(400, "images: expected base64") from None
