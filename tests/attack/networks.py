"""Random networks: each is refused in one line, or computes the same in whatever else computes it.

    python -m tests.attack.networks --seconds 60 --start 0

That is the original (layer by layer, where a network has what only the fork has), the fork's own answers for the layers
that a network begins with, ONNX Runtime and OpenVINO. Network N is always the same. The last line is JSON: how many
ended how; what nobody has explained is under `faults`.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch

from darknet_compat.errors import CfgError, DarknetCompatError, ExportError, OriginalError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.cfg import format_cfg, read_cfg
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import verdict
from darknet_compat.parity.layers import layer_parity
from darknet_compat.parity.picture import seeded_images
from darknet_compat.parity.reference import Original
from darknet_compat.parity.seeded import seed_weights
from tests.attack.definitions import Place, layer, network_text
from tests.attack.fuzz import limits, limits_of, place_of
from tests.conftest import find_original
from tests.export.support import assert_raw_same
from tests.network import golden

DEATHS = {
    "batchnorm": ("SIGSEGV", "it asks for no memory for it"),
    "deconvolutional": ("SIGFPE", "its groups are 0, by which reading its weights divides"),
    "iseg": ("SIGSEGV", "it reads a truth even to predict"),
}
"""By kind of layer, each of which does so wherever it stands: how the original's library ends its process, and at
what. Any other end is a fault."""

ROUNDING = 4
SENSITIVE = "rounding: no more than what the last bits of input and weights change it by"
"""A difference of at most ROUNDING times `rounding` is called so."""
LESS_ONE = ("elu", "selu", "loggy")
"""Activations that take 1 from a number near 1, of which the last bit is left: ONNX Runtime's do, torch's do not."""


class Unexplained(Exception):
    """A difference that has no name."""


class Start(NamedTuple):
    """What the fork answered for the first layers of a network."""

    network: Network
    images: np.ndarray
    layers: dict[int, np.ndarray]


def forks_cases() -> list[str]:
    """The fork's networks that others can be made of: no head, no state, as its program runs them."""

    def fits(name: str) -> bool:
        with np.load(golden.FOLDER / f"{name}.npz") as stored:
            told = any(key.startswith("layer_") for key in stored.files)
            return told and stored["input"].ndim == 3 and stored["fold"] == 1 and "boxes" not in stored.files

    left_out = (*golden.LONGER, "history", "header_minor1001_transposed")
    return [name for name in golden.NAMES if name not in left_out and not name.startswith("train_") and fits(name)]


def write_definition(number: int, folder: Path, cases: list[str]) -> tuple[str, Start | None]:
    """`n.cfg` of a network; whose words it is of, and what the fork told of its first layers."""
    random = Random(f"network {number}")
    fork = random.random() < 0.5
    if not fork or not cases or random.random() < 0.7:
        (folder / "n.cfg").write_text(network_text(random, fork))
        return "fork" if fork else "original", None
    name = random.choice(cases)
    case = golden.load(name, folder)
    begun = len(case.spec.layers)
    more = [layer(Place(random, begun + index, fork)) for index in range(random.randint(0, 4))]
    text = format_cfg(read_cfg(folder / f"{name}.cfg").sections)
    (folder / "n.cfg").write_text("\n".join([text, *more]) + "\n")
    return "fork", Start(case.network, case.images, case.layers())


def made(number: int, cfg: Path, dialect: str, start: Start | None) -> tuple[Network, np.ndarray]:
    """The network with seeded weights, but for those that the fork had, and what it is shown."""
    network = load_network(cfg, dialect=dialect, batchnorm="cuda")  # type: ignore[arg-type]
    with torch.no_grad():
        seed_weights(network, number)
    if start is None:
        spec = network.spec
        if spec.net.input.image:
            return network.eval(), np.asarray(seeded_images(spec, number), np.float32)
        return network.eval(), np.random.default_rng(number).random((spec.net.time_steps, spec.net.input.c), np.float32)
    _, unexpected = network.load_state_dict(start.network.state_dict(), strict=False)
    if unexpected:
        raise Unexplained(f"the fork's weights have no place: {unexpected[:3]}")
    return network.eval(), start.images


def attempt(number: int, folder: Path, original: Original | None, cases: list[str]) -> tuple[str, str | None]:
    """How network `number` ended, and its fault where there is one."""
    dialect, start = write_definition(number, folder, cases)
    return ended(number, folder, dialect, start, original)


def ended(
    number: int, folder: Path, dialect: str, start: Start | None, original: Original | None
) -> tuple[str, str | None]:
    """The same of the network in the folder's `n.cfg`."""
    cfg = folder / "n.cfg"
    try:
        network, images = made(number, cfg, dialect, start)
        with torch.no_grad():
            found = network.layer_outputs(torch.from_numpy(images))
        if not all(bool(torch.isfinite(one).all()) for one in found):
            return "numbers grow beyond float32", None
        held = []
        if start is not None:
            _as_the_fork(start, found)
            held.append("the fork's answers")
        remarks, rounded = [], functools.partial(rounding, network, images, found)
        if original is not None:
            (held if (said := _originals(cfg, number, original, rounded)) is None else remarks).append(
                said or "the original"
            )
        (held if (said := _exported(network, folder, images, rounded)) is None else remarks).append(
            said or "ONNX Runtime, OpenVINO"
        )
        same = f"the same as {', '.join(held)}" if held else "nothing to compare with"
        return "; ".join([f"{dialect}: {same}", *remarks]), None
    except Unexplained as error:
        return "fault", f"{error}"
    except DarknetCompatError as error:
        return f"refused: {type(error).__name__}", None
    except Exception as error:
        return "fault", f"{type(error).__name__} at {place_of(error)}: {str(error)[:300]!r}"


def rounding(network: Network, images: np.ndarray, found: list[torch.Tensor]) -> list[float]:
    """How far each layer's output moves, as a part of its largest value, when the input, all weights and what layers
    hand on move by their last bits: what any order of the same sums may do to it."""
    random, moved = torch.Generator().manual_seed(0), [0.0] * len(found)

    def shaken(values: torch.Tensor, least: float = 0) -> torch.Tensor:
        signs = 2 * torch.randint(0, 2, values.shape, generator=random) - 1
        return values + 2**-23 * signs * values.abs().clamp_min(least)

    state = {name: values.clone() for name, values in network.state_dict().items()}
    hooks = [
        module.register_forward_hook(lambda _module, _input, output, least=least: shaken(output, least))
        for layer, module in zip(network.spec.layers, network.layers, strict=True)
        for least in (float(getattr(layer, "activation", "") in LESS_ONE),)
    ]
    with torch.no_grad():
        for _ in range(8):
            network.load_state_dict(
                {name: shaken(values) if values.is_floating_point() else values for name, values in state.items()}
            )
            for index, values in enumerate(network.layer_outputs(shaken(torch.from_numpy(images)))):
                apart = (values - found[index]).abs().max() / found[index].abs().max().clamp_min(1e-30)
                moved[index] = max(moved[index], float(apart))
        network.load_state_dict(state)
    for hook in hooks:
        hook.remove()
    return moved


def _as_the_fork(start: Start, found: list[torch.Tensor]) -> None:
    for index, expected in start.layers.items():
        apart = golden.deviation(found[index].numpy().ravel(), expected)
        if not apart <= golden.TOLERANCE:
            raise Unexplained(f"differs from the fork's answer at layer {index}: {apart:.1e}")


def _originals(cfg: Path, number: int, original: Original, rounded: Callable[[], list[float]]) -> str | None:
    """Against the original; None where they agree, else why they cannot be compared."""
    try:
        parity = layer_parity(cfg, seed=number, original=original)
    except OriginalError as error:
        return _death(cfg, number, original, str(error))
    except CfgError:
        return "not in the original's words"
    if verdict(parity.rows):
        return None
    differing = [row for row in parity.rows if row.verdict == "differs"]
    if not differing:
        return "nothing of the original's in it"
    moved = rounded()
    if all(row.relative <= ROUNDING * moved[int(row.name.split()[0])] for row in differing):
        return f"the original's {SENSITIVE}"
    worst = max(differing, key=lambda row: row.relative)
    raise Unexplained(f"differs from the original at {worst.name}: {worst.relative:.1e}")


def _death(cfg: Path, number: int, original: Original, message: str) -> str:
    """At which layer the original dies: the last one of the shortest beginning of the network that kills it."""
    parsed, part = read_cfg(cfg), cfg.with_name("part.cfg")
    for length in range(2, len(parsed.sections) + 1):
        part.write_text(format_cfg(parsed.sections[:length]))
        try:
            layer_parity(part, seed=number, original=original)
        except OriginalError as error:
            kind = parsed.sections[length - 1].type
            signal, why = DEATHS.get(kind, (None, ""))
            if signal is not None and f"killed by {signal}" in str(error):
                return f"the original dies at [{kind}]: {why}"
            raise Unexplained(f"the original dies at layer {length - 2} [{kind}]: {f'{error}'[-200:]}") from None
        except DarknetCompatError:
            continue
    raise Unexplained(f"the original dies: {message[-200:]}")


def _exported(network: Network, folder: Path, images: np.ndarray, rounded: Callable[[], list[float]]) -> str | None:
    """Against ONNX Runtime and OpenVINO; None where they agree, else why there is no file."""
    path = folder / "n.onnx"
    try:
        export_onnx(network, path, outputs="heads", sizes=None)
        assert_raw_same(network, path, images)
    except ExportError as error:
        why = str(error).rpartition("] ")[2].removeprefix(f"{network.spec.name}: ")
        return f"no .onnx: {why.partition(';')[0]}"
    except AssertionError as error:
        if "all zeros on both sides" in str(error):
            return "all zeros"
        part = re.search(r"relative=([0-9.e+-]+)", str(error))
        if part and float(part[1]) <= ROUNDING * max(rounded()[head] for head in _ends(network)):
            return f"once exported, {SENSITIVE}"
        raise Unexplained(f"differs once exported: {str(error)[:300]!r}") from None
    return None


def _ends(network: Network) -> list[int]:
    """The layers whose outputs a file of raw heads has."""
    heads = [source for head in network.spec.heads for source in head.sources]
    return [index for index in heads if index >= 0] or [network.spec.output_index]


def main() -> None:
    """As the bench runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    limits(parser)
    given = parser.parse_args()
    seconds, count = limits_of(given)
    ends, faults, end = Counter[str](), list[str](), time.monotonic() + seconds
    number = given.start
    original, cases = Original() if find_original() else None, forks_cases()
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < end and number < given.start + count:
            how, fault = attempt(number, Path(place), original, cases)
            ends[how] += 1
            if fault is not None:
                faults.append(f"{number}: {fault}")
            number += 1
    print(json.dumps({"networks": number - given.start, "ends": ends, "faults": faults}))


if __name__ == "__main__":
    main()
