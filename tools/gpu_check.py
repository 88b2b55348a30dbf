"""The one command for a machine with an NVIDIA GPU: builds engines, holds them against ONNX Runtime, measures, records.

    python tools/gpu_check.py                   # an hour at most; writes docs/gpu/DATE-GPU.json and docs/gpu/README.md
    python tools/gpu_check.py --only training   # one part: torch, training, parity, speed, tree, threads
    python tools/gpu_check.py --rehearse        # small and quick, on whatever is here; writes nothing unless --out

What cannot be run is recorded as not run, with the reason. The last line is a summary as JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_record import DOCS, README, Check, write

from darknet_compat.errors import DarknetCompatError
from darknet_compat.evaluation.machine import describe_machine
from darknet_compat.evaluation.speed import interleaved
from darknet_compat.export import heads
from darknet_compat.export.engine import build_engine
from darknet_compat.export.gpu import find_gpu
from darknet_compat.export.onnx import export_onnx
from darknet_compat.export.settings import Settings
from darknet_compat.export.trt import load_tensorrt
from darknet_compat.formats.lower import load_spec
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import ANSWERS, TOLERANCES, compare
from darknet_compat.parity.matching import Answers, match
from darknet_compat.parity.seeded import seed_weights, seeded_image
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.tensorrt import TensorRtRuntime

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY.parent / "shared" / "data" / "models"
DETECTION_GFLOP, TRAINING_GFLOP = 29.4, 88.0
"""Billion operations an image of yolov2-voc at 416: one pass, and a training step's."""


# ------------------------------------------------------------------------------------------------------- torch


def check_torch(check: Check) -> None:
    """The rate of large products, which is what all else is held against, and torch eager and compiled."""
    side = 512 if check.rehearse else 8192
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        left, right = (torch.randn(side, side, device=check.device, dtype=dtype) for _ in range(2))
        rate = 2 * side**3 / check.timed(lambda a=left, b=right: a @ b) / 1e12  # type: ignore[misc]
        check.add("torch", f"matrix rate, {name}", rate, "TFLOP/s", side=side)
    network = check.network("yolov2-tiny-voc" if check.rehearse else "yolov2-voc").folded()
    network = network.to(check.device, torch.float16 if check.device == "cuda" else torch.float32)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for kind, run in (("eager", network), ("compiled", torch.compile(network))):
        for batch in (1,) if check.rehearse else (1, 64):
            images = torch.rand(batch, 3, 416, 416, device=check.device, dtype=next(network.parameters()).dtype)
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                seconds = check.timed(lambda r=run, x=images: r(x))  # type: ignore[misc]
            check.add("torch", f"{kind}, batch {batch}", batch / seconds, "images/s", ms=1000 * seconds)


def check_training(check: Check) -> None:
    """Whole training steps of yolov2-voc at 416 in bf16 on synthetic pictures that lie on the GPU already."""
    from darknet_compat.training.loader import Batch
    from darknet_compat.training.trainer import Settings as TrainingSettings
    from darknet_compat.training.trainer import Trainer
    from darknet_compat.training.truth import Truth

    name, count, side = ("yolov2-tiny-voc", 2, 96) if check.rehearse else ("yolov2-voc", 64, 416)
    text = (cfg_dir() / f"{name}.cfg").read_text()
    for key, value in (("batch", count), ("subdivisions", 1), ("width", side), ("height", side), ("random", 0)):
        text = re.sub(rf"(?m)^{key}\s*=.*$", f"{key}={value}", text)
    (check.folder / "train.cfg").write_text(text)
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(count, 5, 4, generator=generator) * 0.4 + 0.2
    truth = Truth(boxes.to(check.device), torch.randint(20, (count, 5), generator=generator).to(check.device))
    images = torch.rand(count, 3, side, side, generator=generator).to(check.device)
    for compiled in (False,) if check.rehearse else (False, True):
        network = load_network(check.folder / "train.cfg")
        steps = 3 if check.rehearse else 30

        def batches(start: int, steps: int = steps) -> Iterator[Batch]:
            for number in range(start, start + steps):
                yield Batch(images, truth, number, ())

        settings = TrainingSettings(precision="bf16", compile=compiled, checkpoint_every=10**9)
        trainer = Trainer(network, batches, check.folder / "training", name="check", settings=settings)
        seconds = [step.seconds for step in trainer.run()][steps // 3 :]
        rate = count / statistics.median(seconds)
        what = "training step, compiled" if compiled else "training step"
        check.add("training", what, rate, "images/s", tflops=rate * TRAINING_GFLOP / 1000, batch=count, side=side)


# ------------------------------------------------------------------------------------------------------ engines


def engine_of(check: Check, network: Network, name: str, settings: Settings, **export: Any) -> tuple[Path, Path]:
    """The exported file and its engine."""
    model = check.folder / f"{name}.onnx"
    if not model.exists():
        export_onnx(network, model, **export)
    path = check.folder / f"{name}-{settings.precision}.engine"
    start = time.perf_counter()
    record = build_engine(model, path, settings=settings, timing_cache=check.folder / "timing.cache")
    seconds = time.perf_counter() - start
    check.add("build", f"{name}, {settings.precision}", seconds, "s", bytes=record.bytes)
    return model, path


def check_parity(check: Check) -> None:
    """Every output of each model in each precision against ONNX Runtime in float32, and detections on photographs."""
    load_tensorrt()
    names = ["yolov2-tiny-voc"] if check.rehearse else ["yolov2-voc", "yolov2-tiny-voc", "yolo9000", "darknet19"]
    networks = {name: check.network(name) for name in names}
    for cfg in sorted(MODELS.glob("*/*.cfg"))[: 1 if check.rehearse else None]:
        if "mismatch" not in cfg.stem:
            networks[cfg.stem] = load_network(cfg, cfg.with_suffix(".weights"))
    for name, network in networks.items():
        net = network.spec.net
        images = np.stack([seeded_image((3, net.height, net.width), seed) for seed in range(2)])
        for precision in ("fp32", "fp16"):
            model, path = engine_of(check, network, name, Settings(precision=precision, candidates=0))  # type: ignore[arg-type]
            expected = OnnxRuntime(model).infer(images)
            runtime = TensorRtRuntime(path)
            found = runtime.infer(images)
            runtime.close()
            limit = TOLERANCES["onnxruntime", "tensorrt", precision]
            for output in expected.keys() - {"dropped"}:
                left, right = (_in_order(arrays[output], network) for arrays in (expected, found))
                difference = compare(output, left, right, limit)
                check.add("parity", f"{name}, {precision}, {output}", difference.relative, f"of scale, <= {limit:g}",
                          passed=difference.verdict == "same")  # fmt: skip
            if heads.detects(network.spec):
                _matched(check, name, precision, model, path)


def _in_order(array: Any, network: Network) -> Any:
    """An output; that of a split head sorted, since candidates of about the same objectness change places."""
    return np.sort(array, 1) if heads.splits(network.spec) else array


def _matched(check: Check, name: str, precision: str, model: Path, engine: Path) -> None:
    """Detections of the engine beside ONNX Runtime's: what part has a partner of its class, near enough."""
    pictures = [np.random.default_rng(seed).integers(0, 256, (375, 500, 3), np.uint8) for seed in range(4)]
    theirs, ours = (Detector(file, thresh=0.3) for file in (model, engine))
    apart = ANSWERS["torch", "tensorrt", precision]
    found = [
        match(str(number), *(Answers(d.class_ids, d.scores, d.boxes) for d in (theirs(picture), ours(picture))), apart)
        for number, picture in enumerate(pictures)
    ]
    close_engine(ours)
    matched, whole = sum(one.matched for one in found), sum(one.matched + one.missing + one.extra for one in found)
    share = 100 * matched / whole if whole else None
    more = {"why": "nothing was found"} if share is None else {}
    check.add("parity", f"{name}, {precision}, detections", share, f"% of {whole} matched", **more)


def close_engine(detector: Detector) -> None:
    """Give the GPU's memory back."""
    if isinstance(detector.runtime, TensorRtRuntime):
        detector.runtime.close()


def check_speed(check: Check) -> None:
    """yolov2-voc at 416: the engine alone, end to end from pinned pixels, and a plain loop on the same engine."""
    load_tensorrt()
    name, batches = ("yolov2-tiny-voc", (1, 2)) if check.rehearse else ("yolov2-voc", (1, 64))
    network = check.network(name)
    precisions: tuple[Any, ...] = ("fp16",) if check.rehearse else ("fp16", "fp32")
    for precision in precisions:
        settings = Settings(precision=precision, batches=batches)
        _, path = engine_of(check, network, f"{name}-uint8", settings, input="uint8")
        runtime = TensorRtRuntime(path)
        note = "" if precision == "fp16" else f", {precision}"
        for batch in batches:
            _speed_of(check, runtime, batch, note)
        runtime.close()
    half = next(row["value"] for row in reversed(check.rows) if row["what"] == f"batch {batches[-1]}, device")
    for what in ("int8", "fp8"):
        rate = _quantized_rate(check, f"{name}-uint8", what, batches[-1])
        check.add("speed", f"{what} against fp16", rate / half, "times", images_per_second=rate)


def _quantized_rate(check: Check, name: str, precision: Any, batch: int) -> float:
    """Images a second of the engine alone; calibrated on noise, since only time is looked at."""
    from darknet_compat.export.quantize import quantize_onnx

    path = check.folder / f"{name}-quantized.onnx"
    if not path.exists():
        quantize_onnx(check.folder / f"{name}.onnx", path, [seeded_image((3, 416, 416), 0)[None]], None)
    engine = check.folder / f"{name}-{precision}.engine"
    build_engine(path, engine, settings=Settings(precision=precision, batches=(1, batch)))
    runtime = TensorRtRuntime(engine)
    with runtime.lane(batch) as lane:

        def once() -> None:
            lane.launch_only()
            lane.stream.synchronize()

        seconds = check.timed(once)
    runtime.close()
    return batch / seconds


def _speed_of(check: Check, runtime: TensorRtRuntime, batch: int, note: str) -> None:
    with runtime.lane(batch) as lane:
        lane.pixels[...] = np.random.default_rng(0).integers(0, 256, lane.pixels.shape, np.uint8)
        events = [runtime.cuda.event(), runtime.cuda.event()]

        def alone() -> float:
            events[0].record(lane.stream)
            lane.launch_only()
            events[1].record(lane.stream)
            return events[1].milliseconds_since(events[0])

        def whole() -> float:
            began = time.perf_counter()
            lane.start(lane.pixels)
            lane.finish()
            return 1000 * (time.perf_counter() - began)

        def plain() -> float:
            began = time.perf_counter()
            lane.queue()
            lane.stream.synchronize()
            return 1000 * (time.perf_counter() - began)

        ms: dict[str, list[float]] = {"alone": [], "whole": [], "plain": []}
        for run in range(check.runs + 3):  # in turn
            for name, task in (("alone", alone), ("whole", whole), ("plain", plain)):
                value = task()
                if run >= 3:
                    ms[name].append(value)
        events.clear()
    median = {name: statistics.median(values) for name, values in ms.items()}
    if batch == 1:
        check.add("speed", f"batch 1, device{note}", median["alone"], "ms")
    else:
        rate = 1000 * batch / median["alone"]
        check.add("speed", f"batch {batch}, device{note}", rate, "images/s", tflops=rate * DETECTION_GFLOP / 1000)
    beside, plainly = median["whole"] / median["alone"], median["plain"] / median["whole"]
    check.add("speed", f"batch {batch}, end to end{note}", beside, "times", ms=median["whole"])
    check.add("speed", f"batch {batch}, plain loop{note}", plainly, "times", ms=median["plain"])


def check_tree(check: Check) -> None:
    """yolo9000 by candidates, with its full head, and the same layers with a head of 20 classes; fp16."""
    load_tensorrt()
    size = 320 if check.rehearse else 544
    text = (cfg_dir() / "yolo9000.cfg").read_text()
    few = text.replace("classes=9418", "classes=20").replace("filters=28269", "filters=75")
    few = re.sub(r"(?m)^(tree|map)\s*=.*$", "", few)
    (check.folder / "few.cfg").write_text(few)
    small = Network(load_spec(check.folder / "few.cfg", (size, size)))
    seed_weights(small)
    large = check.network("yolo9000", size)
    with ExitStack() as stack:
        tasks: dict[str, Callable[[], None]] = {}
        for name, network, split in (("20 classes", small, 200), ("candidates", large, 200), ("full", large, 10**9)):
            heads.SPLIT_FROM = split
            try:
                settings = Settings(precision="fp16", batches=(1,))
                _, path = engine_of(check, network.eval(), f"tree-{name.replace(' ', '-')}", settings)
            finally:
                heads.SPLIT_FROM = 200
            runtime = TensorRtRuntime(path)
            stack.callback(runtime.close)
            lane = stack.enter_context(runtime.lane(1, (size, size)))

            def once(lane: Any = lane) -> None:
                lane.launch_only()
                lane.stream.synchronize()

            tasks[name] = once
        timed = interleaved(tasks, check.runs, 3)
        del lane
    ms = {name: 1000 * timing.median for name, timing in timed.items()}
    check.add("tree", "yolo9000 by candidates", ms["candidates"] / ms["20 classes"], "times", ms=ms)
    check.add("tree", "yolo9000's full head", ms["full"] / ms["20 classes"], "times")


def check_threads(check: Check) -> None:
    """Eight threads on one Detector: no error, the single thread's results, memory flat."""
    load_tensorrt()
    cfg = check.folder / "threads.cfg"
    cfg.write_text((cfg_dir() / "yolov2-tiny-voc.cfg").read_text())
    network = Network(load_spec(cfg))
    seed_weights(network)
    save_weights(network, cfg.with_suffix(".weights"))
    detector = Detector(cfg, backend="tensorrt", precision="fp16", thresh=0.3)
    runtime = detector.runtime
    assert isinstance(runtime, TensorRtRuntime)
    pictures = [np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8) for seed in range(8)]
    expected = [detector(picture) for picture in pictures]
    until = time.perf_counter() + (2 if check.rehearse else 60)
    wrong: list[str] = []
    done = [0]

    def work(number: int) -> None:
        while time.perf_counter() < until:
            try:
                found = detector(pictures[number])
            except DarknetCompatError as error:
                wrong.append(str(error))
                return
            done[0] += 1
            same = found.names == expected[number].names
            if not same or np.abs(found.scores - expected[number].scores).max(initial=0) > 1e-3:
                wrong.append(f"picture {number} differs")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1 if check.rehearse else 10)
    with runtime.cuda:
        early = runtime.cuda.memory_in_use()
    for thread in threads:
        thread.join()
    with runtime.cuda:
        grown = max(0, runtime.cuda.memory_in_use() - early)
    runtime.close()
    count = len(wrong) + grown // 2**20
    check.add("threads", "threads", count, "", pictures=done[0], wrong=wrong[:3], grown_bytes=grown)


PARTS: dict[str, Callable[[Check], None]] = {
    "torch": check_torch,
    "training": check_training,
    "parity": check_parity,
    "speed": check_speed,
    "tree": check_tree,
    "threads": check_threads,
}


def record(check: Check, parts: list[str]) -> dict[str, Any]:
    """Run the parts; whatever one of them raises is why it was not run."""
    try:
        gpu = str(find_gpu())
    except DarknetCompatError as error:
        gpu = f"none: {error}"
    for name in parts:
        try:
            PARTS[name](check)
        except DarknetCompatError as error:
            check.add(name, name, None, "", why=str(error))
        except Exception as error:  # a defect, which must not lose what the other parts have measured
            traceback.print_exc()
            check.add(name, name, None, "", why=f"{type(error).__name__}: {error}".splitlines()[0])
    when = time.strftime("%Y-%m-%d")
    return {"date": when, "gpu": gpu, "machine": describe_machine(), "rehearsal": check.rehearse, "rows": check.rows}


def main() -> None:
    """Run, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="Run this part; may be repeated.")
    parser.add_argument("--rehearse", action="store_true", help="Small, quick, on whatever is here.")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"Where records go. Default: {DOCS.name} in docs/.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        check = Check(arguments.rehearse, Path(folder))
        document = record(check, arguments.only or list(PARTS))
    if not arguments.rehearse or arguments.out:
        for path in write(document, arguments.out or DOCS, None if arguments.out else README):
            print(path)
    met = [row["met"] for row in document["rows"] if row["met"] is not None]
    missing = sum(row["value"] is None for row in document["rows"])
    print(json.dumps({"gpu": document["gpu"], "met": sum(met), "not met": len(met) - sum(met), "not run": missing}))
    sys.exit(0 if all(met) and not missing else 1)


if __name__ == "__main__":
    main()
