"""Damaged and hostile files: whatever is in them, reading ends soon, in little memory, with an answer or a typed error.

Mutation number N is always the same file; a failure names it.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest

from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.lower import load_spec, lower
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.file import Header, read_weights, slots, write_weights
from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats.cfg import MAX_CFG_BYTES, format_cfg, parse_cfg, read_cfg
from darknet_compat.formats.metadata import data_roots, read_data, read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import format_tree, read_tree
from tests.conftest import SHARED_DATA, find_original

SECONDS = 10.0  # of the processor, writing the damaged file included: what never ends is found, a slow machine is not
BYTES = 500_000_000

_NUMBERS = """0 -1 1 2 3 5 7 255 65536 999999999 2147483647 2147483648 -2147483648 99999999999999999999 1e9 1e-9 1e400
    nan inf -inf 0x7f .5 -.5 1.5.5 +3 x , 1,,2 -1,-2 0,1,2,3,4,5,6,7,8"""
_FILES = ".. ../../etc/passwd /etc/passwd data/9k.tree data data/coco9k.map"
HOSTILE = [*_NUMBERS.split(), *_FILES.split(), "", "\x1b[31m", "\u2028", "\udcff\ufeff"]
HOSTILE += ["9" * 5000, "-1," * 3000, "0," * 3000, "x/" * 5000]
SECTIONS = [*LOWERINGS, "net", "network", "nothing"]
_KEYS = """batch subdivisions time_steps width height channels inputs policy steps scales filters size stride pad
    padding groups group_id activation batch_normalize flipped binary xnor numload dontload dontsave dontloadscales
    output layers from reverse extra flatten tree map classes coords num mask anchors side max softmax probability ids
    crop_width crop_height hidden_filters output_filters temperature spatial learning_rate stride_x stride_y dilation
    antialiasing share_index maxpool_depth out_channels weights_type weights_normalization scale_wh atoms mean std
    history_size hidden peephole state_constrain yolo_layer embedding_layer new_coords counters_per_class logistic
    bin_output probability dropblock_size_abs scale_x_y max_delta"""
KEYS = _KEYS.split()
SMALL = """
[net]\nwidth=12\nheight=12\nchannels=3\nbatch=1
[conv]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky
[max]\nsize=2\nstride=2
[conv]\nfilters=8\nsize=3\npad=1\ngroups=2
[shortcut]\nfrom=-2
[upsample]\nstride=2
[route]\nlayers=-1,0
[reorg]\nstride=2
[local]\nfilters=4\nsize=3\nstride=2\npad=1
[crnn]\nhidden_filters=3\noutput_filters=4
[connected]\noutput=18\nbatch_normalize=1
[lstm]\noutput=6
[gru]\noutput=6
[rnn]\noutput=6
[connected]\noutput=147
[detection]\nside=7
[softmax]
"""
FORK = """
[net]\nwidth=16\nheight=16\nchannels=3\nbatch=1\nmosaic=1
[conv]\nfilters=8\nsize=3\npad=1\ndilation=2\nbatch_normalize=1\nactivation=mish
[conv]\nfilters=8\nsize=3\npad=1\nstride_x=1\nantialiasing=1\nactivation=swish
[conv]\nfilters=8\nsize=3\npad=1\nshare_index=1
[shortcut]\nfrom=0,-1\nweights_type=per_channel\nweights_normalization=softmax
[avgpool]
[conv]\nfilters=8
[scale_channels]\nfrom=3
[conv]\nfilters=8
[sam]\nfrom=6
[local_avgpool]\nsize=3\nstride=1
[maxpool]\nmaxpool_depth=1\nout_channels=4
[reorg3d]\nstride=2
[history]\nhistory_size=2
[implicit]\nfilters=32
[route]\nlayers=12
[shift_channels]\nfrom=13
[batchnorm]
[conv_lstm]\noutput=4\npad=1\npeephole=1
[crnn]\nhidden=2\noutput=3\npad=1
[conv]\nfilters=7
[yolo]\nclasses=2\nnew_coords=1\nnms_kind=greedynms
[contrastive]\nyolo_layer=-1
[rnn]\nhidden=3\noutput=22
"""


@dataclass
class Seed:
    """A good definition and a good weights file of it."""

    cfg: bytes
    weights: Path
    data: bytes = b""  # of the weights, where these are to be mutated


@dataclass
class Tally:
    """What became of the mutated files."""

    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_of: str = ""
    grown: int = 0


def sparse(path: Path, spec: NetworkSpec) -> Path:
    """A weights file of the right length that takes no space."""
    with path.open("wb") as file:
        file.write(Header().to_bytes())
        file.truncate(20 + 4 * sum(slot.size for slot in slots(spec)))
    return path


def seeds_in(folder: Path, everything: bool) -> list[Seed]:
    """A small network of many layers and the project's own; with `everything` the original's, and real models."""
    pairs = []
    random = np.random.default_rng(0)
    for name, text in (("small", SMALL), ("fork", FORK)):
        (folder / f"{name}.cfg").write_text(text)
        spec = load_spec(folder / f"{name}.cfg")
        pairs.append(folder / f"{name}.weights")
        write_weights(pairs[-1], Header(), [(slot, random.random(slot.shape, np.float32)) for slot in slots(spec)])
    cfgs = sorted(cfg_dir().glob("*.cfg"))
    if everything and (original := find_original()):
        cfgs += sorted(original.cfg.glob("*.cfg"))
    if everything:
        pairs += sorted((SHARED_DATA / "models").glob("*/*.weights"))
    found = [Seed(path.with_suffix(".cfg").read_bytes(), path, path.read_bytes()) for path in pairs]
    for number, cfg in enumerate(cfgs):
        found.append(Seed(cfg.read_bytes(), sparse(folder / f"{number}.weights", load_spec(cfg))))
    assert len(found) >= 16
    return found


# ------------------------------------------------------------------------------------------------- mutations


def mutated_text(random: Random, data: bytes) -> bytes:
    """A definition with one, two or four things done to it."""
    lines = data.split(b"\n")
    for _ in range(random.choice([1, 1, 2, 4])):
        at = random.randrange(len(lines))
        match random.randrange(12):
            case 0 | 1 | 2 | 3:  # another value
                at = next((n for n in range(at, len(lines)) if b"=" in lines[n] and lines[n][:1] != b"#"), at)
                lines[at] = lines[at].partition(b"=")[0] + b"=" + hostile(random)
            case 4:
                lines.insert(at, random.choice(KEYS).encode() + b"=" + hostile(random))
            case 5:
                lines.insert(at, b"[" + random.choice(SECTIONS).encode() + b"]")
            case 6:
                del lines[at : at + random.randint(1, 20)]
            case 7:
                lines[at:at] = lines[at : at + random.randint(1, 20)] * random.choice([1, 2, 50])
            case 8:
                other = random.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 9:
                lines = mutated_bytes(random, b"\n".join(lines)).split(b"\n")
            case 10:
                lines = lines[:at]
            case 11:
                lines.insert(at, hostile(random))
        lines = lines or [b""]
    return b"\n".join(lines)


def hostile(random: Random) -> bytes:
    return random.choice(HOSTILE).encode("utf-8", "surrogateescape")


def mutated_bytes(random: Random, data: bytes) -> bytes:
    """A file with bytes flipped, cut, doubled or inserted; its beginning is where it hurts most."""
    at = random.randrange(min(len(data), random.choice([24, len(data)])) + 1) if data else 0
    length = random.choice([1, 2, 4, 16, 1000])
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[: at + length] + data[at:]
        case 3:
            return data[:at] + random.randbytes(length) + data[at:]
        case 4:
            word = random.choice([0, 1, 2, 1000, 1001, 2**31 - 1, 2**31, 2**32 - 1])
            return data[: at & ~3] + word.to_bytes(4, "little") + data[(at & ~3) + 4 :]
        case _:
            return data[:at] + random.randbytes(length) + data[at + length :]


def attempt(number: int, seeds: list[Seed], folder: Path) -> str:
    """Read mutation `number`; the name of the error that came of it, or 'fine'."""
    random = Random(f"mutation {number}")
    seed = random.choice(seeds if random.random() < 0.6 else [seed for seed in seeds if seed.data])
    cfg, weights = folder / "m.cfg", seed.weights
    if seed.data and random.random() < 0.5:
        cfg.write_bytes(seed.cfg)
        weights = folder / "m.weights"
        weights.write_bytes(mutated_bytes(random, seed.data))
    else:
        cfg.write_bytes(mutated_text(random, seed.cfg))
    try:
        if random.random() < 0.02:
            cfg, weights = weights, cfg
        sections = read_cfg(cfg)
        if number % 8 == 0:
            assert format_cfg(parse_cfg(format_cfg(sections))) == format_cfg(sections)
        spec = lower(sections, data_roots(cfg, [cfg_dir()]))
        assert all(note.isprintable() and len(note) < 2000 for note in spec.notes)
        assert sum(slot.size for slot in slots(spec)) < 2**32
        arrays = read_weights(weights, spec, random.choice([None, None, None, 1, 5, -1])).arrays
        for slot, array in arrays:
            assert array.shape == slot.shape
            float(array.flat[0])
    except DarknetCompatError as error:
        assert str(error).isprintable() and len(str(error)) < 2000, error
        return type(error).__name__
    return "fine"


def survive(numbers: range, seeds: list[Seed], folder: Path) -> Tally:
    """Read all those mutations; each has to end in time, and all of them within the memory."""
    tally = Tally()
    before = peak_memory(reset=True)
    for number in numbers:
        start = time.process_time()
        try:
            tally.answers[attempt(number, seeds, folder)] += 1
        except Exception as error:
            raise AssertionError(f"mutation {number}: {type(error).__name__}: {error}") from error
        seconds = time.process_time() - start
        if seconds > tally.slowest:
            tally.slowest, tally.slowest_of = seconds, f"mutation {number}"
        assert seconds < SECONDS, f"mutation {number} took {seconds:.1f} s"
        assert peak_memory() - before < BYTES, f"mutation {number} took {(peak_memory() - before) >> 20} MiB"
    tally.grown = peak_memory() - before
    return tally


def peak_memory(reset: bool = False) -> int:
    """The most memory this process has had, in bytes; since the reset where the system can do that."""
    if reset:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ----------------------------------------------------------------------------------------------------- tests


def test_2000_mutated_files_end_in_typed_errors_soon_and_in_little_memory(tmp_path: Path) -> None:
    tally = survive(range(2000), seeds_in(tmp_path, everything=False), tmp_path)
    # Enough got through each stage for the test to have tested it.
    assert tally.answers["fine"] > 100
    assert tally.answers["CfgError"] > 100
    assert tally.answers["WeightsError"] > 100


@pytest.mark.slow
def test_20000_mutated_files(tmp_path: Path) -> None:
    tally = survive(range(10_000, 30_000), seeds_in(tmp_path, everything=True), tmp_path)
    print(
        f"\n{dict(tally.answers)}, slowest {tally.slowest:.3f} s ({tally.slowest_of}), {tally.grown / 1e6:.0f} MB more"
    )
    assert sum(tally.answers.values()) == 20_000


@pytest.mark.parametrize("kind", ["tree", "names", "map", "data"])
def test_500_mutated_side_files(kind: str, tmp_path: Path) -> None:
    lines = format_tree(read_tree(cfg_dir() / "data" / "9k.tree")).splitlines()[:200]
    good = {
        "tree": "\n".join(lines),
        "names": "\n".join(line.split()[0] for line in lines),
        "map": "\n".join(line.split()[1].strip("-") for line in lines),
        "data": "classes=80\ntrain=coco.txt\nnames = data/coco.names\nbackup=/home\n",
    }[kind]
    read = {"tree": read_tree, "names": read_names, "map": read_map, "data": read_data}[kind]
    path = tmp_path / "file"
    answers = Counter[str]()
    before, start = peak_memory(reset=True), time.process_time()
    for number in range(500):
        path.write_bytes(mutated_text(Random(f"{kind} {number}"), good.encode()))
        try:
            read(path)
        except DarknetCompatError as error:
            assert str(error).isprintable() and len(str(error)) < 2000, error
            answers["refused"] += 1
        else:
            answers["fine"] += 1
    assert min(answers["refused"], answers["fine"]) > 5
    assert time.process_time() - start < SECONDS * 5
    assert peak_memory() - before < BYTES


FULL = MAX_CFG_BYTES - 100
HEAVY = {
    "sections": b"[softmax]\n" * (FULL // 10),
    "layers": b"[softmax]\n" * 9_990,
    "options": b"".join(b"%x\n" % number for number in range(FULL // 6)),
    "the same option": b"a\n" * (FULL // 2),
    "empty options": b"a=\n" * (FULL // 3),
    "empty lines": b"\n" * FULL,
    "a long line": b"a=" + b"x" * FULL,
    "blanks": b" " * FULL,
    "a long list": b"[route]\nlayers=" + b"0," * (FULL // 2),
    "odd numbers": b"[route]\nlayers=" + b"0x," * (FULL // 3),
    "many anchors": b"[connected]\noutput=6\n[yolo]\nclasses=1\nanchors=" + b"1," * (FULL // 2),
    "digits": b"groups=" + b"1" * FULL,
    "a small number": b"temperature=." + b"0" * FULL + b"1",
    "wide routes": b"[route]\nlayers=-1,-1,-1,-1,-1\n" * (FULL // 30),
}


@pytest.mark.parametrize("what", HEAVY)
def test_the_heaviest_definitions(what: str, tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    path.write_bytes(b"[net]\ninputs=1\n[softmax]\n" + HEAVY[what])
    assert FULL / 3 < path.stat().st_size <= MAX_CFG_BYTES
    before, start = peak_memory(reset=True), time.process_time()
    with suppress(DarknetCompatError):
        spec = load_spec(path)
        list(slots(spec))
    assert time.process_time() - start < SECONDS
    assert peak_memory() - before < BYTES
