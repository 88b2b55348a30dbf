"""A page stands alone, and what is written into it stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats import page
from tests.browser import chromium, low_contrasts


class _Reader(HTMLParser):
    """The elements of a page, the text of each cell, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.addresses: list[str] = []
        self.in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")
            self.in_cell = True
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_whatever_a_name_holds_stays_text(name: str) -> None:
    def tags(text: str) -> list[str]:
        table = page.table(["a"], [[text]], caption=f"c{text}")
        return read(page.page(text, text, [page.section(text, page.paragraph(text), table)])).tags

    assert tags(name) == tags("")


@given(st.text(st.sampled_from("ab<>&\"'/é狗"), min_size=1, max_size=30))
def test_a_cell_says_what_was_written(text: str) -> None:
    assert read(page.page("", "", [page.table(["a"], [[text]])])).cells == [text]


def test_an_image_is_inside_the_page() -> None:
    html = page.page("t", "", [page.image(b"\x89PNG", 'a "picture" <b>')])
    found = read(html)
    assert found.addresses == ["data:image/png;base64,iVBORw=="]
    assert "b" not in found.tags


def test_a_control_character_or_half_a_character_becomes_a_question_mark() -> None:
    assert page.text("a\x00b\ud800c") == "a?b?c"


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page.write_page(tmp_path / "r.html", "título", "über", [page.paragraph("x < y")])
    assert "x &lt; y" in (tmp_path / "r.html").read_text("utf-8")
    with pytest.raises(DarknetCompatError, match="cannot be written"):
        page.write_page(tmp_path / "none" / "r.html", "t", "", [])


def test_what_is_seen_first_stands_beside_and_unfolds() -> None:
    html = page.page("t", "a", [page.headline([("verdict", "FAILED"), ("a<b", "passed")])])
    assert '<dd class="bad">FAILED</dd><dt>verdict</dt>' in html
    assert '<dd class="good">passed</dd><dt>a&lt;b</dt>' in html
    assert page.folded("<3", page.paragraph("x")) == "<details><summary>&lt;3</summary>\n<p>x</p>\n</details>"
    assert read(page.beside(page.paragraph("x"), page.paragraph("y"))).tags == ["div", "div", "p", "div", "p"]


def test_only_a_cell_that_is_a_verdict_is_coloured() -> None:
    html = page.table(["a"], [["same"], ["same as"], ["DIFFERS: 3"], ["it DIFFERS"]])
    assert [cell.count("class=") for cell in html.split("<td>")[1:]] == [1, 0, 1, 0]
    assert read(html).cells == ["same", "same as", "DIFFERS: 3", "it DIFFERS"]


def test_a_page_is_read_on_light_and_dark(tmp_path: Path) -> None:
    parts = [
        page.headline([("verdict", "passed"), ("other verdict", "FAILED: 2 of 9")]),
        page.section("a", page.table(["a"], [["same"], ["DIFFERS"], ["right"], ["x"]], caption="all of it")),
        page.beside(page.image(b"", "a picture"), page.folded("more", page.paragraph("inside"))),
    ]
    page.write_page(tmp_path / "a.html", "Title", "what it is about", parts)
    with chromium(tmp_path / "profile") as browser:
        browser.get((tmp_path / "a.html").as_uri())
        assert low_contrasts(browser) == []
        browser.execute_script("document.querySelector('table').style.color = '#8a8a8a'")
        assert [line.split(":")[0] for line in low_contrasts(browser)].count("light") >= 2, "what is faint is found"
