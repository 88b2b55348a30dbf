"""`darknet partial | average | rescale | rgbgr | normalize | denormalize | reset | statistics | ops | speed`."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from darknet_compat.cli.darknet.files import cfg_and_weights, need_weights, read_spec
from darknet_compat.cli.darknet.grammar import Line
from darknet_compat.errors import OptionError, WeightsError

if TYPE_CHECKING:
    from darknet_compat.definition.spec import NetworkSpec


def partial(line: Line) -> int:
    """`partial CFG WEIGHTS OUT [N]`: the first N layers, all without a number."""
    from darknet_compat.definition.weights.file import cut_weights

    cfg, weights, out = _three(line, "partial CFG WEIGHTS OUT N")
    spec = read_spec(cfg)
    text = line.word(4) or "0"
    if not text.isdecimal():
        raise OptionError(f"expected a number of layers, found '{text}'; the order is partial CFG WEIGHTS OUT N")
    cut_weights(weights, spec, out, int(text) or len(spec.layers))
    return 0


def average(line: Line) -> int:
    """`average CFG OUT WEIGHTS…`."""
    from darknet_compat.definition.weights import edit

    order = "average CFG OUT WEIGHTS…"
    cfg, _ = cfg_and_weights(line.word(1), None, order)
    files = [Path(word) for word in line.words[3:]]
    if not files:
        raise WeightsError(f"expected {order}, and there are no WEIGHTS")
    out = Path(line.words[2])
    _expect_new(out, [cfg, *files], order)
    edit.average(read_spec(cfg), out, files)
    return 0


def edited(line: Line) -> int:
    """`rescale | rgbgr | normalize | denormalize | reset CFG WEIGHTS OUT`."""
    from darknet_compat.definition.weights import edit

    name = line.words[0]
    cfg, weights, out = _three(line, f"{name} CFG WEIGHTS OUT")
    getattr(edit, name)(read_spec(cfg), weights, out)
    return 0


def _three(line: Line, order: str) -> tuple[Path, Path, Path]:
    cfg, weights = cfg_and_weights(line.word(1), line.word(2), order)
    out = line.word(3)
    if weights is None or out is None:
        raise OptionError(f"expected {order}, and there is no {'OUT' if weights else 'WEIGHTS'}")
    _expect_new(Path(out), [cfg, weights], order)
    return cfg, need_weights(weights, order), Path(out)


def _expect_new(out: Path, inputs: list[Path], order: str) -> None:
    """Refuse to write over what is read, or over a definition."""
    own = any(out.exists() and path.exists() and out.samefile(path) for path in inputs)
    if own or out.suffix == ".cfg":
        raise OptionError(f"{out}: would be overwritten; the order is {order}")


def statistics(line: Line) -> int:
    """`statistics CFG WEIGHTS`: of connected layers with batch normalization; an empty line for every layer."""
    from darknet_compat.definition.weights import edit

    order = "statistics CFG WEIGHTS"
    cfg, weights = cfg_and_weights(line.word(1), line.word(2), order)
    spec = read_spec(cfg)
    found = dict(edit.statistics(spec, need_weights(weights, order)))
    for layer in spec.layers:
        if layer.index in found:
            print(f"Connected Layer {layer.index}")
            for name, (square, mean, variance) in found[layer.index].items():
                print(f"{name.title()} MSE: {square:.6f}, Mean: {mean:.6f}, Variance: {variance:.6f}")
        print()
    return 0


def _operations(spec: NetworkSpec) -> int:
    """As the original counts (`numops`): convolutional, connected, rnn, gru and lstm layers."""
    from darknet_compat.definition import spec as s
    from darknet_compat.definition.complexity import costs

    counted = (s.Convolutional, s.Connected, s.Rnn, s.Gru, s.Lstm)
    pairs = zip(spec.layers, costs(spec), strict=True)
    return sum(cost.operations for layer, cost in pairs if isinstance(layer, counted))


def ops(line: Line) -> int:
    """`ops CFG`: floating point operations, two a multiply-add."""
    cfg, _ = cfg_and_weights(line.word(1), None, "ops CFG")
    count = _operations(read_spec(cfg))
    print(f"Floating Point Operations: {count}")
    print(f"Floating Point Operations: {count / 1e9:.2f} Bn")
    return 0


def speed(line: Line) -> int:
    """`speed CFG [N]`: N passes of the network with random weights, a thousand by default."""
    import numpy as np

    from darknet_compat.network.load import load_network
    from darknet_compat.runtime.torch import TorchRuntime

    cfg, _ = cfg_and_weights(line.word(1), None, "speed CFG [N]")
    text = line.word(2) or "1000"
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"expected a number of passes, found '{text}'; the order is speed CFG [N]")
    times = int(text)
    runtime = TorchRuntime(load_network(cfg))
    net = runtime.description
    image = np.zeros((1, net.channels, net.height, net.width), np.float32)
    start = perf_counter()
    for _ in range(times):
        runtime.infer(image)
    seconds = perf_counter() - start
    count = _operations(read_spec(cfg))
    print(f"\n{times} evals, {seconds:f} Seconds")
    print(f"Floating Point Operations: {count / 1e9:.2f} Bn")
    print(f"FLOPS: {count / 1e9 * times / seconds:.2f} Bn")
    print(f"Speed: {seconds / times:f} sec/eval")
    print(f"Speed: {times / seconds:f} Hz")
    return 0
