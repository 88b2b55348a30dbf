"""Every layer's output, and every head's boxes, as the running fork has them."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition import spec as s
from darknet_compat.network import fork
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from tests.network import golden
from tests.network.golden import FOLDER, TOLERANCE, Case, cases_with, deviation


@cases_with("weights")
def test_every_layer_is_the_forks(name: str, tmp_path: Path) -> None:
    case = golden.load(name, tmp_path)
    if not case.answers["fold"]:  # as parsed: what counts for next to nothing counts for nothing
        for module in case.network.modules():
            if isinstance(module, fork.Sum):
                module.train()
    outputs = case.network.layer_outputs(torch.from_numpy(case.images))
    apart = {
        layer.type: deviation(outputs[index].numpy().ravel(), expected)
        for index, expected in case.layers().items()
        if not isinstance(layer := case.spec.layers[index], s.Region)  # whose memory the fork lays out otherwise
    }
    print(f"{name}: {max(apart.values(), default=0):.2g} of the layer's largest value")
    assert apart and all(one <= TOLERANCE for one in apart.values()), apart


FAULTS = {
    **{f"activation_layer_{name}": 1 for name in ("mish", "swish", "hard_mish", "relu6", "normalize_channels")},
    "conv_act_relu6": 0,
    **{f"connected_act_{name}": 1 for name in ("mish", "swish")},
    **{f"scale_channels_{name}": 3 for name in ("swish", "mish", "hard_mish", "relu6")},
    **{f"sam_{name}": 2 for name in ("swish", "mish")},
    "shortcut_act_hard_mish": 2,
}
"""Cases whose activation the fork's CPU build lacks, which puts out zeros → the layer."""

OTHERWISE = {
    "binary_conv": ("binary=1", "", "its CPU build passes over binary"),
    "conv_lstm_bn_leaky": ("lstm_activation=leaky", "", "its CPU build takes tanh whatever lstm_activation says"),
    "conv_act_silu": ("activation=silu", "activation=relu", "it does not know PyTorch's word and takes it for relu"),
}
"""Cases that the fork computes as if other words stood there: which, in place of which, and why."""


def test_every_difference_is_accounted_for() -> None:
    if not golden.INDEX:
        pytest.skip("no ../shared/data")
    at_fault = {name for name, case in golden.INDEX.items() if case["cpu_fault"]}
    assert at_fault | golden.ANSWERS_OTHERWISE.keys() == FAULTS.keys() | OTHERWISE.keys()


def expect_the_forks(case: Case, outputs: list[torch.Tensor]) -> None:
    layers = case.layers()
    assert layers
    for index, expected in layers.items():
        assert deviation(outputs[index].numpy().ravel(), expected) <= TOLERANCE, index


@pytest.mark.parametrize("name", OTHERWISE)
def test_with_other_words_the_answer_is_the_forks(name: str, tmp_path: Path, shared_data: Path) -> None:
    """So that nothing else differs there; what these words mean here is held against formulas in test_fork."""
    written, meant, _ = OTHERWISE[name]
    case = golden.load(name, tmp_path, lambda text: text.replace(written, meant))
    expect_the_forks(case, case.network.layer_outputs(torch.from_numpy(case.images)))
    ours = golden.load(name, tmp_path)
    outputs = ours.network.layer_outputs(torch.from_numpy(ours.images))
    assert max(deviation(outputs[at].numpy().ravel(), value) for at, value in ours.layers().items()) > 0.01


@pytest.mark.parametrize("name", FAULTS)
def test_zeros_for_a_missing_activation_are_the_forks_only_fault(name: str, tmp_path: Path, shared_data: Path) -> None:
    """Put in our layer's place they give the fork's answers; the layer itself gives what the formula says."""
    case, at = golden.load(name, tmp_path), FAULTS[name]
    activation = case.spec.layers[at].activation  # type: ignore[attr-defined]
    plain = golden.load(name, tmp_path, lambda text: text.replace(f"activation={activation}", "activation=linear"))
    images = torch.from_numpy(case.images)
    before, after = (one.network.layer_outputs(images)[at].double() for one in (plain, case))
    assert deviation(after.numpy(), FORMULAS[activation](before).numpy()) <= 1e-6
    assert not case.layers()[at].any()
    case.network.layers[at].register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    expect_the_forks(case, case.network.layer_outputs(images))


FORMULAS = {
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))),
    "swish": lambda x: x / (1 + torch.exp(-x)),
    "hard_mish": lambda x: torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, 0)),
    "relu6": lambda x: x.clamp(0, 6),
    "normalize_channels": lambda x: x.clamp_min(0) / (1e-4 + x.clamp_min(0).sum(1, keepdim=True)),
}


def boxes(case: Case) -> NDArray[np.float32]:
    """All heads' candidates [N, 5 + classes] as the fork lists them: centre, size, objectness, scores above thresh."""
    thresh, size = float(case.answers["thresh"]), (case.images.shape[3], case.images.shape[2])
    parts = []
    with torch.no_grad():
        heads = zip(case.spec.heads, case.network.activated(case.network(torch.from_numpy(case.images))), strict=True)
        for head, activated in heads:
            if head.detects:
                found = case.network.layers[head.index].boxes(activated, size)  # type: ignore[operator]
                xywh, objectness, classes = (value[0].numpy() for value in found)
                scores = objectness[:, None] * classes
                kept = np.full(len(xywh), True) if isinstance(head, s.Region) else objectness > thresh
                objectness = np.ones_like(objectness) if isinstance(head, s.Region) else objectness
                columns = [xywh, objectness[:, None], np.where(scores > thresh, scores, 0)]
                rows = np.concatenate(columns, 1)[kept]
                if isinstance(head, s.Region):  # ours come anchor by anchor, the fork's cell by cell
                    rows = rows.reshape(head.num, -1, rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)
                parts.append(rows)
    return np.concatenate(parts)


@cases_with("boxes_before_nms")
def test_every_box_is_the_forks(name: str, tmp_path: Path) -> None:
    case = golden.load(name, tmp_path)
    if case.spec.tree is not None:
        pytest.skip("the boxes of a tree are chosen elsewhere")
    expected, found = case.answers["boxes_before_nms"].copy(), boxes(case)
    if name.startswith("letter_"):
        height, width = case.answers["picture"].shape[1:]
        expected[:, :4] = in_letterbox(expected[:, :4], (width, height), case.images.shape[3:1:-1])
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= 1e-4 * np.maximum(np.abs(expected), 1)).all()


def in_letterbox(xywh: NDArray[np.float32], picture: tuple[int, int], network: tuple[int, ...]) -> NDArray[np.float32]:
    """Fractions of a picture → of the network's input that it was letterboxed into (FORK: 5.3)."""
    (width, height), (w, h) = picture, network
    new = (w, height * w // width) if w / width < h / height else (width * h // height, h)
    part = np.array(new) / (w, h)
    return np.concatenate([xywh[:, :2] * part + (1 - part) / 2, xywh[:, 2:] * part], 1)


@cases_with("uc_before_nms")
def test_uncertainties_are_given_out(name: str, tmp_path: Path) -> None:
    case = golden.load(name, tmp_path)
    head = case.spec.heads[-1]
    with torch.no_grad():
        (activated,) = case.network.activated(case.network(torch.from_numpy(case.images)))
    found = case.network.layers[head.index].uncertainties(activated)[0].numpy()  # type: ignore[operator]
    size = (case.images.shape[3], case.images.shape[2])
    objectness = case.network.layers[head.index].boxes(activated, size).objectness[0].numpy()  # type: ignore[operator]
    expected = case.answers["uc_before_nms"]
    assert deviation(found[objectness > case.answers["thresh"]], expected) <= TOLERANCE


FULL = sorted(path.stem for path in FOLDER.glob("full_*.npz"))
each_network = pytest.mark.parametrize("name", FULL or [pytest.param("", marks=pytest.mark.skip("no ../shared/data"))])


def load_published(name: str, folder: Path) -> tuple[Network, NDArray[np.float32], dict[str, NDArray[Any]]]:
    """A published network with weights from a seed, in `folder`; its picture [1, C, H, W], and the fork's answers."""
    seeded = runpy.run_path(str(FOLDER / "seeded_weights.py"))
    with np.load(FOLDER / f"{name}.npz") as stored:
        answers = dict(stored)
    wild = FOLDER.parent / "wild"
    (cfg,) = (path for path in wild.glob(f"*-{answers['cfg']}") if int(path.name[:3]) <= 103)
    seeded["write"](str(folder / "m.weights"), answers)
    _, height, width = answers["input_shape"].tolist()
    network = load_network(cfg, folder / "m.weights", size=(width, height), dialect="fork")
    return network, seeded["picture"](answers)[None], answers


@pytest.mark.slow
@each_network
def test_published_networks_are_the_forks(name: str, tmp_path: Path) -> None:
    network, picture, answers = load_published(name, tmp_path)
    outputs = network.layer_outputs(torch.from_numpy(picture))
    for layer, output, index, samples, (_, _, most, least) in zip(
        network.spec.layers, outputs, answers["sample_index"], answers["samples"], answers["stats"], strict=True
    ):
        if not (layer.silent or layer.answers):
            largest = max(abs(most), abs(least), 1e-12)
            assert np.abs(output.numpy().ravel()[index] - samples).max() <= TOLERANCE * largest, layer
    for head in network.spec.heads:
        expected = answers[f"head_{head.index:03d}"]
        assert deviation(outputs[head.index].numpy().ravel()[::3], expected) <= TOLERANCE
    save_weights(network, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == (tmp_path / "m.weights").read_bytes()
    shutil.rmtree(tmp_path)
