"""Tracks counted where they cross a line, and while they are in a zone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from darknet_compat.errors import OptionError
from darknet_compat.formats.arrays import Doubles
from darknet_compat.formats.textfile import shown
from darknet_compat.inference.results import Detections

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LineOrZone:
    """A line (two points) or a zone (three or more) in a picture: pixels, or fractions of it where all are 0 to 1."""

    name: str
    points: Points

    def within(self, width: int, height: int) -> Doubles:
        """Its points in pixels of a picture of this size, [P, 2]."""
        points = np.array(self.points, np.float64)
        return points * (width, height) if points.max() <= 1 else points


def parse_shape(text: str, kind: str, number: int) -> LineOrZone:
    """`X,Y,X,Y` or `NAME=X,Y,X,Y,…`: a "line" has two points, a "zone" at least three. Raises OptionError."""
    option = "count_line" if kind == "line" else kind
    name, equals, rest = text.partition("=")
    if not equals:
        name, rest = f"{kind} {number}", text
    try:
        values = [float(part) for part in rest.replace(" ", ",").split(",")]
        good = all(0 <= value <= 100_000 for value in values)
    except ValueError:
        values, good = [], False
    fits = len(values) == 4 if kind == "line" else len(values) >= 6 and len(values) % 2 == 0
    if not (good and fits and name.strip()):
        wanted = "X,Y,X,Y" if kind == "line" else "X,Y,X,Y,X,Y,..."
        raise OptionError(f"expected {wanted} in pixels or as fractions, or NAME={wanted}, found {shown(text)}", option)
    points = tuple(zip(values[::2], values[1::2], strict=True))
    if kind == "line" and points[0] == points[1]:
        raise OptionError(f"expected two different points, found {shown(text)}", option)
    return LineOrZone(name.strip(), points)


@dataclass
class Crossings:
    """A line, and how many tracks have crossed it by class: `forward` from the left of it to its right, seen from its
    first point towards its second, and `back`."""

    shape: LineOrZone
    forward: Counter[str] = field(default_factory=Counter)
    back: Counter[str] = field(default_factory=Counter)


@dataclass
class Visits:
    """A zone, how many tracks are in it now, and all that have been, by class."""

    shape: LineOrZone
    now: Counter[str] = field(default_factory=Counter)
    ever: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)


class Counts:
    """Lines and zones, updated frame by frame. A track is where the middle of its box is."""

    def __init__(self, lines: tuple[LineOrZone, ...] = (), zones: tuple[LineOrZone, ...] = ()) -> None:
        self.lines = [Crossings(shape) for shape in lines]
        self.zones = [Visits(shape) for shape in zones]
        self.tracks: Counter[str] = Counter()
        self._known: set[int] = set()
        self._middles: dict[int, Doubles] = {}

    def update(self, found: Detections) -> None:
        """Take the next frame's detections, which have `track_ids`."""
        assert found.track_ids is not None
        middles = (found.boxes[:, :2].astype(np.float64) + found.boxes[:, 2:]) / 2  # [N, 2]
        here = [
            (int(own), name, at) for own, name, at in zip(found.track_ids, found.names, middles, strict=True) if own > 0
        ]
        for own, name, _ in here:
            if own not in self._known:
                self._known.add(own)
                self.tracks[name] += 1
        for line in self.lines:
            ends = line.shape.within(found.width, found.height)
            for own, name, at in here:
                before = self._middles.get(own)
                side = 0 if before is None else crossed(ends, before, at)
                if side:
                    (line.forward if side > 0 else line.back)[name] += 1
        for zone in self.zones:
            corners = zone.shape.within(found.width, found.height)
            inside = [(own, name) for own, name, at in here if contains(corners, at)]
            zone.now = Counter(name for _, name in inside)
            zone.ever.update(name for own, name in inside if own not in zone.seen)
            zone.seen.update(own for own, _ in inside)
        self._middles |= {own: at for own, _, at in here}

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        lines = [{"name": one.shape.name, "forward": dict(one.forward), "back": dict(one.back)} for one in self.lines]
        zones = [{"name": one.shape.name, "now": dict(one.now), "ever": dict(one.ever)} for one in self.zones]
        return {"tracks": dict(self.tracks), "lines": lines, "zones": zones}


def crossed(line: Doubles, before: Doubles, after: Doubles) -> int:
    """Whether the way from `before` to `after` crosses the line [2, 2]: 1 from its left to its right, -1 back, else 0.

    Left is that of someone who looks from its first point to its second, in a picture, where y points down. A way that
    ends on the line has not crossed it yet, one that begins there does so when it goes on to the right.
    """
    along = line[1] - line[0]
    sides = [along[0] * (at[1] - line[0][1]) - along[1] * (at[0] - line[0][0]) for at in (before, after)]
    if (sides[0] > 0) == (sides[1] > 0):
        return 0
    way = after - before
    ends = [way[0] * (end[1] - before[1]) - way[1] * (end[0] - before[0]) for end in line]
    if (ends[0] > 0) == (ends[1] > 0):  # past the line's ends
        return 0
    return 1 if sides[1] > 0 else -1


def contains(corners: Doubles, at: Doubles) -> bool:
    """Whether a point lies in a polygon [P, 2]: whether a ray from it crosses its sides an odd number of times."""
    x, y = at
    inside = False
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside
