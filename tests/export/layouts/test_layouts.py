"""Each layout of each kind of network, read by the rules of the programs that it is for: the boxes of `detect`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition import spec as s
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import NetworkWeights, StoredWeights
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import save_weights
from darknet_compat.vision.image import decode
from tests.export.layouts import rules
from tests.export.support import SHIPPED, seeded

SCORE, BOX = 1e-3, 0.5
Array = NDArray[Any]
Rule = Callable[[Mapping[str, Array], int, int, float, float], Array]
RULES: dict[str, list[Rule]] = {
    "yolov5": [rules.yolov5],
    "yolov8": [rules.yolov8, rules.frigate],
    "deepstream": [rules.deepstream],
    "boxes-confs": [rules.boxes_confs],
    "region": [rules.region],
    "nms": [rules.efficient_nms],
}
ONE_CLASS = (rules.frigate, rules.deepstream, rules.boxes_confs, rules.region)
NETWORKS = ("yolov2-voc", "yolov3-tiny", "yolov4-tiny", "yolo-fastest-1.1", "yolo9000-digits")
REAL = "yolo-fastest-1.1 as published"
"""At its own size, on a photograph."""
SIZE = 96


@dataclass(frozen=True)
class Case:
    """A network, a picture of its input's size, and a threshold that leaves some detections."""

    network: NetworkWeights
    picture: NDArray[np.uint8]
    thresh: float
    default: Path

    @property
    def images(self) -> NDArray[np.float32]:
        """[1, C, H, W]."""
        return np.ascontiguousarray(self.picture[..., ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.network.spec.net.width, self.network.spec.net.height


def slim(name: str, folder: Path) -> Path:
    """The cfg of a network at another size, its layers' filters, but for those that the heads read, an eighth, where
    there are many."""
    text = (SHIPPED / f"{name}.cfg").read_text()
    sections = re.split(r"(?m)^(?=\[)", text)
    for number, section in enumerate(sections[:-1]):
        if "fastest" in name:
            break
        if section.startswith("[convolutional]") and not re.match(r"\[(region|yolo)\]", sections[number + 1]):
            sections[number] = re.sub(
                r"(?m)^(filters|groups)\s*=\s*(\d+)", lambda m: f"{m[1]}={max(4, int(m[2]) // 8)}", section
            )
    text = re.sub(r"(?m)^(width|height)\s*=\s*\d+", rf"\1={SIZE}", "".join(sections))
    path = folder / f"{name}.cfg"
    path.write_text(text)
    return path


def weighted(cfg: Path) -> tuple[Path, Path]:
    """Seeded weights beside a cfg, with which scores differ and boxes have the size of objects: what the heads read is
    spread as after training."""
    network = seeded(cfg)
    heads = {head.sources[0]: head.classes for head in network.spec.heads if isinstance(head, s.BoxHead)}
    with torch.no_grad():
        images = torch.from_numpy(coarse(network.spec.net.width)[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
        raws = network(images)
        raws = dict(zip(heads, raws if isinstance(raws, tuple) else (raws,), strict=True))
        for slot, _ in network.slots():
            if slot.layer in heads and slot.name in ("weights", "biases"):
                rows = network.parameter(slot).view(-1, 5 + heads[slot.layer], *slot.shape[1:])
                rows.mul_(1.5 / raws[slot.layer].std())
                rows[:, 2:4].mul_(0.3)
    save_weights(network, cfg.with_suffix(".weights"))
    return cfg, cfg.with_suffix(".weights")


def made(name: str, folder: Path) -> Case:
    if name == "yolo9000-digits":
        cfg, weights = SHIPPED / f"{name}.cfg", SHIPPED.parent / "weights" / f"{name}.weights"
    else:
        cfg, weights = weighted(slim(name, folder))
    network = StoredWeights(load_spec(cfg), weights)
    side = network.spec.net.width
    default = folder / "default.onnx"
    export_onnx(network, default)
    picture = digits(side) if name == "yolo9000-digits" else coarse(side)
    return Case(network, picture, threshold(default, picture), default)


def coarse(side: int) -> NDArray[np.uint8]:
    """A picture of random squares."""
    cells = np.random.default_rng(3).integers(0, 256, (side // 16, side // 16, 3), np.uint8)
    return cells.repeat(16, 0).repeat(16, 1)


def digits(side: int) -> NDArray[np.uint8]:
    """A picture that the digits' networks find something in."""
    import cv2

    canvas = np.full((side, side, 3), 235, np.uint8)
    for number, (x, y) in enumerate(((0.1, 0.4), (0.55, 0.45), (0.2, 0.9), (0.6, 0.95))):
        place = int(x * side), int(y * side)
        cv2.putText(canvas, str(3 + number), place, cv2.FONT_HERSHEY_SIMPLEX, side / 96, (30, 20, 60), 2 + side // 96)
    return canvas


def threshold(path: Path, picture: NDArray[np.uint8]) -> float:
    """Between two scores far apart, with about twenty candidates above it."""
    runtime = Detector(path).runtime
    found = runtime.infer(np.ascontiguousarray(decode(picture).transpose(2, 0, 1)[None], np.float32) / np.float32(255))
    scores = (
        found["objectness"][..., None] * found["classes"] if runtime.description.tree is None else found["objectness"]
    )
    ordered = np.sort(scores.ravel())[::-1][10:40]
    gap = int(np.argmax(ordered[:-1] - ordered[1:]))
    return float((ordered[gap] + ordered[gap + 1]) / 2)


def published(shared_data: Path, photo: Path, folder: Path) -> Case:
    import cv2

    cfg = shared_data / "models" / "yolo-fastest-1.1" / "yolo-fastest-1.1.cfg"
    network = StoredWeights(load_spec(cfg), cfg.with_suffix(".weights"))
    default = folder / "default.onnx"
    export_onnx(network, default)
    net = network.spec.net
    picture = np.asarray(cv2.resize(cv2.imread(str(photo)), (net.width, net.height)), np.uint8)
    return Case(network, picture, threshold(default, picture), default)


@pytest.fixture(scope="module", params=[*NETWORKS, REAL])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("layouts")
    if request.param == REAL:
        photo = request.getfixturevalue("photos")[0]
        return published(request.getfixturevalue("shared_data"), photo, folder)
    return made(request.param, folder)


def detected(path: Path, case: Case, **options: Any) -> Array:
    """What `detect` finds, a row each: box, score, class."""
    detector = Detector(path, thresh=case.thresh, **options)
    detector.nms_kind = "default"  # as the programs that read the layouts do
    found = detector(case.picture)
    return np.column_stack([found.boxes, found.scores, found.class_ids]).reshape(-1, 6)


def candidates(case: Case) -> Array:
    """Rows of the best class of every box above the threshold, before any suppression."""
    detector = Detector(case.default, thresh=case.thresh, nms=1)
    detector.nms_kind = "default"
    found = detector(case.picture)
    every = np.column_stack([found.boxes, found.scores, found.class_ids]).reshape(-1, 6)
    _, first = np.unique(every[:, :4], axis=0, return_index=True)  # they come best first
    return every[np.sort(first)]


def run(path: Path, case: Case) -> dict[str, Array]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(
        zip([one.name for one in session.get_outputs()], session.run(None, {"images": case.images}), strict=True)
    )


def same(found: Array, expected: Array) -> None:
    """The same boxes and classes, in any order."""
    assert len(found) == len(expected) > 0
    for row in expected:
        apart = np.abs(found[:, :4] - row[:4]).max(1) + 1e3 * (found[:, 5] != row[5])
        near = found[apart.argmin()]
        assert apart.min() < BOX and abs(near[4] - row[4]) < SCORE, (row, near)


@pytest.mark.parametrize("layout", RULES)
def test_its_readers_find_what_detect_finds(layout: str, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    options: dict[str, Any] = {"nms_kind": "default"} if layout == "nms" else {}
    artefact = export_onnx(case.network, path, layout=layout, batch=1, thresh=case.thresh, **options)
    assert (artefact.layout, artefact.outputs) == (layout, "detections" if layout == "nms" else "boxes")
    outputs = run(path, case)
    assert list(outputs) == [output.name for output in LAYOUTS[layout].outputs]
    one = outputs if layout == "region" else {name: array[0] for name, array in outputs.items()}
    expected = detected(case.default, case)
    for rule in RULES[layout]:
        wanted = expected
        if rule in ONE_CLASS:
            rows = candidates(case)
            if rule is rules.deepstream:
                rows[:, :4] = np.clip(rows[:, :4], 0, [*case.size, *case.size])
            wanted = rules.greedy(rows, 0.45, agnostic=rule is rules.frigate)
        same(rule(one, *case.size, case.thresh, 0.45), wanted)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("layout", RULES)
def test_our_runtimes_read_them_back(layout: str, backend: str, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    options: dict[str, Any] = {"nms_kind": "default"} if layout == "nms" else {}
    export_onnx(case.network, path, layout=layout, thresh=case.thresh, **options)
    found = detected(path, case, backend=backend)
    if layout == "deepstream":  # which has one class a box
        same(found, rules.greedy(candidates(case), 0.45))
    else:
        same(found, detected(case.default, case))


def decoded(case: Case, outputs: Mapping[str, Array], order: str, after: bool) -> Array:
    """Rows of box, score, class above the threshold, as an NPU's program makes them of the heads; of a WordTree with
    the node that is reached with a probability above one half."""
    spec, rows = case.network.spec, []
    for layer, cells in zip(spec.heads, outputs.values(), strict=True):
        assert isinstance(layer, s.Region | s.YoloHead)
        tree, softmax = (layer.tree, layer.softmax) if isinstance(layer, s.Region) else (None, False)
        kept = layer.mask if isinstance(layer, s.YoloHead) else range(layer.num)
        groups = [(0, layer.classes)] if softmax else None
        if tree is not None:
            ends = zip(tree.group_offsets.tolist(), (tree.group_offsets + tree.group_sizes).tolist(), strict=True)
            groups = list(ends)
        boxes, objectness, classes = rules.head(
            cells if order == "nhwc" else cells.transpose(1, 2, 0),
            [layer.anchors[number] for number in kept],
            case.size if isinstance(layer, s.YoloHead) else None,
            after=after,
            scale=getattr(layer, "scale_x_y", 1.0),
            groups=groups,
        )
        for box, score, each in zip(boxes * [*case.size, *case.size], objectness, classes, strict=True):
            corner = rules.corners(box[None])[0]
            if tree is not None:
                rows += [[*corner, score, reached(tree, each)]] if score > case.thresh else []
            else:
                rows += [
                    [*corner, score * part, number] for number, part in enumerate(each) if score * part > case.thresh
                ]
    return np.array(rows)


def reached(tree: WordTree, conditional: Array) -> int:
    """get_hierarchy_top_prediction of pjreddie/darknet's tree.c: the likeliest child, as long as the product of what
    leads there stays above one half."""
    group, product, node = 0, 1.0, -1
    while group >= 0:
        first = int(tree.group_offsets[group])
        part = conditional[first : first + int(tree.group_sizes[group])]
        best = first + int(part.argmax())
        if product * conditional[best] <= 0.5:
            break
        product, node, group = product * float(conditional[best]), best, int(tree.child_groups[best])
    return node if node >= 0 else int(conditional[: tree.group_sizes[0]].argmax())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("order", ["nchw", "nhwc"])
def test_heads_are_decoded_to_what_detect_finds(order: str, after: bool, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    cut = {"heads_layout": order, "heads_cut": "after" if after else "before"}
    export_onnx(case.network, path, layout="heads", batch=1, **cut)  # type: ignore[arg-type]
    found = decoded(case, {name: array[0] for name, array in run(path, case).items()}, order, after)
    expected = detected(case.default, case)
    same(rules.greedy(found, 0.45), expected)
    same(detected(path, case), expected)
