"""Every format that the project reads from somebody: good files of it, how they are damaged, and what reads them.

`tests/attack/test_formats.py` holds this table against the readers that there are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from darknet_compat.catalogue.fetch import provenance, transfer
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers import labelfile
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, read_header, read_weights, slots, write_weights
from darknet_compat.evaluation.material import coco_files
from darknet_compat.evaluation.material.columns import Found
from darknet_compat.evaluation.run import journal
from darknet_compat.evaluation.scores import imagenet, voc
from darknet_compat.formats.exported.artefact import Artefact, to_properties
from darknet_compat.formats.exported.enginefile import EngineRecord, Profile, read_plan, read_record, write_engine
from darknet_compat.formats.metadata import data_roots, read_data, read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.tree.mapping import read_given
from darknet_compat.formats.tree.named import open_tree, read_leaves, read_probabilities
from darknet_compat.formats.wordtree import format_tree, read_tree
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.training.checkpoint import Checkpoints
from darknet_compat.training.log import Log
from darknet_compat.vision.header import picture_size
from darknet_compat.vision.orientation import read_stored
from tests.datasets.readers.test_coco import document
from tests.datasets.readers.test_voc import OBJECT, annotation
from tests.formats.test_mutations import SMALL
from tests.vision.test_header import FILES as PICTURES

Kind = Literal["text", "bytes", "json", "bit"]
"""How it is damaged; "bit" is one bit and nothing else."""


@dataclass(frozen=True)
class Format:
    """`read` is given the folder in which the damaged `file` lies, `around` lays what belongs beside it. `readers` are
    the functions that are tested by this, "module.function" below darknet_compat."""

    file: str
    kind: Kind
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path], object]
    readers: tuple[str, ...]
    around: Callable[[Path], object] = lambda folder: None


def _written(write: Callable[[Path], object], name: str) -> bytes:
    """What a writer of ours writes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return (Path(folder) / name).read_bytes()


# ------------------------------------------------------------------------------------------------- definitions


def _cfgs() -> Sequence[bytes]:
    shipped = sorted((path for path in cfg_dir().glob("*.cfg")), key=lambda path: path.stat().st_size)
    return [SMALL.encode(), *(path.read_bytes() for path in shipped[:6])]


def _read_cfg(folder: Path) -> object:
    spec = load_spec(folder / "m.cfg")
    assert sum(slot.size for slot in slots(spec)) < 2**32
    return spec, data_roots(folder / "m.cfg")


def _lay_small(folder: Path) -> None:
    (folder / "m.cfg").write_text(SMALL)


def _weights() -> Sequence[bytes]:
    def write(folder: Path) -> None:
        _lay_small(folder)
        random = np.random.default_rng(0)
        arrays = [(slot, random.random(slot.shape, np.float32)) for slot in slots(load_spec(folder / "m.cfg"))]
        write_weights(folder / "m.weights", Header(), arrays)

    return [_written(write, "m.weights")]


@functools.cache
def _small_spec(folder: Path) -> Any:
    return load_spec(folder / "m.cfg")


def _read_weights(folder: Path) -> object:
    path, spec = folder / "m.weights", _small_spec(folder)
    return read_header(path), [float(array.flat[0]) for _, array in read_weights(path, spec).arrays]


@functools.cache
def _tree_lines() -> list[str]:
    return format_tree(read_tree(cfg_dir() / "data" / "9k.tree")).splitlines()[:120]


def _lay_tree(folder: Path) -> None:
    (folder / "t.tree").write_text("\n".join(_tree_lines()) + "\n")
    (folder / "t.names").write_text("\n".join(line.split()[0] for line in _tree_lines()) + "\n")


def _names() -> Sequence[bytes]:
    return ["\n".join(line.split()[0] for line in _tree_lines()).encode()]


@functools.cache
def _tree(folder: Path) -> Any:
    return read_tree(folder / "t.tree")


# ---------------------------------------------------------------------------------------------- exported files

_ARTEFACT = Artefact(
    name="m", task="detect", width=96, height=64, channels=3, classes=2, outputs="boxes", names=("a", "b")
)
_RECORD = EngineRecord(
    artefact=_ARTEFACT, precision="fp16", profiles=(Profile((1, 64, 96), (1, 64, 96), (4, 64, 96)),), onnx="m.onnx",
    onnx_sha256="0" * 64, tensorrt="11.4.0", gpu="GPU", capability=(9, 0), settings={"sizes": [[96, 64]]},
)  # fmt: skip


def _onnx() -> Sequence[bytes]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("images", "boxes")]
    shape = numpy_helper.from_array(np.array([1, 3], np.int64), "shape")
    nodes = [helper.make_node("Expand", ["images", "shape"], ["e"]), helper.make_node("Identity", ["e"], ["boxes"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.helper.set_model_props(model, to_properties(_ARTEFACT))
    return [model.SerializeToString()]


def _engine(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [_written(lambda folder: write_engine(folder / "m.engine", b"plan" * 50, _RECORD), name)]


def _read_engine(folder: Path) -> object:
    record = read_record(folder / "m.engine")
    return record.mismatch("11.4.0", "GPU", (9, 0)), read_plan(folder / "m.engine", record)


def _lay_engine(folder: Path) -> None:
    write_engine(folder / "m.engine", b"plan" * 50, _RECORD)


# -------------------------------------------------------------------------------------------------- data sets


def _dataset(path: str, **more: Any) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        dataset = open_dataset(folder / path, **more)
        return [dataset.sample(index) for index in range(min(len(dataset), 50))]

    return read


def _lay_data(folder: Path) -> None:
    files = {
        "x.data": f"classes = 2\ntrain = {folder}/list.txt\nnames = {folder}/x.names\n",
        "list.txt": f"{folder}/images/a.png\n{folder}/images/b.png\n",
        "x.names": "cat\ndog\n",
        "data.yaml": "train: images\nval: images\nnc: 2\nnames: [cat, dog]\n",
        "labels/a.txt": "0 0.5 0.5 0.25 0.125\r\n1 0.1 0.2 0.3 0.4\n",
        "labels/b.txt": "",
        "voc/Annotations/a.xml": annotation(OBJECT.format("dog", "<difficult>1</difficult>", 1, 2, 30, 40)),
        "voc/ImageSets/Main/train.txt": "a\n",
        "coco/x.json": json.dumps(document()),
        "csv/x.csv": "image,xmin,ymin,xmax,ymax,class\na.png,1,2,3,4,dog\nb.png,5,6,70,80,cat\n",
        "kitti/training/label_2/a.txt": "Car 0 0 -1.58 5.01 3.33 6.12 9.12 1.65 1.67 3.64 -0.65 1.71 46.7 -1.59\n",
        "supervisely/meta.json": '{"classes": [{"title": "cat", "shape": "rectangle", "id": 1}], "tags": []}',
        "supervisely/ds/ann/a.png.json": '{"size": {"width": 9, "height": 9}, "objects": [{"classTitle": "cat",'
        '"geometryType": "rectangle", "points": {"exterior": [[1, 2], [5, 6]], "interior": []}}]}',
        "cvat/annotations.xml": '<?xml version="1.0"?>\n<annotations><version>1.1</version><meta><task><labels><label>'
        '<name>cat</name></label></labels></task></meta><image id="0" name="a.png" width="9" height="9">'
        '<box label="cat" xtl="1" ytl="2" xbr="5" ybr="6"/><polygon label="cat" points="1,1;5,1;3,4"/>'
        "</image></annotations>\n",
        "labelme/a.json": '{"version": "5.0", "flags": {}, "shapes": [{"label": "cat", "points": [[1, 2], [5, 6]],'
        ' "shape_type": "rectangle"}], "imagePath": "a.png", "imageHeight": 9, "imageWidth": 9}',
    }
    pictures = ("images/a.png", "images/b.png", "voc/JPEGImages/a.jpg", "csv/a.png", "csv/b.png")
    pictures += ("kitti/training/image_2/a.png", "supervisely/ds/img/a.png", "cvat/images/a.png", "labelme/a.png")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in pictures:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURES["png"])


def _of_data(name: str, kind: Kind, path: str, *readers: str, **more: Any) -> Format:
    def seeds() -> Sequence[bytes]:
        return [_written(_lay_data, name)]

    return Format(name, kind, seeds, _dataset(path, **more), readers, _lay_data)


# ---------------------------------------------------------------------------------------- results and records

_NAMES, _IDS = ("cat", "dog"), ("a", "b")


def _found() -> Found:
    return Found.of([0, 1], [0, 1], [[1.0, 2.0, 3.0, 4.0]] * 2, [0.5, 0.25])


def _coco_results() -> Sequence[bytes]:
    sizes = np.full((2, 2), 9)
    return [_written(lambda f: coco_files.write_results(f / "r.json", _found(), [7, 9], sizes), "r.json")]


def _journal() -> bytes:
    def write(folder: Path) -> None:
        with journal.Journal(folder / "j.found", _NAMES, 5) as open_one:
            boxes, scores = np.ones((2, 4), np.float32), np.ones(2, np.float32)
            open_one.append(Detections(boxes, scores, np.array([0, 1]), _NAMES, 9, 9))

    return _written(write, "j.found")


def _read_journal(folder: Path) -> object:
    with journal.Journal(folder / "j.found", _NAMES, 5) as open_one:
        return [isinstance(answer, Failure) or len(answer.boxes) for answer in open_one.answers]


def _lay_checkpoints(folder: Path) -> None:
    import torch

    checkpoints = Checkpoints(folder / "c.pt", {"seed": 1})
    for seen in (2, 3):
        checkpoints.write({"network": {"w": torch.arange(50.0)}, "seen": seen, "average_loss": None})


def _checkpoint() -> Sequence[bytes]:
    return [_written(_lay_checkpoints, "c.pt")]


def _read_checkpoint(folder: Path, damaged: bool = False) -> object:
    """A damaged one is never used, but the one before, to the bit, and a line says so."""
    state, note = Checkpoints(folder / "c.pt", {"seed": 1}).read()
    whole = state["seen"] == (2 if note else 3) and state["network"]["w"].tolist() == [float(n) for n in range(50)]
    if not whole or (damaged and not note):
        raise AssertionError("a damaged checkpoint was used")
    return state


def _log() -> bytes:
    def write(folder: Path) -> None:
        log = Log(folder)
        for batch in range(1, 4):
            log.add({"batch": batch, "loss": 1.5, "average_loss": 1.5})
        log.write()

    return _written(write, "log.csv")


def _read_log(folder: Path) -> object:
    return Log(folder, 2).rows


def _read_origin(folder: Path) -> object:
    return transfer.Origin.read(folder / "f.part.json")


_ORIGIN = b'{"url": "http://a/b", "etag": "\\"1\\"", "modified": null, "total": 300000}'
_STAMP = b'{"size": 3, "mtime_ns": 1700000000000000000, "published": {"sha256": "00"}, "sha256": "00"}'


def _read_picture(folder: Path) -> object:
    path = folder / "p"
    return picture_size(path.read_bytes()), read_stored(path)


FORMATS: dict[str, Format] = {
    "cfg": Format("m.cfg", "text", _cfgs, _read_cfg, ("formats.cfg.read_cfg", "formats.cfg.parse_cfg")),
    "weights": Format(
        "m.weights", "bytes", _weights, _read_weights,
        ("definition.weights.file.read_header", "definition.weights.file.read_weights"), _lay_small,
    ),
    "names": Format("n.names", "text", _names, lambda f: read_names(f / "n.names"), ("formats.metadata.read_names",)),
    "map": Format(
        "m.map", "text", lambda: [b"0\n5\n7\n1\n3\n"], lambda f: read_map(f / "m.map", 120),
        ("formats.metadata.read_map",),
    ),
    "data": Format(
        "x.data", "text", lambda: [b"classes=80\ntrain=coco.txt\nnames = data/coco.names\nbackup=/home\n"],
        lambda f: read_data(f / "x.data"), ("formats.metadata.read_data",),
    ),
    "tree": Format(
        "t.tree", "text", lambda: ["\n".join(_tree_lines()).encode()], lambda f: read_tree(f / "t.tree"),
        ("formats.wordtree.read_tree", "formats.wordtree.parse_tree"),
    ),
    "leaves": Format(
        "l.txt", "text", lambda: _names(), lambda f: read_leaves(f / "l.txt", _tree(f)),
        ("formats.tree.named.read_leaves",), _lay_tree,
    ),
    "probabilities": Format(
        "p.json", "json", lambda: [json.dumps([0.5] * 120).encode()],
        lambda f: read_probabilities(f / "p.json", _tree(f)), ("formats.tree.named.read_probabilities",), _lay_tree,
    ),
    "probabilities (npy)": Format(
        "p.npy", "bytes", lambda: [_written(lambda f: np.save(f / "p.npy", np.full(120, 0.5)), "p.npy")],
        lambda f: read_probabilities(f / "p.npy", _tree(f)), (), _lay_tree,
    ),
    "labels onto a tree": Format(
        "g.txt", "text", lambda: [b"cat = 3\ndog = 5\n"],
        lambda f: read_given(f / "g.txt", ["cat", "dog"], open_tree(f / "t.tree")),
        ("formats.tree.mapping.read_given",),
        _lay_tree,
    ),
    "onnx": Format(
        "m.onnx", "bytes", _onnx, lambda f: read_artefact(f / "m.onnx"),
        ("runtime.exported.read_artefact", "formats.exported.onnxfile.read_top"),
    ),
    "engine record": Format(
        "m.engine.json", "json", _engine("m.engine.json"), _read_engine,
        ("formats.exported.enginefile.read_record", "formats.jsonfile.read_json", "formats.jsonfile.parse_json"),
        _lay_engine,
    ),
    "engine": Format(
        "m.engine", "bytes", _engine("m.engine"), _read_engine, ("formats.exported.enginefile.read_plan",), _lay_engine
    ),
    "checkpoint": Format("c.pt", "bytes", _checkpoint, _read_checkpoint, (), _lay_checkpoints),
    "checkpoint, one bit": Format(
        "c.pt", "bit", _checkpoint, lambda f: _read_checkpoint(f, damaged=True), (), _lay_checkpoints
    ),
    "training log": Format("log.csv", "text", lambda: [_log()], _read_log, ()),
    "picture header": Format(
        "p", "bytes", lambda: list(PICTURES.values()), _read_picture, ("vision.orientation.read_stored",)
    ),
    "labels": Format(
        "labels/a.txt", "text", lambda: [b"0 0.5 0.5 0.25 0.125\r\n1 0.1 0.2 0.3 0.4\n"],
        lambda f: labelfile.read_labels(f / "labels/a.txt", 2),
        ("datasets.readers.labelfile.read_labels", "datasets.readers.labelfile.read_with_rule"), _lay_data,
    ),
    "list": _of_data("list.txt", "text", "list.txt", "formats.textfile.read_lines", names=_NAMES),
    "data set (.data)": _of_data("x.data", "text", "x.data", "datasets.readers.darknet.read_data_file"),
    "data.yaml": _of_data("data.yaml", "text", "data.yaml"),
    "voc": _of_data("voc/Annotations/a.xml", "text", "voc", "datasets.readers.voc.read_annotation"),
    "voc split": _of_data("voc/ImageSets/Main/train.txt", "text", "voc", "formats.textfile.read_text"),
    "coco": _of_data("coco/x.json", "json", "coco/x.json", "datasets.readers.coco_document.read_document"),
    "csv": _of_data(
        "csv/x.csv", "text", "csv/x.csv", "datasets.readers.tables.read_table", "formats.textfile.read_words"
    ),
    "kitti": _of_data("kitti/training/label_2/a.txt", "text", "kitti"),
    "supervisely": _of_data("supervisely/ds/ann/a.png.json", "json", "supervisely"),
    "cvat": _of_data("cvat/annotations.xml", "text", "cvat", "datasets.readers.cvat.read_cvat"),
    "labelme": _of_data("labelme/a.json", "json", "labelme"),
    "coco results": Format(
        "r.json", "json", _coco_results,
        lambda f: coco_files.read_results(f / "r.json", [7, 9]), ("evaluation.material.coco_files.read_results",),
    ),
    "voc results": Format(
        "comp4_det_test_cat.txt", "text", lambda: [b"a 0.5 1 2 3 4\nb 0.25 1.5 2 3 4\n"],
        lambda f: voc.read_results(f, _IDS, ["cat"]), ("evaluation.scores.voc.read_results",),
    ),
    "imagenet results": Format(
        "i.txt", "text", lambda: [b"1 1 0.5 1 2 3 4\n2 1 0.25 1 2 3 4\n"],
        lambda f: imagenet.read_results(f / "i.txt", 2, 2), ("evaluation.scores.imagenet.read_results",),
    ),
    "evaluation's journal": Format("j.found", "bytes", lambda: [_journal()], _read_journal, ()),
    "record of a download": Format(
        "w.json", "json", lambda: [_STAMP], lambda f: provenance.read_record(f / "w"),
        ("catalogue.fetch.provenance.read_record",),
    ),
    "origin of a part": Format("f.part.json", "json", lambda: [_ORIGIN], _read_origin, ()),
}  # fmt: skip

ELSEWHERE = {
    "formats.tree.wordnet.read_wordnet": "tests/formats/tree/test_wordnet.py; WordNet's own files, of the system",
    "datasets.anchors.shapes.read_csv": "by tables.read_table",
    "cli.darknet.files.read_spec": "by lower.load_spec, which reads cfg",
    "serving.tensors.read_inference": "tests/serving/test_kserve.py; a request's body, no file",
    "evaluation.material.entries.read_entries": "what a data set of the table gives",
}
"""Readers that no row has, and why."""
