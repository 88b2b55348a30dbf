"""How long `export` takes beside a peer that reads the same files and writes ONNX too, and beside writing its bytes.

    python tools/export_time.py cfg/yolov2-voc.cfg yolov2-voc.weights --rounds 7 --peer-path FOLDER

Whole processes, one after the other in each round, so that what else the machine does falls on all of them alike. The
peer is lightnet 4.0 (`pip install --no-deps --target FOLDER lightnet==4.0.0`), whose YOLOv2 is exported by torch's own
exporter, with TorchScript, the quicker of the two; "numpy" reads the weights and writes them; `--rtx` builds an engine
of the exported file too, in fp16 by TensorRT-RTX (`make test-trt` installs it). Times are of the processor (user and
system, of all that a program starts) and of the clock. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[4])
import lightnet, torch
network = lightnet.models.YoloV2(20)
network.load(sys.argv[1])
network.eval()
torch.onnx.export(network, torch.zeros(1, 3, 416, 416), sys.argv[2], dynamo=False, opset_version=17)
"""
NUMPY = """
import sys, numpy
values = numpy.fromfile(sys.argv[1], numpy.float32)
with open(sys.argv[2], "wb") as file:
    file.write(values.data)
"""
OURS = """
import sys
from darknet_compat.cli.main import main
sys.argv = ["darknet-compat", "export", sys.argv[3], "--weights", sys.argv[1], "--out", sys.argv[2]]
main()
"""
ENGINE = """
import os, sys
from darknet_compat.cli.main import main
sys.path.append(os.path.join(sys.prefix, "share", "tensorrt-rtx"))
sys.argv = ["darknet-compat", "engine", sys.argv[5], "--target", "rtx", "--precision", "fp16", "--out", sys.argv[2]]
main()
"""


def run(code: str, arguments: list[str]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Time them in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cfg", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer-path", default="", help="the folder that lightnet was installed into")
    parser.add_argument("--rtx", action="store_true", help="build an engine too")
    options = parser.parse_args()
    programs = {"ours": OURS, "numpy": NUMPY} | ({"lightnet": PEER} if options.peer_path else {})
    programs |= {"engine": ENGINE} if options.rtx else {}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        out, exported = os.path.join(folder, "m.onnx"), os.path.join(folder, "exported.onnx")
        arguments = [str(options.weights), out, str(options.cfg), options.peer_path, exported]
        if options.rtx:
            run(OURS, [str(options.weights), exported, str(options.cfg)])
        for _ in range(options.rounds):
            for name, code in programs.items():
                taken[name].append(run(code, arguments))
                os.unlink(out)
    figures: dict[str, float] = {}
    for number, kind in enumerate(("clock", "processor")):
        for name, times in taken.items():
            figures[f"{name} {kind}"] = round(statistics.median(pair[number] for pair in times), 3)
            if name != "ours":
                ratios = [a[number] / b[number] for a, b in zip(taken["ours"], times, strict=True)]
                figures[f"ours/{name} {kind}"] = round(statistics.median(ratios), 3)
    for name, figure in figures.items():
        print(f"{name:24} {figure:8.3f}")
    print(json.dumps(figures | {"rounds": options.rounds}))


if __name__ == "__main__":
    main()
