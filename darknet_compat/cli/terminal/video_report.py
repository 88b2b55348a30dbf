"""What is said of a video: how far it is while it is worked on, and what was in it at the end."""

from __future__ import annotations

import sys
from collections import Counter
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from darknet_compat.inference.results import Detections
    from darknet_compat.inference.video import Watched
    from darknet_compat.sources.base import Frames


class VideoProgress:
    """A context that draws a bar on a terminal: frames, frames a second, the time left, and a live source's latency."""

    def __init__(self, frames: Frames, *, quiet: bool) -> None:
        self.frames = frames
        self.quiet = quiet or not sys.stderr.isatty()
        self._bars: Bars | None = None
        self._began, self._done = 0.0, 0  # of the first frame: loading is not part of the rate

    def __enter__(self) -> VideoProgress:
        if self.quiet:
            return self
        columns = ("{task.description}", "bar", "of", "{task.fields[status]}", "left")
        name = terminal.printable(self.frames.name)
        self._bars = terminal.start_bar(name, self.frames.count, *columns, status="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, seen: Watched) -> None:
        """One frame more is done."""
        self._began = self._began or perf_counter()
        self._done += 1
        if self._bars is None:
            return
        seconds = perf_counter() - self._began
        status = f"{(self._done - 1) / seconds:.1f}/s" if self._done > 1 and seconds else ""
        if seen.latency is not None:
            status += f" {1000 * seen.latency:.0f} ms late"
        self._bars.update(self._bars.task_ids[0], completed=self._done, status=status)


class Summary:
    """What was in a video, by class."""

    def __init__(self) -> None:
        self.frames = 0
        self.size = (0, 0)
        self.within: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.best: dict[str, float] = {}
        self.latencies: list[float] = []
        self._began = perf_counter()

    def add(self, found: Detections, latency: float | None) -> None:
        """One frame's detections."""
        self.frames += 1
        self.size = found.width, found.height
        for name, count in Counter(found.names).items():
            self.within[name] += 1
            self.most[name] = max(self.most[name], count)
        for name, score in zip(found.names, found.scores, strict=True):
            self.best[name] = max(self.best.get(name, 0.0), float(score))
        if latency is not None:
            self.latencies = [*self.latencies[-999:], latency]

    def print(self, name: str, place: object, dropped: int | None, counts: dict[str, Any] | None) -> None:
        """A line and tables."""
        seconds = perf_counter() - self._began
        width, height = self.size
        drawn = f" -> {place}" if place else ""
        pace = f"{self.frames / seconds:.1f}/s"
        terminal.print_line(
            f"{name}: {width} x {height}, {terminal.count(self.frames, 'frame')}, {seconds:.1f} s, {pace}{drawn}",
            bold=True,
        )
        if self.latencies:
            ordered = sorted(self.latencies)
            middle, worst = ordered[len(ordered) // 2], ordered[-1]
            late = f"{1000 * middle:.0f} ms behind the camera, at most {1000 * worst:.0f}"
            terminal.print_line(f"  {late}; {terminal.count(dropped or 0, 'frame')} dropped")
        tracks = (counts or {}).get("tracks", {})
        rows = [
            (
                name,
                tracks.get(name, 0) if counts else "",
                f"{self.within[name]:,}",
                self.most[name],
                f"{100 * best:.0f} %",
            )
            for name, best in sorted(self.best.items(), key=lambda item: -self.within[item[0]])
        ]
        if rows:
            terminal.print_table(("class", "tracks", "in frames", "at most", "best"), rows, left=("class",), indent=2)
        elif self.frames:
            terminal.print_line("  no objects; --thresh with a smaller number shows weaker ones")
        self._print_counts(counts or {})

    def _print_counts(self, counts: dict[str, Any]) -> None:
        lines = [
            (line["name"], name, line["forward"].get(name, 0), line["back"].get(name, 0))
            for line in counts.get("lines", [])
            for name in sorted({*line["forward"], *line["back"]}) or ["none"]
        ]
        if lines:
            terminal.print_table(("line", "class", "forward", "back"), lines, left=("line", "class"), indent=2)
        zones = [
            (zone["name"], name, zone["now"].get(name, 0), zone["ever"].get(name, 0))
            for zone in counts.get("zones", [])
            for name in sorted(zone["ever"]) or ["none"]
        ]
        if zones:
            terminal.print_table(("zone", "class", "at the end", "in all"), zones, left=("zone", "class"), indent=2)
