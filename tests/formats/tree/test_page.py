from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from darknet_compat.errors import TreeError
from darknet_compat.formats.tree.named import NamedTree, open_tree
from darknet_compat.formats.tree.page import html_page, render, svg_picture
from darknet_compat.formats.wordtree import from_parents
from tests.browser import chromium, low_contrasts, narrow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WORDS = ("animal", "plant", "dog", "</script><b>%TITLE%", "rose & thorn", "mouse", "terrier", "\udcff\x01")


@pytest.fixture
def tree() -> NamedTree:
    return NamedTree(from_parents([f"n{node}" for node in range(8)], (-1, -1, 0, 0, 1, 1, 2, 2)), WORDS)


class Page(HTMLParser):
    """What a browser takes out of a page: its title, its data, and every address it would fetch from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title, self.data, self.addresses, self.tags = "", "", list[str](), list[str]()
        self._into = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._into = "title" if tag == "title" else "data" if ("id", "tree") in attrs else ""
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._into = ""

    def handle_data(self, data: str) -> None:
        if self._into:
            setattr(self, self._into, getattr(self, self._into) + data)


def test_the_page_holds_the_tree_whatever_its_words(tree: NamedTree) -> None:
    page = Page(html_page(tree, "a <tree> %TREE%"))
    assert page.title == "a <tree> %TREE%"
    assert json.loads(page.data) == {
        "parents": tree.tree.parents.tolist(),
        "words": list(WORDS),
        "labels": list(tree.tree.names),
    }
    assert page.tags.count("script") == 2 and "b" not in page.tags


def test_the_page_needs_nothing_else(tree: NamedTree) -> None:
    text = html_page(tree)
    assert not Page(text).addresses
    assert not re.search(r"https?:|@import|url\(", text)


def test_the_drawing_has_a_block_and_a_word_for_every_node(tree: NamedTree) -> None:
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(svg_picture(tree, "a <tree>"))
    assert root.findtext(f"{svg}title") == "a <tree>"
    words = [group.findtext(f"{svg}text") for group in root.iter(f"{svg}g")]
    assert words == [*WORDS[:7], "??"]
    boxes = [
        {key: float(rect.get(key, "")) for key in ("x", "y", "width", "height")} for rect in root.iter(f"{svg}rect")
    ]
    for node, parent in enumerate(tree.tree.parents.tolist()):
        if parent >= 0:  # a column further, and within the parent's rows
            assert boxes[node]["x"] == boxes[parent]["x"] + boxes[parent]["width"]
            assert boxes[node]["y"] >= boxes[parent]["y"]
            assert boxes[node]["y"] + boxes[node]["height"] <= boxes[parent]["y"] + boxes[parent]["height"] + 0.01
    leaves = [box for node, box in enumerate(boxes) if tree.tree.leaves[node]]
    assert len({box["y"] for box in leaves}) == len(leaves) == 5


def test_the_released_tree_is_drawn(tmp_path: Path) -> None:
    released = open_tree()
    render(released, tmp_path / "9k.html")
    render(released, tmp_path / "9k.SVG")
    assert len(json.loads(Page((tmp_path / "9k.html").read_text("utf-8")).data)["words"]) == 9418
    assert (tmp_path / "9k.html").stat().st_size < 400_000
    assert len(list(ElementTree.parse(tmp_path / "9k.SVG").iter("{http://www.w3.org/2000/svg}rect"))) == 9418


def test_another_ending_is_refused_and_nothing_written(tree: NamedTree, tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"tree\.png: expected a file that ends in \.html or \.svg"):
        render(tree, tmp_path / "tree.png")
    with pytest.raises(TreeError, match="cannot be written"):
        render(tree, tmp_path / "missing" / "tree.html")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- in a browser

PROBE = """<pre id="probe"></pre><script>
const said = { rows: rows.size };
$("query").value = "norfolk TERRIER"; $("query").oninput();
said.hits = [...$("found").children].map(hit => hit.firstChild.textContent);
$("query").value = "n02084071"; $("query").oninput();
said.byWnid = $("found").textContent;
$("query").value = "no such thing"; $("query").oninput();
said.none = $("found").textContent;
$("query").value = "norfolk terrier"; $("query").oninput();
$("query").onkeydown(new KeyboardEvent("keydown", { key: "Enter" }));
said.chosen = document.querySelector(".chosen").textContent;
said.unfolded = document.querySelectorAll("details[open]").length;
said.caption = $("caption").textContent;
said.rowsThen = rows.size;
said.painted = [...canvas.getContext("2d").getImageData(9, 9, 1, 1).data];
const start = performance.now();
unfoldTo(99); document.body.offsetHeight;
said.all = rows.size; said.milliseconds = performance.now() - start;
unfoldTo(0); said.folded = document.querySelectorAll("details[open]").length;
$("probe").textContent = JSON.stringify(said);
</script></html>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_the_page_folds_unfolds_and_searches(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(html_page(open_tree()).replace("</html>", PROBE), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,800",
    ]
    done = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    found = re.search(r'<pre id="probe">(\{.*?\})</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    said = json.loads(found[1].replace("&gt;", ">"))
    assert said["rows"] == 4  # the roots alone
    assert said["painted"][3] == 255
    assert said["hits"] == ["Norfolk terrier"]
    assert said["byWnid"].startswith("dogobject › whole")
    assert said["none"] == " nothing is called so "
    assert said["chosen"] == "Norfolk terriern02094114"
    assert said["unfolded"] == len(open_tree().tree.path(open_tree().node("n02094114"))) - 1
    assert said["caption"].endswith("terrier › Norfolk terrier")
    assert said["rowsThen"] < 500
    assert said["all"] == 9418 and said["folded"] == 0
    assert said["milliseconds"] < 10_000  # 0.7 s on a small machine


def test_the_page_is_read_on_light_and_dark_and_on_a_telephone(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(html_page(open_tree()), "utf-8")
    with chromium(tmp_path / "profile") as browser:
        narrow(browser)
        browser.get(page.as_uri())
        browser.execute_script("choose(words.indexOf('Norfolk terrier'))")
        assert low_contrasts(browser) == []
        browser.execute_script("$('query').value = 'terrier'; $('query').oninput(); $('found').firstChild.focus()")
        assert low_contrasts(browser) == []
        ends = "return [...document.querySelectorAll('.chosen > span')].map(one => one.getBoundingClientRect().right)"
        assert 0 < max(browser.execute_script(ends)) <= 390, "sixteen levels down all of a row is in sight"
