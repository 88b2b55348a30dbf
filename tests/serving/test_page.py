"""The page in a real browser: choose, drop, paste, slide, search, unfold, save; errors, a dark and a narrow screen."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.inference.detector import Detector
from darknet_compat.serving.options import ServeOptions
from darknet_compat.vision.draw import save
from darknet_compat.vision.image import decode
from tests.browser import DROP, PASTE, all_of, chromium, download, low_contrasts, narrow, one_of, rows, slide, until
from tests.cli.support import BARE_CLASSIFIER, write_toy
from tests.serving.conftest import Client, serving


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    pixels = np.asarray(DigitScenes("test")[0].image)[..., ::-1]
    save(pixels.repeat(3, 0).repeat(3, 1), path)
    return path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        bare = write_toy(tmp_path_factory.mktemp("bare"), "bare", BARE_CLASSIFIER, [9.75, -2, 0.5])
        models = ["yolov2-digits", "yolo9000-digits", str(bare.cfg)]
        with serving(ServeOptions(models=models, port=0), patch) as client:
            yield client


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as browser:
        yield browser


def opened(browser: Any, client: Client) -> None:
    browser.get(client.address)
    until(browser, lambda: all_of(browser, "#model option"))


def test_choose_slide_search_and_unfold(browser: Any, client: Client, scene: Path) -> None:
    opened(browser, client)
    asked = len(client.server.metrics.text())
    one_of(browser, "#file").send_keys(str(scene))
    until(browser, lambda: rows(browser))
    first = rows(browser)
    assert len(first) >= 3 and all("%" in row for row in first)
    assert one_of(browser, "#canvas").get_attribute("width") == "576"
    requests = 'status="200"'
    before = client.server.metrics.text().decode()
    slide(browser, 0.05)
    assert len(rows(browser)) >= len(first)
    slide(browser, 0.95)
    assert len(rows(browser)) < len(first)
    assert client.server.metrics.text().decode() == before, "the slider asks the server for nothing"
    assert asked and requests in before
    slide(browser, 0.3)
    name = rows(browser)[0].split("\n")[0]
    one_of(browser, "#search").send_keys(name)
    assert rows(browser) and all(row.split("\n")[0] == name for row in rows(browser))
    one_of(browser, "#search").clear()
    one_of(browser, "#model option[value='yolo9000-digits']").click()
    until(browser, lambda: all_of(browser, "#list details"))
    one_of(browser, "#list details summary").click()
    way = [step.text for step in all_of(browser, "#list details[open] .way")]
    assert way[0].startswith("symbol 100 %") and len(way) >= 3
    assert "v1/models/yolo9000-digits/detect" in one_of(browser, "#curl").get_attribute("textContent")


def test_scores_that_are_no_probabilities(browser: Any, client: Client, scene: Path) -> None:
    opened(browser, client)
    one_of(browser, "#model option[value='bare']").click()
    one_of(browser, "#file").send_keys(str(scene))
    until(browser, lambda: rows(browser))
    assert rows(browser) == ["class 0\n9.75", "class 2\n0.5", "class 1\n-2"]
    assert one_of(browser, "#canvas").get_attribute("aria-label") == "class 0 9.75, class 2 0.5, class 1 -2"


def test_drop_a_picture_and_something_else(browser: Any, client: Client, scene: Path) -> None:
    opened(browser, client)
    browser.execute_script(DROP, base64.b64encode(scene.read_bytes()).decode(), "scene.png")
    until(browser, lambda: rows(browser))
    browser.execute_script(DROP, base64.b64encode(b"no picture").decode(), "letter.png")
    error = until(browser, lambda: one_of(browser, "#error").text)
    assert error == "letter.png is no picture that the browser can show."


def test_paste_and_save(browser: Any, client: Client, scene: Path, tmp_path: Path) -> None:
    opened(browser, client)
    browser.execute_script(PASTE, base64.b64encode(scene.read_bytes()).decode(), "pasted.png")
    until(browser, lambda: rows(browser))
    slide(browser, 0.5)
    found = json.loads(download(browser, "#json", tmp_path / "pasted.json"))["detections"]
    expected = Detector("yolov2-digits", thresh=0.5)(scene).to_dict()["detections"]
    assert expected and found == expected
    drawn = decode(download(browser, "#picture", tmp_path / "pasted-found.png"))
    plain = decode(scene)
    assert drawn.shape == plain.shape
    x1, y1, _, y2 = (round(side) for side in expected[0]["box"])
    edge = drawn[y1 + 30 : y2 - 10, max(x1, 0)].astype(int) - plain[y1 + 30 : y2 - 10, max(x1, 0)]
    assert (abs(edge).max(1) > 20).all(), "the left side of the first box is drawn"


def test_a_dark_screen(browser: Any, client: Client, scene: Path) -> None:
    def light_of(what: str) -> float:
        style = browser.execute_script("return getComputedStyle(document.body)[arguments[0]]", what)
        return sum(float(one) for one in re.findall(r"[\d.]+", style)[:3]) / 3

    opened(browser, client)
    assert light_of("backgroundColor") > 200 and light_of("color") < 60
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    one_of(browser, "#file").send_keys(str(scene))
    until(browser, lambda: rows(browser))
    assert light_of("backgroundColor") < 60 and light_of("color") > 200


def test_words_and_the_colours_of_classes_are_seen_on_light_and_dark(browser: Any, client: Client, scene: Path) -> None:
    opened(browser, client)
    one_of(browser, "#model option[value='yolo9000-digits']").click()
    one_of(browser, "#file").send_keys(str(scene))
    until(browser, lambda: all_of(browser, "#list details"))
    one_of(browser, "#list details summary").click()
    one_of(browser, "#list > li").send_keys("")  # has the focus, and with it the background of its own
    assert low_contrasts(browser, ".swatch") == []
    browser.execute_script(
        "for (let id = 0; id < 400; id++) document.getElementById('list').append("
        " row({ class: `class ${id}`, class_id: id, score: 0.5 }, id));"
    )
    assert len(all_of(browser, ".swatch")) > 400
    assert low_contrasts(browser, ".swatch") == []
    white_on_it = browser.execute_script(
        "for (const one of document.querySelectorAll('.swatch')) { one.textContent = 'w'; one.style.color = '#fff'; }"
        "return true"
    )
    assert white_on_it and low_contrasts(browser) == [], "as in the picture's labels"


def test_everything_fits_390_pixels_and_has_a_name(browser: Any, client: Client, scene: Path) -> None:
    narrow(browser)
    opened(browser, client)
    one_of(browser, "#file").send_keys(str(scene))
    until(browser, lambda: rows(browser))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    for button in all_of(browser, "button, input:not(.hidden), select"):
        assert button.accessible_name, button.get_attribute("outerHTML")
    assert "%" in one_of(browser, "#canvas").get_attribute("aria-label")
