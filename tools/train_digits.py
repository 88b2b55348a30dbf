"""Train the models that come with this package, from nothing and without a download.

    python tools/train_digits.py                        # both; results in runs/, scores on held-out scenes as JSON
    python tools/train_digits.py yolov2-digits --seed 1
    python tools/train_digits.py --ship                 # also writes weights/*.weights and weights/manifest.json
    python tools/train_digits.py yolov2-digits --max-batches 12000 --ship --at-least 94

It runs `darknet-compat train` and `evaluate` as anyone can, and shows their command lines. The definitions in cfg/ say
how long and at what rate; the running average of the weights is what is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "weights"

BOXED = ("warped-digits:01234",)
DATA = {
    "yolov2-digits": ("warped-digits",),
    "yolo9000-digits": (*BOXED, "--joint", "warped-digit-groups:56789", "--ratio", "3", "--objectness", "surest"),
}
"""What each model learns from: digits warped as other hands might have written them, since what is missing at held-out
scenes is other writers' shapes. The second gets boxes for half of the digits and only labels for the others; before, it
learns from the boxes alone what an object is, and before that, as a classifier of all ten digits, to look."""
FIRST, FIRST_DATA = REPOSITORY / "cfg" / "examples" / "digits.cfg", "warped-digit-crops"
FIRST_LAYERS = 12
"""That classifier, what it learns from, and how many of its layers the detector starts from."""
SETTINGS = ("--precision", "bf16", "--ema", "0.995")


def run(*arguments: str) -> dict[str, Any]:
    """The report of a command of darknet-compat, which is shown first; SystemExit with its code if it fails."""
    print(f"$ darknet-compat {' '.join(arguments)}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", "darknet_compat", *arguments, "--json"], stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(done.returncode)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def first_layers(out: Path, more: list[str]) -> Path:
    """The first layers of a classifier of all ten digits, trained unless they are there."""
    folder = out / "first"
    cut = folder / f"digits.conv.{FIRST_LAYERS}"
    if not cut.is_file():
        names = str(REPOSITORY / "cfg" / "data" / "digits.names")
        run("train", str(FIRST), FIRST_DATA, "--names", names, "--out", str(folder), "--precision", "bf16", *more)
        weights = str(folder / "digits_final.weights")
        run("partial", str(FIRST), str(cut), str(FIRST_LAYERS), "--weights", weights)
    return cut


def trained_detector(name: str, data: Sequence[str], folder: Path, more: list[str], start: Path | None = None) -> Path:
    """The weights of a detector, trained from those of `start` on as if it had seen nothing, unless they are there."""
    weights = folder / f"{name}_ema.weights"
    if not (folder / f"{name}_final.weights").is_file():  # the other is written on the way, too
        begin = ("--weights", str(start), "--clear") if start else ()
        run("train", name, *data, *begin, "--out", str(folder), *SETTINGS, *more)
    return weights


def train(name: str, out: Path, more: list[str]) -> tuple[Path, dict[str, Any]]:
    """Train a model; its weights, and how long that took and what they score."""
    began = time.perf_counter()
    on_tree = "--joint" in DATA[name]
    start = trained_detector(name, BOXED, out / "boxes", more, first_layers(out, more)) if on_tree else None
    weights = trained_detector(name, DATA[name], out / name, more, start)
    seconds = time.perf_counter() - began
    by_tree = ("--map", "digits") if on_tree else ()
    scored = run("evaluate", name, "digits", "--weights", str(weights), "--backend", "torch", *by_tree)
    return weights, {
        "model": name,
        "data": " ".join(DATA[name]),
        "weights": str(weights),
        "seconds": round(seconds, 1),
        "mAP": scored["scores"]["mean_ap"],
        "AP": {row["name"]: row["ap"] for row in scored["scores"]["classes"] if row["objects"]},
    }


def ship(name: str, weights: Path) -> None:
    """Put weights where they travel with the package, and into the manifest."""
    place, manifest = WEIGHTS / f"{name}.weights", WEIGHTS / "manifest.json"
    shutil.copyfile(weights, place)
    place.with_name(f"{place.name}.json").unlink(missing_ok=True)  # the former weights' checksum
    listed = json.loads(manifest.read_text("utf-8"))
    data = place.read_bytes()
    listed["files"][place.name] = {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "cfg": f"cfg/{name}.cfg",
        "source": f"trained on {' '.join(DATA[name])} with the commands of tools/train_digits.py",
        "licence": "as this repository; the digits it learned from are CC BY 4.0 (Alpaydin and Kaynak, UCI, 1998)",
    }
    manifest.write_text(json.dumps(listed, indent=1) + "\n", "utf-8")


def main() -> None:
    """Train, score, print one JSON document."""
    parser = argparse.ArgumentParser(description="Train the models that come with this package.")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"of {', '.join(DATA)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that compose scenes ahead")
    parser.add_argument("--max-batches", type=int, help="not the definitions' own: to try out")
    parser.add_argument("--ship", action="store_true", help="write weights/ as well")
    parser.add_argument(
        "--at-least", type=float, default=0, metavar="X", help="with --ship: only from this mAP on, in %%"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(DATA):
        parser.error(f"expected some of {', '.join(DATA)}, found {', '.join(sorted(unknown))}")
    more = ["--seed", str(given.seed), "--workers", str(given.workers)]
    if given.max_batches:
        more += ["--max-batches", str(given.max_batches)]
    results = []
    for name in given.names or DATA:
        weights, result = train(name, given.out, more)
        results.append(result | {"seed": given.seed})
        if given.ship and 100 * result["mAP"] >= given.at_least:
            ship(name, weights)
    print(json.dumps({"models": results}, indent=1))


if __name__ == "__main__":
    main()
