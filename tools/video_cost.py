"""`detect` of a video against a straightforward loop of OpenCV: one stage after another.

    python tools/video_cost.py CFG WEIGHTS [FRAMES] [ROUNDS]

Both read the same H.264 film of 1280x720 made here, look for objects with the same thresholds and write an annotated
.mp4, each as a whole process, in turn. The last line is JSON: seconds and processor seconds of each round.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 1280, 720

LOOP = """
import sys
import cv2
import numpy as np
cfg, weights, film, out = sys.argv[1:]
net = cv2.dnn.readNetFromDarknet(cfg, weights)
names = net.getUnconnectedOutLayersNames()
video = cv2.VideoCapture(film)
rate = video.get(cv2.CAP_PROP_FPS)
writer = None
while True:
    there, frame = video.read()
    if not there:
        break
    height, width = frame.shape[:2]
    if writer is None:
        writer = cv2.VideoWriter(out, cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    net.setInput(cv2.dnn.blobFromImage(frame, 1 / 255, (320, 320), swapRB=True))
    rows = np.concatenate(net.forward(names))
    scores = rows[:, 5:]
    best = scores.argmax(1)
    top = scores[np.arange(len(rows)), best]
    kept = top > 0.3
    best, top = best[kept], top[kept]
    boxes = rows[kept, :4] * [width, height, width, height]
    boxes[:, :2] -= boxes[:, 2:] / 2
    for row in np.array(cv2.dnn.NMSBoxesBatched(boxes.tolist(), top.tolist(), best.tolist(), 0.3, 0.45)).ravel():
        x, y, w, h = boxes[row].astype(int).tolist()
        cv2.rectangle(frame, (x, y), (x + w, y + h), (0, 255, 0), 4)
        cv2.putText(frame, f"{best[row]} {top[row]:.0%}", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)
    writer.write(frame)
writer.release()
"""


def film(path: Path, frames: int) -> None:
    """A photograph that a camera pans over."""
    import cv2

    from darknet_compat.vision.videofile import VideoWriter

    photo = next(path for path in (Path("/usr/share/darknet/data/dog.jpg"), Path("dog.jpg")) if path.is_file())
    large = cv2.resize(cv2.imread(str(photo))[..., ::-1], (WIDTH + 320, HEIGHT + 280))
    with VideoWriter(path, 25) as writer:
        for number in range(frames):
            left, top = round(160 + 150 * np.sin(number / 40)), round(140 + 130 * np.cos(number / 30))
            writer.write(np.ascontiguousarray(large[top : top + HEIGHT, left : left + WIDTH]))


def timed(*command: object) -> tuple[float, float]:
    """(seconds, processor seconds) of a process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def main() -> None:
    """Run both in turn."""
    cfg, weights, *numbers = sys.argv[1:]
    frames, rounds = [*map(int, numbers), *(1000, 3)[len(numbers) :]]
    rows: dict[str, list[tuple[float, float]]] = {"ours": [], "opencv": []}
    with tempfile.TemporaryDirectory() as folder:
        clip, out = Path(folder, "film.mp4"), Path(folder, "found.mp4")
        film(clip, frames)
        ours = (sys.executable, "-m", "darknet_compat", "detect", cfg, clip, "--weights", weights, "--thresh", 0.3)
        options = (*ours, "--resize", "stretch", "--out", out)
        timed(*options, "--max-frames", 2)  # the export into the cache is not part of a run
        for _ in range(rounds):
            rows["ours"].append(timed(*options))
            rows["opencv"].append(timed(sys.executable, "-c", LOOP, cfg, weights, clip, out))
            for name, values in rows.items():
                wall, used = values[-1]
                print(f"{name:8} {wall:7.1f} s  {used:7.1f} processor s  {frames / wall:6.1f} frames/s", flush=True)
    print(json.dumps({"frames": frames, "cores": len(os.sched_getaffinity(0)), **rows}))


if __name__ == "__main__":
    main()
