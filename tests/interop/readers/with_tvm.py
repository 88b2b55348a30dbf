"""Apache TVM: its ONNX importer, compiled for the processor, with the size of the pictures."""

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def read(model, images, work):
    graph = onnx.load(str(model))
    names = [output.name for output in graph.graph.output]
    module = from_onnx(graph, shape_dict={"images": list(images.shape)}, keep_params_in_input=False)
    module = relax.transform.DecomposeOpsForInference()(module)
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(images))
    found = [found] if len(names) == 1 and not hasattr(found, "__len__") else list(found)
    return {name: value.numpy() for name, value in zip(names, found, strict=True)}, f"TVM {tvm.__version__}"
