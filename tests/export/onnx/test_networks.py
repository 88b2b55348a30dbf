"""Whole networks, exported, against torch: real ones, seeded ones, and every definition that the original ships."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.openvino import OpenVinoRuntime
from darknet_compat.runtime.torch import TorchRuntime
from tests.conftest import Original
from tests.export.support import (
    SHIPPED,
    assert_answers_same,
    assert_raw_same,
    assert_well_made,
    pictures,
    seeded,
    small,
)

REAL = (
    "tiny-darknet/tiny",
    "yolo-lite-coco/yolo-lite-coco",
    "yolo-lite-voc3/yolo-lite-voc3",
    "yolo-fastest-1.1/yolo-fastest-1.1",
)
SEEDED = ("yolov2-tiny-voc", "darknet19", "yolov3-tiny")
LARGE = ("yolov2-voc", "resnet50", "darknet9000", "yolo9000", "yolov1")
RECURRENT = {"gru", "rnn", "rnn.train"}

SCORE, BOX = 0.002, 0.5
"""How far a score, and a side of a box in pixels, may be from torch's."""


def hold(network: Network, folder: Path) -> None:
    """Raw outputs and answers, at the network's own size and, where it has others, at the least."""
    for outputs in ("heads", "boxes"):
        path = folder / f"{outputs}.onnx"
        artefact = export_onnx(network, path, outputs=outputs)  # type: ignore[arg-type]
        assert_well_made(path, len(network.spec.layers))
        sizes = {(artefact.width, artefact.height)}
        if artefact.sizes is not None:
            sizes.add((artefact.sizes[0], artefact.sizes[0] + artefact.step))
        for width, height in sizes:
            images = pictures(artefact.channels, width, height)
            if outputs == "heads":
                assert_raw_same(network, path, images)
            else:
                assert_answers_same(TorchRuntime(network), path, images)


@pytest.mark.parametrize("name", REAL)
def test_real_models(name: str, shared_data: Path, tmp_path: Path) -> None:
    cfg = shared_data / "models" / f"{name}.cfg"
    hold(load_network(cfg, cfg.with_suffix(".weights")), tmp_path)


@pytest.mark.parametrize("name", SEEDED)
def test_seeded_models(name: str, tmp_path: Path, original: Original) -> None:
    hold(seeded(original.cfg / f"{name}.cfg"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(LARGE) - {"yolo9000"}))
def test_large_seeded_models(name: str, tmp_path: Path, original: Original) -> None:
    hold(seeded(original.cfg / f"{name}.cfg"), tmp_path)


@pytest.mark.slow
def test_every_feed_forward_network_that_the_original_ships(original: Original, tmp_path: Path) -> None:
    tried = 0
    for cfg in sorted(original.cfg.glob("*.cfg")):
        network = Network(load_spec(cfg))
        path = tmp_path / "m.onnx"
        if cfg.stem in RECURRENT:
            with pytest.raises(ExportError, match="recurrent"):
                export_onnx(network, path, outputs="boxes")
            continue
        if cfg.stem == "yolo9000":
            continue  # has a test of its own
        export_onnx(network.eval(), path)
        assert_well_made(path, len(network.spec.layers))
        path.unlink()
        tried += 1
    assert tried >= 40


@pytest.mark.slow
def test_yolo9000_by_candidates(original: Original, tmp_path: Path) -> None:
    """The candidates are torch's; those that tie in objectness may come in another order, so each is looked up."""
    network = seeded(original.cfg / "yolo9000.cfg", (320, 320))
    path = tmp_path / "m.onnx"
    # At 288 there would be no 256 candidates.
    assert export_onnx(network, path, candidates=256).sizes == (320, 608)
    weights = sum(parameter.numel() for parameter in network.parameters()) * 4
    assert path.stat().st_size < 1.01 * weights  # the classes' weights are there once
    assert_well_made(path, 25)
    torch_runtime = TorchRuntime(network)
    for size in (320, 352):
        images = pictures(3, size, size)
        expected = torch_runtime.infer(images, 0.5)
        for kind in (OnnxRuntime, OpenVinoRuntime):
            found = kind(path, size=(size, size)).infer(images, 0.5)
            for image in range(2):
                count = int((expected["objectness"][image] > 0.5).sum())
                assert 10 < count == int((found["objectness"][image] > 0.5).sum())
                where = [
                    int(np.abs(found["boxes"][image] - box).sum(1).argmin()) for box in expected["boxes"][image, :count]
                ]
                for name in ("boxes", "objectness", "classes"):
                    left, right = expected[name][image, :count], found[name][image][where]
                    assert np.abs(left - right).max() < 1e-4 * max(1.0, np.abs(left).max()), name
            assert found["dropped"].tolist() == expected["dropped"].tolist()


@pytest.mark.slow
def test_one_file_serves_all_sizes_and_batches(original: Original, tmp_path: Path) -> None:
    network = seeded(original.cfg / "yolov2-voc.cfg")
    path = tmp_path / "m.onnx"
    export_onnx(network, path)
    torch_runtime = TorchRuntime(network)
    ours = OnnxRuntime(path), OpenVinoRuntime(path)
    for width, height in ((288, 288), (352, 352), (416, 416), (480, 480), (544, 544), (416, 608)):
        for count in (1, 8):
            images = pictures(3, width, height, count)
            expected = torch_runtime.infer(images)
            for runtime in ours:
                found = runtime.infer(images)
                for name in ("boxes", "objectness", "classes"):
                    assert found[name].shape == expected[name].shape
                    scale = np.abs(expected[name]).max()
                    assert np.abs(found[name] - expected[name]).max() <= 1e-4 * scale, (name, width, height, count)


@pytest.mark.parametrize("outputs", ["boxes", "detections"])
@pytest.mark.parametrize("name", [name for name in REAL if "yolo" in name])
def test_detections_are_torchs_on_the_photos(
    name: str, outputs: str, shared_data: Path, photos: list[Path], tmp_path: Path
) -> None:
    cfg = shared_data / "models" / f"{name}.cfg"
    path = tmp_path / "m.onnx"
    network = load_network(cfg, cfg.with_suffix(".weights"), dialect="original")
    export_onnx(network, path, outputs=outputs, thresh=0.2)  # type: ignore[arg-type]
    expected = Detector(cfg, backend="torch", thresh=0.2, dialect="original")(photos)
    assert sum(map(len, expected)) >= 20
    for backend in ("onnxruntime", "openvino"):
        for theirs, found in zip(expected, Detector(path, backend=backend, thresh=0.2)(photos), strict=True):
            assert found.names == theirs.names
            assert np.abs(found.scores - theirs.scores).max(initial=0) <= SCORE
            assert np.abs(found.boxes - theirs.boxes).max(initial=0) <= BOX


def test_detections_of_several_pictures_at_once_keep_apart(
    shared_data: Path, photos: list[Path], tmp_path: Path
) -> None:
    cfg = shared_data / "models/yolo-lite-voc3/yolo-lite-voc3.cfg"
    export_onnx(load_network(cfg, cfg.with_suffix(".weights")), tmp_path / "m.onnx", outputs="detections", thresh=0.2)
    detector = Detector(tmp_path / "m.onnx", thresh=0.2)
    together = [found for _, found in detector.stream(photos, batch=7)]
    assert [found.names for found in together] == [found.names for found in detector(photos)]
    assert len({found.names for found in together}) > 3


_CHILD = """
import resource, sys
from darknet_compat.definition.weights.network_weights import load_weights
from darknet_compat.export.onnx.export import export_onnx
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) << 10
before = peak()
export_onnx(load_weights(sys.argv[1], sys.argv[2]), sys.argv[3])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory where Linux keeps it")
def test_export_needs_little_memory(original: Original, tmp_path: Path) -> None:
    cfg, weights = original.cfg / "yolov2-voc.cfg", tmp_path / "m.weights"
    save_weights(Network(load_spec(cfg)), weights)
    command = [sys.executable, "-c", _CHILD, cfg, weights, tmp_path / "m.onnx"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= weights.stat().st_size  # half of it is measured


def test_the_network_is_left_as_it_was(tmp_path: Path) -> None:
    network = seeded(SHIPPED / "yolov2-tiny-voc.cfg").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export_onnx(network, tmp_path / "m.onnx")
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_beyond_protobufs_limit_go_to_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded(SHIPPED / "yolov2-tiny-voc.cfg")
    monkeypatch.setattr("darknet_compat.export.onnx.write.EXTERNAL_FROM", 1000)
    path = tmp_path / "m.onnx"
    export_onnx(network, path)
    assert path.stat().st_size < 100_000 and (tmp_path / "m.onnx.data").stat().st_size > 60_000_000
    onnx.checker.check_model(str(path))
    assert_answers_same(TorchRuntime(network), path, pictures(3, 416, 416))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here, to tell files by their numbers")
def test_no_room_for_the_file_beside_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darknet_compat.export.onnx.write.EXTERNAL_FROM", 1000)
    fsync = os.fsync

    def no_room(number: int) -> None:
        if ".onnx.data." in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(ExportError, match=r"m\.onnx\.data: cannot be written: No space left on device"):
        export_onnx(seeded(SHIPPED / "tiny.cfg", (64, 64)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_uint8_pixels_and_a_fixed_batch(tmp_path: Path) -> None:
    network = seeded(SHIPPED / "yolov2-tiny-voc.cfg")
    path = tmp_path / "m.onnx"
    artefact = export_onnx(network, path, input="uint8", batch=2, sizes="fixed")
    assert (artefact.batch, artefact.sizes, artefact.input) == (2, None, "uint8")
    graph = assert_well_made(path, 16).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [2, 416, 416, 3]
    images = np.rint(pictures(3, 416, 416, 3) * 255).astype(np.float32) / np.float32(255)
    assert_answers_same(TorchRuntime(network), path, images)


def test_heads_of_several_kinds_leave_as_they_are(tmp_path: Path) -> None:
    """A [yolo] after a [logistic]: nobody's answers, but outputs."""
    path = tmp_path / "m.onnx"
    convolution = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
    text = f"{convolution}[logistic]\n[route]\nlayers=0\n{convolution}[yolo]\nclasses=1\nnum=1\nmask=0\nanchors=1,2\n"
    network = small(text, (3, 8, 8))
    artefact = export_onnx(network, path, outputs="heads")
    assert artefact.task is None
    assert_raw_same(network, path, pictures(3, 8, 8))
    with pytest.raises(ExportError, match="neither detects nor classifies"):
        export_onnx(network, path, outputs="boxes")
