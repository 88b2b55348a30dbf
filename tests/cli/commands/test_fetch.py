"""`fetch`: from a real web server, into the cache, once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.catalogue.fetch.checksum import Expected
from darknet_compat.catalogue.models import WeightsFile
from tests.catalogue.fetch.http_server import Server, gives
from tests.cli.support import Command, Toy, on_a_terminal


@pytest.fixture
def served(server: Server, detector: Toy, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The toy detector's weights in the catalogue, as `toy`, whose only mirror is `server`."""
    data = detector.weights.read_bytes()
    server.routes["/toy.weights"] = gives(data)
    md5 = Expected(md5=hashlib.md5(data).hexdigest())
    file = WeightsFile("toy-fetched.weights", 56, 20, (server.url("/toy.weights"),), md5)
    monkeypatch.setitem(MODELS, "toy", replace(MODELS["yolov2-tiny"], name="toy", weights=file))
    return server


def test_fetches_once_and_says_where_it_lies(dc: Command, served: Server, detector: Toy, tmp_path: Path) -> None:
    first = dc("fetch", "toy")
    path = tmp_path / "cache" / "toy-fetched.weights"
    assert (first.code, first.out) == (0, f"{path}\n")
    assert "fetching" in first.err and "its md5 as published" in first.err
    assert path.read_bytes() == detector.weights.read_bytes()
    asked = len(served.requests)
    again = dc("fetch", "toy")
    assert (again.code, again.out) == (0, f"{path}\n")
    assert "already here" in again.err and len(served.requests) == asked


def test_json(dc: Command, served: Server, tmp_path: Path) -> None:
    done = dc("fetch", "toy", "yolo-nine", "--json")
    good, bad = json.loads(done.out)["models"]
    assert done.code == 1
    assert good == {
        "name": "toy",
        "file": str(tmp_path / "cache" / "toy-fetched.weights"),
        "bytes": 244,
        "fetched": True,
        "checksums": dict(MODELS["toy"].weights.expected.checksums),
    }
    assert bad["name"] == "yolo-nine" and "no model is called" in bad["error"]


def test_what_cannot_be_fetched_is_named_and_the_rest_go_on(
    dc: Command, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = replace(MODELS["toy"].weights, file="page.weights", mirrors=(served.url("/page"),))
    served.routes["/page"] = lambda handler: handler.answer(200, b"<html>", Content_Type="text/html")
    monkeypatch.setitem(MODELS, "page", replace(MODELS["toy"], name="page", weights=page))
    done = dc("fetch", "page", "darknet9000", "toy")
    assert done.code == 1
    assert done.out.count("\n") == 1
    assert "page.weights: no mirror gave it" in done.err and "nobody is known to publish" in done.err


def test_detect_fetches_what_it_lacks(
    dc: Command, served: Server, detector: Toy, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(MODELS["toy"], cfg=str(detector.cfg), names=str(detector.cfg.with_suffix(".names")))
    monkeypatch.setitem(MODELS, "toy", known)
    assert dc("detect", "toy", picture, "--json").err == ""
    done = dc("detect", "toy", picture)
    assert done.code == 0 and "cat" in done.out
    assert [path for path, _ in served.requests] == ["/toy.weights"]


def test_a_bar_on_a_terminal(dc: Command, served: Server) -> None:
    data = bytes(16 + 4 * 500_000)
    served.routes["/large"] = gives(data)
    before = (
        "from dataclasses import replace\n"
        "from darknet_compat.catalogue.models import MODELS, WeightsFile\n"
        f"file = WeightsFile('large.weights', 500_000, 16, ({served.url('/large')!r},))\n"
        "MODELS['toy'] = replace(MODELS['tiny'], name='toy', weights=file)\n"
    )
    code, output = on_a_terminal("fetch", "toy", before=before)
    assert code == 0
    assert b"fetching toy" in output and b"2.0/2.0 MB" in output
    assert b"no checksum of it was published" in output and b"large.weights" in output
