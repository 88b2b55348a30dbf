from __future__ import annotations

import hashlib
import http.client
import io
import time
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from darknet_compat.catalogue.fetch.checksum import Digests, Expected
from darknet_compat.catalogue.fetch.download import download
from darknet_compat.catalogue.fetch.http import Refused, _Redirects
from darknet_compat.catalogue.fetch.transfer import Patience
from darknet_compat.errors import DownloadError
from tests.catalogue.fetch.downloads import DATA, MD5, QUICK, SHA256, blob_id, failure, get, left_by
from tests.catalogue.fetch.http_server import Handler, Server, gives, redirects

# ---------------------------------------------------------------------------------------------------- what goes well


def test_a_file_arrives_with_progress_and_leaves_nothing_behind(server: Server, target: Path) -> None:
    server.routes["/f"] = gives(DATA)
    seen: list[tuple[int, int | None]] = []
    path = download([server.url("/f")], target, progress=lambda done, total: seen.append((done, total)), patience=QUICK)
    assert path == target and target.read_bytes() == DATA
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    assert left_by(target) == ["yolo.weights"]


@pytest.mark.parametrize(
    "expected",
    [Expected((len(DATA),)), Expected(sha256=SHA256), Expected(md5=MD5), Expected(git_blob=blob_id(DATA))],
    ids=["size", "sha256", "md5", "git_blob"],
)
def test_what_was_published_is_checked(server: Server, target: Path, expected: Expected) -> None:
    assert get(server, target, gives(DATA), expected=expected).read_bytes() == DATA


def test_git_blob_without_a_length_from_the_server(server: Server, target: Path) -> None:
    expected = Expected(git_blob=blob_id(DATA))
    get(server, target, lambda handler: handler.answer(200, DATA, Content_Length=None), expected=expected)
    assert target.read_bytes() == DATA


def test_a_right_file_is_not_fetched_again_and_a_wrong_one_is_replaced(server: Server, target: Path) -> None:
    expected = Expected(md5=MD5)
    get(server, target, gives(DATA), expected=expected)
    get(server, target, gives(DATA), expected=expected)
    assert len(server.requests) == 1
    target.write_bytes(DATA[:-1] + b"?")
    get(server, target, gives(DATA), expected=expected)
    assert len(server.requests) == 2 and target.read_bytes() == DATA


def test_redirects_are_followed(server: Server, target: Path) -> None:
    for status, path in ((301, "/f"), (302, "/2"), (303, "/3"), (307, "/4"), (308, "/5")):
        server.routes[path] = redirects(f"/{int(path[1:].replace('f', '1')) + 1}", status)
    server.routes["/6"] = gives(DATA)
    assert download([server.url("/f")], target, patience=QUICK).read_bytes() == DATA


# --------------------------------------------------------------------------------------------------------- resuming


def test_a_broken_connection_is_resumed(server: Server, target: Path) -> None:
    get(server, target, gives(DATA, upto=100_000), gives(DATA, upto=250_000), gives(DATA), expected=Expected(md5=MD5))
    assert target.read_bytes() == DATA
    assert server.ranges() == [None, "bytes=100000-", "bytes=250000-"]
    assert [headers.get("If-Range") for _, headers in server.requests] == [None, '"1"', '"1"']


def test_a_line_that_breaks_often_is_borne_as_long_as_something_arrives(server: Server, target: Path) -> None:
    pieces = [gives(DATA, upto=end) for end in range(20_000, len(DATA), 20_000)]
    assert len(pieces) > QUICK.attempts
    assert get(server, target, *pieces, gives(DATA)).read_bytes() == DATA


def test_a_stalled_connection_is_resumed(server: Server, target: Path) -> None:
    def stalls(handler: Handler) -> None:
        gives(DATA, upto=100_000)(handler)
        time.sleep(4)

    assert get(server, target, stalls, gives(DATA)).read_bytes() == DATA
    assert server.ranges() == [None, "bytes=100000-"]


def test_a_later_run_resumes(server: Server, target: Path) -> None:
    server.routes["/f"] = gives(DATA)

    def interrupt(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download([server.url("/f")], target, progress=interrupt, patience=QUICK)
    kept = target.with_name("yolo.weights.part").stat().st_size
    assert 0 < kept <= len(DATA) and not target.exists()
    assert get(server, target, gives(DATA)).read_bytes() == DATA
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert left_by(target) == ["yolo.weights"]


def test_a_server_without_ranges_starts_over(server: Server, target: Path) -> None:
    broken = gives(DATA, upto=100_000, ranges=False)
    assert get(server, target, broken, gives(DATA, ranges=False)).read_bytes() == DATA
    assert server.ranges() == [None, "bytes=100000-"]


NEWER = DATA[::-1] + b"longer"


def test_a_changed_file_is_fetched_anew(server: Server, target: Path) -> None:
    assert get(server, target, gives(DATA, upto=100_000), gives(NEWER, etag='"2"')).read_bytes() == NEWER


def test_a_changed_file_is_noticed_though_the_server_ignores_if_range(server: Server, target: Path) -> None:
    changed = gives(NEWER, etag='"2"', if_range=False)
    assert get(server, target, gives(DATA, upto=100_000), changed).read_bytes() == NEWER
    assert server.ranges() == [None, "bytes=100000-", None]


def test_without_version_or_checksum_nothing_is_resumed(server: Server, target: Path) -> None:
    broken, anew = gives(DATA, upto=100_000, etag=None), gives(NEWER, etag=None)
    assert get(server, target, broken, anew).read_bytes() == NEWER
    assert server.ranges() == [None, None]


def test_a_weak_version_is_no_version(server: Server, target: Path) -> None:
    assert get(server, target, gives(DATA, upto=100_000, etag='W/"1"'), gives(DATA)).read_bytes() == DATA
    assert server.ranges() == [None, None]


def test_a_checksum_finds_out_a_wrong_continuation(server: Server, target: Path) -> None:
    other = DATA[::-1]
    expected = Expected(md5=hashlib.md5(other).hexdigest())
    get(server, target, gives(DATA, upto=100_000, etag=None), gives(other, etag=None), expected=expected)
    assert target.read_bytes() == other
    assert server.ranges() == [None, "bytes=100000-", None]


@pytest.mark.parametrize("extra", [b"", b"of another file"])
def test_a_part_that_is_whole_already(server: Server, target: Path, extra: bytes) -> None:
    target.parent.mkdir()
    target.with_name("yolo.weights.part").write_bytes(DATA + extra)
    assert get(server, target, gives(DATA), expected=Expected(md5=MD5)).read_bytes() == DATA
    assert server.ranges() == [f"bytes={len(DATA + extra)}-"] + [None] * bool(extra)


def test_another_part_than_asked_for_is_not_taken(server: Server, target: Path) -> None:
    wrong = lambda handler: handler.answer(206, DATA[5:], Content_Range=f"bytes 5-{len(DATA) - 1}/{len(DATA)}")  # noqa: E731
    assert get(server, target, gives(DATA, upto=100_000), wrong, gives(DATA)).read_bytes() == DATA


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"binary", "text/html; charset=utf-8"),
        (b"\n  <!DOCTYPE html><html></html>", "application/octet-stream"),
        (b"<HTML><title>Survival</title>" + b" " * 500, "application/octet-stream"),
    ],
)
def test_a_web_page_is_no_file(server: Server, target: Path, body: bytes, kind: str) -> None:
    message = failure(server, target, lambda handler: handler.answer(200, body, Content_Type=kind))
    assert "a web page arrived instead of a file" in message
    assert left_by(target) == []


def test_a_web_page_in_small_pieces(server: Server, target: Path) -> None:
    def slowly(handler: Handler) -> None:
        handler.answer(200, b"<!do", Content_Length=40)
        time.sleep(0.05)
        handler.wfile.write(b"ctype html><html><body>moved</bo")

    assert "a web page arrived" in failure(server, target, slowly)


def test_a_redirect_to_a_web_page(server: Server, target: Path) -> None:
    server.routes["/home"] = lambda handler: handler.answer(200, b"<!DOCTYPE html>", Content_Type="text/html")
    assert "127.0.0.1" in (message := failure(server, target, redirects("/home")))
    assert "a web page arrived instead of a file" in message


def test_a_web_page_costs_nothing_that_has_arrived(server: Server, target: Path) -> None:
    server.routes |= {
        "/1": gives(DATA, upto=100_000, ranges=False),
        "/2": lambda handler: handler.answer(200, b"<html>"),
    }
    with pytest.raises(DownloadError, match="a web page arrived"):
        download([server.url("/1"), server.url("/2")], target, patience=QUICK)
    assert target.with_name("yolo.weights.part").read_bytes() == DATA[:100_000]


def test_a_git_lfs_pointer_is_no_file(server: Server, target: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert "a Git LFS pointer arrived" in failure(server, target, lambda handler: handler.answer(200, pointer))


def test_no_such_file_is_asked_for_once(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="HTTP 404 Not Found"):
        download([server.url("/absent")], target, patience=QUICK)
    assert len(server.requests) == 1 and left_by(target) == []


def test_a_busy_server_is_asked_again(server: Server, target: Path) -> None:
    busy = lambda handler: handler.answer(503)  # noqa: E731
    assert get(server, target, busy, busy, gives(DATA)).read_bytes() == DATA
    assert "HTTP 503 Service Unavailable, after 3 attempts" in failure(server, target.with_name("other"), busy)


def test_a_server_that_only_stalls(server: Server, target: Path) -> None:
    assert "no data arrived in time, after 3 attempts" in failure(server, target, lambda handler: time.sleep(2))


def drips(handler: Handler, before: bytes, chunk: bytes) -> None:
    """Never so slow that a socket would time out, and without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + before)
    while True:
        handler.wfile.write(chunk)
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("before", "chunk", "words"),
    [
        (b"Content-Length: 300000\r\n\r\n", b"x", "fewer than 1,000 bytes a second arrived, after 3 attempts"),
        (b"\r\n", b"x", "fewer than 1,000 bytes a second arrived, after 3 attempts"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"x", "fewer than 1,000 bytes a second arrived, after 3 attempts"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "fewer than 1,000 bytes a second arrived"),
        (b"X: ", b"x", "no data arrived in time, after 3 attempts"),
    ],
    ids=["a known length", "no length", "the length of a chunk", "chunks", "headers"],
)
def test_a_server_that_drips(before: bytes, chunk: bytes, words: str, server: Server, target: Path) -> None:
    patience = Patience(timeout=0.1, attempts=3, pause=0.01)
    server.routes["/f"] = lambda handler: drips(handler, before, chunk)
    with pytest.raises(DownloadError, match=words):
        download([server.url("/f")], target, patience=patience)


def test_a_server_that_gives_a_byte_a_request(server: Server, target: Path) -> None:
    """Each attempt brings something new, and so many would be needed that nobody lives to see the last."""

    def one(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        gives(DATA, upto=start + 1)(handler)

    server.routes["/f"] = one
    with pytest.raises(DownloadError, match=r"the connection ended at 3 of 300,000 bytes, after 3 attempts"):
        download([server.url("/f")], target, patience=QUICK)


def test_a_file_that_never_gets_whole(server: Server, target: Path) -> None:
    message = failure(server, target, gives(DATA, upto=100_000, ranges=False))
    assert "the connection ended at 100,000 of 300,000 bytes" in message
    assert target.with_name("yolo.weights.part").stat().st_size == 100_000


def test_nobody_listens(target: Path) -> None:
    """Nothing has come and nobody is there: to ask again would only have someone off line wait."""
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:1: Connection refused\)"):
        download(["http://127.0.0.1:1/f"], target, patience=Patience(pause=600))


@pytest.mark.parametrize(
    ("code", "said"), [(403, r"Tunnel connection failed: 403 Forbidden\)"), (503, "after 3 attempts")]
)
def test_a_proxy_that_lets_nothing_through(code: int, said: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(code)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(DownloadError, match=said):
            download(["https://example.org/f"], target, patience=Patience(pause=600 if code == 403 else 0.001))
        proxy.shutdown()


@pytest.mark.parametrize(
    ("path", "words"),
    [("/f", "in a circle"), ("/0", "more than 8 times"), ("/nowhere", "to nowhere"), ("/file", "'file:///etc/passwd'")],
)
def test_redirects_that_lead_nowhere(server: Server, target: Path, path: str, words: str) -> None:
    server.routes |= {f"/{number}": redirects(f"/{number + 1}") for number in range(30)}
    server.routes |= {"/f": redirects("/g"), "/g": redirects("/f"), "/file": redirects("file:///etc/passwd")}
    server.routes["/nowhere"] = lambda handler: handler.answer(302)
    with pytest.raises(DownloadError, match=words) as error:
        download([server.url(path)], target, patience=QUICK)
    assert "\n" not in str(error.value) and len(server.requests) < 12 and not target.exists()


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/f", "data:,x", "gopher:x"])
def test_redirects_to_other_schemes(server: Server, target: Path, where: str) -> None:
    assert "which is not followed" in failure(server, target, redirects(where))


def test_no_redirect_from_https_to_http() -> None:
    request = urllib.request.Request("https://example.org/f")
    with pytest.raises(Refused, match="not followed"):
        _Redirects().redirect_request(request, io.BytesIO(), 302, "", http.client.HTTPMessage(), "http://example.org/f")
    up = urllib.request.Request("http://example.org/f")
    headers = http.client.HTTPMessage()
    assert isinstance(headers, Message)
    assert _Redirects().redirect_request(up, io.BytesIO(), 302, "", headers, "https://example.org/f") is not None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "data:,x", "yolo.weights", "", "http://[", "http://", "http://a b/"]
)
def test_addresses_that_are_none(target: Path, url: str) -> None:
    with pytest.raises(DownloadError) as error:
        download([url], target, patience=QUICK)
    assert "\n" not in str(error.value) and not target.exists()


def test_another_length_is_refused_before_it_arrives(server: Server, target: Path) -> None:
    message = failure(server, target, gives(DATA), expected=Expected((400_000, 400_004)))
    assert "the file there is 300,000 bytes long, expected 400,000 or 400,004" in message
    assert left_by(target) == []


def test_more_than_expected_of_an_unannounced_length(server: Server, target: Path) -> None:
    endless = lambda handler: handler.answer(200, DATA, Content_Length=None)  # noqa: E731
    assert "more than the expected 200,000 bytes" in failure(server, target, endless, expected=Expected((200_000,)))


def test_less_than_expected_of_an_unannounced_length(server: Server, target: Path) -> None:
    short = lambda handler: handler.answer(200, DATA, Content_Length=None)  # noqa: E731
    assert "300,000 bytes long, expected 400,000" in failure(server, target, short, expected=Expected((400_000,)))


def test_chunks_that_break_off(server: Server, target: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.answer(200, b"20000\r\n" + DATA[:0x10000], Content_Length=None, Transfer_Encoding="chunked", ETag='"1"')

    assert get(server, target, chunked, gives(DATA)).read_bytes() == DATA
    assert "the connection ended early, after 3 attempts" in failure(server, target.with_name("other"), chunked)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many"])
def test_a_length_that_is_none(server: Server, target: Path, length: str) -> None:
    get(server, target, lambda handler: handler.answer(200, DATA, Content_Length=length), expected=Expected(md5=MD5))
    assert target.read_bytes() == DATA


def test_noise_instead_of_http(server: Server, target: Path) -> None:
    def noise(handler: Handler) -> None:
        handler.wfile.write(b"\x1b[31mno http\x07\n" * 3)

    assert "\x1b" not in failure(server, target, noise)


@pytest.mark.parametrize("kind", ["sha256", "sha1", "md5", "git_blob"])
def test_another_checksum_is_refused(server: Server, target: Path, kind: str) -> None:
    wrong = "0" * {"sha256": 64, "md5": 32}.get(kind, 40)
    found = file_checksums_of(DATA)[kind]
    message = failure(server, target, gives(DATA), expected=Expected(**{kind: wrong}))
    assert f"the file's {kind} is {found}, expected {wrong}" in message
    assert left_by(target) == []


def file_checksums_of(data: bytes) -> dict[str, str]:
    digests = Digests(["sha256", "sha1", "md5", "git_blob"], len(data))
    digests.update(data)
    return digests.values()


def test_a_compressed_answer_is_refused(server: Server, target: Path) -> None:
    message = failure(server, target, lambda handler: handler.answer(200, DATA, Content_Encoding="gzip"))
    assert "arrives compressed (gzip)" in message
