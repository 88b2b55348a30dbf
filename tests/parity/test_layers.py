"""Every definition that the original ships, layer by layer against the original itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.definition.builds import deviation
from darknet_compat.errors import BackendError
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.parity.compare import TOLERANCES, compare, verdict
from darknet_compat.parity.layers import layer_parity
from darknet_compat.parity.picture import loaded, seeded_image
from darknet_compat.parity.reference import Original

CFG = Path("/usr/share/darknet/cfg")
PHOTO = Path("/usr/share/darknet/data/dog.jpg")

QUICK = (
    "alexnet", "cifar", "cifar.test", "darknet", "darknet19", "darknet53", "densenet201", "extraction",
    "extraction.conv", "go", "go.test", "gru", "jnet-conv", "resnet18", "resnet34", "resnet50", "resnext50", "rnn",
    "strided", "t1.test", "tiny", "writing", "yolov1-tiny", "yolov2-tiny", "yolov2-tiny-voc", "yolov2-voc",
    "yolov3-tiny",
)  # fmt: skip
"""Under about three seconds each in the original."""

LONG = (
    "darknet19_448", "darknet53_448", "darknet9000", "extraction22k", "resnet101", "resnet152", "resnext101-32x4d",
    "resnext152-32x4d", "rnn.train", "vgg-16", "vgg-conv", "yolo9000", "yolov1", "yolov2", "yolov3",
    "yolov3-openimages", "yolov3-spp", "yolov3-voc",
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


@pytest.mark.reference
def test_the_two_lists_hold_every_definition() -> None:
    assert sorted((*QUICK, *LONG)) == sorted(path.stem for path in CFG.glob("*.cfg"))


@pytest.mark.reference
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_every_layer_is_the_originals(name: str, running: Original) -> None:
    parity = layer_parity(CFG / f"{name}.cfg", image=PHOTO, original=running)
    print(f"{name}: {max(row.relative for row in parity.rows):.2g} of the layer's largest value")
    assert parity.passed, [row for row in parity.rows if row.verdict == "differs"][:3]
    silent = [row.name for row in parity.rows if row.verdict == "nothing to compare"]
    assert all(row.endswith("cost") for row in silent), silent


@pytest.mark.reference
@pytest.mark.parametrize("size", [(288, 288), (416, 320), (352, 608)])
def test_other_sizes_are_the_originals_too(size: tuple[int, int], running: Original) -> None:
    parity = layer_parity(CFG / "yolov2-tiny-voc.cfg", image=PHOTO, size=size, original=running)
    assert parity.passed
    assert parity.rows[-1].shape[2:] == (size[1] // 32, size[0] // 32)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("yolo-lite-coco", "yolo-lite-coco"),
        ("yolo-lite-voc3", "yolo-lite-voc3"),
        ("yolo-fastest-1.1", "yolo-fastest-1.1"),
        ("tiny-darknet", "tiny"),
    ],
)
def test_trained_models_are_the_originals(folder: str, name: str, shared_data: Path, running: Original) -> None:
    model = shared_data / "models" / folder
    parity = layer_parity(model / f"{name}.cfg", model / f"{name}.weights", image=PHOTO, original=running)
    assert parity.passed, [row for row in parity.rows if row.verdict == "differs"][:3]


@pytest.mark.reference
def test_the_cuda_form_of_batch_normalization_is_told_from_the_cpu_form(shared_data: Path, running: Original) -> None:
    """The check can fail: with the other build's form the real detector's layers part by more than the tolerance."""
    folder = shared_data / "models" / "yolo-lite-voc3"
    cfg, weights = folder / "yolo-lite-voc3.cfg", folder / "yolo-lite-voc3.weights"
    network = load_network(cfg, weights, batchnorm="cuda")
    images = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    expected = running.layer_outputs(cfg, weights, images)
    found = network.layer_outputs(torch.from_numpy(images))
    worst = max(
        float(np.abs(a.output - b.flatten(1).numpy()).max() / np.abs(a.output).max())
        for a, b in zip(expected, found, strict=True)
    )
    assert worst > 1e-4


@pytest.mark.parametrize("folder", ["yolo-lite-voc3", "yolo-fastest-1.1"])
def test_folding_batch_normalization_changes_no_answer(folder: str, shared_data: Path) -> None:
    model = shared_data / "models" / folder
    network = load_network(model / f"{folder}.cfg", model / f"{folder}.weights")
    images = torch.from_numpy(seeded_image(network.spec.net.input[:3], 0))[None]
    plain, folded = network.layer_outputs(images), network.folded().layer_outputs(images)
    rows = [
        compare(layer.type, a.numpy(), b.numpy(), TOLERANCES["torch", "folded", "fp32"])
        for layer, a, b in zip(network.spec.layers, plain, folded, strict=True)
    ]
    assert verdict(rows), [row for row in rows if row.verdict == "differs"][:3]
    assert any(row.max_abs > 0 for row in rows)  # folding has happened


@pytest.mark.reference
@pytest.mark.parametrize("seed", [0, 1])
def test_a_recurrent_network_of_pictures_gets_a_sequence_of_them(seed: int, running: Original, tmp_path: Path) -> None:
    cfg = tmp_path / "crnn.cfg"
    crnn = "[crnn]\nhidden_filters=4\noutput_filters=3\nactivation=leaky\nbatch_normalize=1\n"
    cfg.write_text(f"[net]\nbatch=1\ntime_steps=5\nwidth=8\nheight=6\nchannels=2\n{crnn}{crnn}")
    parity = layer_parity(cfg, seed=seed, original=running)
    assert len(parity.rows) == 2
    assert verdict(parity.rows)


@pytest.mark.reference
def test_a_variance_too_small_for_a_float_counts_as_none(running: Original, tmp_path: Path) -> None:
    """A published model has nine of about -7e-44, of channels that are always 0: their root was nan."""
    cfg = tmp_path / "dead.cfg"
    cfg.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=3\nsize=1\n")
    network = load_network(cfg, batchnorm="cpu")
    values = torch.tensor([-7e-44, 7e-44, 0.25])
    with torch.no_grad():
        network.layers[0].rolling_variance.copy_(values)
    save_weights(network, tmp_path / "dead.weights")
    parity = layer_parity(cfg, tmp_path / "dead.weights", original=running)
    assert verdict(parity.rows)
    found = deviation(values.numpy(), "cpu")
    np.testing.assert_allclose(found, [1e-6, 1e-6, 0.5 + 1e-6], rtol=1e-6)
    np.testing.assert_allclose(deviation(values, "cpu").numpy(), found, rtol=1e-6)


@pytest.mark.reference
def test_time_steps_of_a_network_without_a_state_ask_for_no_more_pictures(running: Original, tmp_path: Path) -> None:
    cfg = tmp_path / "steps.cfg"
    cfg.write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\ntime_steps=3\n[convolutional]\nfilters=2\nsize=3\n[connected]\noutput=5\n"
    )
    parity = layer_parity(cfg, original=running)
    assert parity.passed and [row.shape[0] for row in parity.rows] == [1, 1]


GREY = """[net]
width=32
height=32
channels={channels}
[convolutional]
filters=4
size=3
stride=2
pad=1
activation=leaky
[avgpool]
[softmax]
"""


@pytest.mark.reference
def test_a_network_of_one_channel_is_shown_the_pictures_brightness(running: Original, tmp_path: Path) -> None:
    cfg = tmp_path / "grey.cfg"
    cfg.write_text(GREY.format(channels=1))
    found = layer_parity(cfg, image=PHOTO, original=running)
    assert found.passed and found.input == str(PHOTO)
    image = loaded(running, PHOTO, 1)
    assert image.shape[0] == 1 and 0.2 < image.mean() < 0.8
    cfg.write_text(GREY.format(channels=4))
    with pytest.raises(BackendError, match="the network reads 4 channels, a picture has 3, or in grey 1"):
        layer_parity(cfg, image=PHOTO, original=running)
