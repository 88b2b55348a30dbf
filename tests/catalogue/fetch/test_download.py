from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darknet_compat.catalogue.fetch.checksum import Expected, Part, file_checksums
from darknet_compat.catalogue.fetch.download import download
from darknet_compat.errors import DownloadError
from tests.catalogue.fetch.downloads import DATA, MD5, QUICK, SHA256, blob_id, get, left_by
from tests.catalogue.fetch.http_server import Handler, Server, gives, in_turn

# ---------------------------------------------------------------------------------------------------------- mirrors


def test_the_next_mirror_is_tried_and_every_reason_told(server: Server, target: Path) -> None:
    server.routes["/page"] = lambda handler: handler.answer(200, b"<html>", Content_Type="text/html")
    bad = [server.url("/absent"), "ftp://old.example/f", server.url("/page")]
    server.routes["/f"] = gives(DATA)
    assert download([*bad, server.url("/f")], target, patience=QUICK).read_bytes() == DATA
    with pytest.raises(DownloadError) as error:
        download(bad, target.with_name("other"), patience=QUICK)
    message = str(error.value)
    assert "\n" not in message and message.startswith("other: no mirror gave it (127.0.0.1")
    assert "HTTP 404" in message and "old.example: ftp addresses are not fetched" in message and "a web page" in message
    assert str(target.with_name("other")) in message


def test_a_second_mirror_resumes_what_the_first_began_if_a_checksum_is_known(server: Server, target: Path) -> None:
    server.routes |= {"/1": gives(DATA, upto=100_000, ranges=False), "/2": gives(DATA, etag='"other"')}
    urls = [server.url("/1"), server.url("/2")]
    download(urls, target, expected=Expected(md5=MD5), patience=QUICK)
    assert target.read_bytes() == DATA and server.requests[-1][0] == "/2" and server.ranges()[-1] == "bytes=100000-"
    server.requests.clear()
    download(urls, target.with_name("unknown"), patience=QUICK)
    assert server.requests[-1][0] == "/2" and server.ranges()[-1] is None


def test_a_mirror_may_know_its_own_checksum(server: Server, target: Path) -> None:
    server.routes |= {"/1": gives(DATA), "/2": gives(DATA)}
    mirrors = [Part(server.url("/1"), Expected(md5="0" * 32)), Part(server.url("/2"), Expected(md5=MD5))]
    assert download(mirrors, target, expected=Expected((len(DATA),)), patience=QUICK).read_bytes() == DATA
    assert [path for path, _ in server.requests] == ["/1", "/2"]


PIECES = (DATA[:200_000], DATA[200_000:])


def split(server: Server, second: bytes = PIECES[1]) -> list[Part]:
    server.routes |= {"/xaa": gives(PIECES[0]), "/xab": in_turn(gives(second, upto=10), gives(second))}
    blobs = [Expected(git_blob=blob_id(piece)) for piece in PIECES]
    return [Part(server.url("/xaa"), blobs[0]), Part(server.url("/xab"), blobs[1])]


def test_pieces_are_checked_each_and_joined(server: Server, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    expected = Expected((len(DATA),), sha256=SHA256)
    download([split(server)], target, expected=expected, progress=lambda *now: seen.append(now), patience=QUICK)
    assert target.read_bytes() == DATA and left_by(target) == ["yolo.weights"]
    assert seen[0] == (0, 300_000) and seen[-1] == (300_000, 300_000)
    assert server.ranges() == [None, None, "bytes=10-"]


def test_a_damaged_piece_is_refused_and_the_good_one_kept(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="git_blob is"):
        download([split(server, PIECES[1][::-1])], target, patience=QUICK)
    assert left_by(target) == ["yolo.weights.part1", "yolo.weights.part1.json"]
    server.requests.clear()
    assert download([split(server)], target, patience=QUICK).read_bytes() == DATA
    assert server.ranges()[0] == "bytes=200000-"


def test_pieces_of_another_whole_are_refused(server: Server, target: Path) -> None:
    with pytest.raises(DownloadError, match="the joined file has another checksum"):
        download([split(server)], target, expected=Expected(md5="0" * 32), patience=QUICK)
    assert not target.exists()


# ------------------------------------------------------------------------------------------- this machine's troubles


def test_a_disk_without_room_is_told_before(server: Server, target: Path) -> None:
    server.routes["/f"] = lambda handler: handler.answer(200, DATA, Content_Length=10**16)
    with pytest.raises(DownloadError, match=r"10,000,000,000,000,000 bytes are needed and .* are free"):
        download([server.url("/f")], target, patience=QUICK)
    assert left_by(target) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits a process's files, which Windows cannot")
def test_a_disk_that_fills_up_keeps_what_arrived(server: Server, target: Path) -> None:
    import resource

    server.routes["/f"] = gives(DATA)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DownloadError, match=r"\.part: cannot be written: .*; what has arrived is kept") as error:
            download([server.url("/f")], target, patience=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value) and not target.exists()
    assert target.with_name("yolo.weights.part").read_bytes() == DATA[:100_000]
    assert get(server, target, gives(DATA)).read_bytes() == DATA
    assert server.ranges()[-1] == "bytes=100000-"


def test_a_folder_that_cannot_be(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match=r"cannot be written: .*DARKNET_COMPAT_CACHE"):
        download([server.url("/f")], tmp_path / "file" / "f", patience=QUICK)


def test_a_destination_that_is_a_folder(server: Server, target: Path) -> None:
    target.mkdir(parents=True)
    with pytest.raises(DownloadError, match="cannot be written"):
        get(server, target, gives(DATA))


PROCESS = """
import sys
from darknet_compat.catalogue.fetch.download import download
download([sys.argv[1]], sys.argv[2])
"""


def start(server: Server, target: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[3])
    environment = os.environ | {"PYTHONPATH": root, "no_proxy": "127.0.0.1"}
    return subprocess.Popen([sys.executable, "-c", PROCESS, server.url("/f"), str(target)], env=environment)


def test_two_processes_fetch_a_file_once(server: Server, target: Path) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.5)
        gives(DATA)(handler)

    server.routes["/f"] = slowly
    processes = [start(server, target) for _ in range(3)]
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    assert target.read_bytes() == DATA and len(server.requests) == 1
    assert left_by(target) == ["yolo.weights"]


def test_a_killed_process_leaves_no_lock(server: Server, target: Path) -> None:
    def stalls(handler: Handler) -> None:
        gives(DATA, upto=100_000)(handler)
        time.sleep(5)

    server.routes["/f"] = in_turn(stalls, gives(DATA))
    process = start(server, target)
    part = target.with_name("yolo.weights.part")
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert download([server.url("/f")], target, patience=QUICK).read_bytes() == DATA
    assert server.ranges() == [None, "bytes=100000-"] and left_by(target) == ["yolo.weights"]


# -------------------------------------------------------------------------------------------------------- checksums


def test_git_blob_is_what_git_says(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert file_checksums(path, ["git_blob"]) == {"git_blob": "ce013625030ba8dba906f756967f9e9ca394464a"}


@pytest.mark.parametrize("checksum", [{"md5": "0" * 31}, {"sha1": "G" * 40}, {"sha256": "A" * 64}])
def test_a_checksum_must_be_one(checksum: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="hexadecimal digits"):
        Expected(**checksum)
