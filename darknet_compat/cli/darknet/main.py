"""`darknet-compat darknet …` and `python -m darknet_compat.darknet …`: the table of verbs, and what all have in common.

Nothing of typer is loaded: whoever types Darknet's lines waits for the network alone.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from darknet_compat.cli.darknet import explain
from darknet_compat.cli.darknet.grammar import Line, nearest, parse, words_of
from darknet_compat.cli.terminal.failures import exit_code, remarks_said_once, standard_streams
from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import OptionError


class Verb(NamedTuple):
    """Where a verb's function is, how its words stand, and the options dataclass whose fields may follow `--`."""

    function: str
    order: str
    options: str = "darknet_compat.inference.options:DetectOptions"


_CLASSIFY = "darknet_compat.inference.options:ClassifyOptions"
_EVALUATE = "darknet_compat.evaluation.options:EvaluateOptions"
_TRAIN = "darknet_compat.training.options:TrainOptions"
_DATA = "DATA CFG WEIGHTS"
_EDITS = ("rescale", "rgbgr", "normalize", "denormalize", "reset")

VERBS: dict[str, Verb] = {
    "detector test": Verb("detector:test", f"{_DATA} [PICTURE]"),
    "detector demo": Verb("detector:demo", f"{_DATA} [VIDEO]"),
    "detector train": Verb("train:train", "DATA CFG [WEIGHTS]", _TRAIN),
    "detector valid": Verb("validate:valid", _DATA),
    "detector valid2": Verb("validate:valid2", _DATA),
    "detector recall": Verb("validate:recall", _DATA),
    "detector map": Verb("validate:map", _DATA, _EVALUATE),
    "detector calc_anchors": Verb("validate:calc_anchors", "DATA"),
    "detector calcanchors": Verb("validate:calc_anchors", "DATA"),
    "detect": Verb("detector:detect", "CFG WEIGHTS [PICTURE]"),
    "yolo test": Verb("detector:yolo_test", "CFG WEIGHTS [PICTURE]"),
    "classifier predict": Verb("classifier:predict", f"{_DATA} [PICTURE]", _CLASSIFY),
    "classifier valid": Verb("classifier:valid", _DATA, _CLASSIFY),
    "classifier label": Verb("classifier:label", _DATA, _CLASSIFY),
    "classifier train": Verb("train:train", "DATA CFG [WEIGHTS]", _TRAIN),
    "classify": Verb("classifier:classify", "CFG WEIGHTS [PICTURE]", _CLASSIFY),
    "partial": Verb("weights:partial", "CFG WEIGHTS OUT N"),
    "average": Verb("weights:average", "CFG OUT WEIGHTS…"),
    **{name: Verb("weights:edited", "CFG WEIGHTS OUT") for name in _EDITS},
    "statistics": Verb("weights:statistics", "CFG WEIGHTS"),
    "ops": Verb("weights:ops", "CFG"),
    "speed": Verb("weights:speed", "CFG [N]"),
}
NOT_TAKEN_OVER = {
    "go", "rnn", "char", "vid", "captcha", "cifar", "tag", "nightmare", "art", "lsd", "regressor", "segmenter",
    "isegmenter", "coco", "imtest", "visualize", "print", "oneoff", "oneoff2", "super", "3d", "mkimg", "extract",
    "censor",
}  # fmt: skip
"""What the original has besides, here and in `detector`."""
_FAMILIES = {name.split()[0] for name in VERBS if " " in name}


def run(arguments: Sequence[str]) -> int:
    """Run one of Darknet's command lines; the exit code: 0, 1 for bad input, 2 for bad usage."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    explaining = "--explain" in words
    if explaining:
        words.remove("--explain")
    try:
        name, verb = _verb(words)
        line = parse(words, _resolved(verb.options))
        if explaining:
            print(shlex.join(explain.equivalent(name, line)))
            return 0
        for note in (*line.notes(), *_surplus(name, verb, line)):
            say(note)
        module, function = verb.function.split(":")
        with remarks_said_once():
            code: int = getattr(import_module(f"darknet_compat.cli.darknet.{module}"), function)(line)
    except OptionError as error:
        say(str(error))
        return 2
    except BaseException as error:
        return exit_code(error)
    return code


def _verb(words: list[str]) -> tuple[str, Verb]:
    """The verb that the words begin with. Raises OptionError, naming the nearest, where there is none."""
    plain = words_of(words)
    name = plain[0] if plain else ""
    if name in _FAMILIES:
        known = [one.split()[1] for one in VERBS if one.startswith(f"{name} ")]
        if len(plain) < 2:
            raise OptionError(f"usage: darknet {name} [{'/'.join(known)}] …")
        if f"{name} {plain[1]}" not in VERBS:
            raise _unknown(f"{name} {plain[1]}", plain[1], known)
        name = f"{name} {plain[1]}"
    if name not in VERBS:
        known = sorted({one.split()[0] for one in VERBS})
        raise _unknown(name, name, known)
    return name, VERBS[name]


def _surplus(name: str, verb: Verb, line: Line) -> list[str]:
    """A line about words that a verb has no place for, which Darknet passes over in silence."""
    most = len(name.split()) + len(verb.order.split())
    if verb.order.endswith("…") or len(line.words) <= most:
        return []
    return [f"{' '.join(line.words[most:])}: not looked at; the order is {name} {verb.order}"]


def _unknown(words: str, name: str, known: Sequence[str]) -> OptionError:
    if name in NOT_TAKEN_OVER:
        return OptionError(f"darknet {words}: not taken over: what it was for is elsewhere or gone")
    hint = nearest(name, known) or f"; there are {', '.join(known)}"
    return OptionError(f"darknet {words}: no such function{hint}")


def _resolved(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)


def usage() -> str:
    """What there is."""
    lines = ["usage: darknet FUNCTION … [-OPTION VALUE …] [-- OPTIONS OF THIS PACKAGE]", ""]
    lines += [f"  {name} {verb.order}" for name, verb in VERBS.items() if name != "detector calcanchors"]
    lines += ["", "--explain prints the same in this package's own words, and runs nothing."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of this process and exit."""
    with standard_streams():
        raise SystemExit(run(sys.argv[1:] if arguments is None else arguments))


__all__ = ["VERBS", "Line", "main", "run", "usage"]
