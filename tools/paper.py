"""The paper's tables in miniature: YOLO9000: Better, Faster, Stronger (2016), on scenes that need no download.

    python tools/paper.py path                 # Table 2; also: sizes priors hierarchy joint classes speed
    python tools/paper.py all --page           # every one, then docs/paper.md and its pictures
    python tools/paper.py path --seeds 0 --budget 4 --out runs/paper4
    python tools/paper.py priors --data voc --path VOCdevkit/VOC2007
    python tools/paper.py path --data voc --path VOCdevkit --pictures imagenet --processes 1

Every cell of a table, a configuration with a seed, leaves a JSON file in --out; what is there is not run again, so that
the same command goes on after a kill. --budget multiplies the batches of every training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from darknet_compat.errors import DarknetCompatError  # noqa: E402
from tools.miniature import classes, hierarchy, joint, page, path, priors, sizes, speed  # noqa: E402
from tools.miniature.cells import Setting, run  # noqa: E402

TABLES: dict[str, tuple[str, ModuleType]] = {
    "path": ("Table 2, from YOLO to YOLOv2", path),
    "sizes": ("Table 3 and Figure 4, one detector at many sizes", sizes),
    "priors": ("Table 1 and Figure 2, anchors by k-means", priors),
    "hierarchy": ("section 4, a WordTree against a flat softmax", hierarchy),
    "joint": ("section 4, three rules for labels without boxes", joint),
    "classes": ("Table 7, best and worst classes", classes),
    "speed": ("Table 3, images a second", speed),
}
ELSEWHERE = {"digits": (*TABLES, "all"), "voc": ("path", "sizes", "priors"), "coco": ("priors",)}
"""The data that there may be, and what can be made of it."""


def main() -> None:
    """Run what is not known yet, show the tables."""
    given = arguments()
    setting = Setting(given.data, given.path, given.pictures, given.out, given.seeds, given.budget, given.processes)
    wanted = list(TABLES) if given.table == "all" else [given.table]
    try:
        for name in wanted:
            if not given.show:
                for group in TABLES[name][1].cells(setting):
                    run(group, setting)
            print(f"{TABLES[name][0]}\n\n{page.table(name, setting)}\n")
        if given.page:
            for file in page.write(setting):
                print(f"-> {file}")
    except DarknetCompatError as error:
        raise SystemExit(f"paper: {error}") from None


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description="The paper's tables in miniature.")
    what = "; ".join(f"{name}: {title}" for name, (title, _) in TABLES.items())
    parser.add_argument("table", choices=[*TABLES, "all"], metavar="TABLE", help=f"{what}; all of them")
    parser.add_argument("--data", choices=ELSEWHERE, default="digits", help="what to learn from (default: digits)")
    parser.add_argument("--path", type=Path, help="where that data lies")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="with voc: ImageNet, a folder of class folders")
    parser.add_argument("--seeds", type=_seeds, default=(0, 1, 2), metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--budget", type=float, default=1.0, metavar="X", help="times the usual batches (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/paper"), metavar="DIR", help="default: runs/paper")
    parser.add_argument(
        "--processes", type=int, default=2, metavar="N", help="cells at a time, a core each (default: 2)"
    )
    parser.add_argument("--page", action="store_true", help="write docs/paper.md and its pictures from all results")
    parser.add_argument("--show", action="store_true", help="run nothing, show what is known")
    given = parser.parse_args()
    if given.budget <= 0 or given.processes < 1:
        parser.error("--budget and --processes: expected numbers above 0")
    for name, place in (("--path", given.path), ("--pictures", given.pictures)):
        if place is not None and not place.exists():
            parser.error(f"{name}: {place}: is not there")
    if given.table not in ELSEWHERE[given.data]:
        possible = ", ".join(ELSEWHERE[given.data])
        parser.error(f"--data {given.data}: is for {possible}; docs/paper.md says what the others need")
    if given.data != "digits" and given.path is None:
        parser.error(f"--data {given.data}: needs --path, the folder or file of its annotations")
    if given.data == "voc" and given.table in ("path", "sizes") and given.pictures is None:
        parser.error(f"--data voc: {given.table} needs --pictures, ImageNet's, for the classifiers that it starts from")
    return given


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(one) for one in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between, found {text!r}") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"expected different numbers from 0 on, found {text!r}")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
