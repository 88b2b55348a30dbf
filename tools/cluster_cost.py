"""`detect --engine ray` with two processes against `detect` on the same folder, in turn.

    python tools/cluster_cost.py CFG WEIGHTS PHOTOS [PICTURES] [ROUNDS]

Makes PICTURES small JPEGs (160 to 360 pixels a side) of the photographs in the folder PHOTOS. Each run is a whole
process, from which another one with 32 pictures is subtracted: what it costs to begin, which is the same for many more
pictures. The last line is JSON: seconds and processor seconds of each; Ray's own processes are not among the latter.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

FEW = 32


def make_pictures(photos: Path, folder: Path, count: int) -> None:
    """Parts of the photographs, scaled, a different one each."""
    sources = [cv2.imread(str(path)) for path in sorted(photos.rglob("*.jpg"))[:40]]
    random = np.random.default_rng(0)
    for number in range(count):
        picture = sources[number % len(sources)]
        sides = random.uniform(0.5, 1, 2) * picture.shape[:2]
        top, left = (random.uniform(0, 1, 2) * (picture.shape[:2] - sides)).astype(int)
        part = picture[top : top + int(sides[0]), left : left + int(sides[1])]
        size = random.integers(160, 361, 2).tolist()
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), cv2.resize(part, size, interpolation=cv2.INTER_AREA))


def run(model: list[str], pictures: Path, out: Path, engine: str) -> dict[str, float]:
    """One whole process."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "darknet_compat", "detect", model[0], str(pictures), "--weights", model[1]]
    command += ["--thresh", "0.3"]
    command += ["--engine", "ray", "--workers", "2", "--out", str(out)] if engine == "ray" else ["--json"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 2), "processor_seconds": round(spent, 2)}


def main(cfg: str, weights: str, photos: str, count: int, rounds: int) -> None:
    """All rounds, a line each."""
    taken: dict[str, list[dict[str, float]]] = {"detect": [], "ray": [], "detect_begin": [], "ray_begin": []}
    with tempfile.TemporaryDirectory() as place:
        many, few, out = Path(place, "many"), Path(place, "few"), Path(place, "out")
        many.mkdir()
        few.mkdir()
        make_pictures(Path(photos), many, count)
        for path in sorted(many.iterdir())[:FEW]:
            os.link(path, few / path.name)
        run([cfg, weights], few, out, "detect")  # exports into the cache, which both use
        for _ in range(rounds):
            for engine in ("detect", "ray"):
                for pictures, name in ((few, f"{engine}_begin"), (many, engine)):
                    taken[name].append(run([cfg, weights], pictures, out, engine))
                own, begin = taken[engine][-1]["seconds"], taken[f"{engine}_begin"][-1]["seconds"]
                print(
                    f"{engine:6} {own:8.1f} s {count / own:8.1f} images/s; without the beginning"
                    f" ({begin:.1f} s) {(count - FEW) / (own - begin):8.1f} images/s",
                    flush=True,
                )
    print(json.dumps(taken))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[4:]]
    main(*sys.argv[1:4], *numbers, *[10_000, 3][len(numbers) :])
