"""Write the network definitions in cfg/ from the tables in `definitions`.

    python tools/write_cfg.py            # writes cfg/*.cfg
    python tools/write_cfg.py --check    # writes nothing; exit code 1 and the names of files that differ

The tables hold what the papers and the programs' own definitions state: `definitions.original` those of the original
Darknet and of this project, `definitions.fork` those of its best-known fork. Here are the recipes and the examples.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from darknet_compat.catalogue.models import MODELS, Model  # noqa: E402
from tools.definitions import fork, original  # noqa: E402
from tools.definitions.original import (  # noqa: E402
    ANCHORS_VOC,
    AT_448,
    CROPS,
    DARKNET19,
    DETECTOR,
    DIGITS_FIRST,
    OWN,
    cells,
    classifier,
    yolov2,
)
from tools.definitions.sections import Rows, Section, net, poly, steps  # noqa: E402

NETWORKS: dict[str, tuple[Section, Rows]] = {**original.NETWORKS, **fork.NETWORKS}

ILSVRC, VOC_0712 = 1_281_167, 16_551
"""Pictures in the training parts of ILSVRC 2012, and of PASCAL VOC 2007 and 2012 (trainval) together."""


def paper_epochs(epochs: int, pictures: int, batch: int) -> int:
    """That many times all pictures, in batches."""
    return -(-epochs * pictures // batch)


PAPER_DETECTION = steps(
    paper_epochs(160, VOC_0712, 64), f"{paper_epochs(60, VOC_0712, 64)},{paper_epochs(90, VOC_0712, 64)}", burn_in=1000
)
_SAID = "The paper's training (section 3)"
RECIPES: dict[str, tuple[str, Section, Rows]] = {
    "darknet19": (
        f"{_SAID}: 160 epochs of ILSVRC's {ILSVRC:,} pictures at 224 x 224, a rate of 0.1 that falls with the fourth "
        "power. Crops and colours as in the original Darknet's darknet19.cfg, which trains at other sizes and shorter.",
        net(224, 128, 1, min_crop=224, max_crop=320, **CROPS, **poly(paper_epochs(160, ILSVRC, 128))),
        classifier(DARKNET19),
    ),
    "darknet19_448": (
        f"{_SAID}: 10 epochs more at 448 x 448, at a rate of 0.001, from the weights of darknet19.cfg.",
        net(448, 128, 4, **AT_448 | {"max_batches": paper_epochs(10, ILSVRC, 128)}),
        classifier(DARKNET19),
    ),
    "yolov2-voc": (
        f"{_SAID}: 160 epochs of the {VOC_0712:,} pictures of PASCAL VOC 2007 and 2012, a rate of 0.001 that is "
        "divided by 10 at 60 and 90 epochs, from the first 23 layers of darknet19_448. The original trains for 310.",
        net(416, 64, 8, **DETECTOR, **PAPER_DETECTION),
        yolov2(ANCHORS_VOC, 20),
    ),
}
"""The paper's own training where the original's definition has another: what is said of it, `[net]`, the layers."""

DIGITS_FIRST_SAID = (
    "A classifier of handwritten digits, from whose first twelve layers yolo9000-digits starts, as the paper's "
    "detectors start from Darknet-19. tools/train_digits.py trains it."
)
DIGITS_FIRST_NET = net(64, 64, 1, min_crop=64, max_crop=80, flip=0, **poly(1000, burn_in=100) | {"power": 1})

CELLS_SAID = (
    "An example to start from for a few classes: 1.7 million weights, trained from nothing on one processor. On BCCD "
    "(364 photographs of blood cells; RBC, WBC, Platelets) it came to 84 % mAP at IoU 0.5 on the test split."
)
CELLS_NET = net(320, 16, 1, height=240, hue=0.05, saturation=1.5, exposure=1.5, **steps(2000, "1650,1900", burn_in=100))

CELLS_CIOU_SAID = (
    "The same in the fork's way: two [yolo] heads, boxes learned by CIoU, mosaic, a rate that falls as a cosine. 1.5 "
    "million weights, trained from nothing; on BCCD it came to 88 % mAP at IoU 0.5 on the test split."
)
CELLS_CIOU_NET = net(
    416,
    16,
    1,
    height=320,
    mosaic=1,
    **{**fork.COLOURS, "hue": 0.05},
    **{"learning_rate": 0.002, "policy": "sgdr", "sgdr_cycle": 1600, "max_batches": 1600, "burn_in": 100},
)

# ----------------------------------------------------------------------------------------------------------- writing


def write_all() -> dict[str, str]:
    """The text of every definition, by its path inside cfg/."""
    written = {f"{name}.cfg": _text(_header(MODELS[name]), *NETWORKS[name]) for name in NETWORKS}
    for name, (said, training, layers) in RECIPES.items():
        header = _comment(said, f"Source: {MODELS[name].paper}.", f"Classes: {MODELS[name].names}.", _WRITTEN)
        written[f"recipes/{name}.cfg"] = _text(header, training, layers)
    said = _comment(DIGITS_FIRST_SAID, "Classes: data/digits.names.", _WRITTEN)
    written["examples/digits.cfg"] = _text(said, DIGITS_FIRST_NET, classifier(DIGITS_FIRST, classes=10))
    written["examples/cells.cfg"] = _text(_comment(CELLS_SAID, _WRITTEN), CELLS_NET, cells())
    said = _comment(CELLS_CIOU_SAID, _WRITTEN)
    written["examples/cells-ciou.cfg"] = _text(said, CELLS_CIOU_NET, fork.cells_ciou())
    return written


_TRAINED = "tools/train_digits.py trains it."
_WRITTEN = "Written by tools/write_cfg.py: change that file, not this one."


def _text(header: str, training: Section, layers: Rows) -> str:
    """One definition."""
    comment = "# The input, then the training it was made for, batch pictures a step; prediction takes any number.\n"
    blocks = [header, comment + _section(training)]
    index, comment = 0, ""
    for row in layers:
        if isinstance(row, str):
            comment = f"# From layer {index}: {row}.\n"
            continue
        blocks.append(comment + _section(row))
        index, comment = index + 1, ""
    return "\n".join(blocks)


def _header(model: Model) -> str:
    weights = model.weights
    length = " or ".join(f"{size:,}" for size in weights.expected.sizes)
    return _comment(
        f"{model.title}.",
        f"Source: {model.paper}. "
        + (_TRAINED if model.name in OWN else f"Training options and layers as in {_program(model)}'s {model.cfg}."),
        f"Classes: {model.names}. Weights: {weights.file}, {weights.floats:,} numbers, {length} bytes.",
        _WRITTEN,
    )


def _program(model: Model) -> str:
    if model.name not in fork.NETWORKS:
        return "the original Darknet"
    return "Yolo-Fastest" if model.name.startswith("yolo-fastest") else "AlexeyAB's Darknet"


def _comment(*lines: str) -> str:
    wrapped = [part for line in lines for part in textwrap.wrap(line, 116)]
    return "".join(f"# {line}\n" for line in wrapped)


def _section(section: Section) -> str:
    kind, options = section
    return "\n".join([f"[{kind}]", *(f"{key}={value}" for key, value in options.items())]) + "\n"


def main() -> int:
    """Write or check all definitions."""
    parser = argparse.ArgumentParser(description="Write the network definitions in cfg/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    stale, written = [], write_all()
    for name, text in written.items():
        path = REPOSITORY / "cfg" / name
        if not path.is_file() or path.read_bytes() != text.encode():
            stale.append(name)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(text.encode())
    print(f"{len(written)} definitions, {len(stale)} {'stale' if check else 'written'}: {' '.join(stale) or 'none'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
