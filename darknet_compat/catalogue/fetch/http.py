"""Requests over http and https, and what their answers and failures mean in one line of plain words."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any

from darknet_compat.formats.textfile import shown

MAX_REDIRECTS = 8
SCHEMES = ("http", "https")
TELLING = 256
"""Bytes at a file's beginning that show what it is."""

_RETRIED_STATUS = (408, 425, 429, 500, 502, 503, 504)


class Refused(Exception):
    """This address will not give the file, however often it is asked."""


class Interrupted(Exception):
    """This attempt failed; another may go better."""


class Unreachable(Interrupted):
    """There is no way to this address now: its name has none, or this machine has no network."""


def request(url: str, headers: dict[str, str], timeout: float) -> Any:
    """The answer to a GET, redirects followed: a success, or 416. `timeout` is in seconds for each wait.

    Raises Refused or Interrupted with the reason.
    """
    if (scheme := _scheme(url)) not in SCHEMES:
        raise Refused(f"{scheme or 'no'} addresses are not fetched, only http and https")
    headers = {"User-Agent": "darknet-compat", "Accept": "*/*", **headers}
    try:
        return _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        with error:
            raise _status_problem(error) from None
    except urllib.error.URLError as error:
        raise interrupted(error.reason) from None
    except http.client.InvalidURL as error:
        raise Refused(f"no address: {plain(error)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise interrupted(error) from None
    except ValueError as error:
        raise Refused(f"no address: {plain(error)}") from None


def host(url: str) -> str:
    """The name by which messages call an address: its host, or the address itself where it has none."""
    try:
        return urllib.parse.urlsplit(url).netloc.rpartition("@")[2] or shown(url)
    except ValueError:
        return shown(url)


def _scheme(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).scheme
    except ValueError:
        return ""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, never from https back to http, and not for ever."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    # Python 3.10 does not know it yet.
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = _scheme(newurl)
        if scheme not in SCHEMES or (req.type == "https" and scheme != "https"):
            fp.close()
            raise Refused(f"redirected to {shown(newurl)}, which is not followed")
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


def _status_problem(error: urllib.error.HTTPError) -> Exception:
    """What an answer other than success means, in one line."""
    if error.code not in (301, 302, 303, 307, 308):
        kind = Interrupted if error.code in _RETRIED_STATUS else Refused
        return kind(f"HTTP {error.code} {plain(error.reason)}".rstrip())
    target = urllib.parse.urljoin(error.url or "", error.headers.get("Location", ""))
    if _scheme(target) not in SCHEMES:
        return Refused(f"redirected to {shown(target)}, which is not followed")
    return Refused(f"redirected in a circle, to nowhere or more than {MAX_REDIRECTS} times")


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https and nothing else: no file:, ftp: or data: however it is asked."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def refuse_page(headers: Message, beginning: bytes) -> None:
    """Refuse what is plainly no binary file: by its declared type, or by how it begins."""
    text = beginning[:TELLING].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if headers.get_content_type() in ("text/html", "application/xhtml+xml") or text.startswith(
        (b"<!doctype", b"<html", b"<head", b"<?xml")
    ):
        raise Refused("a web page arrived instead of a file")
    if text.startswith(b"version https://git-lfs.github.com/spec/"):
        raise Refused("a Git LFS pointer arrived instead of the file it stands for")


def interrupted(reason: object) -> Interrupted:
    """An interruption in one line of plain words."""
    if isinstance(reason, TimeoutError) or "timed out" in str(reason):
        return Interrupted("no data arrived in time")
    if isinstance(reason, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return Interrupted("the connection ended early")
    kind = Unreachable if _is_unreachable(reason) else Interrupted
    words = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return kind(plain(words))


def _is_unreachable(reason: object) -> bool:
    if not isinstance(reason, OSError):
        return False
    no_way = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ECONNREFUSED)
    # What http.client says of a proxy that lets nobody through; that it is slow (408), busy (429) or ill may pass.
    turned_away = re.match(r"Tunnel connection failed: 4(?!08|29)", str(reason)) is not None
    return isinstance(reason, socket.gaierror) or reason.errno in no_way or turned_away


def plain(text: object) -> str:
    """What another machine said, fit for one line of a terminal."""
    words = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words[:200])
