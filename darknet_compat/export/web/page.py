"""The page, with one of the two ways to ask a model put in."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_ENGINE = "<!-- engine -->"
"""Where the page takes `engine`: `models()`, `ask(model, picture)` and `line(model)`, as its own comment says."""

_POLICY = (
    "default-src 'self'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval';"
    " img-src 'self' blob: data:"
)


def server_page() -> str:
    """The page that asks the server it comes from."""
    return _page(f"<script>\n{text_of('server.js')}</script>")


def browser_page() -> str:
    """The page that runs the model beside it; it may ask no other address, so that pictures stay where they are."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return _page('<script src="browser.js"></script>').replace("<title>", f"{policy}\n<title>", 1)


def text_of(name: str) -> str:
    """A file of the page's."""
    return (_HERE / name).read_text("utf-8")


def _page(engine: str) -> str:
    return text_of("page.html").replace(_ENGINE, engine, 1)
