"""A real Chromium, where there is one, and what the tests of pages do with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DROP = """
const [text, name] = arguments, bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
const carried = new DataTransfer(); carried.items.add(new File([bytes], name, { type: "image/png" }));
document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true }));
"""

PASTE = """
const [text, name] = arguments, bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
const carried = new DataTransfer(); carried.items.add(new File([bytes], name, { type: "image/png" }));
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
"""


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Headless Chromium, 1280 pixels wide; nothing may go wrong in the page but what a test asks for."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (program and driver):
        pytest.skip("no Chromium with its driver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as browser:
        browser.set_window_size(1280, 900)
        yield browser
        assert not [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def narrow(browser: Any) -> None:
    """As a telephone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )


def until(browser: Any, holds: Callable[[], Any]) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda _: holds())


def all_of(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def one_of(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def rows(browser: Any) -> list[str]:
    """What the page has found."""
    return [row.text for row in all_of(browser, "#list > li .head")]


def slide(browser: Any, to: float) -> None:
    """Move the threshold."""
    script = "const s = document.getElementById('thresh'); s.value = arguments[0]; s.dispatchEvent(new Event('input'));"
    browser.execute_script(script, to)


def download(browser: Any, button: str, path: Path) -> bytes:
    """What a button saves, once the browser has written it."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(path.parent)})
    one_of(browser, button).click()
    until(browser, path.exists)
    return path.read_bytes()


CONTRAST = Path(__file__).with_name("contrast.js")


def low_contrasts(browser: Any, marks: str = "") -> list[str]:
    """What WCAG 2.1 AA finds too faint, light and dark: words below 4.5 (large ones 3), and below 3 the borders of
    what one types into and the fill of what `marks`, a selector, names. Pictures are not looked into."""
    found = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        found += [f"{scheme}: {line}" for line in browser.execute_script(CONTRAST.read_text("utf-8"), marks)]
    return found
