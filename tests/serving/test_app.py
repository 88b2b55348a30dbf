"""What a server answers: to pictures, to clients of the inference protocol, and to what is wrong."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.errors import BackendError, OptionError
from darknet_compat.inference.detector import Detector
from darknet_compat.serving import models
from darknet_compat.serving.lanes import BatchLanes, Busy, SingleLanes
from darknet_compat.serving.models import Served, open_models
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.run import serve
from darknet_compat.vision.draw import save
from tests.cli.support import DETECTOR, in_process, write_toy
from tests.serving.conftest import Client, serving


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + b"--x--\r\n", "multipart/form-data; boundary=x"


def test_a_picture_as_detect_json_has_it(client: Client, toys: Path) -> None:
    body = (toys / "grey.png").read_bytes()
    found = client.ask("v1/models/toy/detect", body, Content_Type="image/png")
    assert found.status == 200
    printed = json.loads(in_process("detect", toys / "toy.cfg", toys / "grey.png", "--json").out)["images"][0]
    del printed["file"], printed["seconds"]
    seconds = found.document["seconds"]
    assert {key: value for key, value in found.document.items() if key != "seconds"} == printed
    assert 0 <= seconds < 60
    assert [one["class"] for one in printed["detections"]] == ["cat"]


def test_what_a_request_asks_for_is_its_own(client: Client, toys: Path) -> None:
    body = (toys / "grey.png").read_bytes()

    def classes(query: str) -> list[str]:
        return [one["class"] for one in client.ask(f"v1/models/toy/detect{query}", body).document["detections"]]

    assert classes("?thresh=0.1") == ["cat", "dog"]
    assert classes("?thresh=0.1&classes=dog") == ["dog"]
    assert classes("?thresh=0.99") == []
    assert classes("") == ["cat"]


def test_a_level_of_the_tree_is_for_the_request(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(np.asarray(DigitScenes("test")[0].image)[..., ::-1].repeat(3, 0).repeat(3, 1), toys / "scene.png")
    with serving(ServeOptions(models=["yolo9000-digits"], port=0), monkeypatch) as client:

        def depths(query: str) -> set[int]:
            body = (toys / "scene.png").read_bytes()
            answer = client.ask(f"v1/models/yolo9000-digits/detect{query}", body).document
            return {len(one["path"]) for one in answer["detections"]}

        assert depths("?level=0") == {1} and depths("?level=1") == {2} and max(depths("")) > 2
        printed = in_process("detect", "yolo9000-digits", toys / "scene.png", "--level", "1", "--json").out
        ours = json.loads(printed)["images"][0]["detections"]
        asked = client.ask("v1/models/yolo9000-digits/detect?level=1", (toys / "scene.png").read_bytes())
        assert asked.document["detections"] == ours


def test_forms_and_documents(client: Client, toys: Path) -> None:
    picture = (toys / "grey.png").read_bytes()
    body, kind = form(("a.png", picture))
    assert client.ask("v1/models/toy/detect", body, Content_Type=kind).document["file"] == "a.png"
    body, kind = form(("a.png", picture), ("b.png", b"no picture"))
    first, second = client.ask("v1/models/toy/detect", body, Content_Type=kind).document["images"]
    assert len(first["detections"]) == 1 and "not a picture" in second["error"]
    encoded = base64.b64encode(picture).decode()
    answer = client.json("v1/models/toy/detect", {"images": [encoded, encoded]})
    assert [len(one["detections"]) for one in answer.document["images"]] == [1, 1]


def test_texts_of_a_form_are_options(client: Client, toys: Path) -> None:
    body, kind = form(("a.png", (toys / "grey.png").read_bytes()))

    def ask(task: str, field: str, text: str) -> Any:
        part = f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'.encode()
        return client.ask(f"v1/models/{task}", part + body, Content_Type=kind)

    assert [one["class"] for one in ask("toy/detect", "thresh", "0.1").document["detections"]] == ["cat", "dog"]
    assert len(ask("classes/classify", "top", "2").document["classes"]) == 2
    for field, text, reason in (
        ("thresh", "2", "thresh: expected a number from 0 to 1, found '2'"),
        ("comment", "hello", "'comment': no such parameter; there are classes, level, nms, thresh"),
    ):
        answer = ask("toy/detect", field, text)
        assert answer.status == 400 and reason in answer.document["error"]


def test_classes(client: Client, toys: Path) -> None:
    answer = client.ask("v1/models/classes/classify?top=2", (toys / "grey.png").read_bytes())
    assert [one["name"] for one in answer.document["classes"]] == ["c", "b"]


def test_what_models_there_are(client: Client) -> None:
    models = client.ask("v1/models").document["models"]
    assert [(one["name"], one["task"]) for one in models] == [("toy", "detect"), ("classes", "classify")]
    assert client.ask("v1/models/toy").document["classes"] == ["cat", "dog"]
    assert client.ask("healthz").document == {"status": "ok"}
    assert client.ask("openapi.json").document["paths"]["/v1/models/{name}/detect"]["post"]["requestBody"]
    page = client.ask("")
    assert "<!doctype html>" in page.text and "default-src 'self'" in page.headers["content-security-policy"]


def test_metrics_count(client: Client, toys: Path) -> None:
    for _ in range(3):
        client.ask("v1/models/toy/detect", (toys / "grey.png").read_bytes())
    client.ask("v1/models/nobody/detect", b"x")
    client.ask("a/path/of/a/stranger")
    text = client.ask("metrics").text
    assert 'darknet_requests_total{path="/v1/models/{name}/detect",status="200"} 3.0' in text
    assert 'darknet_requests_total{path="/v1/models/{name}/detect",status="404"} 1.0' in text
    assert 'darknet_pictures_total{model="toy"} 3.0' in text and 'darknet_objects_total{model="toy"} 3.0' in text
    assert 'darknet_waiting{model="toy"} 0.0' in text and "stranger" not in text


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("v1/models/toy/detect", b"no picture", 400, "not a picture"),
        ("v1/models/toy/detect", b"", 400, "found nothing"),
        ("v1/models/nobody/detect", b"x", 404, "there are toy, classes"),
        ("v1/models/classes/detect", b"x", 400, "POST to /v1/models/classes/classify"),
        ("v1/models/toy/detect?thresh=2", b"x", 400, "thresh: expected a number from 0 to 1, found '2'"),
        ("v1/models/toy/detect?thrsh=1", b"x", 400, "there are classes, level, nms, thresh"),
        ("v1/models/toy/detect?classes=horse", "grey", 400, "not one of the 2 classes"),
        ("v1/models/toy/detect?level=0", "grey", 400, "level: toy has no WordTree"),
        ("v1/models/toy/detect?level=-1", "grey", 400, "level: expected a whole number from 0 to 1000, found '-1'"),
        ("v1/models/classes/classify?top=many", "grey", 400, "top: expected a whole number"),
    ],
)
def test_what_is_wrong_is_one_line(
    client: Client, toys: Path, path: str, body: bytes | str, status: int, reason: str
) -> None:
    data = (toys / "grey.png").read_bytes() if isinstance(body, str) else body
    answer = client.ask(path, data)
    assert answer.status == status
    assert reason in answer.document["error"] and "\n" not in answer.document["error"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"images": ["%%%"]}, "expected base64"),
        ({"images": "x"}, "expected {"),
        ([1], "expected {"),
        ({"url": "http://127.0.0.1:1/x.jpg"}, "not fetched; --allow-url"),
        ({"url": "file:///etc/passwd"}, "not fetched"),
    ],
)
def test_wrong_documents(client: Client, document: Any, reason: str) -> None:
    assert reason in client.json("v1/models/toy/detect", document).document["error"]


def test_a_malformed_form(client: Client) -> None:
    answer = client.ask("v1/models/toy/detect", b"--y\r\nno form", Content_Type="multipart/form-data; boundary=x")
    assert answer.status == 400 and "form" in answer.document["error"]


# ---------------------------------------------------------------------------------------------- limits


def test_bodies_and_pixels_are_bounded(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions(models=[str(toys / "toy.cfg")], port=0, max_bytes=2000, max_pixels=500)
    picture = (toys / "grey.png").read_bytes()
    with serving(options, monkeypatch) as client:
        assert client.ask("v1/models/toy/detect", b"x" * 3000).status == 413
        answer = client.ask("v1/models/toy/detect", picture)
        assert answer.status == 400 and "more than 500" in answer.document["error"]


def test_a_request_that_comes_slowly_is_ended(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions(models=[str(toys / "toy.cfg")], port=0, timeout=2)
    with serving(options, monkeypatch) as client:
        host, port = client.address.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /v1/models/toy/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
            slow.settimeout(30)
            assert slow.recv(200).startswith(b"HTTP/1.1 408")
        assert client.ask("healthz").status == 200


def test_a_request_that_is_cut_off_is_counted_and_no_fault(
    client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = client.address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as cut:
        cut.sendall(b"POST /v1/models/toy/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
    counted = 'darknet_requests_total{path="/v1/models/{name}/detect",status="400"} 1.0'
    until = time.monotonic() + 30
    while counted not in client.ask("metrics").text:
        assert time.monotonic() < until
    assert "Traceback" not in capfd.readouterr().err and not caplog.records


def test_a_token_is_asked_for(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toys / "token").write_text("secret\n")
    options = ServeOptions(models=[str(toys / "toy.cfg")], port=0, token_file=toys / "token")
    with serving(options, monkeypatch) as client:
        assert client.ask("v1/models").status == client.ask("v1/models", Authorization="Bearer wrong").status == 401
        assert client.ask("v1/models", Authorization="Bearer secret").status == 200
        assert client.ask("healthz").status == 200


def test_addresses_are_fetched_only_where_allowed(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(toys))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{files.server_port}"
        options = ServeOptions(
            models=[str(toys / "toy.cfg")], port=0, allow_url=(f"{host}/grey.png", f"{host}/greyer.png")
        )
        with serving(options, monkeypatch) as client:

            def status(url: str) -> int:
                return client.json("v1/models/toy/detect", {"url": url}).status

            assert status(f"{host}/grey.png") == 200
            assert status(f"{host}/toy.cfg") == status(f"{host}/grey/../toy.cfg") == 403
            assert status(f"https{host[4:]}/grey.png") == 403
            assert status(f"{host}/greyer.png") == 502
        files.shutdown()


class Slow:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, picture: bytes, **asked: Any) -> int:
        assert self.go.wait(30)
        return len(picture)


def test_more_than_may_wait_are_refused() -> None:
    slow = Slow()
    lanes = SingleLanes(lambda: slow, 1, 2)  # type: ignore[arg-type, return-value]
    waiting = [lanes.submit(b"a" * n, {}) for n in range(3)]
    with pytest.raises(Busy):
        lanes.submit(b"x", {})
    assert lanes.waiting == 3
    slow.go.set()
    assert [future.result(30) for future in waiting] == [0, 1, 2]
    lanes.close()
    assert lanes.waiting == 0
    with pytest.raises(Busy):
        lanes.submit(b"x", {})


def test_a_full_queue_is_429_with_the_time_to_wait(client: Client, toys: Path) -> None:
    server = client.server
    served = server.models["toy"]
    real, slow = served.lanes, Slow()
    served.lanes = SingleLanes(lambda: slow, 1, 0)  # type: ignore[arg-type, return-value]
    held = served.lanes.submit(b"x", {})
    answer = client.ask("v1/models/toy/detect", b"y")
    assert answer.status == 429 and answer.headers["retry-after"] == "1"
    host, port = client.address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as early:
        early.settimeout(4)  # the server would wait for the body for 5 s
        early.sendall(b"POST /v1/models/toy/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")
        assert early.recv(200).startswith(b"HTTP/1.1 429")
    slow.go.set()
    held.result(30)
    served.lanes.close()
    served.lanes = real


def test_an_error_names_no_folder_of_the_machine(client: Client, toys: Path) -> None:
    served = client.server.models["toy"]

    def fails(*_: object, **__: object) -> None:
        raise BackendError(f"{toys / 'toy.cfg'}: layer 1 with {toys / 'toy.weights'} went wrong")

    real, served.lanes = served.lanes, SingleLanes(lambda: fails, 1, 1)  # type: ignore[arg-type, return-value]
    answer = client.ask("v1/models/toy/detect", b"y")
    assert answer.status == 400 and answer.document["error"] == "toy.cfg: layer 1 with toy.weights went wrong"
    served.lanes.close()
    served.lanes = real


def test_batches_share_a_pass_and_keep_their_own_answers(toys: Path) -> None:
    detector = Detector(toys / "toy.cfg")
    passes: list[int] = []
    infer = detector.runtime.infer

    def counted(images: Any, thresh: float) -> Any:
        passes.append(len(images))
        return infer(images, thresh)

    detector.runtime.infer = counted  # type: ignore[method-assign]
    lanes = BatchLanes(lambda: detector, 4, 10.0, 8)
    picture = (toys / "grey.png").read_bytes()
    futures = [lanes.submit(data, {}) for data in (picture, b"none", picture, picture)]
    assert [len(futures[row].result(60)) for row in (0, 2, 3)] == [1, 1, 1]
    with pytest.raises(Exception, match="not a picture"):
        futures[1].result(60)
    assert passes == [3]
    futures = [lanes.submit(picture, {"thresh": thresh}) for thresh in (0.1, 0.9, 0.1, 0.9)]
    assert [len(future.result(60)) for future in futures] == [2, 1, 2, 1]
    alone, wrong = lanes.run(lambda: 7), lanes.run(lambda: 1 // 0)
    assert alone.result(60) == 7 and isinstance(wrong.exception(60), ZeroDivisionError)
    lanes.close()


# ---------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(("backend", "at_once"), [("onnxruntime", 3), ("torch", 1)])
def test_as_many_run_at_once_as_there_are_lanes(toys: Path, backend: str, at_once: int) -> None:
    pytest.importorskip(backend)
    served = Served(str(toys / "toy.cfg"), ServeOptions(models=["toy"], lanes=3, backend=backend), print)
    assert served.how == "3 at a time" and served.model().runtime.streams == at_once  # torch does not count them
    served.lanes.close()


@pytest.mark.parametrize("batches", [True, False])
def test_what_is_quicker_is_kept(toys: Path, monkeypatch: pytest.MonkeyPatch, batches: bool) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(models, "quicker", lambda *_: batches)
    served = Served(str(toys / "toy.cfg"), ServeOptions(models=["toy"], lanes=3, max_batch=4), print)
    assert isinstance(served.lanes, BatchLanes if batches else SingleLanes)
    assert served.model().runtime.streams == (1 if batches else 3)
    write_toy(toys, "toy", DETECTOR, [0, 0, 0, 0, 4, 0, 3, 0, 0, 0, 0, -2, 0, 8])
    served.refresh()
    assert served.model().runtime.streams == (1 if batches else 3)
    served.lanes.close()


def test_a_changed_file_is_opened_again_without_a_lost_request(toys: Path) -> None:
    said: list[str] = []
    served = Served(str(toys / "toy.cfg"), ServeOptions(models=["toy"]), said.append)
    picture = (toys / "grey.png").read_bytes()
    old = served.model()
    served.refresh()
    assert served.model() is old
    write_toy(toys, "toy", DETECTOR, [0, 0, 0, 0, 4, 0, 3, 0, 0, 0, 0, -2, 0, 8])
    served.refresh()
    assert said == ["toy: opened again"]
    assert [one.name for one in served.lanes.submit(picture, {}).result(60)] == ["dog"]
    (toys / "toy.weights").write_bytes(b"half a file")
    served.refresh()
    assert "not opened again" in said[1]
    assert [one.name for one in served.lanes.submit(picture, {}).result(60)] == ["dog"]
    served.lanes.close()


def test_wrong_options(toys: Path) -> None:
    shutil.copy(toys / "toy.cfg", toys / "cache.cfg")
    (toys / "other").mkdir()
    shutil.copy(toys / "toy.cfg", toys / "other" / "toy.cfg")
    with pytest.raises(OptionError, match="two models are called toy"):
        open_models(ServeOptions(models=[str(toys / "toy.cfg"), str(toys / "other" / "toy.cfg")]), print)
    with pytest.raises(OptionError, match="goes with one model"):
        open_models(ServeOptions(models=["a", "b"], weights=toys / "toy.weights"), print)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BackendError, match=rf"127.0.0.1:{port}: .*--port takes another"):
            serve(ServeOptions(models=[str(toys / "toy.cfg")], port=port), print)
    (toys / "empty").write_text("\n")
    with pytest.raises(OptionError, match=r"token_file: .*expected a token"):
        serve(ServeOptions(models=[str(toys / "toy.cfg")], port=0, token_file=toys / "empty"), print)


def test_many_clients_at_once(client: Client, toys: Path) -> None:
    """Each answer belongs to its own picture, whose size it names."""
    pictures = []
    for number in range(24):
        save(np.full((20 + number, 30, 3), 90, np.uint8), toys / f"{number}.png")
        pictures.append((toys / f"{number}.png").read_bytes())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.ask("v1/models/toy/detect", body), pictures))
    assert [answer.document["height"] for answer in answers] == [20 + number for number in range(24)]


# ------------------------------------------------------------------------------------------ the whole process


def test_sigterm_answers_what_was_taken_and_ends(toys: Path) -> None:
    command = [sys.executable, "-m", "darknet_compat", "serve", str(toys / "toy.cfg"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[0].startswith("toy: detect")
        address = lines[1].split()[0]
        client = Client(address, None)  # type: ignore[arg-type]
        while True:
            try:
                client.ask("readyz")
                break
            except OSError:
                time.sleep(0.05)
        assert client.ask("v1/models/toy/detect", (toys / "grey.png").read_bytes()).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
