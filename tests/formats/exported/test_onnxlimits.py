"""What an ONNX file from a stranger may not ask for: each refused by its name, before a runtime sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.formats.exported.onnxlimits import expect_modest

ENDING = r": no file that `export` writes does; it is not given to a runtime$"


def model(nodes: list[onnx.NodeProto], initializers: list[TensorProto] = [], **more: object) -> onnx.ModelProto:  # noqa: B006
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)


def identity() -> onnx.NodeProto:
    return helper.make_node("Identity", ["x"], ["y"])


def constant(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def loop() -> onnx.ModelProto:
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["c2"])], "b", [], [])
    return model([helper.make_node("Loop", ["n", "c"], ["y"], body=body)])


def branch(operator: str) -> onnx.ModelProto:
    inner = helper.make_graph([identity()], "b", [], [])
    return model([helper.make_node(operator, ["x"], ["y"], then_branch=inner, else_branch=inner)])


def external(location: str) -> onnx.ModelProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return model([identity()], [tensor])


def claiming(*dims: int) -> onnx.ModelProto:
    return model([identity()], [TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(16))])


def functions() -> onnx.ModelProto:
    function = helper.make_function("d", "f", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [])
    return model([identity()], functions=[function])


def shaped(operator: str, place: int, *shape: int, typed: bool = False) -> onnx.ModelProto:
    inputs = ["x"] * place + ["s"]
    made = constant("s", *shape)
    if typed:
        made = helper.make_tensor("s", TensorProto.INT64, [len(shape)], shape)
    return model([helper.make_node(operator, inputs, ["y"])], [made])


def by_node(operator: str, place: int, *shape: int) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["s"], value=constant("", *shape))
    return model([node, helper.make_node(operator, ["x"] * place + ["s"], ["y"])])


HUGE = 1 << 20
REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "a loop": (loop, "has a Loop"),
    "a branch": (lambda: branch("If"), "has a If"),
    "a graph in another operator": (lambda: branch("Mystery"), "has a graph inside 'Mystery'"),
    "functions": (functions, "has functions of its own"),
    "data elsewhere": (
        lambda: external("../../etc/passwd"),
        r"has data in '../../etc/passwd', which is no file beside it",
    ),
    "data at the root": (lambda: external("/etc/passwd"), "has data in '/etc/passwd'"),
    "data nowhere": (lambda: external(""), "has data in ''"),
    "data in the folder above": (lambda: external(".."), r"has data in '\.\.'"),
    "data by a link": (lambda: external("link.data"), "has data in 'link.data'"),
    "a tensor that claims much": (lambda: claiming(HUGE, HUGE), r"has a tensor of \[1048576, 1048576\] in "),
    "a negative tensor": (lambda: claiming(-1, 4), r"has a tensor of \[-1, 4\]"),
    "a constant of any shape": (lambda: shaped("ConstantOfShape", 0, HUGE, HUGE), r"has a ConstantOfShape of \["),
    "the same, typed": (lambda: shaped("ConstantOfShape", 0, HUGE, HUGE, typed=True), "has a ConstantOfShape of"),
    "the same by a node": (lambda: by_node("Expand", 1, HUGE, HUGE), "has a Expand of"),
    "tiles": (lambda: shaped("Tile", 1, 1 << 40), "has a Tile of"),
    "a resize": (lambda: shaped("Resize", 3, 1, 1, HUGE, HUGE), "has a Resize of"),
    "padding": (lambda: shaped("Pad", 1, 0, 0, 0, 0, 0, 0, HUGE, HUGE), "has a Pad of"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    make, message = REFUSED[what]
    path = tmp_path / "m.onnx"
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "link.data").symlink_to(tmp_path / "secret")
    path.write_bytes(make().SerializeToString())
    with pytest.raises(BackendError, match=r"m\.onnx: " + message) as caught:
        read_top(path)
    assert str(caught.value).endswith("no file that `export` writes does; it is not given to a runtime")


@pytest.mark.parametrize(
    "make",
    [
        lambda: model([identity()], [numpy_helper.from_array(np.zeros((300, 300), np.float32), "w")]),
        lambda: model([identity()], [helper.make_tensor("w", TensorProto.FLOAT, [3], [1, 2, 3])]),
        lambda: model([identity()], [helper.make_tensor("w", TensorProto.INT32, [900], [0] * 900)]),
        lambda: model([identity()], [numpy_helper.from_array(np.zeros(0, np.float32), "w")]),
        lambda: external("m.onnx.data"),
        lambda: external("another name.bin"),
        lambda: shaped("Expand", 1, 1, 3, 608, 608),
        lambda: shaped("Slice", 2, (1 << 63) - 1),
        lambda: shaped("Reshape", 1, 0, -1, HUGE, HUGE),
    ],
)
def test_what_is_not(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(make().SerializeToString())
    assert read_top(path).opset == 17


def test_damaged_models_have_an_answer_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    whole = shaped("Expand", 1, 1, 3, 4, 4).SerializeToString()
    refused = 0
    for number in range(1500):
        random, data = Random(number), bytearray(whole)
        for _ in range(random.choice([1, 1, 2, 4])):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data[: random.choice([len(data), random.randrange(len(data))])])
        try:
            expect_modest(path)
        except BackendError as error:
            assert str(error).isprintable() and len(str(error)) < 1000, error
            refused += 1
    assert 100 < refused < 1500
