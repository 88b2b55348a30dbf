"""How a value travels from a command to where it is used: the files that it enters and what is carried beside it.

    python tools/ways.py 0.123 detect yolov2-digits digits.png --thresh 0.123
    python tools/ways.py 96x64 info yolov2-voc --size 96x64 --all

Runs the command and watches every call of a function of this package, from the command's own function on, that gets the
value: as an argument, or inside of one (a dataclass, a tuple, a dict). --all lists the calls; the last line is JSON:
files entered, functions, and the most and the mean number of other arguments.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import darknet_compat

HOUSE = Path(darknet_compat.__file__).parent
_MOST = 50
"""Items of a container that are looked at."""


def texts(wanted: str) -> set[str]:
    """How the value may be spelled once it has been read: 96x64 becomes (96, 64)."""
    sides = wanted.split("x")
    pair = str(tuple(map(int, sides))) if len(sides) == 2 and all(side.isdigit() for side in sides) else wanted
    return {wanted, pair}


class Ways:
    """The calls that got the value, in order, each function once: (file, function) → name, holder, others beside."""

    def __init__(self, wanted: str) -> None:
        self.wanted = texts(wanted)
        self.calls: dict[tuple[str, str], tuple[str, str, int]] = {}
        self._began = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Look at one call."""
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(HOUSE)) or code.co_name.startswith("<"):
            return
        file = str(Path(code.co_filename).relative_to(HOUSE))
        # Before the command's own function the value is a text; the reading of options is the same for all.
        self._began = self._began or (file.startswith("cli/") and code.co_name == sys.argv[1])
        key = file, code.co_name
        if not self._began or key in self.calls or file in ("options.py", "cli/arguments.py"):
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if code.co_flags & 0x08:  # **given
            names = (*names, code.co_varnames[len(names) + bool(code.co_flags & 0x04)])
        for name in names:
            if (holder := self.held(frame.f_locals.get(name))) is not None:
                self.calls[key] = name, holder, len([other for other in names if other not in (name, "self")])
                return

    def held(self, value: Any) -> str | None:
        """What holds the value: its type, or "" for the argument itself; None where the value is not there."""
        if self.same(value):
            return ""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
        elif isinstance(value, (dict, tuple, list)) and len(value) <= _MOST:
            parts = list(value.values() if isinstance(value, dict) else value)
        else:
            return None
        return type(value).__name__ if any(map(self.same, parts)) else None

    def same(self, value: Any) -> bool:
        """Whether it is the value; only of what is printed cheaply."""
        if isinstance(value, tuple) and len(value) == 2 and all(isinstance(one, int) for one in value):
            return str((value[0], value[1])) in self.wanted
        return isinstance(value, (str, int, float, Path)) and str(value) in self.wanted


def main() -> None:
    """Run the command and print what was seen."""
    wanted, *arguments = sys.argv[1:]
    listed = "--all" in arguments
    arguments = [one for one in arguments if one != "--all"]
    sys.argv = ["darknet-compat", *arguments]
    ways = Ways(wanted)
    from darknet_compat.cli.main import main as run

    threading.setprofile(ways)
    sys.setprofile(ways)
    try:
        run()
    except SystemExit as end:
        print(f"exit code {end.code or 0}", file=sys.stderr)
    finally:
        sys.setprofile(None)
    if listed:
        for (file, function), (name, holder, others) in ways.calls.items():
            print(f"{file}:{function}  {name}{f' ({holder})' if holder else ''}, {others} beside")
    beside = [others for _, _, others in ways.calls.values()]
    print(
        json.dumps(
            {
                "value": wanted,
                "command": " ".join(arguments),
                "files": len({file for file, _ in ways.calls}),
                "functions": len(ways.calls),
                "most_beside": max(beside, default=0),
                "mean_beside": round(sum(beside) / max(1, len(beside)), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
