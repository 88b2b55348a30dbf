"""What the real parser and builder of TensorRT-RTX make of our graphs: `make test-trt` installs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darknet_compat.catalogue import catalog
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantizable, quantize_onnx
from darknet_compat.export.tensorrt.build import EngineBuild
from darknet_compat.export.tensorrt.engine import build_engine, planned, prepared
from darknet_compat.export.tensorrt.parser_checks import problems
from darknet_compat.export.tensorrt.profiles import input_shape
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import Profile, read_plan, read_record
from darknet_compat.runtime.exported import read_artefact
from tests.export.onnx.test_layers import CASES
from tests.export.support import SHIPPED, pictures, seeded, small
from tests.export.tensorrt.real import Parsed, Port, Shapes
from tests.export.tensorrt.test_precision import SQUEEZE
from tests.inference.support import region

pytestmark = pytest.mark.tensorrt

NETWORKS = [pytest.param(name, marks=() if name == "tiny" else pytest.mark.slow) for name in catalog.MODELS]


def rtx(**settings: Any) -> Settings:
    return Settings(target="rtx", **settings)


def promised(artefact: Artefact, parsed: Parsed) -> None:
    """Names, types and the sides that are known of what goes in and comes out."""
    batch = artefact.batch or -1
    height, width = (-1, -1) if artefact.sizes else (artefact.height, artefact.width)
    kind = "UINT8" if artefact.input == "uint8" else "FLOAT"
    assert parsed.inputs == [Port("images", input_shape(artefact, (batch, height, width)), kind)]
    outputs = {port.name: port for port in parsed.outputs}
    assert all(port.kind == "FLOAT" and port.shape[0] == batch for port in outputs.values())
    if artefact.outputs == "heads":
        return
    if artefact.task == "classify":
        assert outputs.keys() == {"classes"} and outputs["classes"].shape[1] == artefact.classes
        return
    assert outputs.keys() - {"every_objectness", "uncertainties"} == {"boxes", "objectness", "classes"}
    assert outputs["boxes"].shape[2] == 4 and outputs["classes"].shape[2] == artefact.classes


def taken(path: Path, settings: Settings, *, build: bool = True, unread: bool = False) -> None:
    """The graph of a file as it is handed over is parsed, keeps its promises, and is built; of one whose answers do not
    depend on the picture (`unread`), the input is said to be unused."""
    artefact = read_artefact(path)
    profiles = planned(artefact, settings, str(path))
    parsed = Parsed(prepared(path, settings, profiles, typed=True))
    assert parsed.refused is None
    promised(artefact, parsed)
    assert not parsed.logger.errors and not parsed.logger.warnings, [*parsed.logger.errors, *parsed.logger.warnings]
    if build:
        assert parsed.build(shapes_of(artefact, profiles[-1])), list(parsed.logger.errors)
        said = [line for line in parsed.logger.warnings if not (unread and "images is unused" in line)]
        assert not said, said


def shapes_of(artefact: Artefact, profile: Profile) -> Shapes:
    least, best, most = (input_shape(artefact, sides) for sides in (profile.least, profile.best, profile.most))
    return {"images": (least, best, most)}


# ---------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_catalogue(name: str, tmp_path: Path) -> None:
    network, path = seeded(SHIPPED / f"{name}.cfg"), tmp_path / "m.onnx"
    export_onnx(network, path)
    for precision in ("fp32", "fp16"):
        taken(path, rtx(precision=precision))
    record = build_engine(path, settings=rtx(precision="fp16", any_size=read_artefact(path).sizes is not None))
    assert record == read_record(tmp_path / "m.engine") and read_plan(tmp_path / "m.engine", record)
    assert (record.target, record.precision, len(record.capabilities)) == ("rtx", "fp16", 6)
    export_onnx(network, path, input="uint8", sizes="fixed", batch=1)
    taken(path, rtx(precision="fp16"))
    export_onnx(network, path, outputs="heads")
    taken(path, rtx(precision="fp32"), build=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_int8_and_fp8(name: str, tmp_path: Path) -> None:
    network = seeded(SHIPPED / f"{name}.cfg")
    export_onnx(network, tmp_path / "m.onnx", outputs="boxes")
    if not quantizable(onnx.load(tmp_path / "m.onnx", load_external_data=False)):
        pytest.skip("no convolution between its first and its last")
    net = network.spec.net
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(net.channels, net.width, net.height, 1)], None)
    taken(tmp_path / "q.onnx", rtx(precision="int8"))
    build_engine(tmp_path / "q.onnx", tmp_path / "q.engine", settings=rtx(precision="fp8"))
    assert read_record(tmp_path / "q.engine").capabilities == ((8, 9), (12, 0), (12, 1))


@pytest.mark.parametrize("outputs", ["heads", "boxes", "detections"])
@pytest.mark.parametrize("input", ["float", "uint8"])
def test_forms_of_outputs(outputs: str, input: str, tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", outputs=outputs, input=input)  # type: ignore[arg-type]
    if outputs != "detections":
        taken(tmp_path / "m.onnx", rtx())
        return
    with pytest.raises(ExportError, match=r"has the suppression inside, .* export it with --outputs boxes"):
        build_engine(tmp_path / "m.onnx", settings=rtx())
    parsed = Parsed((tmp_path / "m.onnx").read_bytes())  # the refusal is right: it parses, and nothing can run it
    assert parsed.refused is None
    artefact = dataclasses.replace(read_artefact(tmp_path / "m.onnx"), outputs="boxes")
    assert parsed.build(shapes_of(artefact, planned(artefact, rtx(), "m")[0])) is None
    assert any("no runners" in line for line in parsed.logger.errors)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_split_head_with_a_tree_and_limited_candidates(precision: str, tmp_path: Path) -> None:
    ordered = sorted(range(4, 300), key=lambda i: i % 4)
    lines = [f"n{i} -1\n" for i in range(4)] + [f"n{i} {i % 4}\n" for i in ordered]
    (tmp_path / "its.tree").write_text("".join(lines))
    (tmp_path / "many.cfg").write_text(region(300, "softmax=1\ntree=its.tree"))
    export_onnx(seeded(tmp_path / "many.cfg"), tmp_path / "m.onnx", candidates=60)
    taken(tmp_path / "m.onnx", rtx(precision=precision, candidates=20))


HEADS = {
    "new_coords": (14, "[yolo]\nnew_coords=1\nscale_x_y=2\nnms_kind=diounms\n"),
    "scale_x_y": (14, "[yolo]\nscale_x_y=1.05\nnms_kind=greedynms\nbeta_nms=0.6\n"),
    "uncertainties": (22, "[Gaussian_yolo]\nyolo_point=left_top\nscale_x_y=1.1\n"),
}


@pytest.mark.parametrize("candidates", [0, 20])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", HEADS)
def test_the_forks_heads(name: str, precision: str, candidates: int, tmp_path: Path) -> None:
    filters, head = HEADS[name]
    layers = f"[conv]\nfilters={filters}\nsize=3\nstride=4\npad=1\nactivation=logistic\n{head}"
    (tmp_path / "m.cfg").write_text(
        f"[net]\nchannels=3\nheight=96\nwidth=96\n{layers}classes=2\nnum=2\nanchors=10,20,30,40\n"
    )
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx")
    taken(tmp_path / "m.onnx", rtx(precision=precision, candidates=candidates))


def test_a_mean_that_is_rounded(tmp_path: Path) -> None:
    export_onnx(small(SQUEEZE, (3, 32, 48)), tmp_path / "m.onnx", sizes="fixed")
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 48, 32, 2)], None)
    for precision in ("int8", "fp8"):
        taken(tmp_path / "q.onnx", rtx(precision=precision))


def test_profiles_are_those_that_were_asked_for(tmp_path: Path) -> None:
    export_onnx(seeded(SHIPPED / "yolov2-tiny-voc.cfg"), tmp_path / "m.onnx")
    settings = rtx(precision="fp16", sizes=((288, 288), (608, 416)), batches=(1, 64), any_size=True)
    record = build_engine(tmp_path / "m.onnx", settings=settings)
    assert sorted(profile.best for profile in record.profiles) == [
        (1, 288, 288), (1, 416, 416), (1, 416, 608), (64, 288, 288), (64, 416, 608),
    ]  # fmt: skip
    assert record.profiles[0].least != record.profiles[0].most  # a range first, so that the engine repeats


def test_it_builds_only_for_what_it_knows(tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx")
    record = build_engine(tmp_path / "m.onnx", settings=rtx(capabilities=((8, 9), (12, 0))))
    assert record.capabilities == ((8, 9), (12, 0)) and record.capability == (8, 9)
    for capability, precision in (((9, 0), "fp32"), ((10, 0), "fp32")):
        with pytest.raises(ExportError, match=r"^capabilities: TensorRT-RTX .* builds for 7\.5, 8\.0, 8\.6, 8\.9, 12"):
            build_engine(tmp_path / "m.onnx", settings=rtx(capabilities=(capability,), precision=precision))


# ------------------------------------------------------------------------------------------------------ layers


@pytest.mark.parametrize("sizes", [None, "fixed"])
@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_layer(name: str, sizes: Any, tmp_path: Path) -> None:
    network = small(CASES[name], (8 if "reorg" in name else 4, 12, 16))
    export_onnx(network, tmp_path / "m.onnx", outputs="heads", sizes=sizes, batch=2 if sizes else None)
    for precision in ("fp32", "fp16"):
        taken(tmp_path / "m.onnx", rtx(precision=precision), unread=name == "implicit alone")


# ---------------------------------------------------------------------------------------------------- refusals

FLOATS, IMAGE, NUMBER = (TensorProto.FLOAT, [2, 4]), (TensorProto.FLOAT, [1, 2, 8, 8]), (TensorProto.INT64, [1])
ZERO_TO_ONE = {"k": ([0], [0], [1])}
TENTH = np.float32(0.1)


def node(operator: str, *inputs: str, to: Sequence[str] = ("y",), name: str = "n", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), list(to), name, **attributes)


def graph_of(*nodes: onnx.NodeProto, inputs: Any = None, **constants: Any) -> onnx.ModelProto:
    """A graph of nodes from `x` to `y`; what is given beside are its constants."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    given = {"x": FLOATS} if inputs is None else inputs
    values = [helper.make_tensor_value_info(name, *form) for name, form in given.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", values, [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def rounded(scale: Any, *zero: Any) -> onnx.ModelProto:
    names, zeros = ("q", "s", "z")[: 2 + len(zero)], {"z": zero[0]} if zero else {}
    first = node("QuantizeLinear", "x", *names[1:], to=["q"])
    return graph_of(first, node("DequantizeLinear", *names, name="m"), s=scale, **zeros)


PARSER, BUILDER, STRICTER = "the parser refuses it", "the builder refuses it", "TensorRT 8.6 alone refuses it"

# fmt: off
REFUSED: dict[str, tuple[str, Any, onnx.ModelProto]] = {
    "TopK, K computed": (STRICTER, {"k": ([1], [2], [3])},
        graph_of(node("TopK", "x", "k", to=("y", "z")), inputs={"x": FLOATS, "k": NUMBER})),
    "TopK of 3841": (BUILDER, None,
        graph_of(node("TopK", "x", "c", to=("y", "z")), inputs={"x": (TensorProto.FLOAT, [2, 5000])}, c=[3841])),
    "TopK, not sorted": (STRICTER, None, graph_of(node("TopK", "x", "c", to=("y", "z"), sorted=0), c=[2])),
    "CumSum, axis computed": (BUILDER, {"k": ([0], [0], [1])},
        graph_of(node("CumSum", "x", "k"), inputs={"x": FLOATS, "k": (TensorProto.INT64, [])})),
    "ReduceSum, axes computed": (PARSER, ZERO_TO_ONE,
        graph_of(node("ReduceSum", "x", "k"), inputs={"x": FLOATS, "k": NUMBER})),
    "ScatterND, reduction": (PARSER, None,
        graph_of(node("ScatterND", "x", "c", "v", reduction="add"), c=[[0]], v=np.ones((1, 4), np.float32))),
    "Conv, kernel computed": (STRICTER, None,
        graph_of(node("Conv", "x", "w"), inputs={"x": IMAGE, "w": (TensorProto.FLOAT, [3, 2, 3, 3])})),
    "ConvTranspose, kernel computed": (STRICTER, None,
        graph_of(node("ConvTranspose", "x", "w"), inputs={"x": IMAGE, "w": (TensorProto.FLOAT, [2, 3, 3, 3])})),
    "Slice, axes computed": (STRICTER, ZERO_TO_ONE,
        graph_of(node("Slice", "x", "s", "e", "k"), inputs={"x": FLOATS, "k": NUMBER}, s=[0], e=[1])),
    "Squeeze, axes computed": (PARSER, ZERO_TO_ONE,
        graph_of(node("Squeeze", "x", "k"), inputs={"x": (TensorProto.FLOAT, [1, 1, 4]), "k": NUMBER})),
    "Unsqueeze, axes computed": (PARSER, ZERO_TO_ONE,
        graph_of(node("Unsqueeze", "x", "k"), inputs={"x": FLOATS, "k": NUMBER})),
    "Transpose of uint8": (PARSER, None,
        graph_of(node("Transpose", "x", to=["t"], perm=[0, 3, 1, 2]),
                 helper.make_node("Cast", ["t"], ["y"], "m", to=TensorProto.FLOAT),
                 inputs={"x": (TensorProto.UINT8, [1, 8, 8, 2])})),
    "Cast to double": (STRICTER, None,
        graph_of(helper.make_node("Cast", ["x"], ["t"], "n", to=TensorProto.DOUBLE),
                 helper.make_node("Cast", ["t"], ["y"], "m", to=TensorProto.FLOAT))),
    "Range of computed floats": (PARSER, None,
        graph_of(node("Range", "a", "b", "c"), c=np.float32(1),
                 inputs={"a": (TensorProto.FLOAT, []), "b": (TensorProto.FLOAT, [])})),
    "Resize, cubic": (STRICTER, None,
        graph_of(node("Resize", "x", "", "s", mode="cubic"), inputs={"x": IMAGE}, s=np.float32([1, 1, 2, 2]))),
    "Resize, tf_crop_and_resize": (PARSER, None,
        graph_of(node("Resize", "x", "r", "s", mode="linear", coordinate_transformation_mode="tf_crop_and_resize"),
                 inputs={"x": IMAGE}, r=np.float32([0, 0, 0, 0, 1, 1, 1, 1]), s=np.float32([1, 1, 2, 2]))),
    "an operator that we do not use": (STRICTER, None, graph_of(node("Einsum", "x", equation="ij->ji"))),
    "a constant of doubles": (STRICTER, None,
        graph_of(helper.make_node("Cast", ["c"], ["t"], "n", to=TensorProto.FLOAT), node("Add", "x", "t", name="m"),
                 c=np.float64(1))),
    "MaxPool with indices": (PARSER, None,
        graph_of(node("MaxPool", "x", to=["y", "i"], kernel_shape=[2, 2], strides=[2, 2]), inputs={"x": IMAGE})),
    "QuantizeLinear to uint8": (STRICTER, None, rounded(TENTH, np.uint8(0))),
    "QuantizeLinear without a zero point": (STRICTER, None, rounded(TENTH)),
    "QuantizeLinear with zero point 3": (PARSER, None, rounded(TENTH, np.int8(3))),
    "QuantizeLinear with a scale of 0": (PARSER, None, rounded(np.float32(0), np.int8(0))),
}
"""What `parser_checks` refuses → whether TensorRT-RTX does too, profiles of inputs that are shapes, a smallest
graph."""
# fmt: on


@pytest.mark.parametrize("form", REFUSED)
def test_what_we_refuse(form: str) -> None:
    who, shapes, model = REFUSED[form]
    assert problems(model)
    parsed = Parsed(model.SerializeToString())
    if who == PARSER:
        assert parsed.refused
        return
    assert parsed.refused is None
    assert (parsed.build(shapes) is None) == (who == BUILDER), list(parsed.logger.errors)


@pytest.mark.parametrize(
    "model",
    [
        graph_of(node("TopK", "x", "c", to=("y", "z")), inputs={"x": (TensorProto.FLOAT, [2, 5000])}, c=[3840]),
        rounded(TENTH, np.int8(0)),
        graph_of(node("ReduceSum", "x", "c"), c=[1]),
        graph_of(node("Slice", "x", "s", "e", "c"), s=[0], e=[2**31 - 1], c=[1]),
    ],
)
def test_what_we_let_pass(model: onnx.ModelProto) -> None:
    assert problems(model) == []
    parsed = Parsed(model.SerializeToString())
    assert parsed.refused is None and parsed.build() and not parsed.logger.errors


def test_the_reason_is_told_while_something_else_of_the_library_lives(tmp_path: Path) -> None:
    """TensorRT goes on with the logger that it was given first."""
    (tmp_path / "m.cfg").write_text(region(4))
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", outputs="detections")
    other = Parsed((tmp_path / "m.onnx").read_bytes())
    artefact = dataclasses.replace(read_artefact(tmp_path / "m.onnx"), outputs="boxes")
    build = EngineBuild(artefact, rtx(), planned(artefact, rtx(), "m"))
    with pytest.raises(ExportError, match=r"cannot build it: .*no runners"):
        build.run(other.trt, (tmp_path / "m.onnx").read_bytes())
