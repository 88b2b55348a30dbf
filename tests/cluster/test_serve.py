"""`serve --engine ray`: the same addresses and answers, from several processes."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import MODEL, Run, plainly

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def answered(address: str, data: bytes | None = None, token: str = "secret") -> tuple[int, Any]:
    request = urllib.request.Request(address, data, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_addresses_are_those_of_one_process(pictures: Path, tmp_path: Path, start: Callable[..., Run]) -> None:
    (tmp_path / "token").write_text("secret\n")
    asked = ("--port", "0", "--engine", "ray", "--workers", "2", "--token-file", tmp_path / "token", "--json")
    run = start("serve", MODEL, *asked)
    assert run.process.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = run.process.stdout.readline()
        assert line, run.finish()
        text += line
    address = json.loads(text)["address"]
    picture = pictures / "00003.png"
    status, found = answered(f"{address}v1/models/{MODEL}/detect?thresh=0.2", picture.read_bytes())
    (plain,) = plainly(MODEL, picture, "--thresh", "0.2")
    assert status == 200 and found["detections"] == plain["detections"] != []
    assert answered(f"{address}v1/models/{MODEL}/detect", b"no picture")[0] == 400
    assert answered(f"{address}v1/models/{MODEL}/detect", picture.read_bytes(), "wrong")[0] == 401
    assert answered(f"{address}v1/models/nothing")[0] == 404
    assert answered(f"{address}v2/models/{MODEL}")[1]["name"] == MODEL
    assert answered(f"{address}readyz") == (200, {"ready": True})
    body = picture.read_bytes()
    with ThreadPoolExecutor(24) as pool:
        waiting = [pool.submit(answered, f"{address}v1/models/{MODEL}/detect?thresh=0.2", body) for _ in range(24)]
        wait(waiting, return_when=FIRST_COMPLETED)  # so all are on their way
        run.process.send_signal(signal.SIGTERM)
        assert [one.result()[0] for one in waiting] == [200] * 24
    code, _, err = run.finish(120)
    assert code == 0 and err == ""
    run.until_gone()
