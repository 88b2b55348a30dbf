"""A server on a free port of this machine, with the detector of digits that comes along and two toy models."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from darknet_compat.serving import run
from darknet_compat.serving.app import Server
from darknet_compat.serving.options import ServeOptions
from darknet_compat.vision.draw import save
from tests.cli.support import CLASSIFIER, DETECTOR, write_toy


@dataclass
class Answer:
    """A response: its status, headers and document (or text)."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    """Asks a server."""

    address: str
    server: Server
    said: list[str] = field(default_factory=list)

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, body, named)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read().decode())

    def json(self, path: str, document: Any) -> Answer:
        return self.ask(path, json.dumps(document).encode(), Content_Type="application/json")


@contextmanager
def serving(options: ServeOptions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Serve in a thread of this process, and drain at the end."""
    said: list[str] = []
    up = threading.Event()
    place: dict[str, Any] = {}
    real = run._Server

    class Stoppable(real):
        """uvicorn's server, kept where the test can end it."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            place["uvicorn"], place["app"] = self, config.app

    monkeypatch.setattr(run, "_Server", Stoppable)

    def ready(address: str, models: object) -> None:
        place["address"] = address
        up.set()

    thread = threading.Thread(target=run.serve, args=(options, said.append, ready), daemon=True)
    thread.start()
    assert up.wait(60), said
    client = Client(place["address"], place["app"].state.server, said)
    while client_not_ready(client):
        pass
    try:
        yield client
    finally:
        place["uvicorn"].should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def client_not_ready(client: Client) -> bool:
    try:
        return client.ask("readyz").status != 200
    except OSError:
        return True


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `toy` (finds one cat, 0.94, in anything), `classes` and a picture."""
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    toy = write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    toy.cfg.with_suffix(".names").write_text("cat\ndog\n")
    classes = write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])
    classes.cfg.with_suffix(".names").write_text("a\nb\nc\n")
    save(np.full((20, 30, 3), 90, np.uint8), tmp_path / "grey.png")
    return tmp_path


@pytest.fixture
def client(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    options = ServeOptions(models=[str(toys / "toy.cfg"), str(toys / "classes.cfg")], port=0, timeout=5)
    with serving(options, monkeypatch) as client:
        yield client
