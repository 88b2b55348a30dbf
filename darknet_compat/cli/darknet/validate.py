"""`darknet detector valid | valid2 | recall | map | calc_anchors`: labelled pictures, in Darknet's words and files."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from darknet_compat.cli.darknet.detector import in_order, options_for
from darknet_compat.cli.darknet.files import class_names, data_cfg_weights, picture_list
from darknet_compat.cli.darknet.grammar import Line
from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import OptionError
from darknet_compat.formats.datafile import DataFile

_THRESH = 0.005


def valid(line: Line) -> int:
    """`detector valid DATA CFG WEIGHTS`: result files for VOC's, COCO's and ImageNet's judges."""
    return _valid(line, flip=False)


def valid2(line: Line) -> int:
    """The same, averaged over each picture and its mirror image; the original's is broken (see the docs)."""
    return _valid(line, flip=True)


def _valid(line: Line, *, flip: bool) -> int:
    from darknet_compat.evaluation.run.flip import FLIPPING, flip_averaged
    from darknet_compat.inference.batch import Failure
    from darknet_compat.inference.job import open_detector
    from darknet_compat.inference.results import Detections

    data, cfg, weights = data_cfg_weights(line, f"detector valid{'2' if flip else ''} DATA CFG WEIGHTS")
    names = class_names(data, cfg, "names")
    pictures = picture_list(data.file("valid"))
    results = Path(data.text("results") or "results")
    results.mkdir(parents=True, exist_ok=True)
    map_file = data.text("map")
    more: dict[str, Any] = {"thresh": _THRESH, "map": None if map_file is None else str(data.file("map"))}
    more |= {"backend": FLIPPING} if flip and "backend" not in line.ours else {}
    detector = open_detector(options_for(line, cfg, weights, **more), names=names)
    if flip:
        detector.runtime = flip_averaged(detector.runtime)
    start, code = perf_counter(), 0
    answers: list[Detections | None] = []
    for number, (_, answer) in enumerate(detector.stream([Path(name) for name in pictures], 4)):
        if number % 4 == 0:
            print(4 * (number // 4) + 4, file=sys.stderr)
        if isinstance(answer, Failure):
            say(str(answer.error))
            code = 1
        answers.append(in_order(answer) if isinstance(answer, Detections) else None)
    _write_results(line, data, results, pictures, answers, detector.names)
    print(f"Total Detection Time: {perf_counter() - start:f} Seconds", file=sys.stderr)
    return code


def _write_results(
    line: Line, data: DataFile, results: Path, pictures: list[str], answers: list[Any], names: tuple[str, ...]
) -> None:
    """The files of the original's `eval`: voc (its default), coco, imagenet."""
    import numpy as np

    from darknet_compat.evaluation.material import coco_files
    from darknet_compat.evaluation.material.columns import Found
    from darknet_compat.evaluation.scores import imagenet, voc

    found = Found.from_detections(answers)
    sizes = np.array([(one.width, one.height) if one is not None else (1, 1) for one in answers], np.int64)
    form = data.text("eval") or "voc"
    out = line.options.get("out")
    if form == "coco":
        numbers = [coco_files.image_id(name) for name in pictures]
        path = results / (f"{out}.json" if out else coco_files.RESULTS)
        coco_files.write_results(path, found, numbers, sizes)
    elif form == "imagenet":
        imagenet.write_results(results / (f"{out}.txt" if out else imagenet.RESULTS), found, sizes)
    else:
        ids = [Path(name).name.rpartition(".")[0] or Path(name).name for name in pictures]
        voc.write_results(results, found, ids, sizes, names, out or voc.PREFIX)


def recall(line: Line) -> int:
    """`detector recall DATA CFG WEIGHTS`: a running line a picture on standard error, as in the original.

    It reads `data/coco_val_5k.list` where that is there, which the original always does; else the `.data`'s `valid`,
    as the fork does.
    """
    from darknet_compat.datasets.open import open_dataset
    from darknet_compat.datasets.options import Reading
    from darknet_compat.evaluation.material.entries import LOSING, read_entries
    from darknet_compat.evaluation.scores.recall import Recall, recalls
    from darknet_compat.inference.batch import Failure
    from darknet_compat.inference.job import open_detector

    data, cfg, weights = data_cfg_weights(line, "detector recall DATA CFG WEIGHTS")
    fixed = Path("data/coco_val_5k.list")
    names = class_names(data, cfg, "names")
    detector = open_detector(options_for(line, cfg, weights, thresh=0.001), names=names)
    pictures = fixed if fixed.is_file() else data.file("valid")
    reading = Reading(beside=detector.runtime.description.labels_beside)
    entries = read_entries(open_dataset(str(pictures), names=detector.names, reading=reading))
    total, code = Recall(), 0
    told = set()
    for problem in entries.problems:
        say(str(problem))
        if problem.kind in LOSING:
            told.add(problem.entry)
            code = 1
    for number, (row, one) in enumerate(zip(entries.rows, recalls(detector, entries), strict=True)):
        if isinstance(one, Failure):
            if row.number + 1 not in told:
                say(str(one.error))
            code = 1
            one = Recall(1, int(row.labels.is_drawn.sum()))
        total += one
        objects = total.objects or 1
        print(
            f"{number:5d} {total.found:5d} {total.objects:5d}\tRPs/Img: {total.proposals / (number + 1):.2f}\t"
            f"IOU: {100 * total.overlap / objects:.2f}%\tRecall:{100 * total.found / objects:.2f}%",
            file=sys.stderr,
        )
    return code


def map(line: Line) -> int:
    """`detector map DATA CFG WEIGHTS`: the fork's page of figures."""
    from darknet_compat.evaluation.job import Scored, evaluate
    from darknet_compat.evaluation.options import EvaluateOptions

    data, cfg, weights = data_cfg_weights(line, "detector map DATA CFG WEIGHTS")
    data.file("valid")
    given: dict[str, Any] = {"model": str(cfg), "data": str(data.path), "weights": weights, "split": "valid"}
    given |= {"names": data.file("names"), "metric": "map", "batch": 1}
    for theirs, ours in (("iou_thresh", "iou_thresh"), ("points", "points"), ("thresh", "conf")):
        if theirs in line.options:
            given[ours] = line.options[theirs]
    options = EvaluateOptions(**given | line.ours)
    start = perf_counter()
    print("\n calculation mAP (mean average precision)...")
    done = evaluate(options)
    assert isinstance(done, Scored)
    for problem in done.problems:
        say(problem)
    _print_map(done, perf_counter() - start)
    return 0 if done.complete else 1


def _print_map(done: Any, seconds: float) -> None:
    import numpy as np

    page, figures = done.score.document, done.score.figures
    objects = page["tp"] + page["fn"]
    print(f"\n detections_count = {done.detections}, unique_truth_count = {objects}  ")
    for number, (name, precision, true, false, _) in enumerate(done.score.rows):
        print(f"class_id = {number}, name = {name}, ap = {100 * precision:.2f}%   \t (TP = {true}, FP = {false}) ")
    values = {name: float(np.float32(value or 0)) for name, value in figures.items()}  # as C rounds its floats
    conf, threshold = page["conf"], page["iou_thresh"]
    print(
        f"\n for conf_thresh = {conf:.2f}, precision = {values['precision']:.2f}, recall = {values['recall']:.2f},"
        f" F1-score = {values['F1']:.2f} "
    )
    print(
        f" for conf_thresh = {conf:.2f}, TP = {page['tp']}, FP = {page['fp']}, FN = {page['fn']}, average IoU ="
        f" {100 * values['average IoU']:.2f} % "
    )
    points = page["points"]
    way = f"used {points} Recall-points" if points else "used Area-Under-Curve for each unique Recall"
    print(f"\n IoU threshold = {100 * threshold:.0f} %, {way} ")
    print(f" mean average precision (mAP@{threshold:.2f}) = {page['mean_ap']:f}, or {100 * page['mean_ap']:.2f} % ")
    print(f"Total Detection Time: {seconds:.0f} Seconds")
    print("\nSet -points flag:\n `-points 101` for MS COCO ")
    print(" `-points 11` for PascalVOC 2007 (uncomment `difficult` in voc.data) ")
    print(" `-points 0` (AUC) for ImageNet, PascalVOC 2010-2012, your custom dataset")


def calc_anchors(line: Line) -> int:
    """`detector calc_anchors DATA -num_of_clusters N -width W -height H`: the fork's anchors.txt and
    counters_per_class.txt."""
    import numpy as np

    from darknet_compat.datasets.anchors.find import find_anchors
    from darknet_compat.datasets.anchors.shapes import shapes_of
    from darknet_compat.datasets.readers.darknet import read_data_file
    from darknet_compat.errors import CannotWriteError
    from darknet_compat.formats.atomic import atomic_write

    path = line.word(2)
    if path is None:
        raise OptionError("expected detector calc_anchors DATA, and there is no DATA")
    data = DataFile(path)
    data.file("train")
    clusters = line.options.get("num_of_clusters", 9)
    width, height = line.options.get("width", 416), line.options.get("height", 416)
    if min(clusters, width, height) < 1:
        raise OptionError("expected -num_of_clusters, -width and -height from 1 on")
    print(f"\n num_of_clusters = {clusters}, width = {width}, height = {height} ")
    dataset = read_data_file(path, split="train", task="detect")
    shapes = shapes_of(dataset, (width, height), "stretch")
    print(f" read labels from {len(dataset)} images ")
    print(f"\n calculating k-means++ ...\n\n all loaded. {len(shapes.sizes)} boxes")
    found = find_anchors(shapes.sizes, clusters)
    anchors = found.sizes
    anchors = anchors[np.argsort(anchors[:, 0] * anchors[:, 1])]
    form = "{:3.0f},{:3.0f}" if width > 32 else "{:2.4f},{:2.4f}"
    text = ", ".join(form.format(*anchor) for anchor in anchors.tolist())
    counts = np.zeros(data.number("classes", 0) or len(dataset.names), np.int64)
    for index in range(len(dataset)):
        np.add.at(counts, dataset.sample(index).labels.classes, 1)
    for name, content in (("anchors.txt", text), ("counters_per_class.txt", ", ".join(counts.astype(str)))):
        with atomic_write(Path(name), CannotWriteError) as file:
            file.write(content.encode())
    print(
        f"\n avg IoU = {100 * found.average_iou:2.2f} % \n\nSaving anchors to the file: anchors.txt \nanchors = {text}"
    )
    return 0
