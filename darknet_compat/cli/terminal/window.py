"""A window that shows frames, where there is a display and an OpenCV that has windows."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.inference.video import Watched


class Window:
    """A context that shows frames; where it cannot, it says so once, and the frames go on without.

    It has to be entered before PyAV is imported: FFmpeg's and Qt's own copies of one library keep a window that is
    opened later from ever being drawn.
    """

    def __init__(self, title: str) -> None:
        self.title = terminal.printable(title)
        self.there = False

    def __enter__(self) -> Window:
        from darknet_compat.vision.opencv import opencv

        if problem := why_not():
            terminal.say(f"--show: {problem}")
        self.there = not problem
        if self.there:
            cv2 = opencv()
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL)
            cv2.waitKey(1)
        return self

    def show(self, seen: Watched) -> bool:
        """Show a frame; False once the window is closed, or q or Escape was pressed."""
        if not self.there or seen.picture is None:
            return True
        from darknet_compat.vision.opencv import opencv

        cv2 = opencv()
        cv2.imshow(self.title, seen.picture[..., ::-1])
        key = cv2.waitKey(1) & 0xFF
        closed = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
        return not closed and key not in (ord("q"), 27)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.there:
            from darknet_compat.vision.opencv import opencv

            opencv().destroyAllWindows()


def why_not() -> str | None:
    """Why there can be no window here, or None."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display here (DISPLAY is not set); --out writes a video instead"
    from darknet_compat.vision.opencv import opencv

    cv2 = opencv()
    wanted = ("GTK", "QT", "Win32 UI", "Cocoa", "WAYLAND")
    interface = cv2.getBuildInformation().partition("GUI:")[2].splitlines()[:1]
    if not any(name in line.upper() for line in interface for name in map(str.upper, wanted)):
        return "this OpenCV has no windows; pip install opencv-python instead of opencv-python-headless"
    return None
