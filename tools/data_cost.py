"""What large data sets cost: a list of a million pictures opened, checked and counted, and a set of COCO's size opened.

    python tools/data_cost.py list DIR --pictures 1000000   # makes DIR once, then measures
    python tools/data_cost.py coco DIR                      # ours and pycocotools in turn, three times

The last line is JSON. Pictures are links to one small file, labels are files of their own of one to five objects.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

_LINKS = 60_000
"""Of one file; ext4 allows 65,000."""
_FOLDER = 10_000
"""Pictures of one folder."""


def make_list(folder: Path, pictures: int) -> Path:
    """A list of so many pictures with labels beside them, as `obj.data` in `folder`; made only where it is missing."""
    data = folder / "obj.data"
    if data.exists():
        return data
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(0)
    lines = []
    for number in range(pictures):
        if number % _FOLDER == 0:
            (folder / f"set/{number // _FOLDER:04d}").mkdir(parents=True)
        stem = folder / f"set/{number // _FOLDER:04d}/p{number:07d}"
        if number % _LINKS == 0:
            first = f"{stem}.jpg"
            Path(first).write_bytes(b"\xff\xd8\xff")
        else:
            os.link(first, f"{stem}.jpg")
        rows = (
            f"{random.randrange(80)} {random.uniform(0.3, 0.7):.6f} {random.uniform(0.3, 0.7):.6f}"
            f" {random.uniform(0.01, 0.5):.6f} {random.uniform(0.01, 0.5):.6f}\n"
            for _ in range(random.randint(1, 5))
        )
        Path(f"{stem}.txt").write_text("".join(rows))
        lines.append(str(stem.relative_to(folder)) + ".jpg\n")
    (folder / "train.txt").write_text("".join(lines))
    (folder / "obj.names").write_text("".join(f"class{number}\n" for number in range(80)))
    data.write_text("classes=80\ntrain=train.txt\nnames=obj.names\n")
    return data


def make_coco(folder: Path, pictures: int = 118_000, boxes: int = 860_000) -> Path:
    """A JSON file of COCO's size, with an outline of eight numbers an object."""
    path = folder / "instances_train.json"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(0)
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 640, "height": 480} for n in range(pictures)]
    annotations = []
    for number in range(boxes):
        x, y, w, h = (round(random.uniform(1, 200), 2) for _ in range(4))
        annotations.append(
            {
                "id": number,
                "image_id": random.randrange(pictures),
                "category_id": random.randrange(1, 81),
                "bbox": [x, y, w, h],
                "area": round(w * h, 2),
                "iscrowd": 0,
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
        )
    categories = [{"id": n, "name": f"class{n}"} for n in range(1, 81)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def measure_list(data: Path) -> dict[str, Any]:
    """Open, check and count."""
    from darknet_compat.datasets.check import check_dataset
    from darknet_compat.datasets.open import open_dataset

    dataset, opened = timed(lambda: open_dataset(data))
    report, checked = timed(lambda: check_dataset(dataset))
    return {
        "pictures": report.pictures,
        "objects": sum(report.objects),
        "wrong": report.wrong,
        "open_s": opened,
        "check_s": checked,
        "cpu_s": cpu_s(),
        "peak_mb": round(peak_mb()),
    }


def measure_coco(path: Path, who: str) -> dict[str, Any]:
    """Open it, ours or pycocotools', in this process."""
    if who == "ours":
        from darknet_compat.datasets.open import open_dataset

        found, seconds = timed(lambda: open_dataset(path))
        pictures = len(found)
    else:
        from pycocotools.coco import COCO

        found, seconds = timed(lambda: COCO(str(path)))
        pictures = len(found.imgs)
    return {"who": who, "pictures": pictures, "open_s": seconds, "cpu_s": cpu_s(), "peak_mb": round(peak_mb())}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds it took."""
    start = time.perf_counter()
    found = work()
    return found, round(time.perf_counter() - start, 2)


def peak_mb() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_s() -> float:
    """Processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(used.ru_utime + used.ru_stime, 2)


def compare_coco(path: Path, rounds: int = 3) -> dict[str, Any]:
    """Ours and pycocotools in turn, each in a process of its own; medians of processor times, the interpreter's too."""
    found: dict[str, list[float]] = {"ours": [], "pycocotools": []}
    for _ in range(rounds):
        for who, seconds in found.items():
            command = [sys.executable, __file__, "one", str(path), "--who", who]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            print(answer, flush=True)
            seconds.append(json.loads(answer)["cpu_s"])
    medians = {who: sorted(seconds)[rounds // 2] for who, seconds in found.items()}
    return {**medians, "ratio": round(medians["ours"] / medians["pycocotools"], 2)}


def main() -> None:
    """Make and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["list", "coco", "one"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--who", choices=["ours", "pycocotools"], default="ours")
    given = parser.parse_args()
    if given.what == "list":
        data = make_list(given.folder, given.pictures)
        for _ in range(2):  # the first time for the file system's cache
            command = [sys.executable, __file__, "one", str(data)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            found = json.loads(answer)
            print(answer, flush=True)
    elif given.what == "coco":
        found = compare_coco(make_coco(given.folder))
    else:
        found = measure_list(given.folder) if given.folder.suffix == ".data" else measure_coco(given.folder, given.who)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
