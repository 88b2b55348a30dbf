"""A folder of `export --for web` behind a plain server of files, in a real Chromium: what `detect` finds."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.export.targets.table import TARGETS
from darknet_compat.export.targets.write import write_target
from darknet_compat.export.web.package import files_of
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from tests.browser import PASTE, all_of, chromium, download, narrow, one_of, rows, slide, until
from tests.cli.support import BARE_CLASSIFIER, CLASSIFIER, write_toy
from tests.export.targets.support import detector, scene
from tests.interop.runtimes import RUNTIMES

pytestmark = [pytest.mark.interop, pytest.mark.slow]
PACKAGE = next(runtime for runtime in RUNTIMES if runtime.name == "web")
LEAST = 0.05


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def files_at(folder: Path) -> Iterator[str]:
    """The address of a server that gives the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    if why := PACKAGE.missing():
        pytest.skip(why)
    with chromium(tmp_path / "profile") as browser:
        yield browser


def write(cfg: Path, weights: Path, folder: Path, names: list[str] | None = None) -> Path:
    """The model's page."""
    row = TARGETS["web"]
    path = row.model_in(folder, cfg.stem)
    path.parent.mkdir(parents=True)
    options = row.asked(OnnxOptions(names=names))
    artefact = export_onnx(StoredWeights(load_spec(cfg), weights), path, options=options, cfg=cfg)
    write_target(row, folder, artefact, files_of(PACKAGE.folder / "node_modules"))
    return folder


def ask(browser: Any, picture: Path) -> dict[str, Any]:
    """What the page answers."""
    browser.execute_script("state.answer = null; say('')")
    one_of(browser, "#file").send_keys(str(picture))
    until(browser, lambda: browser.execute_script("return state.answer !== null") or one_of(browser, "#error").text)
    assert not one_of(browser, "#error").text
    answer: dict[str, Any] = browser.execute_script("return state.answer")
    return answer


def opened(browser: Any, address: str) -> None:
    browser.get(address)
    until(browser, lambda: all_of(browser, "#model option") or one_of(browser, "#error").text)
    assert not one_of(browser, "#error").text
    assert browser.execute_script("return self.crossOriginIsolated") is False, "one thread, without special headers"


def assert_same(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """The same classes in order of the score, 1e-3 of score and of the path's probabilities, half a pixel."""
    assert ours and [one["class"] for one in theirs] == [one["class"] for one in ours]
    for one, other in zip(theirs, ours, strict=True):
        assert abs(one["score"] - other["score"]) < 1e-3
        assert np.allclose(one["box"], other["box"], atol=0.5)
        assert [step["name"] for step in one.get("path", [])] == [step["name"] for step in other.get("path", [])]
        for step, same in zip(one.get("path", []), other.get("path", []), strict=True):
            assert abs(step["probability"] - same["probability"]) < 1e-3


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A PNG, a JPEG of another shape, and one that EXIF turns."""
    paths = [tmp_path / "scene.png", tmp_path / "wide.jpg", tmp_path / "turned.jpg"]
    cv2.imwrite(str(paths[0]), scene(0))
    cv2.imwrite(str(paths[1]), cv2.resize(scene(1), (500, 300)))
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    turned = cv2.rotate(cv2.resize(scene(0), (400, 400)), cv2.ROTATE_90_COUNTERCLOCKWISE)
    Image.fromarray(np.ascontiguousarray(turned[..., ::-1])).save(paths[2], exif=exif, quality=95)
    return paths


@pytest.mark.parametrize("name", ["yolov2-digits", "yolo9000-digits"])
def test_the_browser_finds_what_detect_finds(name: str, browser: Any, pictures: list[Path], tmp_path: Path) -> None:
    names = {"yolov2-digits": [str(number) for number in range(10)]}.get(name)
    folder, ours = write(*detector(name), tmp_path / "page", names), Detector(*detector(name), names=names)
    with files_at(folder) as address:
        opened(browser, address)
        for picture in pictures:
            assert_same(ask(browser, picture)["detections"], ours(picture, thresh=LEAST).to_dict()["detections"])
        answer = ask(browser, pictures[0])
        for thresh in (0.3, 0.6):  # moved, and not asked again
            slide(browser, thresh)
            assert len(rows(browser)) == len(ours(pictures[0], thresh=thresh)) <= len(answer["detections"])
        browser.execute_script("state.answer = null")
        browser.execute_script(PASTE, base64.b64encode(pictures[0].read_bytes()).decode(), "pasted.png")
        until(browser, lambda: browser.execute_script("return state.answer !== null"))
        slide(browser, 0.6)
        saved = json.loads(download(browser, "#json", tmp_path / "pasted.json"))["detections"]
        assert_same(saved, ours(pictures[0], thresh=0.6).to_dict()["detections"])
        assert len(all_of(browser, "#list details")) == (len(rows(browser)) if name == "yolo9000-digits" else 0)


def test_the_forks_way(browser: Any, shared_data: Path, tmp_path: Path) -> None:
    """Stretched, with greedynms, on a photograph."""
    models = shared_data / "models" / "yolo-fastest-1.1"
    cfg, weights = next(models.glob("*.cfg")), next(models.glob("*.weights"))
    photograph = Path("/usr/share/darknet/data/dog.jpg")
    if not photograph.exists():
        pytest.skip("the original is not installed, whose photographs these are")
    with files_at(write(cfg, weights, tmp_path / "page")) as address:
        opened(browser, address)
        ours = Detector(cfg, weights)(photograph, thresh=LEAST).to_dict()["detections"]
        theirs = ask(browser, photograph)["detections"]
        assert [one["class_id"] for one in theirs] == [one["class_id"] for one in ours]
        named = [one | {"class": other["class"]} for one, other in zip(theirs, ours, strict=True)]
        assert_same(named, ours)


@pytest.mark.parametrize("text", [CLASSIFIER, BARE_CLASSIFIER], ids=["softmax", "bare"])
def test_a_classifier(text: str, browser: Any, pictures: list[Path], tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "classes", text, [0, 1, 2])
    with files_at(write(toy.cfg, toy.weights, tmp_path / "page", ["a", "b", "c"])) as address:
        opened(browser, address)
        theirs = ask(browser, pictures[0])["classes"]
        ours = Classifier(toy.cfg, toy.weights, names=["a", "b", "c"])(pictures[0]).top(10)
        assert [one["name"] for one in theirs] == [one.name for one in ours]
        assert np.allclose([one["probability"] for one in theirs], [one.probability for one in ours], atol=1e-3)
        assert not one_of(browser, "#slide").is_displayed()
        assert [("%" in row) for row in rows(browser)] == [text == CLASSIFIER] * 3


def test_a_narrow_screen_and_what_goes_wrong(tmp_path: Path, pictures: list[Path]) -> None:
    if why := PACKAGE.missing():
        pytest.skip(why)
    folder = write(*detector("yolov2-digits"), tmp_path / "page")
    with files_at(folder) as address, chromium(tmp_path / "profile") as browser:
        narrow(browser)
        opened(browser, address)
        ask(browser, pictures[0])
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        (tmp_path / "letter.png").write_text("no picture")
        one_of(browser, "#file").send_keys(str(tmp_path / "letter.png"))
        until(browser, lambda: one_of(browser, "#error").text)
        assert one_of(browser, "#error").text == "letter.png is no picture that the browser can show."


@pytest.mark.parametrize(
    ("name", "said"),
    [("yolov2-digits.onnx", "yolov2-digits.onnx is not there (404)"), ("model.json", "model.json is not there (404)")],
)
def test_a_folder_that_is_not_whole(name: str, said: str, tmp_path: Path) -> None:
    if why := PACKAGE.missing():
        pytest.skip(why)
    folder = write(*detector("yolov2-digits"), tmp_path / "page")
    (folder / name).unlink()
    with files_at(folder) as address, chromium(tmp_path / "profile") as browser:
        browser.get(address)
        until(browser, lambda: one_of(browser, "#error").text)
        assert one_of(browser, "#error").text == f"The model cannot be run here: {said}; the folder is not whole."
        browser.get_log("browser")  # what Chromium itself says of it
