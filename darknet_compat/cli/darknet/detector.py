"""`darknet detector test`, `detect`, `yolo test`, `detector demo`: what is in pictures, in Darknet's words."""

from __future__ import annotations

import sys
from math import floor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.darknet.files import asked_pictures, build_of, cfg_and_weights, class_names, data_cfg_weights
from darknet_compat.cli.darknet.grammar import Line, is_forks
from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import ImageError
from darknet_compat.formats.datafile import DataFile

if TYPE_CHECKING:
    from darknet_compat.inference.results import Detection, Detections

ORDER = "detector test DATA CFG WEIGHTS [PICTURE]"


def options_for(line: Line, cfg: Path, weights: Path | None, **more: Any) -> Any:
    """The options of `detect` that a line means."""
    from darknet_compat.inference.options import DetectOptions

    given: dict[str, Any] = {"model": str(cfg), "files": (), "weights": weights}
    forks = is_forks(line)
    given |= {"dialect": None if forks else "original", "thresh": 0.25 if forks else 0.5}
    given |= {"resize": "letterbox" if "letter_box" in line.options or not forks else None}
    given |= {"hier_thresh": line.options.get("hier", 0.5), "batchnorm": "cuda" if forks else build_of(cfg)}
    given |= more
    if "thresh" in line.options:
        given["thresh"] = line.options["thresh"]
    if "nms" in line.options:
        given["nms"] = line.options["nms"]
    return DetectOptions(**given | line.ours)


def test(line: Line) -> int:
    """`detector test DATA CFG WEIGHTS [PICTURE]`."""
    data, path, file = data_cfg_weights(line, ORDER)
    return _test(line, options_for(line, path, file), class_names(data, path, "names"), line.word(5))


def detect(line: Line) -> int:
    """`detect CFG WEIGHTS [PICTURE]`, which is `detector test cfg/coco.data …`."""
    path, file = cfg_and_weights(line.word(1), line.word(2), "detect CFG WEIGHTS [PICTURE]")
    names = class_names(DataFile("cfg/coco.data"), path, "names")
    return _test(line, options_for(line, path, file), names, line.word(3))


def yolo_test(line: Line) -> int:
    """`yolo test CFG WEIGHTS [PICTURE]`: VOC's classes, pictures stretched, a threshold of 0.2."""
    from darknet_compat.formats.metadata import read_names
    from darknet_compat.formats.packaged import cfg_dir

    path, file = cfg_and_weights(line.word(2), line.word(3), "yolo test CFG WEIGHTS [PICTURE]")
    options = options_for(line, path, file, thresh=0.2, nms=0.4, resize="stretch")
    return _test(line, options, read_names(cfg_dir() / "data" / "voc.names"), line.word(4))


def _test(line: Line, options: Any, names: tuple[str, ...], picture: str | None) -> int:
    from darknet_compat.inference.job import open_detector
    from darknet_compat.vision.image import decode

    detector = open_detector(options, names=names)
    shown = Printer(line)
    code = 0
    for name in asked_pictures(picture):
        try:
            pixels = decode(Path(name), detector.max_pixels)[..., ::-1].copy()  # once, to look at and to draw into
        except ImageError as error:
            say(str(error))
            code = 1
            continue
        start = perf_counter()
        found = detector(pixels)
        print(f"{name}: Predicted in {perf_counter() - start:f} seconds.")
        shown.picture(name, found)
        _draw(found, line)
        sys.stdout.flush()
    shown.finish()
    return code


class Printer:
    """Prints what was found, and writes the fork's `result.json` and label files where a line asks for them."""

    def __init__(self, line: Line) -> None:
        out = str(line.options.get("out", ""))
        self.forks, self.extended = is_forks(line), "ext_output" in line.options
        self.labels = "save_labels" in line.options
        self.json = Path(out) if out.endswith(".json") else None
        self.frames: list[str] = []

    def picture(self, name: str, found: Detections) -> None:
        """One picture, or frame of a video."""
        for one in _from_left(found) if self.forks else in_order(found):
            print(f"{one.name}: {_percent(one.score)}%{_place(one.box) if self.extended else ''}")
        if self.labels:
            _save_labels(Path(name), found)
        if self.json is not None:
            self.frames.append(_json(len(self.frames) + 1, name, found))

    def finish(self) -> None:
        """Write what is for all pictures."""
        if self.json is None:
            return
        from darknet_compat.errors import CannotWriteError
        from darknet_compat.formats.atomic import atomic_write

        with atomic_write(self.json, CannotWriteError) as file:
            file.write(("[\n" + ", \n".join(self.frames) + "\n]\n").encode())


def in_order(found: Detections) -> Detections:
    """Detections as Darknet's programs have them: box after box as suppression leaves them, then class after class."""
    from numpy import argsort

    return found if found.places is None else found[argsort(found.places)]


def _percent(score: float) -> str:
    return f"{100 * score:.0f}"


def _from_left(found: Detections) -> list[Detection]:
    """From left to right, of a box the likeliest class first, as the fork's `draw_detections_v3` prints."""
    best: dict[tuple[float, ...], int] = {}
    for one in found:  # best first
        best.setdefault(one.box, one.class_id)
    ordered = list(in_order(found))  # box after box
    place: dict[tuple[float, ...], int] = {}
    for number, one in enumerate(ordered):
        place.setdefault(one.box, number)
    return sorted(ordered, key=lambda one: (one.box[0], place[one.box], one.class_id != best[one.box]))


def _place(box: tuple[float, float, float, float]) -> str:
    """Where a box is, as `-ext_output` prints it."""
    left, top, right, bottom = box
    sides = (_rounded(left), _rounded(top), _rounded(right - left), _rounded(bottom - top))
    return "\t(left_x: {:4.0f}   top_y: {:4.0f}   width: {:4.0f}   height: {:4.0f})".format(*sides)


def _rounded(value: float) -> float:
    """C's `round`: halves away from 0."""
    return floor(abs(value) + 0.5) * (1.0 if value >= 0 else -1.0)


def _json(number: int, name: str, found: Detections) -> str:
    """One frame as the fork writes it."""
    import json

    objects = []
    for one in in_order(found):
        x, y, w, h = _relative(one.box, found)
        objects.append(
            f'  {{"class_id":{one.class_id}, "name":{json.dumps(one.name)}, "relative_coordinates":{{"center_x":{x:f},'
            f' "center_y":{y:f}, "width":{w:f}, "height":{h:f}}}, "confidence":{one.score:f}}}'
        )
    body = ", \n".join(objects)
    return f'{{\n "frame_id":{number}, \n "filename":{json.dumps(name)}, \n "objects": [ \n{body}\n ] \n}}'


def _relative(box: tuple[float, float, float, float], found: Detections) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    width, height = found.width, found.height
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def _save_labels(picture: Path, found: Detections) -> None:
    """A label file beside the picture, the best class of each box, as the fork writes it."""
    from darknet_compat.errors import CannotWriteError
    from darknet_compat.formats.atomic import atomic_write

    lines, seen = [], set()
    for one in found:  # best first
        if one.box not in seen:
            seen.add(one.box)
            x, y, w, h = _relative(one.box, found)
            lines.append(f"{one.class_id} {x:2.4f} {y:2.4f} {w:2.4f} {h:2.4f}\n")
    with atomic_write(picture.with_suffix(".txt"), CannotWriteError) as file:
        file.write("".join(lines).encode())


def _draw(found: Detections, line: Line) -> None:
    """`predictions.jpg` in the working directory, or -out's name."""
    out = str(line.options.get("out", ""))
    name = "predictions" if not out or out.endswith(".json") else out
    found.save(Path(f"{name}.jpg"))


def demo(line: Line) -> int:
    """`detector demo DATA CFG WEIGHTS [VIDEO]`: each frame's objects, as they come.

    In the original three frames are averaged (`-avg 1` switches that off), and boxes suppress others at 0.4, whatever
    their classes.
    """
    data, path, file = data_cfg_weights(line, "detector demo DATA CFG WEIGHTS [VIDEO]")
    video = line.word(5)
    forks = is_forks(line)
    options = options_for(line, path, file) if forks else options_for(line, path, file, nms=0.4)
    from darknet_compat.inference.batch import Failure
    from darknet_compat.inference.detector import OBJECTNESS
    from darknet_compat.inference.job import answers, open_detector
    from darknet_compat.sources.open import open_source

    detector = open_detector(options, names=class_names(data, path, "names"))
    if not forks:
        detector.nms_kind = OBJECTNESS
    printer = Printer(line)
    code = 0
    with open_source(video if video is not None else line.options.get("c", 0)) as frames:
        print("Demo" if video is None else f"Demo\nvideo file: {video}")
        for source, answer, seconds in answers(detector, frames, smooth=not forks and line.options.get("avg", 3) != 1):
            if isinstance(answer, Failure):
                say(str(answer.error))
                code = 1
                continue
            print(f"{_CLEAR}FPS:{1 / max(seconds, 1e-9):.1f}\nObjects:\n")
            printer.picture(getattr(source, "name", str(source)), answer)
            sys.stdout.flush()
    printer.finish()
    return code


_CLEAR = "\033[2J\033[1;1H\n"
"""How the original clears the terminal before each frame."""
