"""Which addresses lie below others, however they are written (RFC 3986)."""

from __future__ import annotations

import urllib.parse
from typing import NamedTuple

_PORTS = {"http": 80, "https": 443}


class ServerPath(NamedTuple):
    """A server, and the decoded segments of a path on it."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]

    def holds(self, other: ServerPath) -> bool:
        """Whether the other is here or below, by whole segments."""
        return other[:3] == self[:3] and other.segments[: len(self.segments)] == self.segments


def place_of(url: str) -> ServerPath | None:
    """Where an http(s) address is, or None for one that servers do not read alike: with a user's name, segments such
    as `..`, or slashes and control characters in a segment, each also where it is encoded, once or more."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname or "@" in parts.netloc or parts.scheme not in _PORTS:
        return None
    written = parts.path.split("/")[1:]
    if not all(map(_plain, written)):
        return None
    return ServerPath(parts.scheme, parts.hostname, port, tuple(map(_decoded, written)))


def allowed_place(url: str) -> ServerPath | None:
    """As `place_of`, of an address that stands for all below it: no query, and a slash at the end says nothing."""
    if "?" in url or "#" in url or (place := place_of(url)) is None:
        return None
    return place._replace(segments=place.segments[:-1]) if place.segments[-1:] == ("",) else place


def _plain(segment: str) -> bool:
    """Whether it is a name however often a server decodes it, and whether or not it drops `;` with what follows."""
    while True:
        if "/" in segment or "\\" in segment or any(ord(one) < 32 for one in segment):
            return False
        if segment.split(";")[0] in (".", ".."):
            return False
        before, segment = segment, _decoded(segment)
        if segment == before:
            return True


def _decoded(segment: str) -> str:
    """Latin-1 keeps each byte apart, in whatever coding it is meant."""
    return urllib.parse.unquote(segment, "latin-1")
