"""Random networks: each is refused in one line, or computes the same in the original, torch, ONNX Runtime and OpenVINO.

    python -m tests.attack.networks --seconds 60 --start 0

Network N is always the same. The last line is JSON: how many ended how; what nobody has explained is under `faults`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import torch

from darknet_compat.errors import BackendError, DarknetCompatError, OriginalError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.network.load import load_network
from darknet_compat.parity.compare import verdict
from darknet_compat.parity.layers import layer_parity
from darknet_compat.parity.picture import seeded_images
from darknet_compat.parity.reference import Original
from darknet_compat.parity.seeded import seed_weights
from tests.attack.fuzz import _place
from tests.conftest import find_original
from tests.export.support import assert_raw_same

ACTIVATIONS = ("linear", "leaky", "relu", "logistic", "tanh", "elu", "ramp", "hardtan", "relie", "selu", "loggy")
FORKS = ("swish", "mish", "relu6", "gelu", "hard_mish")


def network_text(random: Random, fork: bool) -> str:
    """A definition of a few layers; some are impossible, as people's are."""
    side = random.choice([8, 12, 16, 24, 32])
    width, height = (side, side) if random.random() < 0.7 else (side, random.choice([8, 16, 24]))
    lines = [f"[net]\nbatch=1\nwidth={width}\nheight={height}\nchannels={random.choice([1, 3, 3, 4])}"]
    depth = random.randint(1, 8)
    for number in range(depth):
        lines.append(_layer(random, number, fork))
    lines += [_end(random)] if random.random() < 0.5 else []
    return "\n".join(lines) + "\n"


def _layer(random: Random, number: int, fork: bool) -> str:
    activation = random.choice(ACTIVATIONS + FORKS if fork else ACTIVATIONS)
    before = random.randrange(-min(number, 4), 0) if number else -1
    dense = f"output={random.choice([1, 5, 12])}\nactivation={activation}\nbatch_normalize={random.choice([0, 1])}"
    choices = [
        f"[convolutional]\nfilters={random.choice([1, 2, 4, 6, 8, 16])}\nsize={random.choice([1, 2, 3, 5])}\n"
        f"stride={random.choice([1, 1, 1, 2])}\npad={random.choice([0, 1])}\nactivation={activation}\n"
        f"batch_normalize={random.choice([0, 1])}\ngroups={random.choice([1, 1, 1, 2, 4])}",
        f"[maxpool]\nsize={random.choice([1, 2, 3])}\nstride={random.choice([1, 2])}",
        f"[upsample]\nstride={random.choice([2, 2, 3])}",
        f"[route]\nlayers={random.choice([f'{before}', f'-1,{before}', '0,-1'])}",
        f"[shortcut]\nfrom={before}\nactivation={activation}",
        f"[reorg]\nstride={random.choice([2, 2, 4])}\nreverse={random.choice([0, 0, 1])}",
        "[dropout]\nprobability=.5",
        f"[activation]\nactivation={activation}",
        "[batchnorm]",
        f"[connected]\n{dense}",
        f"[local]\nfilters={random.choice([1, 3])}\nsize={random.choice([1, 3])}\nactivation={activation}",
        f"[normalization]\nsize={random.choice([1, 3, 5])}\nalpha=.01\nbeta=.7\nkappa=1",
        f"[crop]\ncrop_width={random.choice([4, 8])}\ncrop_height={random.choice([4, 8])}",
    ]
    if fork:
        choices += [
            f"[sam]\nfrom={before}", f"[scale_channels]\nfrom={before}", "[avgpool]",
            f"[route]\nlayers=-1\ngroups={random.choice([1, 2])}\ngroup_id={random.choice([0, 1])}",
            f"[convolutional]\nfilters=4\nsize=3\npad=1\ndilation=2\nactivation={activation}",
        ]  # fmt: skip
    return random.choices(choices, [6, 3, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, *([1] * (len(choices) - 13))])[0]


def _end(random: Random) -> str:
    classes, num = random.choice([1, 3]), random.choice([1, 2])
    anchors = ",".join(["1,2"] * num)
    yolo = f"[yolo]\nclasses={classes}\nnum={num}\nmask={','.join(map(str, range(num)))}\nanchors={anchors}"
    heads = (
        ("[region]", f"[region]\nclasses={classes}\nnum={num}\nanchors={anchors}\nsoftmax=1", num * (classes + 5)),
        ("[yolo]", yolo, num * (classes + 5)),
    )
    _, head, filters = random.choice(heads)
    last = f"[convolutional]\nfilters={filters}\nsize=1\nactivation=linear\n"
    return random.choice(["[avgpool]\n[softmax]", "[softmax]", last + head, "[connected]\noutput=4\n[softmax]"])


def attempt(number: int, folder: Path, original: Original | None) -> tuple[str, str | None]:
    """How network `number` ended, and its fault where there is one."""
    random = Random(f"network {number}")
    fork = random.random() < 0.5
    cfg = folder / "n.cfg"
    cfg.write_text(network_text(random, fork))
    dialect = "fork" if fork else "original"
    try:
        network = load_network(cfg, dialect=dialect, batchnorm="cuda")
        with torch.no_grad():
            seed_weights(network, number)
        images = np.asarray(seeded_images(network.spec, number), np.float32)
        found = network.eval().layer_outputs(torch.from_numpy(images))
        if not all(bool(torch.isfinite(one).all()) for one in found):
            return "numbers grow beyond float32", None
        if original is not None and not fork and (ended := _originals(cfg, number, original)) is not None:
            return ended
        return _exported(network, folder, images, dialect)
    except DarknetCompatError as error:
        return f"refused: {type(error).__name__} {_place(error)}", None
    except Exception as error:
        return "fault", f"{type(error).__name__} at {_place(error)}: {str(error)[:300]!r}"


def _originals(cfg: Path, number: int, original: Original) -> tuple[str, str | None] | None:
    """Against the original; None where they agree."""
    try:
        parity = layer_parity(cfg, seed=number, original=original)
    except OriginalError as error:
        return f"the original {'dies' if 'killed' in str(error) else 'refuses'}", None
    if verdict(parity.rows):
        return None
    worst = max(parity.rows, key=lambda row: np.nan_to_num(row.relative, nan=np.inf))
    if worst.name == "0 dropout":
        return "explained: a [dropout] that is the first layer has no output in the original", None
    return "fault", f"differs from the original at {worst.name}: {worst.relative:.1e}"


def _exported(network: object, folder: Path, images: np.ndarray, dialect: str) -> tuple[str, str | None]:
    path = folder / "n.onnx"
    try:
        export_onnx(network, path, outputs="heads", sizes=None)  # type: ignore[arg-type]
        assert_raw_same(network, path, images)  # type: ignore[arg-type]
    except BackendError as error:
        return f"no file: {type(error).__name__}", None
    except AssertionError as error:
        if "all zeros on both sides" in str(error):
            return "nothing to compare: all zeros", None
        return "fault", f"differs once exported ({dialect}): {str(error)[:300]!r}"
    return f"the same everywhere ({dialect})", None


def main() -> None:
    """As the bench runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--start", type=int, default=0)
    given = parser.parse_args()
    ends, faults, end = Counter[str](), list[str](), time.monotonic() + given.seconds
    number = given.start
    original = Original() if find_original() else None
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < end:
            ended, fault = attempt(number, Path(place), original)
            ends[ended] += 1
            if fault is not None:
                faults.append(f"{number}: {fault}")
            number += 1
    print(json.dumps({"networks": number - given.start, "ends": ends, "faults": faults}))


if __name__ == "__main__":
    main()
