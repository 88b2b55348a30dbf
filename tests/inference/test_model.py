"""From what a user names to a model with names, and one line for whatever is wrong with it."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import darknet_compat as dc
from darknet_compat.catalogue.locate import locate
from darknet_compat.errors import BackendError, CatalogError, DarknetCompatError, MetadataError, WeightsError
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.inference.model import class_names
from darknet_compat.inference.options import BACKENDS
from darknet_compat.runtime.base import Use, UseOptions
from tests.inference.support import Files, classifier, noise, region, trunk, write_model, yolov1

TREE = "thing -1\nplace -1\nanimal 0\ncar 0\ncat 2\ndog 2\nbird 2\n"
COCO = tuple((cfg_dir() / "data" / "coco.names").read_text().split("\n")[:80])


@pytest.fixture
def toy(tmp_path: Path) -> Files:
    return write_model(tmp_path, region(4))


@pytest.fixture
def forest(tmp_path: Path) -> Files:
    """With a WordTree."""
    (tmp_path / "its.tree").write_text(TREE)
    return write_model(tmp_path, region(7, "softmax=1\ntree=its.tree"))


# ----------------------------------------------------------------------------------------------------- where things lie


def test_a_cfg_brings_the_files_of_its_name(toy: Files) -> None:
    found = locate(toy.cfg)
    assert (found.cfg, found.weights, found.names, found.known) == (*toy, None, None)
    toy.cfg.with_suffix(".names").write_text("a\nb\nc\nd\n")
    assert locate(str(toy.cfg)).names == toy.cfg.with_suffix(".names")
    assert dc.Detector(toy.cfg).names == ("a", "b", "c", "d")
    assert dc.Detector(toy.cfg, names=["1", "2", "3", "4"]).names == ("1", "2", "3", "4")


def test_a_name_as_long_as_may_be(toy: Files) -> None:
    """Its .weights beside it would have a name that is too long."""
    long = toy.cfg.with_name("x" * 251 + ".cfg")
    shutil.copy(toy.cfg, long)
    with pytest.raises(CatalogError, match="no weights are named"):
        dc.Detector(long)


# --------------------------------------------------------------------------------------------------------------- names


def test_names_are_guessed_by_their_number() -> None:
    assert class_names(None, 80) == COCO
    assert class_names(None, 20)[14] == "person"
    assert class_names(None, 1000)[0] == "kit fox"
    assert class_names(None, 9418)[5177] == "person"
    assert class_names(None, 3) == ("class 0", "class 1", "class 2")


def test_names_are_a_file_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "its.names").write_text("cat\r\ndog \n\n")
    assert class_names(tmp_path / "its.names", 2) == ("cat", "dog")
    assert class_names(str(tmp_path / "its.names"), 2) == ("cat", "dog")
    assert class_names(["cat", "dog"], 2) == ("cat", "dog")


@pytest.mark.parametrize("names", [[], ["only one"], ("a", "b", "c", "d", "e")])
def test_as_many_names_as_classes(toy: Files, names: list[str]) -> None:
    with pytest.raises(MetadataError, match=f"^names: has {len(names)} names?, but the network has 4 classes$"):
        dc.Detector(*toy, names=names)


def test_a_file_of_other_names(toy: Files, tmp_path: Path) -> None:
    (tmp_path / "other.names").write_text("cat\n")
    with pytest.raises(MetadataError, match=r"other\.names: has 1 name, but the network has 4 classes"):
        dc.Detector(*toy, names=tmp_path / "other.names")
    with pytest.raises(MetadataError, match=r"none\.names: cannot be read as a list of names: No such file"):
        dc.Detector(*toy, names=tmp_path / "none.names")


# ---------------------------------------------------------------------------------------------------------------- maps


def test_a_map_names_other_classes(forest: Files, tmp_path: Path) -> None:
    (tmp_path / "its.map").write_text("4\n5\n3\n")
    detector = dc.Detector(*forest, map=tmp_path / "its.map", thresh=0.01)
    assert detector.map == (4, 5, 3)
    assert detector.names == ("class 4", "class 5", "class 3")
    named = dc.Detector(*forest, map=[4, 3], names=[line.split()[0] for line in TREE.splitlines()])
    assert named.names == ("cat", "car")


@pytest.mark.parametrize(
    ("map", "message"),
    [
        ([], "map: expected numbers of nodes, 0 to 6"),
        ([7], "map: expected numbers of nodes, 0 to 6"),
        ([-1], "map: expected numbers of nodes, 0 to 6"),
        ("coco", "coco9k.map:1: expected a class from 0 to 6, found 5177"),
        ("none.map", "none.map: cannot be read as a map"),
    ],
)
def test_maps_that_do_not_fit(forest: Files, map: object, message: str) -> None:
    with pytest.raises(MetadataError, match=re.escape(message)):
        dc.Detector(*forest, map=map)  # type: ignore[arg-type]


def test_a_map_needs_a_tree(toy: Files) -> None:
    with pytest.raises(MetadataError, match=r"^map: only for a network with a WordTree, such as yolo9000$"):
        dc.Detector(*toy, map="coco")


# ------------------------------------------------------------------------------------------------- sizes and fittings


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, (96, 64)), (128, (128, 128)), ((160, 32), (160, 32)), ([64, 96], (64, 96)), (np.int64(64), (64, 64))],
)
def test_another_size(toy: Files, size: object, expected: tuple[int, int]) -> None:
    description = dc.Detector(*toy, size=size).runtime.description  # type: ignore[arg-type]
    assert (description.width, description.height) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "size: expected 1 to 8192 pixels a side, found 0x0"),
        ((64, 9000), "size: expected 1 to 8192 pixels a side, found 64x9000"),
        ((64,), "size: expected a number of pixels, or (width, height), found (64,)"),
        ("big", "size: expected a number of pixels, or WIDTHxHEIGHT such as 608x416, found 'big'"),
        (64.5, "size: expected a number of pixels, or (width, height), found 64.5"),
    ],
)
def test_sizes_that_are_none(toy: Files, size: object, message: str) -> None:
    with pytest.raises(BackendError, match=re.escape(message)):
        dc.Detector(*toy, size=size)  # type: ignore[arg-type]


def test_a_size_that_does_not_suit_the_layers(tmp_path: Path) -> None:
    with pytest.raises(DarknetCompatError, match=r"small\.weights: has \d+ bytes, but .*small\.cfg needs"):
        dc.Detector(*write_model(tmp_path, yolov1()), size=128)  # a [connected] layer has weights for one size


@pytest.mark.parametrize(
    ("net", "head", "expected"),
    [
        ("", region(4), "letterbox"),
        ("", yolov1(), "stretch"),
        ("letter_box=1", yolov1(), "letterbox"),
        ("letter_box=0", region(4), "stretch"),
        ("", classifier(5), "letterbox"),
    ],
)
def test_pictures_are_fitted_as_the_model_was_made_for(net: str, head: str, expected: str, tmp_path: Path) -> None:
    files = write_model(tmp_path, head.replace("[net]", f"[net]\n{net}", 1))
    kind = dc.Classifier if "avgpool" in head else dc.Detector
    assert kind(*files).runtime.description.resize == expected
    assert kind(*files, resize="stretch").runtime.description.resize == "stretch"


# ------------------------------------------------------------------------------------------ models that do not fit


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"backend": "cuda"}, f"backend: expected one of {', '.join(BACKENDS)}, found 'cuda'; cuda is a device: .*"),
        ({"precision": "int4"}, "precision: expected one of fp32, bf16, fp16, int8, found 'int4'"),
        ({"resize": "crop"}, "resize: expected one of letterbox, stretch, found 'crop'"),
    ],
)
@pytest.mark.parametrize("kind", [dc.Detector, dc.Classifier])
def test_options_that_are_unknown(kind: type, option: dict[str, str], message: str, toy: Files) -> None:
    with pytest.raises(BackendError, match=f"^{message}$"):
        kind(*toy, **option)


@pytest.mark.parametrize(
    ("kind", "word", "hint"),
    [
        (dc.Detector, "bakend", "did you mean 'backend'?"),
        (dc.Detector, "tresh", "did you mean 'thresh'?"),
        (dc.Detector, "leafs", "there are model, weights, names, thresh"),
        (dc.Classifier, "leafs", "did you mean 'leaves'?"),
        (dc.Classifier, "hierthresh", "did you mean 'hier_thresh'?"),
    ],
)
def test_arguments_that_there_are_not(kind: type, word: str, hint: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{kind.__name__} has no argument {word!r}; {hint}")):
        kind("no such model", **{word: 1})


def test_the_arguments_of_a_use_are_its_fields() -> None:
    """For type checkers (`UseOptions`) as for `inspect`, `help` and completion; a size may be a number as well."""
    hints = get_type_hints(Use)
    assert get_type_hints(UseOptions) == hints | {"size": int | hints["size"]}
    for kind in (dc.Detector, dc.Classifier):
        arguments = list(inspect.signature(kind).parameters.values())
        assert [(one.name, one.default) for one in arguments[-len(hints) :]] == list(vars(Use()).items())


def test_a_class_derived_from_a_detector_may_hand_its_arguments_on(toy: Files) -> None:
    class Own(dc.Detector):
        def __init__(self, files: Files, **arguments: Any) -> None:
            super().__init__(*files, **arguments)

    assert Own(toy, size=32, thresh=0.25).thresh == 0.25
    assert list(inspect.signature(Own).parameters) == ["files", "arguments"]


def test_a_classifier_is_no_detector_and_the_other_way_round(toy: Files, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"small\.cfg: this network does not classify; use Detector or `detect`"):
        dc.Classifier(*toy)
    files = write_model(tmp_path, classifier(4), "classes")
    with pytest.raises(BackendError, match=r"classes\.cfg: this network does not detect; classify it with Classifier"):
        dc.Detector(*files)


@pytest.mark.parametrize("kind", [dc.Detector, dc.Classifier])
def test_a_network_that_answers_no_pictures(kind: type, tmp_path: Path) -> None:
    files = write_model(tmp_path, trunk(6) + "[iseg]\nclasses=2\nids=4\n")
    with pytest.raises(BackendError, match=r"small\.cfg: neither detects nor classifies pictures; use load_network"):
        kind(*files)


def test_a_head_that_makes_no_boxes(tmp_path: Path) -> None:
    text = yolov1().replace("coords=4", "coords=3").replace("output=126", "output=108")
    line = text[: text.index("[detection]")].count("\n") + 1
    files = write_model(tmp_path, text)
    wanted = f"small.cfg:{line}: layer 4 [detection] has boxes of 3 numbers (coords), and 4 make one; use load_network"
    with pytest.raises(BackendError, match=re.escape(wanted)):
        dc.Detector(*files)


def test_another_networks_weights(shared_data: Path) -> None:
    folder = shared_data / "models" / "yolo-lite-mismatch"
    with pytest.raises(WeightsError, match=r"mismatch\.weights: has \d+ bytes, but .*mismatch\.cfg needs \d+: "):
        dc.Detector(folder / "yolo-lite-mismatch.cfg")


def test_weights_for_a_cfg(toy: Files) -> None:
    with pytest.raises(DarknetCompatError, match=r"small\.weights: expected a \.cfg \(text\), found binary data"):
        dc.Detector(toy.weights)
    toy.weights.unlink()
    with pytest.raises(CatalogError, match=r"small\.cfg: no weights are named, and there is no small\.weights beside"):
        dc.Detector(toy.cfg)


def test_a_model_is_ready_at_once(toy: Files) -> None:
    assert len(dc.Detector(toy.cfg, thresh=0)(noise(20, 20))) > 0


def test_an_exported_file_brings_its_thresholds(toy: Files, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    dc.export_onnx(dc.load_network(*toy), tmp_path / "m.onnx", thresh=0.3, hier_thresh=0.4, nms=0.2)
    detector = dc.Detector(tmp_path / "m.onnx")
    assert (detector.thresh, detector.hier_thresh, detector.nms) == (0.3, 0.4, 0.2)
    detector = dc.Detector(tmp_path / "m.onnx", thresh=0.6, hier_thresh=0.5, nms=0.45)
    assert (detector.thresh, detector.hier_thresh, detector.nms) == (0.6, 0.5, 0.45)


def test_what_a_graph_has_suppressed_cannot_be_asked_for(toy: Files, tmp_path: Path) -> None:
    """It would be missing without a word."""
    pytest.importorskip("onnxruntime")
    dc.export_onnx(dc.load_network(*toy), tmp_path / "d.onnx", outputs="detections", thresh=0.2)
    picture = noise(96, 64)
    for thresh in (None, 0.2, 0.25):
        expected = dc.Detector(*toy, thresh=thresh or 0.2)(picture)
        found = dc.Detector(tmp_path / "d.onnx", thresh=thresh)(picture)
        assert found.names == expected.names and len(found) > 2
    for wrong in ({"thresh": 0.1}, {"nms": 0.3}, {"nms": 1}):
        with pytest.raises(
            BackendError, match=r"d\.onnx: has the suppression inside, with thresh 0\.2 and nms 0\.45, found"
        ):
            dc.Detector(tmp_path / "d.onnx", **wrong)  # type: ignore[arg-type]


def test_without_a_gpu_nothing_is_fetched_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*arguments: object, **options: object) -> Path:
        raise AssertionError("weights were fetched for a backend that cannot run")

    monkeypatch.setattr("darknet_compat.catalogue.catalog.fetch", fetched)
    with pytest.raises(BackendError, match="tensorrt needs an NVIDIA GPU"):
        dc.Detector("yolov2-voc", backend="tensorrt")


def test_weights_that_give_no_numbers_are_told(toy: Files) -> None:
    """nan passes no threshold, so that nothing would be found, in silence."""
    content = toy.weights.read_bytes()
    toy.weights.write_bytes(content[:16] + b"\xff" * (len(content) - 16))
    with pytest.raises(WeightsError, match=r"gives no numbers \(nan\); are the weights this model's"):
        dc.Detector(*toy)(noise(96, 64))


def test_what_does_not_go_together_is_told(toy: Files, tmp_path: Path) -> None:
    dc.export_onnx(dc.load_network(*toy), tmp_path / "m.onnx")
    with pytest.raises(BackendError, match=r"m\.onnx: holds its own weights; leave out .*small\.weights"):
        dc.Detector(tmp_path / "m.onnx", toy.weights)
    with pytest.raises(MetadataError, match=r"level: .*small.* has no WordTree"):
        dc.Detector(*toy, level=2)
