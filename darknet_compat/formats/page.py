"""One self-contained HTML page: headings, text, tables, pictures; nothing fetched, no script needed to read it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NewType

from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats.atomic import atomic_write

Html = NewType("Html", str)
"""Markup that is safe to put into a page. Everything else is text, and `text` escapes it."""

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
p.about { margin-top: 0; opacity: .75; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
caption, figcaption { text-align: left; opacity: .75; padding: .2rem 0 }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th.left, td.left { text-align: left; white-space: normal }
thead th { border-bottom-width: 2px } tbody tr:hover { background: var(--soft) }
figure { margin: .8rem 1.2rem .8rem 0; display: inline-block; max-width: 100%; vertical-align: top }
figure img, figure svg { max-width: 100%; height: auto; background: #fff }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="about">{about}</p>
{body}
</body>
</html>
"""


def text(value: object) -> Html:
    """A value as text inside an element; characters that no page may hold become ?."""
    return Html(escape(re.sub("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", str(value))))


def paragraph(value: object) -> Html:
    """A paragraph of plain text."""
    return Html(f"<p>{text(value)}</p>")


def joined(parts: Iterable[Html]) -> Html:
    """Several pieces one after another."""
    return Html("\n".join(parts))


def section(heading: str, *parts: Html) -> Html:
    """A heading and what stands under it."""
    return Html(f"<section>\n<h2>{text(heading)}</h2>\n{joined(parts)}\n</section>")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, left: Sequence[str] = (), caption: str = ""
) -> Html:
    """A table, columns at the right except those in `left`; each cell is taken as text."""
    sides = [' class="left"' if header in left else "" for header in headers]
    lines = ['<div class="wide"><table>']
    if caption:
        lines.append(f"<caption>{text(caption)}</caption>")
    heads = "".join(f"<th{side}>{text(header)}</th>" for header, side in zip(headers, sides, strict=True))
    lines.append(f"<thead><tr>{heads}</tr></thead>\n<tbody>")
    for row in rows:
        cells = (f"<td{side}>{text(cell)}</td>" for cell, side in zip(row, sides, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return Html("\n".join([*lines, "</tbody></table></div>"]))


def image(data: bytes, caption: str, *, kind: str = "png", width: int | None = None) -> Html:
    """A picture file's bytes (`kind` png, jpeg or svg+xml) inside the page, `width` in CSS pixels."""
    encoded = base64.b64encode(data).decode("ascii")
    size = "" if width is None else f' width="{width}"'
    return Html(
        f'<figure><img src="data:image/{kind};base64,{encoded}" alt="{text(caption)}"{size}>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def page(title: str, about: str, sections: Iterable[Html]) -> str:
    """The whole page: its title, a line about what was measured and how, and its sections."""
    return _PAGE.format(title=text(title), style=_STYLE, about=text(about), body=joined(sections))


def write_page(
    path: str | Path,
    title: str,
    about: str,
    sections: Iterable[Html],
    error: type[DarknetCompatError] = DarknetCompatError,
) -> None:
    """Write the page, whole or not at all. Raises `error` where it cannot be written."""
    with atomic_write(path, error) as file:
        file.write(page(title, about, sections).encode("utf-8"))
