"""What an artefact says of itself, there and back, and what is no artefact of ours."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.artefact import PREFIX, Artefact, from_properties, to_properties
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.formats.wordtree import parse_tree

TREE = parse_tree(["root -1", "dog 0", "cät 0"])
FULL = Artefact(
    name="m",
    task="detect",
    width=416,
    height=608,
    channels=3,
    classes=3,
    outputs="boxes",
    input="uint8",
    sizes=(288, 608),
    step=32,
    batch=4,
    resize="stretch",
    thresh=0.1,
    names=("root", "dog", "cät"),
    map=(2, 1),
    tree=TREE,
    cfg_sha256="00",
    weights_sha256="11",
    tools={"torch": "2"},
)
PLAIN = Artefact(name="m", task=None, width=1, height=1, channels=1, classes=0, outputs="heads")


@pytest.mark.parametrize("artefact", [FULL, PLAIN])
def test_properties_give_the_artefact_back(artefact: Artefact) -> None:
    properties = to_properties(artefact)
    assert all(isinstance(text, str) for text in properties.values())
    assert from_properties(properties, "m.onnx") == artefact
    assert from_properties(properties | {"another tool's": "x"}, "m.onnx") == artefact


YOUNGER = ("dialect", "nms_kind", "beta_nms", "layout", "max_detections", "target", "cut", "are_probabilities")


def test_a_file_from_before_dialects_is_the_originals() -> None:
    properties = to_properties(FULL) | {f"{PREFIX}format": "1"}
    for field in YOUNGER:
        del properties[PREFIX + field]
    artefact = from_properties(properties, "m.onnx")
    assert (artefact.dialect, artefact.nms_kind, artefact.beta_nms) == ("original", "default", 0.6)
    assert (artefact.layout, artefact.max_detections, artefact.target, artefact.cut) == (None,) * 4
    assert artefact.are_probabilities


def test_only_what_an_older_version_would_misread_is_of_the_newest_format() -> None:
    assert to_properties(FULL)[f"{PREFIX}format"] == "2"
    for other in (dataclasses.replace(FULL, layout="yolov8"), dataclasses.replace(FULL, target="tensorrt")):
        assert to_properties(other)[f"{PREFIX}format"] == "3"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"layout": "nms", "outputs": "detections"}, "it is to have the layout nms, but gives detections"),
        ({"layout": "nms", "outputs": "boxes", "max_detections": 9}, "it is to have the layout nms, but gives boxes"),
        ({"layout": "yolov5", "outputs": "detections"}, "it is to have the layout yolov5, but gives detections"),
        ({"layout": "yolov5", "outputs": "boxes", "max_detections": 9}, "the layout yolov5, but gives boxes"),
        ({"layout": "yolov5", "outputs": "heads"}, "the layout yolov5, but gives heads"),
        ({"layout": "yolov5", "outputs": "boxes", "task": "classify"}, "the layout yolov5, but gives boxes"),
    ],
)
def test_a_layout_and_what_is_said_beside_it(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BackendError, match=f"^m.onnx: .*{told}; export it again$"):
        from_properties(to_properties(dataclasses.replace(FULL, **fields)), "m.onnx")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Artefact) if field.name not in YOUNGER])
def test_each_missing_property_is_named(field: str) -> None:
    properties = to_properties(FULL)
    del properties[PREFIX + field]
    with pytest.raises(BackendError, match=f"^m.onnx: lacks the metadata {PREFIX}{field}; export it again$"):
        from_properties(properties, "m.onnx")


WHOLE, FRACTION, BATCH = (
    "a whole number from 1 to 32768",
    "a number from 0 to 1",
    "a whole number from 1 to 1024, or none",
)
SIZES, MAP = "least and most pixels of a side, or none", "numbers of classes, or none"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("name", "7", "text"),
        ("width", "0", WHOLE),
        ("width", "nonsense", WHOLE),
        ("width", "true", WHOLE),
        ("height", '"416"', WHOLE),
        ("channels", "3.0", WHOLE),
        ("classes", "-1", "a whole number from 0 to 1048576"),
        ("classes", "true", "a whole number from 0 to 1048576"),
        ("step", "null", WHOLE),
        ("task", '"train"', "detect, classify or none"),
        ("outputs", '"boxen"', "heads, boxes or detections"),
        ("input", "[]", "float or uint8"),
        ("resize", "null", "letterbox or stretch"),
        ("precision", '"half"', "fp32, bf16, fp16, int8 or fp8"),
        ("batch", "0", BATCH),
        ("batch", "-1", BATCH),
        ("batch", '"x"', BATCH),
        ("batch", "true", BATCH),
        ("batch", "1000000000000", BATCH),
        ("thresh", "1.5", FRACTION),
        ("thresh", "true", FRACTION),
        ("hier_thresh", "NaN", FRACTION),
        ("nms", '"0.5"', FRACTION),
        ("sizes", "[1]", SIZES),
        ("sizes", "[0, 64]", SIZES),
        ("sizes", "[64, 32]", SIZES),
        ("sizes", "[true, 32]", SIZES),
        ("sizes", '"32"', SIZES),
        ("names", '"abc"', "names of classes, or none"),
        ("names", "[1, 2, 3]", "names of classes, or none"),
        ("map", '["x"]', MAP),
        ("map", "[1, true]", MAP),
        ("map", "[-1]", MAP),
        ("tree", '"root"', "a WordTree, or none"),
        ("tree", "7", "a WordTree, or none"),
        ("cfg_sha256", "7", "text, or none"),
        ("batchnorm", "null", "text"),
        ("quantization", "[]", "figures by name, or none"),
        ("tools", "7", "versions by name"),
        ("tools", "[" * 100_000, "versions by name"),
    ],
)
def test_a_damaged_property_is_named(name: str, text: str, expected: str) -> None:
    found = re.escape(f"cannot be used: expected {expected}, found {text[:40]!r}; export it again")
    with pytest.raises(BackendError, match=f"^m.onnx: the metadata {PREFIX}{name} {found}$") as caught:
        from_properties(to_properties(FULL) | {PREFIX + name: text}, "m.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": 4}, "m.onnx: its tree has 3 nodes, but it has 4 classes; export it again"),
        ({"tree": None, "classes": 2}, "m.onnx: its map names class 2, but it has 2 classes; export it again"),
    ],
)
def test_properties_that_contradict_each_other(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError, match=f"^{message}$"):
        from_properties(to_properties(dataclasses.replace(FULL, **changed)), "m.onnx")


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert from_properties(to_properties(FULL) | {f"{PREFIX}later": "no JSON"}, "m.onnx") == FULL


def test_text_that_is_no_utf8_comes_back() -> None:
    artefact = dataclasses.replace(FULL, names=("root", "B\udce4r", "cät"))
    properties = to_properties(artefact)
    assert all(text.encode() for text in properties.values()) and "cät" in properties[f"{PREFIX}tree"]
    assert from_properties(properties, "m.onnx") == artefact


def test_a_model_of_others_or_of_later_is_told() -> None:
    with pytest.raises(BackendError, match=r"not exported by darknet-compat.*`darknet-compat export`"):
        from_properties({"producer": "someone"}, "m.onnx")
    with pytest.raises(BackendError, match="is of format 4, this version reads format 3"):
        from_properties(to_properties(FULL) | {f"{PREFIX}format": "4"}, "m.onnx")


def test_sizes_that_fit() -> None:
    assert FULL.size_problem(288, 608) is None
    for size in ((280, 416), (416, 640), (300, 416)):
        assert FULL.size_problem(*size) == (f"takes sides from 288 to 608 in steps of 32, found {size[0]} x {size[1]}")
    fixed = dataclasses.replace(FULL, sizes=None)
    assert fixed.size_problem(416, 608) is None
    assert fixed.size_problem(608, 416) == "takes 416 x 608 only, found 608 x 416"


def model(
    opset: int = 17, ir: int = 8, graph: bytes = b"\x3a\x02\x12\x00", props: bytes = b"\x72\x06\x0a\x01k\x12\x01v"
) -> bytes:
    """A ModelProto by hand: ir_version, opset_import of the standard domain, graph, metadata_props k = v."""
    return bytes([0x08, ir]) + graph + bytes([0x42, 0x02, 0x10, opset]) + props


def test_the_top_of_a_model_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model())
    top = read_top(path)
    assert (top.ir_version, top.opset, top.properties) == (8, 17, {"k": "v"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an ONNX model, found something else"),
        (b"[net]\nwidth=416\n", "found a damaged one or something else"),
        (b"PK\x03\x04" + bytes(100), "found a damaged one or something else"),
        (bytes(1000), "found something else|damaged"),
        (model(graph=b"\x3a\xff\x7f"), "should have at least"),
        (model()[:-1], "should have at least"),
        (model() + b"\x80", "ends in the middle of a number"),
        (model() + b"\xff" * 12, "a number in it is too long"),
        (model(graph=b""), "found something else"),
        (model(opset=9), "expected opset 13 to 26, found 9; export it again"),
        (model(opset=30), "expected opset 13 to 26, found 30"),
        (model(props=b"\x72\x06\x0a\x01\xff\x12\x01v"), "found a damaged one"),
    ],
)
def test_what_is_no_model_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=message) as caught:
        read_top(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.onnx", "No such file"), (tmp_path, "directory|cannot be read")):
        with pytest.raises(BackendError, match=why):
            read_top(path)
