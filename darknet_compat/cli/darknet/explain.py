"""Darknet's command lines in this package's own words."""

from __future__ import annotations

from darknet_compat.cli.darknet.grammar import Line, is_forks
from darknet_compat.errors import MetadataError
from darknet_compat.formats.datafile import DataFile

_OPTIONS = {
    "thresh": "--thresh",
    "hier": "--hier-thresh",
    "nms": "--nms",
    "iou_thresh": "--iou-thresh",
    "points": "--points",
    "num_of_clusters": "--k",
    "t": "--top",
    "clear": "--clear",
}
_DETECTING = ("thresh", "hier", "nms")


def equivalent(name: str, line: Line) -> list[str]:
    """The words of the `darknet-compat` command that does the same, or nearest to it."""
    words = line.words[len(name.split()) :]
    made = _MADE[_KIND[name]](name, words, line)
    for option, value in line.ours.items():
        made += [f"--{option.replace('_', '-')}", *([] if value is True else [str(value)])]
    return ["darknet-compat", *made]


def _at(words: list[str], place: int, absent: str) -> str:
    return words[place] if place < len(words) else absent


def _named(data: str, key: str) -> str:
    """What a `.data` file says of a key; where there is no such file, that it would."""
    try:
        return DataFile(data).text(key) or key
    except MetadataError:
        return f"{key}= of {data}"


def _carried(line: Line, *names: str) -> list[str]:
    found = []
    for name in names:
        if name in line.options:
            value = line.options[name]
            found += [_OPTIONS[name], *([] if value is True else [str(value)])]
    return found


def _detect(name: str, words: list[str], line: Line) -> list[str]:
    with_data = name.startswith("detector")
    seen = str(line.options.get("c", 0)) if name == "detector demo" else "PICTURE"
    cfg, weights = (_at(words, place + with_data, absent) for place, absent in enumerate(_WORDS[:2]))
    made = ["detect", cfg, _at(words, 2 + with_data, seen), "--weights", weights]
    if with_data:
        made += ["--names", _named(_at(words, 0, "DATA"), "names")]
    made += _carried(line, *_DETECTING) + ([] if is_forks(line) else ["--dialect", "original"])
    if name == "yolo test":
        made += ["--resize", "stretch"] + ([] if "thresh" in line.options else ["--thresh", "0.2"])
    if name == "detector demo":
        made += ["--out", str(line.options["out_filename"])] if "out_filename" in line.options else []
        return made if "dont_show" in line.options else [*made, "--show"]
    out = str(line.options.get("out", "predictions"))
    return [*made, "--out", out if out.endswith(".json") else f"{out}.jpg"]


_WORDS = ("CFG", "WEIGHTS", "PICTURE")


def _classify(name: str, words: list[str], line: Line) -> list[str]:
    with_data = name.startswith("classifier")
    cfg, weights, picture = (_at(words, place + with_data, absent) for place, absent in enumerate(_WORDS))
    made = ["classify", cfg, picture, "--weights", weights]
    if with_data:
        made += ["--names", _named(_at(words, 0, "DATA"), "names")]
    return [*made, *_carried(line, "t", "hier"), "--dialect", "original"]


def _evaluate(name: str, words: list[str], line: Line) -> list[str]:
    data, cfg, weights = _at(words, 0, "DATA"), _at(words, 1, "CFG"), _at(words, 2, "WEIGHTS")
    made = ["evaluate", cfg, data, "--weights", weights]
    verb = name.split()[1]
    if verb in ("map", "recall"):
        made += ["--metric", verb]
    if verb == "map" and "thresh" in line.options:
        made += ["--conf", str(line.options["thresh"])]
    if verb == "valid2":
        made += ["--flip"]
    if verb.startswith("valid") and name.startswith("detector"):
        made += ["--out", "results"]
    return made + _carried(line, "iou_thresh", "points")


def _train(name: str, words: list[str], line: Line) -> list[str]:
    made = ["train", _at(words, 1, "CFG"), _at(words, 0, "DATA")]
    if len(words) > 2:
        made += ["--weights", words[2]]
    made += ["--out", _named(_at(words, 0, "DATA"), "backup")]
    return made + (["--valid", "valid", "--metric", "map"] if "map" in line.options else []) + _carried(line, "clear")


def _anchors(name: str, words: list[str], line: Line) -> list[str]:
    width, height = line.options.get("width", 416), line.options.get("height", 416)
    made = ["anchors", _at(words, 0, "DATA"), "--size", f"{width}x{height}", "--resize", "stretch"]
    return made + (_carried(line, "num_of_clusters") or ["--k", "9"])


def _partial(name: str, words: list[str], line: Line) -> list[str]:
    cfg, weights, out, count = (_at(words, place, ("CFG", "WEIGHTS", "OUT", "N")[place]) for place in range(4))
    return ["partial", cfg, out, count, "--weights", weights]


def _info(name: str, words: list[str], line: Line) -> list[str]:
    return ["info", _at(words, 0, "CFG")]


def _bench(name: str, words: list[str], line: Line) -> list[str]:
    return ["bench", _at(words, 0, "CFG")]


def _itself(name: str, words: list[str], line: Line) -> list[str]:
    """What only Darknet's own words say."""
    return ["darknet", name, *words]


_MADE = {
    "detect": _detect,
    "classify": _classify,
    "evaluate": _evaluate,
    "train": _train,
    "anchors": _anchors,
    "partial": _partial,
    "info": _info,
    "bench": _bench,
    "itself": _itself,
}
_KIND = {
    "detector test": "detect",
    "detector demo": "detect",
    "detect": "detect",
    "yolo test": "detect",
    "classifier predict": "classify",
    "classify": "classify",
    "classifier label": "classify",
    "detector valid": "evaluate",
    "detector valid2": "evaluate",
    "detector recall": "evaluate",
    "detector map": "evaluate",
    "classifier valid": "evaluate",
    "detector train": "train",
    "classifier train": "train",
    "detector calc_anchors": "anchors",
    "detector calcanchors": "anchors",
    "partial": "partial",
    "ops": "info",
    "speed": "bench",
    **dict.fromkeys(("average", "rescale", "rgbgr", "normalize", "denormalize", "reset", "statistics"), "itself"),
}
