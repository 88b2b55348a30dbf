"""The torch runtime: what it says of a network, what it answers, and that the split head answers the same."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec, lower
from darknet_compat.errors import BackendError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import format_tree
from darknet_compat.heads import answers
from darknet_compat.inference.hierarchy import top_nodes
from darknet_compat.network.network import Network
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.described import describe
from darknet_compat.runtime.torch import TorchRuntime
from tests.heads.test_tree import random_tree
from tests.inference.support import classifier, region, trunk, yolov1

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]
TWO_HEADS = (
    trunk(14)
    + "[yolo]\nclasses=2\nnum=2\nanchors=10,20,30,40\n"
    + "[route]\nlayers=-3\n[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    + "[yolo]\nclasses=2\nnum=3\nmask=2\nanchors=10,20,30,40,50,60\n"
)


def made(text: str, seed: int = 0, folder: Path | None = None) -> Network:
    """A seeded network of a cfg's text."""
    network = Network(lower(parse_cfg(text), [folder] if folder else None)).eval()
    seed_weights(network, seed)
    return network


def images(count: int = 2, seed: int = 0, size: tuple[int, int, int] = (3, 64, 96)) -> Floats:
    return np.random.default_rng(seed).random((count, *size), np.float32)


GAUSSIAN = trunk(11) + "[Gaussian_yolo]\nclasses=2\nnum=1\nanchors=10,20\n"


@pytest.mark.parametrize(
    "text", [region(14), yolov1(), TWO_HEADS, GAUSSIAN], ids=["region", "detection", "yolo", "gaussian"]
)
def test_every_kind_of_head_that_detects_gives_boxes(text: str) -> None:
    network = made(text)
    found = TorchRuntime(network).infer(images(1))
    assert found["boxes"].shape[2] == 4 and found["classes"].shape[1] == found["boxes"].shape[1] > 0


# --------------------------------------------------------------------------------------------------- what it says of it


def test_a_description_says_how_a_network_is_used() -> None:
    found = describe(load_spec(cfg_dir() / "yolo9000.cfg"))
    assert (found.task, found.width, found.height, found.channels, found.classes) == ("detect", 544, 544, 3, 9418)
    assert found.resize == "letterbox" and found.tree is not None and len(found.tree) == 9418
    assert found.map is not None and len(found.map) == 80
    found = describe(load_spec(cfg_dir() / "darknet19.cfg"), precision="fp16", resize="stretch")
    assert (found.task, found.classes, found.tree, found.map) == ("classify", 1000, None, None)
    assert (found.precision, found.resize) == ("fp16", "stretch")
    assert describe(load_spec(cfg_dir() / "yolov1.cfg")).resize == "stretch"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[net]\ninputs=12\n[softmax]\n", "neither detects nor classifies pictures"),
        (trunk(4), "neither detects nor classifies pictures"),
        (trunk(6) + "[iseg]\nclasses=2\nids=4\n", "neither detects nor classifies pictures"),
        (classifier(4, channels=4), "reads 4 channels, but pictures have 3, or 1 if grey"),
        (region(4) + "[softmax]\n", "both detects and classifies"),
        (
            TWO_HEADS.replace("filters=7", "filters=14").replace("2\nnum=3", "9\nnum=3"),
            "its heads have 2 and 9 classes",
        ),
        (
            "[net]\nwidth=4\nheight=4\nchannels=3\ntime_steps=2\n[rnn]\noutput=8\nhidden=8\n[softmax]\n",
            "reads sequences, not single pictures",
        ),
    ],
)
def test_networks_that_answer_no_pictures(text: str, message: str) -> None:
    spec = lower(parse_cfg(text))
    with pytest.raises(BackendError, match=f"{re.escape(message)}; use load_network and layer_outputs$"):
        describe(spec)
    with pytest.raises(BackendError, match=re.escape(message)):
        TorchRuntime(Network(spec))


def test_precisions_that_torch_has_not() -> None:
    with pytest.raises(BackendError, match=r"^torch runs in fp32, bf16, fp16, not in int8$"):
        TorchRuntime(made(region(4)), precision="int8")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ what it answers


@pytest.mark.parametrize(
    ("text", "candidates", "classes"),
    [(region(4), 3 * 4 * 6, 4), (TWO_HEADS, 2 * 4 * 6 + 4 * 6, 2), (yolov1(), 2 * 9, 4)],
)
def test_a_detectors_answer_is_its_heads(text: str, candidates: int, classes: int) -> None:
    network = made(text)
    found = TorchRuntime(network, device="cpu").infer(images())
    assert {name: array.shape for name, array in found.items()} == {
        "boxes": (2, candidates, 4),
        "objectness": (2, candidates),
        "classes": (2, candidates, classes),
        "dropped": (2,),
    }
    assert all(array.dtype == np.float32 for array in found.values())
    with torch.no_grad():
        activated = network.activated(network(torch.from_numpy(images())))
    parts = [
        network.layers[head.index].boxes(x, (96, 64)) for head, x in zip(network.spec.heads, activated, strict=True)
    ]
    for name, field in (("boxes", "xywh"), ("objectness", "objectness"), ("classes", "classes")):
        expected = torch.cat([getattr(part, field) for part in parts], 1)
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


def test_a_classifiers_answer_is_its_last_head() -> None:
    network = made(classifier(7))
    found = TorchRuntime(network, device="cpu").infer(images())
    assert list(found) == ["classes"]
    assert found["classes"].shape == (2, 7)
    np.testing.assert_allclose(found["classes"].sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found["classes"], network.layer_outputs(torch.from_numpy(images()))[-1], atol=1e-5)


def test_the_network_is_left_as_it_was() -> None:
    normalized = region(4).replace("[convolutional]", "[convolutional]\nbatch_normalize=1", 1)
    network = made(normalized.replace("[maxpool]", "[dropout]\n[maxpool]")).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answers = []
    for precision in ("fp32", "fp16", "bf16"):
        copied = TorchRuntime(network, precision=precision, device="cpu")  # type: ignore[arg-type]
        answers.append(copied.infer(images())["objectness"])
        for parameter in copied.network.parameters():
            parameter.data.zero_()
    assert network.training
    assert network.state_dict().keys() == before.keys()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    evaluated = TorchRuntime(network.eval(), device="cpu")
    np.testing.assert_array_equal(evaluated.infer(images())["objectness"], answers[0])


@pytest.mark.parametrize(("precision", "allowed"), [("fp16", 3e-3), ("bf16", 3e-2)])
@pytest.mark.parametrize("text", [region(4), TWO_HEADS, yolov1(), classifier(7)], ids=["v2", "v3", "v1", "classes"])
def test_lower_precisions_stay_near(text: str, precision: str, allowed: float) -> None:
    network = made(text)
    expected = TorchRuntime(network, device="cpu").infer(images())
    found = TorchRuntime(network, precision=precision, device="cpu").infer(images())  # type: ignore[arg-type]
    for name in set(expected) - {"boxes"}:
        scale = max(1.0, float(np.abs(expected[name]).max()))
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=allowed * scale)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_heads_compute_in_float32_whatever_is_below_them(precision: str) -> None:
    """The centre in column 60 of 64 keeps its fraction, which bf16 would round to quarters of a cell."""
    network, batch = made(region(4, width=1024)), images(1, size=(3, 64, 1024))
    lower = TorchRuntime(network, precision=precision, device="cpu")  # type: ignore[arg-type]
    expected = TorchRuntime(network, device="cpu").infer(batch)["boxes"]
    np.testing.assert_allclose(64 * lower.infer(batch)["boxes"][..., 0], 64 * expected[..., 0], rtol=0, atol=0.06)
    assert lower.heads[0].anchors.dtype == torch.float32


def test_threads_share_a_runtime() -> None:
    shared = TorchRuntime(made(region(300)), device="cpu")
    batches = [images(1, seed) for seed in range(8)]
    expected = [shared.infer(batch, 0.5) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(lambda batch: shared.infer(batch, 0.5), batches), expected, strict=True):
            for name, array in alone.items():
                np.testing.assert_array_equal(found[name], array)


def test_too_little_memory_is_one_line() -> None:
    """Billions of pictures, of which only one number is in memory."""
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 32, 3, 64, 96), (0, 0, 0, 0))
    shared = TorchRuntime(made(region(4)), device="cpu")
    with pytest.raises(BackendError, match=r"not enough memory for 4294967296 x 96x64 pixels at once; a smaller"):
        shared.infer(huge)


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(ValueError, match="reads images"):
        TorchRuntime(made(region(4)), device="cpu").infer(images(size=(1, 64, 96)))


# ------------------------------------------------------------------------------------------------------ the split head


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[TorchRuntime, TorchRuntime]]:
    """`both(network, candidates)`: the split head and the full one."""

    def runtimes(network: Network, candidates: int = 999) -> tuple[TorchRuntime, TorchRuntime]:
        monkeypatch.setattr(answers, "SPLIT_FROM", 1)
        split = TorchRuntime(network, candidates=candidates, device="cpu")
        monkeypatch.setattr(answers, "SPLIT_FROM", 10**9)
        full = TorchRuntime(network, device="cpu")
        assert split.split is not None and full.split is None
        return split, full

    return runtimes


def above(outputs: Outputs, row: int, thresh: float) -> dict[str, Floats]:
    """One image's candidates above the threshold, by their boxes."""
    kept = outputs["objectness"][row] > thresh
    found = {name: outputs[name][row][kept] for name in ("boxes", "objectness", "classes")}
    order = np.lexsort(found["boxes"].round(3).T)
    return {name: array[order] for name, array in found.items()}


def check_same(split: TorchRuntime, full: TorchRuntime, batch: Floats, thresh: float) -> int:
    """That both find the same candidates and classes to 1e-5; returns how many."""
    found, expected, count = split.infer(batch, thresh), full.infer(batch, thresh), 0
    assert not found["dropped"].any() and not expected["dropped"].any()
    for row in range(len(batch)):
        ours, theirs = above(found, row, thresh), above(expected, row, thresh)
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-5)
        if split.description.tree is not None:
            for hier_thresh in (0.1, 0.5):
                nodes = [top_nodes(one["classes"], split.description.tree, hier_thresh) for one in (ours, theirs)]
                np.testing.assert_array_equal(*nodes)
        count += len(ours["objectness"])
    return count


def check_everywhere(split: TorchRuntime, full: TorchRuntime, classes: int) -> None:
    """On 20 images, with thresholds that few, some and most candidates exceed."""
    certain = np.sort(full.infer(images(4))["objectness"].flatten())
    assert full.description.classes == classes
    for share in (0.1, 0.5, 0.95):
        place = int(share * len(certain))
        thresh = float(certain[place : place + 2].mean())
        compared = sum(check_same(split, full, images(4, seed), thresh) for seed in range(5))
        assert compared > (1 - share) * len(certain)


@pytest.mark.parametrize("nodes", [10, 150, 2000])
def test_split_and_full_head_agree_on_trees(nodes: int, both: Callable, tmp_path: Path) -> None:
    tree = random_tree(nodes, nodes)
    (tmp_path / "its.tree").write_text(format_tree(tree))
    split, full = both(made(region(len(tree), "softmax=1\ntree=its.tree"), folder=tmp_path))
    check_everywhere(split, full, len(tree))


@pytest.mark.parametrize("head", ["softmax=1", "softmax=0"])
@pytest.mark.parametrize("classes", [1, 20, 500])
def test_split_and_full_head_agree_on_flat_classes(classes: int, head: str, both: Callable) -> None:
    split, full = both(made(region(classes, head)))
    check_everywhere(split, full, classes)


def test_what_there_was_no_room_for_is_counted(both: Callable) -> None:
    split, full = both(made(region(30)), candidates=5)
    found, expected = split.infer(images(), 0.4), full.infer(images(), 0.4)
    assert found["boxes"].shape[1] == 5
    for row in range(2):
        certain = np.sort(expected["objectness"][row])[::-1]
        assert found["dropped"][row] == (certain > 0.4).sum() - 5 > 0
        np.testing.assert_allclose(found["objectness"][row], certain[:5], rtol=1e-5)


def test_a_network_of_one_layer_with_many_classes_runs() -> None:
    network = made("[net]\nwidth=20\nheight=5\nchannels=3\n[softmax]\n")
    assert network.spec.heads[0].output.size >= answers.SPLIT_FROM
    found = TorchRuntime(network, device="cpu").infer(np.random.default_rng(0).random((1, 3, 5, 20), np.float32))
    np.testing.assert_allclose(found["classes"].sum(), 1, rtol=1e-5)


def test_many_classes_split_by_themselves_and_few_do_not() -> None:
    assert TorchRuntime(made(region(answers.SPLIT_FROM)), device="cpu").split is not None
    assert TorchRuntime(made(region(answers.SPLIT_FROM - 1)), device="cpu").split is None


def test_the_split_head_does_not_hold_the_classes_weights_twice() -> None:
    network = made(region(answers.SPLIT_FROM))
    split = TorchRuntime(network, device="cpu")
    held = [*split.network.parameters(), *split.network.buffers(), *split.heads[-1].buffers()]
    assert split.split is not None
    held += split.split.buffers()
    count = {tensor.data_ptr(): tensor.numel() for tensor in held}
    assert sum(count.values()) <= 1.01 * sum(parameter.numel() for parameter in network.parameters())
    assert TorchRuntime(made(region(300, "background=1")), device="cpu").split is None
    assert TorchRuntime(made(classifier(300)), device="cpu").split is None


@pytest.mark.slow
def test_yolo9000_itself(both: Callable) -> None:
    network = Network(load_spec(cfg_dir() / "yolo9000.cfg", (224, 224))).eval()
    seed_weights(network)
    split, full = both(network)
    for seed in range(3):
        batch = images(1, seed, (3, 224, 224))
        assert sum(check_same(split, full, batch, thresh) for thresh in (0.2, 0.5, 0.8)) > 50


def test_fp32_is_not_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    def switches() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    seen: list[tuple[bool, bool]] = []
    entered = threading.Barrier(2)

    def looking(self: TorchRuntime, images: Floats, thresh: float) -> Outputs:
        entered.wait(10)  # both threads are inside
        seen.append(switches())
        return {}

    monkeypatch.setattr(TorchRuntime, "_infer", looking)
    before = switches()
    exact = TorchRuntime(made(region(2)), device="cpu")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            list(pool.map(exact.infer, [images(), images()]))
    assert seen == [(False, False)] * 40
    assert switches() == before and any(before)
    monkeypatch.setattr(TorchRuntime, "_infer", lambda self, images, thresh: {"tf32": switches()})
    assert TorchRuntime(made(region(2)), device="cpu", precision="bf16").infer(images())["tf32"] == before
