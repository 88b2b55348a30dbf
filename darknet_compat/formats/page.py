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
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
p.about { margin-top: 0; opacity: .75; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
caption, figcaption { text-align: left; opacity: .75; padding: .2rem 0; max-width: calc(100vw - 2rem) }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th.left, td.left { text-align: left; white-space: normal }
thead th { border-bottom-width: 2px } tbody tr:hover { background: var(--soft) }
figure { margin: .8rem 0; max-width: 100% }
figure img, figure svg { max-width: 100%; height: auto; background: #fff }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2rem }
.beside > * { min-width: 0 }
.headline { display: flex; flex-wrap: wrap; gap: .6rem 2.4rem; margin: 1.2rem 0 }
.headline dd { margin: 0; font-size: 1.9rem; line-height: 1.2 } .headline dt { opacity: .75 }
summary { cursor: pointer }
.good { color: light-dark(#1f7a4d, #5cc08d) } .bad { color: light-dark(#b3261e, #ff8a80) }
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


def beside(*parts: Html) -> Html:
    """Pieces in columns where the page is wide enough, one below the other where it is not."""
    return Html(f'<div class="beside">\n{joined(Html(f"<div>{part}</div>") for part in parts)}\n</div>')


def headline(figures: Iterable[tuple[str, str]]) -> Html:
    """Names and values that are to be seen first; see `_verdict`."""
    cells = (f"<div><dd{_verdict(value)}>{text(value)}</dd><dt>{text(name)}</dt></div>" for name, value in figures)
    return Html(f'<dl class="headline">{"".join(cells)}</dl>')


def folded(summary: str, *parts: Html) -> Html:
    """Pieces that a click unfolds."""
    return Html(f"<details><summary>{text(summary)}</summary>\n{joined(parts)}\n</details>")


def section(heading: str, *parts: Html) -> Html:
    """A heading and what stands under it."""
    return Html(f"<section>\n<h2>{text(heading)}</h2>\n{joined(parts)}\n</section>")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, left: Sequence[str] = (), caption: str = ""
) -> Html:
    """A table, columns at the right except those in `left`; each cell is taken as text; see `_verdict`."""
    sides = [' class="left"' if header in left else "" for header in headers]
    lines = ['<div class="wide"><table>']
    if caption:
        lines.append(f"<caption>{text(caption)}</caption>")
    heads = "".join(f"<th{side}>{text(header)}</th>" for header, side in zip(headers, sides, strict=True))
    lines.append(f"<thead><tr>{heads}</tr></thead>\n<tbody>")
    for row in rows:
        cells = (f"<td{side}>{_coloured(cell)}</td>" for cell, side in zip(row, sides, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return Html("\n".join([*lines, "</tbody></table></div>"]))


def _coloured(cell: object) -> Html:
    return Html(f"<span{verdict}>{text(cell)}</span>") if (verdict := _verdict(cell)) else text(cell)


def _verdict(cell: object) -> str:
    """The colour of a cell that is a verdict and nothing else."""
    words = str(cell)
    if words in ("same", "passed", "right"):
        return ' class="good"'
    return ' class="bad"' if words.startswith(("DIFFERS", "FAILED", "nothing compared")) else ""


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
