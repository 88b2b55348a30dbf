"""A network against OpenCV's own reader of Darknet's files, for what the original cannot read.

OpenCV 4.x has read the fork's definitions for years, and knows nothing of this package: where the two agree, both have
understood the file. It is no Darknet, though. `IGNORED` says what it passes over, and its batch normalization adds 1e-6
to a variance where Darknet adds 1e-5; it is held against a network that does so too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from darknet_compat.definition.lower import at_size
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.cfg import CfgOption, Section, format_cfg, read_cfg
from darknet_compat.formats.textfile import count
from darknet_compat.inference.batch import prepare
from darknet_compat.network import heads
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import TOLERANCES, Difference, compare
from darknet_compat.parity.layers import LayerParity, seeded_input, seeded_network
from darknet_compat.runtime.described import describe
from darknet_compat.vision.opencv import opencv

BATCHNORM = "batch normalization is held with OpenCV's 1e-6 in it, where Darknet has 1e-5"

IGNORED: dict[str, object] = {
    "dilation": 1,
    "share_index": None,
    "antialiasing": 0,
    "xnor": False,
    "binary": False,
    "flipped": False,
    "out_channels": None,
    "weights_normalization": None,
    "reverse": False,
    "background": False,
    "flatten": False,
    "extra": 0,
}
"""Options of a layer that OpenCV passes over without a word → the value at which that makes no difference."""

_ACTIVATIONS = ("elu", "leaky", "logistic", "mish", "relu", "relu6", "selu", "swish", "tanh")


def opencv_parity(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    image: str | Path | None = None,
    seed: int = 0,
    size: tuple[int, int] | None = None,
) -> LayerParity:
    """Run one input through OpenCV's reader, and compare every layer's output with torch's of the same inputs.

    `weights`, `image` and `seed` as in `layer_parity`. A row without a comparison says why. Raises BackendError
    where OpenCV is not there, is not of version 4, or does not take the definition.
    """
    named = str(weights) if weights is not None else f"seed {seed}"
    with tempfile.TemporaryDirectory() as folder:
        if weights is None:
            weights = Path(folder) / "seeded.weights"
            save_weights(seeded_network(cfg, seed, size), weights)
        network = load_network(cfg, weights, size=size)
        images, source = _input(network.spec, image, seed)
        outputs = _outputs(_plain(cfg, size, Path(folder)), Path(weights), images, str(cfg), network.spec)
    with _like_opencv(network), torch.no_grad():
        rows = tuple(_rows(network, outputs, images))
    return LayerParity(str(cfg), named, source, rows, reader(), (BATCHNORM,))


def reader() -> str:
    """OpenCV with its version. Raises BackendError for one that reads no Darknet files."""
    cv2 = opencv()
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        raise BackendError(f"OpenCV {cv2.__version__} reads no Darknet files, 4.x does")
    return f"OpenCV {cv2.__version__}"


def _input(spec: NetworkSpec, image: str | Path | None, seed: int) -> tuple[Floats, str]:
    if image is None or not spec.net.input.image:
        return seeded_input(spec, seed)
    return prepare(image, describe(spec)).pixels[None], str(image)


def _plain(cfg: str | Path, size: tuple[int, int] | None, folder: Path) -> Path:
    """The definition in words that OpenCV reads as Darknet does: of two equal keys it takes the last one."""
    parsed = read_cfg(cfg)
    parsed = parsed if size is None else at_size(parsed, *size)
    sections = []
    for section in parsed.sections:
        counting = [option for option in section.counting.values() if option.value is not None]
        values = [CfgOption(option.key, (option.value or "").partition("#")[0], option.line) for option in counting]
        sections.append(Section(section.type, tuple(values), section.line))
    path = folder / "plain.cfg"
    path.write_text(format_cfg(sections), "utf-8", errors="surrogateescape")
    return path


def _outputs(cfg: Path, weights: Path, images: Floats, name: str, spec: NetworkSpec) -> dict[int, Floats]:
    """What OpenCV gives for each layer of the definition, of those of which it has a value."""
    cv2 = opencv()
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
        net.enableFusion(False)  # a fused layer's value would be its successor's
        net.enableWinograd(False)  # its rounding adds up to more than the tolerance in deep networks
        net.setInput(images)
        names = [str(one) for one in net.getLayerNames()]
        values = net.forward(names)
    except cv2.error as error:
        reason = str(error.err or error).strip().splitlines()
        raise BackendError(f"{name}: {reader()} does not take it: {reason[0] if reason else 'fails'}") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return {_index(one, spec): value for one, value in zip(names, values, strict=True)}  # a layer's last one stays


def _index(name: str, spec: NetworkSpec) -> int:
    """The layer that a value of OpenCV's belongs to: an activation is called by the number after its layer's."""
    kind, _, number = name.rpartition("_")
    index = int(number) if number.isdigit() else len(spec.layers) - 1  # a [region]'s is called detection_out
    activation = getattr(spec.layers[index - 1], "activation", "linear") if index else "linear"
    return index - 1 if kind in _ACTIVATIONS and activation != "linear" else index


@contextmanager
def _like_opencv(network: Network) -> Iterator[None]:
    """While open, variances are such that Darknet's 1e-5 comes to OpenCV's 1e-6."""
    variances = [buffer for name, buffer in network.named_buffers() if name.endswith("rolling_variance")]
    kept = [variance.clone() for variance in variances]
    for variance in variances:
        variance.add_(1e-6 - 1e-5)
    try:
        yield
    finally:
        for variance, before in zip(variances, kept, strict=True):
            variance.copy_(before)


def _rows(network: Network, outputs: dict[int, Floats], images: Floats) -> Iterator[Difference]:
    """A row a layer, each on what OpenCV gave the layers that it reads: so neither rounding adds up, nor is a layer
    blamed for one before it."""
    values = {-1: torch.from_numpy(images)}
    shifted = ""
    for layer, module in zip(network.spec.layers, network.layers, strict=True):
        name, theirs = f"{layer.index} {layer.type}", outputs.get(layer.index)
        ours = module(*(values[source] for source in layer.sources))
        values[layer.index] = ours
        reason = passed_over(layer)
        why = f"OpenCV passes over {reason}" if reason else shifted
        if "share_index" in reason:
            shifted = f"OpenCV reads other weights from layer {layer.index} on, whose the file does not have"
        if theirs is None:
            yield _nothing(name, ours, "OpenCV has no value of it")
            continue
        if isinstance(module, heads.Yolo | heads.Region):
            ours = _candidates(module, ours, (images.shape[3], images.shape[2]), theirs)
        elif theirs.size == ours.numel():
            values[layer.index] = torch.from_numpy(theirs).reshape(ours.shape)
        else:
            why = why or f"OpenCV has {count(theirs.size, 'value')}"
        tolerance = TOLERANCES["opencv", "torch", "fp32"]
        yield _nothing(name, ours, why) if why else compare(name, theirs, ours.numpy(), tolerance)


def passed_over(layer: LayerSpec) -> str:
    """What of a layer OpenCV reads as if it were not there; empty where nothing."""
    said = [key for key, neutral in IGNORED.items() if getattr(layer, key, neutral) not in (neutral, None)]
    return ", ".join(said)


def _candidates(
    head: heads.Yolo | heads.Region, activated: torch.Tensor, size: tuple[int, int], theirs: Floats
) -> torch.Tensor:
    """[1, D, 5 + C] as OpenCV has it, cell by cell: box, objectness, and objectness · class, which it leaves at 0 below
    a threshold."""
    boxes = head.boxes(activated, size)
    objectness = boxes.objectness[0][:, None]
    ours = torch.cat([boxes.xywh[0], objectness, objectness * boxes.classes[0]], 1)  # [D, 5 + C]
    if isinstance(head, heads.Region):  # whose candidates come anchor by anchor
        ours = ours.unflatten(0, (head.spec.num, -1)).transpose(0, 1).flatten(0, 1)
    if ours.numel() == theirs.size:
        ours[:, 5:][torch.from_numpy(theirs).reshape(ours.shape)[:, 5:] == 0] = 0
    return ours[None]


def _nothing(name: str, ours: torch.Tensor, why: str) -> Difference:
    tolerance = TOLERANCES["opencv", "torch", "fp32"]
    return Difference(name, tuple(ours.shape), 0, 0, 0, 0, tolerance, (), 0, 0, "nothing to compare", why)
