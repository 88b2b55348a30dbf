"""Every kind of layer, exported by itself, against its module."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import onnx
import pytest

from darknet_compat.definition import spec as s
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.layers import EMIT
from darknet_compat.network.network import MODULES
from tests.export.support import assert_raw_same, assert_well_made, pictures, small

CONV = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=linear\n"
VALID = "[convolutional]\nfilters=4\nsize=3\nstride=1\nactivation=linear\n"
UP = "[upsample]\nstride=2\n"

CASES = {
    "convolutional": "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=leaky",
    "convolutional even size": "[convolutional]\nfilters=6\nsize=2\nstride=1\npadding=1\nactivation=leaky",
    "convolutional groups": "[convolutional]\nfilters=6\nsize=3\ngroups=2\npad=1\nbatch_normalize=1\nactivation=leaky",
    "convolutional binary": "[convolutional]\nfilters=6\nsize=3\npad=1\nbinary=1\nbatch_normalize=1\nactivation=leaky",
    "convolutional xnor": "[convolutional]\nfilters=6\nsize=3\npad=1\nxnor=1\nbatch_normalize=1\nactivation=leaky",
    "convolutional 1x1 strided": CONV.format(6, 1, 1)
    + "[convolutional]\nfilters=5\nstride=3\npadding=1\nactivation=relu",
    "deconvolutional": "[deconvolutional]\nfilters=6\nsize=4\nstride=2\npadding=1\nbatch_normalize=1\nactivation=relu",
    "connected": "[connected]\noutput=7\nactivation=relu\n[connected]\noutput=5\nbatch_normalize=1\nactivation=leaky",
    "local": "[local]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky",
    "local unpadded": "[local]\nfilters=5\nsize=2\nstride=1\npad=0\nactivation=logistic",
    "local over channels": "[local]\nfilters=3\nsize=3\npad=1\nactivation=normalize_channels",
    "batchnorm": "[batchnorm]",
    "maxpool": "[maxpool]\nsize=2\nstride=2",
    "maxpool stride 1": "[maxpool]\nsize=2\nstride=1",
    "maxpool 3": "[maxpool]\nsize=3\nstride=2",
    "maxpool padded": "[maxpool]\nsize=2\nstride=2\npadding=4",
    "avgpool": "[avgpool]",
    "dropout": "[dropout]\nprobability=.5",
    "crop": "[crop]\ncrop_width=8\ncrop_height=6\nflip=1",
    "crop noadjust": "[crop]\ncrop_width=8\ncrop_height=6\nnoadjust=1",
    "normalization": "[normalization]\nsize=3\nalpha=.1\nbeta=.75\nkappa=1",
    "normalization wide": "[normalization]\nsize=8\nalpha=.1\nbeta=.75\nkappa=1",
    "l2norm": "[l2norm]",
    "route": CONV.format(3, 3, 1) + CONV.format(5, 3, 1) + "[route]\nlayers=-1,-2",
    "route groups": CONV.format(8, 3, 1) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1",
    "shortcut": CONV.format(4, 3, 1) + CONV.format(4, 3, 1) + "[shortcut]\nfrom=-2\nactivation=leaky",
    "shortcut strided": CONV.format(4, 3, 1) + CONV.format(6, 3, 2) + "[shortcut]\nfrom=-2\nactivation=leaky",
    "shortcut fewer channels": CONV.format(6, 3, 1) + CONV.format(4, 3, 1) + "[shortcut]\nfrom=-2\nactivation=linear",
    "shortcut scaled": CONV.format(4, 3, 1)
    + CONV.format(6, 3, 1)
    + "[shortcut]\nfrom=-2\nalpha=.5\nbeta=2\nactivation=linear",
    "shortcut cut": CONV.format(4, 3, 1) + VALID + "[shortcut]\nfrom=-2\nactivation=leaky",
    "shortcut strided and cut": CONV.format(4, 3, 1)
    + VALID.replace("stride=1", "stride=2")
    + "[shortcut]\nfrom=-2\nactivation=linear",
    "shortcut sampled": CONV.format(4, 3, 2) + UP + "[shortcut]\nfrom=0\nactivation=leaky",
    "shortcut sampled, scaled": CONV.format(6, 3, 2)
    + UP
    + CONV.format(4, 3, 1)
    + "[shortcut]\nfrom=0\nalpha=.5\nbeta=2\nactivation=linear",
    "shortcut sampled and cut": CONV.format(4, 3, 2)
    + UP
    + "[convolutional]\nfilters=6\nsize=2\npadding=1\nactivation=linear\n"
    + "[shortcut]\nfrom=0\nactivation=linear",
    "shortcut onto a corner": VALID
    + "[deconvolutional]\nfilters=4\nsize=3\nstride=1\nactivation=relu\n"
    + "[shortcut]\nfrom=0\nalpha=.5\nactivation=linear",
    "upsample": "[upsample]\nstride=2\nscale=.5",
    "upsample reverse": "[upsample]\nstride=-2",
    "reorg": "[reorg]\nstride=2",
    "reorg reverse": "[reorg]\nstride=2\nreverse=1",
    "reorg flatten": "[reorg]\nstride=2\nflatten=1",
    "reorg flatten reverse": "[reorg]\nstride=2\nflatten=1\nreverse=1",
    "reorg extra": "[reorg]\nstride=2\nextra=3",
    "dilation": "[convolutional]\nfilters=6\nsize=3\npad=1\ndilation=2\nstride=2\nbatch_normalize=1\nactivation=mish",
    "strides": "[convolutional]\nfilters=6\nsize=3\npad=1\nstride_x=2\nactivation=swish\n[maxpool]\nsize=3\nstride_y=2",
    "antialiasing": CONV.format(6, 3, 2) + "antialiasing=1\n[maxpool]\nsize=2\nstride=2\nantialiasing=2",
    "share_index": CONV.format(4, 3, 1) + "batch_normalize=1\n" + CONV.format(4, 3, 1) + "share_index=0",
    "xnor of the fork": CONV.format(6, 3, 1) + "xnor=1\n[empty]",
    "batchnorm of the fork": "[batchnorm]\n[silence]",
    "maxpool_depth": "[maxpool]\nmaxpool_depth=1\nout_channels=3",
    "local_avgpool": "[local_avgpool]\nsize=3\nstride=2",
    "local_avgpool even": "[local_avgpool]\nsize=2\nstride=1",
    "sum": 2 * CONV.format(4, 3, 1)
    + CONV.format(6, 3, 1)
    + "[route]\nlayers=0\n[shortcut]\nfrom=-2,1\nactivation=leaky",
    "sum of shares": 2 * CONV.format(4, 3, 1)
    + "[shortcut]\nfrom=0\nweights_type=per_channel\nweights_normalization=relu\nactivation=linear",
    "sum of two shares": 2 * CONV.format(4, 3, 1)
    + "[shortcut]\nfrom=0,0\nweights_type=per_feature\nweights_normalization=softmax\nactivation=linear",
    "flat shortcut": CONV.format(4, 3, 2) + UP + "[shortcut]\nfrom=0,-1\nactivation=linear",
    "flat shortcut, larger": CONV.format(4, 3, 1) + CONV.format(4, 3, 2) + "[shortcut]\nfrom=0,0\nactivation=linear",
    "scale_channels": CONV.format(4, 3, 1) + "[avgpool]\n[scale_channels]\nfrom=0\nactivation=logistic",
    "scale_wh": CONV.format(4, 3, 1) + CONV.format(1, 1, 1) + "[scale_channels]\nfrom=0\nscale_wh=1",
    "sam": 2 * CONV.format(4, 3, 1) + "[sam]\nfrom=0\nactivation=leaky",
    "implicit": CONV.format(4, 3, 1) + "[implicit]\nfilters=4\n[scale_channels]\nfrom=0",
    "implicit alone": CONV.format(4, 3, 1) + "[implicit]\nfilters=3\natoms=2",
    "shift_channels": CONV.format(4, 3, 1) + "[implicit_add]\nfilters=4\n[route]\nlayers=0\n[shift_channels]\nfrom=1",
    "control_channels": CONV.format(4, 3, 1)
    + "[implicit_mul]\nfilters=4\n[route]\nlayers=0\n[control_channels]\nfrom=1",
    "reorg3d": "[reorg3d]\nstride=2",
    "reorg3d reverse": CONV.format(16, 3, 1) + "[reorg3d]\nstride=2\nreverse=1",
    "history": "[history]\nhistory_size=3",
} | {f"activation {name}": f"[activation]\nactivation={name}" for name in get_args(s.ActivationName)}

FREE = 4, 12  # channels, side: what all strides above divide


@pytest.mark.parametrize("name", CASES)
def test_a_layer_gives_what_its_module_gives(name: str, tmp_path: Path) -> None:
    shape = (8 if "reorg" in name else FREE[0], FREE[1], FREE[1] + 4)
    network = small(CASES[name], shape)
    path = tmp_path / "layer.onnx"
    artefact = export_onnx(network, path, outputs="heads", sizes="fixed" if shape[1] % 4 else None)
    images = 8 * pictures(shape[0], shape[2], shape[1]) - 4
    engines = ("onnxruntime", "openvino")
    assert_raw_same(network, path, images, engines)
    assert_well_made(path, len(network.spec.layers))
    if artefact.sizes is not None:
        assert_raw_same(network, path, 8 * pictures(shape[0], 20, 16, 1) - 4, engines)


def test_every_kind_of_layer_is_held_against_its_module() -> None:
    assert set(EMIT) == {kind for kind in MODULES if not (kind.answers or kind.recurrent or kind.silent)}
    exported = {
        type(layer)
        for name, text in CASES.items()
        for layer in small(text, (4, 12, 16) if "reorg" not in name else (8, 12, 16)).spec.layers
    }
    assert exported == set(EMIT)


@pytest.mark.parametrize("build", ["cuda", "cpu"])
def test_batch_normalization_is_folded_as_the_build_has_it(build: str, tmp_path: Path) -> None:
    layers = "[convolutional]\nfilters=6\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n[batchnorm]"
    network = small(layers, (3, 12, 12), batchnorm="cpu" if build == "cpu" else "cuda")
    export_onnx(network, tmp_path / "m.onnx", outputs="heads")
    model = assert_well_made(tmp_path / "m.onnx", 2)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert_raw_same(network, tmp_path / "m.onnx", pictures(3, 12, 12))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[lstm]\noutput=4\n", r"layer 0 \[lstm\] is recurrent; only feed-forward networks can be exported"),
        ("[softmax]\n[connected]\noutput=3\n", r"layer 0 \[softmax\] is a head that other layers read"),
        ("[connected]\noutput=3\n", "reads 6 values; only networks that read pictures can be exported"),
        ("[cost]\n", r"has no layer but \[cost\], which gives nothing to export"),
    ],
)
def test_what_cannot_be_exported_is_named_before_any_work(layers: str, message: str, tmp_path: Path) -> None:
    network = small(layers, (6,) if "reads 6" in message else (3, 4, 4))
    with pytest.raises(ExportError, match=message) as caught:
        export_onnx(network, tmp_path / "m.onnx", outputs="heads")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", ["", "reverse=1", "flatten=1", "reverse=1\nflatten=1"])
def test_reorg_permutes_five_axes_at_most(options: str, tmp_path: Path) -> None:
    """ncnn permutes no more, and YOLOv2 has one."""
    network = small(f"[reorg]\nstride=2\n{options}\n", (16, 8, 6))
    export_onnx(network, tmp_path / "m.onnx", outputs="heads")
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    axes = [len(a.ints) for node in nodes if node.op_type == "Transpose" for a in node.attribute if a.name == "perm"]
    assert axes and max(axes) <= 5
    assert_raw_same(network, tmp_path / "m.onnx", pictures(16, 6, 8))
