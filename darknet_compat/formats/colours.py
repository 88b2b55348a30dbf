"""The colours of charts: each has a contrast of 3 or more to white, as WCAG 2.1 asks of what has to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product

SERIES = (
    "#1f5fa8", "#b03030", "#3a8a5f", "#b57d18", "#7a4fa3", "#0089a8", "#c8488f", "#5d4037", "#777777", "#7f8f1f",
)  # fmt: skip
"""One after another: blue, red, green, ochre, violet, cyan, pink, brown, grey, olive."""
BLUE, RED, GREEN, OCHRE, VIOLET = SERIES[:5]
PALE_BLUE = "#6a98c8"
"""Beside BLUE: what matters less, or is one of very many."""
GREY = "#8c8c8c"
"""What is only to be held against: a diagonal, the single losses behind their average."""


def lines() -> Iterator[tuple[str, str]]:
    """A colour and a style of matplotlib's for each of any number of lines; ten are solid, then dashed, dotted."""
    return cycle((colour, style) for style, colour in product(("-", "--", ":", "-."), SERIES))
