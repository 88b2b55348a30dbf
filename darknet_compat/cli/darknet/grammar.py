"""The grammar of Darknet's command lines: words in order, options with one dash anywhere among them.

After `--` come options of this package's own commands, such as `--backend onnxruntime`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from darknet_compat.errors import OptionError
from darknet_compat.options import Option, options_of


@dataclass(frozen=True)
class Flag:
    """An option with one dash: the type of its value (bool: it has none), and what is said where it has no meaning
    here."""

    type: type
    without_meaning: str = ""


_GPU = "there is no GPU of Darknet's here; -- --device cuda runs on one"
_WINDOW = "no window is opened"
_FRAMES = "frames are not written; darknet-compat detect VIDEO --out found.mp4 does that"
_WEB = "nothing is served; darknet-compat serve does that"
FLAGS: dict[str, Flag] = {
    "thresh": Flag(float),
    "hier": Flag(float),
    "nms": Flag(float),
    "iou_thresh": Flag(float),
    "out": Flag(str),
    "points": Flag(int),
    "num_of_clusters": Flag(int),
    "width": Flag(int),
    "height": Flag(int),
    "t": Flag(int),
    "c": Flag(int),
    "map": Flag(bool),
    "clear": Flag(bool),
    "ext_output": Flag(bool),
    "save_labels": Flag(bool),
    "letter_box": Flag(bool),
    "dont_show": Flag(bool),
    "quiet": Flag(bool),
    "i": Flag(int, _GPU),
    "nogpu": Flag(bool),
    "gpus": Flag(str, _GPU),
    "show": Flag(bool, _WINDOW),
    "fullscreen": Flag(bool, _WINDOW),
    "w": Flag(int, _WINDOW),
    "h": Flag(int, _WINDOW),
    "fps": Flag(int, _WINDOW),
    "s": Flag(int, "every frame is looked at"),
    "avg": Flag(int),
    "avgframes": Flag(int, "frames are not averaged"),
    "prefix": Flag(str, _FRAMES),
    "out_filename": Flag(str, _FRAMES),
    "mjpeg_port": Flag(int, _WEB),
    "json_port": Flag(int, _WEB),
    "http_post_host": Flag(str, _WEB),
    "benchmark": Flag(bool, "darknet-compat bench measures"),
    "benchmark_layers": Flag(bool, "darknet-compat bench measures"),
    "show_imgs": Flag(bool, "first_batch.png shows what the network sees"),
    "chart": Flag(str, "the chart is chart.png beside the weights"),
    "mAP_epochs": Flag(int, "mAP is measured every 500 batches"),
}
"""The options of both programs, by their names without the dash."""


@dataclass
class Line:
    """A command line taken apart: `words` in order, `options` by name, `ours` the fields of this package's options that
    came after `--`."""

    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)

    def word(self, place: int) -> str | None:
        """The word at a place, if there are as many."""
        return self.words[place] if place < len(self.words) else None

    def notes(self) -> list[str]:
        """A line for each option that has no meaning here."""
        return [
            f"-{name} has no meaning here: {FLAGS[name].without_meaning}"
            for name in self.options
            if FLAGS[name].without_meaning
        ]


_FORKS = ("ext_output", "save_labels", "letter_box")
"""Options that only the fork has: with them the `.cfg` is read as its own words tell, and the threshold is 0.25."""


def is_forks(line: Line) -> bool:
    """Whether a line is the fork's rather than the original's."""
    return any(name in line.options for name in _FORKS) or str(line.options.get("out", "")).endswith(".json")


def parse(arguments: Sequence[str], kind: type) -> Line:
    """Take a command line apart; what follows `--` sets fields of the options dataclass `kind`. Raises OptionError."""
    line = Line()
    rest = list(arguments)
    after: list[str] = []
    if "--" in rest:
        place = rest.index("--")
        rest, after = rest[:place], rest[place + 1 :]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-" or _is_number(word):
            line.words.append(word)
            continue
        name = word.lstrip("-")
        flag = FLAGS.get(name)
        if flag is None:
            plain, equals, value = name.partition("=")
            hint = f"; write -{plain} {value}" if equals and plain in FLAGS else nearest(plain, FLAGS, "-")
            raise OptionError(f"{word}: no such option{hint}")
        line.options[name] = True if flag.type is bool else _value(word, flag.type, rest)
    line.ours = _ours(after, kind)
    return line


def words_of(arguments: Sequence[str]) -> list[str]:
    """The words of a line without its options and their values, whatever is wrong with these: the verb is among the
    first."""
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            break
        if not word.startswith("-"):
            words.append(word)
        elif (flag := FLAGS.get(word.lstrip("-"))) is not None and flag.type is not bool:
            next(rest, None)
    return words


def _value(word: str, kind: type, rest: list[str]) -> Any:
    wanted = {float: "a number", int: "a whole number", str: "a value"}[kind]
    if not rest or (rest[0].startswith("-") and not _is_number(rest[0]) and len(rest[0]) > 1):
        found = f", found {rest[0]}" if rest else ", found the end of the line"
        raise OptionError(f"{word}: expected {wanted} after it{found}")
    text = rest.pop(0)
    try:
        return kind(text)
    except ValueError:
        raise OptionError(f"{word}: expected {wanted}, found '{text}'") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ours(after: list[str], kind: type) -> dict[str, Any]:
    """`--name value` pairs as fields of an options dataclass."""
    fields = options_of(kind)
    values: dict[str, Any] = {}
    while after:
        word = after.pop(0)
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name not in fields or fields[name].option.positional:
            known = {one.replace("_", "-"): one for one in fields if not fields[one].option.positional}
            raise OptionError(f"{word}: no such option after --{nearest(name.replace('_', '-'), known, '--')}")
        if fields[name].type is bool:
            values[name] = True
        elif not after:
            raise OptionError(f"{word}: expected a value after it, found the end of the line")
        else:
            values[name] = _typed(word, fields[name].type, fields[name].option, after.pop(0))
    return values


def _typed(word: str, kind: Any, option: Option, text: str) -> Any:
    if kind not in (int, float) or option.parse:
        return text
    try:
        return kind(text)
    except ValueError:
        raise OptionError(f"{word}: expected a number, found '{text}'") from None


def nearest(name: str, known: Any, dash: str = "") -> str:
    """A hint at the nearest of the `known` names, if one is near."""
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {dash}{near[0]}?" if near else ""
