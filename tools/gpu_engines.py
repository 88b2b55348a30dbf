"""What `gpu_check.py` builds of TensorRT engines on a GPU, and how it judges and times them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gpu_record import Check

from darknet_compat.definition.lower import load_spec
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.heads import answers
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.nvidia.cuda import CudaGraph
from darknet_compat.nvidia.library import load_tensorrt
from darknet_compat.parity.compare import TOLERANCES, compare
from darknet_compat.parity.picture import seeded_image
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.tensorrt.execution import Execution
from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime
from darknet_compat.runtime.timing import interleaved
from darknet_compat.vision.boxes import iou

DETECTION_GFLOP = 29.4
"""Billion operations an image of yolov2-voc at 416."""

THRESH, APART = 0.3, 0.03
"""What a detection's score exceeds, and how far the score of its partner may be from it."""


@contextmanager
def running(path: Path) -> Iterator[TensorRtRuntime]:
    """An engine ready to run, whose memory is given back."""
    runtime = TensorRtRuntime(path)
    try:
        yield runtime
    finally:
        runtime.close()


def built(check: Check, model: Path, settings: Settings) -> Path:
    """The engine of an exported file, and a row of how long it took."""
    check.expect_time()
    path = model.with_name(f"{model.stem}-{settings.precision}.engine")
    start = time.perf_counter()
    record = build_engine(model, path, settings=settings, timing_cache=check.folder / "timing.cache")
    seconds = time.perf_counter() - start
    check.add("build", f"{model.stem}, {settings.precision}", seconds, "s", bytes=record.bytes)
    return path


def exported(check: Check, network: Network, name: str, **export: Any) -> Path:
    """A network's ONNX file, made once."""
    model = check.folder / f"{name}.onnx"
    if not model.exists():
        export_onnx(network, model, **export)
    return model


# ----------------------------------------------------------------------------------------------------- parity


def check_parity(check: Check) -> None:
    """Every output of each model in each precision against ONNX Runtime in float32, and detections on pictures."""
    load_tensorrt()
    seeded = ["yolov2-tiny-voc"] if check.rehearse else ["yolov2-voc", "yolov2-tiny-voc", "darknet19", "yolo9000"]
    trained = [cfg for cfg in sorted(check.models.glob("*/*.cfg")) if "mismatch" not in cfg.stem]
    if not trained:
        check.add("parity", "trained models", None, "", why=f"{check.models} has none; --models says where they are")
    makers: dict[str, Callable[[], Network]] = {name: lambda name=name: check.network(name) for name in seeded}  # type: ignore[misc]
    for cfg in trained[: 1 if check.rehearse else None]:
        makers[cfg.stem] = lambda cfg=cfg: load_network(cfg, cfg.with_suffix(".weights"))  # type: ignore[misc]
    for name, make in makers.items():
        with check.attempt("parity", name):
            network = make()
            model = exported(check, network, name)
            for precision in ("fp32", "fp16"):
                with check.attempt("parity", f"{name}, {precision}"):
                    _alike(check, network, model, precision)


def _alike(check: Check, network: Network, model: Path, precision: Any) -> None:
    net = network.spec.net
    images = np.stack([seeded_image((3, net.height, net.width), seed) for seed in range(2)])
    # One profile, for one picture and for two, since every profile is built anew; quickly, since speed is not asked.
    path = built(check, model, Settings(precision=precision, candidates=0, batches=(2,), level=1))
    expected = OnnxRuntime(model).infer(images)
    with running(path) as runtime:
        found = runtime.infer(images)
    limit = TOLERANCES["onnxruntime", "tensorrt", precision]
    for output in expected.keys() - {"dropped"}:
        left, right = (_in_order(arrays[output], network) for arrays in (expected, found))
        difference = compare(output, left, right, limit)
        check.add("parity", f"{model.stem}, {precision}, {output}", difference.relative, f"of scale, <= {limit:g}",
                  passed=difference.verdict == "same")  # fmt: skip
    if answers.detects(network.spec):
        _matched(check, f"{model.stem}, {precision}, detections", model, path)


def _in_order(array: Any, network: Network) -> Any:
    """An output; that of a split head sorted, since candidates of about the same objectness change places."""
    return np.sort(array, 1) if answers.splits(network.spec) else array


def _matched(check: Check, what: str, model: Path, engine: Path) -> None:
    """Detections of the engine beside ONNX Runtime's: 99 % have to have a partner near enough."""
    pictures = [np.random.default_rng(seed).integers(0, 256, (375, 500, 3), np.uint8) for seed in range(12)]
    theirs, ours = (Detector(file, thresh=THRESH) for file in (model, engine))
    near, whole = map(sum, zip(*(partners(theirs(one), ours(one), THRESH) for one in pictures), strict=True))
    close_engine(ours)
    if not whole:
        check.add("parity", what, None, "", why="nothing was found")
        return
    share = 100 * near / whole
    check.add("parity", what, share, f"% of {whole} matched, >= 99", passed=share >= 99)


def partners(expected: Detections, found: Detections, thresh: float) -> tuple[int, int]:
    """How many of the two have a partner, and how many there are, a pair counting once: of the same class, with a score
    APART at most, and boxes whose IoU is 0.95 at least; the nearest first. One without a partner does not count where
    its score is that near to `thresh`, since the other's may be just below."""
    overlap = iou(np.asarray(expected.boxes), np.asarray(found.boxes))
    apart = np.abs(expected.scores[:, None] - found.scores)
    good = (expected.class_ids[:, None] == found.class_ids) & (overlap >= 0.95) & (apart <= APART)
    overlap = np.where(good, overlap, 0.0)
    alone = [one.scores > thresh + APART for one in (expected, found)]
    pairs = 0
    while overlap.max(initial=0.0) > 0:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        overlap[i, :], overlap[:, j] = 0.0, 0.0
        alone[0][i] = alone[1][j] = False
        pairs += 1
    return pairs, pairs + int(alone[0].sum() + alone[1].sum())


def close_engine(detector: Detector) -> None:
    """Give the GPU's memory back."""
    if isinstance(detector.runtime, TensorRtRuntime):
        detector.runtime.close()


# ------------------------------------------------------------------------------------------------------ speed


@contextmanager
def on_device(runtime: TensorRtRuntime, execution: Execution) -> Iterator[Callable[[], float]]:
    """What runs an engine once, without copies, as a recorded graph, and gives the GPU's own time for it in seconds."""
    cuda = runtime.cuda
    execution.launch_only()  # the first run sets up what may not be recorded
    execution.stream.synchronize()
    graph = CudaGraph(execution.stream, execution.launch_only)
    events = [cuda.event(), cuda.event()]

    def run() -> float:
        events[0].record(execution.stream)
        graph.launch(execution.stream)
        events[1].record(execution.stream)
        return events[1].milliseconds_since(events[0]) / 1000

    try:
        yield run
    finally:
        events.clear()
        graph.free()


def check_speed(check: Check) -> None:
    """yolov2-voc at 416: the engine alone, end to end from pinned pixels, and a plain loop on the same engine; the
    quantized ones beside it."""
    load_tensorrt()
    name, batches = ("yolov2-tiny-voc", (1, 2)) if check.rehearse else ("yolov2-voc", (1, 8, 64))
    model = exported(check, check.network(name), f"{name}-uint8", input="uint8")
    rates: dict[str, float] = {}
    settings = Settings(precision="fp16", batches=batches)
    with check.attempt("speed", "fp16"), running(built(check, model, settings)) as runtime:
        for batch in batches:
            rates["fp16"] = batch / _speed_of(check, runtime, batch)
    quantized = model.with_name(f"{name}-quantized.onnx")
    for precision in ("int8", "fp8"):
        with check.attempt("speed", precision):
            if not quantized.exists():  # by noise, since only time is looked at
                quantize_onnx(model, quantized, [seeded_image((3, 416, 416), 0)[None]], None)
            path = built(check, quantized, Settings(precision=precision, batches=batches))  # type: ignore[arg-type]
            with running(path) as runtime:
                for batch in batches:
                    with runtime.execution(batch) as execution, on_device(runtime, execution) as run:
                        seconds = interleaved({precision: run}, check.runs, 3)[precision].median
                    rates[precision] = batch / seconds
                    ms = 1000 * seconds
                    check.add("speed", f"{precision}, batch {batch}, device", rates[precision], "images/s", ms=ms)
    _compare_quantized(check, rates)


def _compare_quantized(check: Check, rates: dict[str, float]) -> None:
    best = max((name for name in ("int8", "fp8") if name in rates), key=rates.__getitem__, default=None)
    if best is None or "fp16" not in rates:
        check.add("speed", "int8 or fp8 against fp16", None, "", why="one of them was not run")
    else:
        check.add("speed", "int8 or fp8 against fp16", rates[best] / rates["fp16"], "times", precision=best)


def _speed_of(check: Check, runtime: TensorRtRuntime, batch: int) -> float:
    """Rows of a batch's time on the device and around it; the seconds on the device."""
    with runtime.execution(batch) as execution:
        execution.pixels[...] = np.random.default_rng(0).integers(0, 256, execution.pixels.shape, np.uint8)

        def whole() -> None:
            execution.start(execution.pixels)
            execution.finish()

        def plain() -> None:
            execution.queue()
            execution.stream.synchronize()

        with on_device(runtime, execution) as alone:
            timed = interleaved({"alone": alone, "whole": whole, "plain": plain}, check.runs, 3)
    seconds = {name: timing.median for name, timing in timed.items()}
    if batch == 1:
        check.add("speed", "batch 1, device", 1000 * seconds["alone"], "ms")
    else:
        rate = batch / seconds["alone"]
        check.add("speed", f"batch {batch}, device", rate, "images/s", tflops=rate * DETECTION_GFLOP / 1000)
    beside, plainly = seconds["whole"] / seconds["alone"], seconds["plain"] / seconds["whole"]
    check.add("speed", f"batch {batch}, end to end", beside, "times", ms=1000 * seconds["whole"])
    check.add("speed", f"batch {batch}, plain loop", plainly, "times", ms=1000 * seconds["plain"])
    return seconds["alone"]


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
        tasks: dict[str, Callable[[], float]] = {}
        for name, network, split in (("20 classes", small, 200), ("candidates", large, 200), ("full", large, 10**9)):
            answers.SPLIT_FROM = split
            try:
                model = exported(check, network.eval(), f"tree-{name.replace(' ', '-')}")
            finally:
                answers.SPLIT_FROM = 200
            runtime = stack.enter_context(running(built(check, model, Settings(precision="fp16", batches=(1,)))))
            execution = stack.enter_context(runtime.execution(1, (size, size)))
            tasks[name] = stack.enter_context(on_device(runtime, execution))
            del runtime, execution
        timed = interleaved(tasks, check.runs, 3)
        tasks.clear()
    ms = {name: 1000 * timing.median for name, timing in timed.items()}
    check.add("tree", "yolo9000 by candidates", ms["candidates"] / ms["20 classes"], "times", ms=ms)
    check.add("tree", "yolo9000's full head", ms["full"] / ms["20 classes"], "times")


# ---------------------------------------------------------------------------------------------------- threads


def check_threads(check: Check) -> None:
    """Eight threads on one Detector: no error, the single thread's results, memory flat."""
    load_tensorrt()
    cfg = check.folder / "threads.cfg"
    cfg.write_text((cfg_dir() / "yolov2-tiny-voc.cfg").read_text())
    network = Network(load_spec(cfg))
    seed_weights(network)
    save_weights(network, cfg.with_suffix(".weights"))
    detector = Detector(cfg, backend="tensorrt", precision="fp16", thresh=THRESH)
    runtime = detector.runtime
    assert isinstance(runtime, TensorRtRuntime)
    pictures = [np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8) for seed in range(8)]
    expected = [detector(picture) for picture in pictures]
    until = time.perf_counter() + (2 if check.rehearse else 20)
    wrong: list[str] = []
    done = [0]

    def work(number: int) -> None:
        while time.perf_counter() < until:
            try:
                found = detector(pictures[number])
            except Exception as error:  # whatever it is, it must not end the thread unseen
                wrong.append(f"{type(error).__name__}: {error}")
                return
            done[0] += 1
            same = found.names == expected[number].names
            if not same or np.abs(found.scores - expected[number].scores).max(initial=0) > 1e-3:
                wrong.append(f"picture {number} differs")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1 if check.rehearse else 5)
    with runtime.cuda:
        early = runtime.cuda.memory_in_use()
    for thread in threads:
        thread.join()
    with runtime.cuda:
        grown = max(0, runtime.cuda.memory_in_use() - early)
    close_engine(detector)
    count = len(wrong) + grown // 2**20
    found_any = sum(len(one) for one in expected)
    if not found_any:
        check.add("threads", "threads", None, "", why="nothing was found to compare")
        return
    check.add("threads", "threads", count, "", pictures=done[0], wrong=wrong[:3], grown_bytes=grown)
