"""What Darknet's small commands make of weights files: average, rescale, rgbgr, normalize, denormalize, reset.

All write today's header (0.2.0) and keep `seen`, as the original does, and compute in float32 in its order, so that the
files are the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.weights.file import Header, read_weights, write_weights
from darknet_compat.definition.weights.slots import slots
from darknet_compat.formats.arrays import Floats

_Values = dict[tuple[int, str], Floats]


class Statistics(NamedTuple):
    """Of numbers: the root of the mean of their squares (which Darknet calls MSE), their mean, their variance."""

    mean_square: float
    mean: float
    variance: float


def average(spec: NetworkSpec, out: str | Path, files: Sequence[str | Path]) -> None:
    """The mean of the convolutional and connected layers of several files; all else, and `seen`, is the first one's
    (original: `average` in darknet.c). Raises WeightsError."""
    header, values = _read(files[0], spec)
    averaged = [key for key in values if isinstance(spec.layers[key[0]], s.Convolutional | s.Connected)]
    for path in files[1:]:
        _, others = _read(path, spec)
        for key in averaged:
            values[key] += others[key]
    for key in averaged:
        values[key] *= np.float32(1 / len(files))
    _write(out, header, values, spec)


def rescale(spec: NetworkSpec, weights: str | Path, out: str | Path) -> None:
    """Make of a network for pixels from 0 to 1 one for pixels from -1 to 1, in the first convolution (original:
    `rescale_net`). Raises WeightsError."""
    header, values = _read(weights, spec)
    first = _first_convolution(spec)
    if first is not None and values[first.index, "weights"].shape[1] == 3:
        kernels, biases = values[first.index, "weights"], values[first.index, "biases"]
        kernels *= np.float32(2)
        biases += _sums(kernels.reshape(len(kernels), -1)) * np.float32(-0.5)
    _write(out, header, values, spec)


def rgbgr(spec: NetworkSpec, weights: str | Path, out: str | Path) -> None:
    """Swap red and blue in the first convolution (original: `rgbgr_net`). Raises WeightsError."""
    header, values = _read(weights, spec)
    first = _first_convolution(spec)
    if first is not None and values[first.index, "weights"].shape[1] == 3:
        kernels = values[first.index, "weights"]
        kernels[:] = kernels[:, ::-1].copy()
    _write(out, header, values, spec)


def normalize(spec: NetworkSpec, weights: str | Path, out: str | Path) -> None:
    """Give each convolutional and connected layer that has no batch normalization one (original: `normalize_net`). The
    file fits a cfg that says batch_normalize=1 there, and has the original's fault: its new variances are 0, not 1, so
    that the layer divides by next to nothing. Raises WeightsError."""
    header, values = _read(weights, spec)
    normalized = _with(spec, True)
    for slot in slots(normalized, saving=True):
        if (slot.layer, slot.name) not in values:
            full = np.ones if slot.name == "scales" else np.zeros
            values[slot.layer, slot.name] = full(slot.shape, np.float32)
    _write(out, header, values, normalized)


def denormalize(spec: NetworkSpec, weights: str | Path, out: str | Path) -> None:
    """Put batch normalization into the weights and leave it out (original: `denormalize_net`). The file fits a cfg that
    says batch_normalize=0. Raises WeightsError."""
    header, values = _read(weights, spec)
    _fold(spec, values)
    _write(out, header, values, _with(spec, False))


def reset(spec: NetworkSpec, weights: str | Path, out: str | Path) -> None:
    """Put batch normalization into the weights, and leave one that changes nothing (original: `reset_normalize_net`).
    Raises WeightsError."""
    header, values = _read(weights, spec)
    _fold(spec, values)
    _write(out, header, values, spec)


def statistics(spec: NetworkSpec, weights: str | Path) -> list[tuple[int, dict[str, Statistics]]]:
    """Of each connected layer with batch normalization its scales', its biases', and those of as many of its weights
    as it has outputs, which is what the original looks at (`statistics_net`)."""
    _, values = _read(weights, spec)
    found = []
    for layer in spec.layers:
        if isinstance(layer, s.Connected) and layer.batch_normalize:
            count = layer.output.size
            arrays = {name: values[layer.index, name].reshape(-1) for name in ("scales", "biases", "weights")}
            parts = {name: _statistics(array[:count]) for name, array in arrays.items()}
            found.append((layer.index, parts))
    return found


def _statistics(array: Floats) -> Statistics:
    flat, count = array.reshape(1, -1), np.float32(array.size)
    mean = _sums(flat)[0] / count
    squares, variance = (_sums(values * values)[0] / count for values in (flat, flat - mean))
    return Statistics(float(np.sqrt(squares)), float(mean), float(variance))


def _sums(rows: Floats) -> Floats:
    """The sum of each row [N, M] in float32, added in the order of the original's vectorized loop: four sums side by
    side, what is left over after them."""
    whole = rows.shape[1] // 4 * 4
    lanes = np.zeros((len(rows), 4), np.float32)
    for start in range(0, whole, 4):
        lanes += rows[:, start : start + 4]
    pairs = lanes[:, :2] + lanes[:, 2:]
    total: Floats = pairs[:, 0] + pairs[:, 1]
    for column in range(whole, rows.shape[1]):
        total += rows[:, column]
    return total


def _read(path: str | Path, spec: NetworkSpec) -> tuple[Header, _Values]:
    weights = read_weights(path, spec)
    return weights.header, {(slot.layer, slot.name): np.array(array) for slot, array in weights.arrays}


def _write(out: str | Path, header: Header, values: _Values, spec: NetworkSpec) -> None:
    arrays = ((slot, values[slot.layer, slot.name]) for slot in slots(spec, saving=True))
    write_weights(out, Header(seen=header.seen), arrays)


def _first_convolution(spec: NetworkSpec) -> LayerSpec | None:
    return next((layer for layer in spec.layers if isinstance(layer, s.Convolutional)), None)


def _parts(spec: NetworkSpec, values: _Values) -> list[tuple[int, str]]:
    """Layer and prefix of everything with batch normalization that the original denormalizes: convolutional and
    connected layers, and the gates of gru and lstm."""
    kinds = (s.Convolutional, s.Connected, s.Gru, s.Lstm)
    return [
        (index, name.removesuffix("scales"))
        for index, name in values
        if name.endswith("scales") and isinstance(spec.layers[index], kinds)
    ]


def _fold(spec: NetworkSpec, values: _Values) -> None:
    """Put scales, means and variances into weights and biases, and leave 1, 0 and 1."""
    for index, prefix in _parts(spec, values):
        scales, mean, variance, biases, weights = (
            values[index, prefix + name] for name in ("scales", "rolling_mean", "rolling_variance", "biases", "weights")
        )
        epsilon = 0.00001 if isinstance(spec.layers[index], s.Convolutional) else 0.000001
        deviation = np.sqrt(variance.astype(np.float64) + epsilon)
        factor = (scales.astype(np.float64) / deviation).astype(np.float32)
        weights *= factor.reshape(-1, *[1] * (weights.ndim - 1))
        biases -= mean * factor
        scales[:], mean[:], variance[:] = 1, 0, 1


def _with(spec: NetworkSpec, normalized: bool) -> NetworkSpec:
    """The definition with batch normalization everywhere it may be, or nowhere."""

    def changed(layer: Any) -> Any:
        kinds = (s.Convolutional, s.Connected) if normalized else (s.Convolutional, s.Connected, s.Gru, s.Lstm)
        return replace(layer, batch_normalize=normalized) if isinstance(layer, kinds) else layer

    return replace(spec, layers=tuple(map(changed, spec.layers)))
