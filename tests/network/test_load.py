"""From files to a network and back: what is random, what is read, what is refused, and what it costs."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, cut_weights, slots
from darknet_compat.errors import CatalogError, CfgError, DarknetCompatError, MetadataError, TreeError, WeightsError
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network

Write = Callable[..., Path]
Floats = NDArray[np.float32]

REPOSITORY = Path(__file__).resolve().parents[2]
YOLOV2_VOC = REPOSITORY / "cfg" / "yolov2-voc.cfg"
CONV = "[convolutional]\nfilters=8\nsize=3\nbatch_normalize=1\nactivation=leaky\n"
SHAPE = (3, 12, 12)


def numbered(cfg: Path, header: Header | None = None) -> tuple[Path, list[Floats]]:
    """A file for a network, with the numbers 1, 2, 3, … as weights; and these, slot by slot."""
    header = header or Header()
    sizes = [slot.size for slot in slots(load_spec(cfg), transposed=header.transposed)]
    values = np.arange(1, sum(sizes) + 1, dtype="<f4")
    path = cfg.with_suffix(".weights")
    path.write_bytes(header.to_bytes() + values.tobytes())
    return path, np.split(values, np.cumsum(sizes)[:-1])


def floats(network: Network, layer: int, name: str) -> Floats:
    values: Floats = getattr(network.layers[layer], name).detach().numpy()
    return values


# ------------------------------------------------------------------------------------ by its name


def test_a_name_of_the_catalogue_brings_its_weights() -> None:
    folder = REPOSITORY / "weights"
    named = load_network("yolov2-digits")
    given = load_network(REPOSITORY / "cfg" / "yolov2-digits.cfg", folder / "yolov2-digits.weights")
    assert named.spec.name == given.spec.name and named.header == given.header
    pairs = zip(named.state_dict().values(), given.state_dict().values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_what_is_neither_a_name_nor_a_file() -> None:
    with pytest.raises(CatalogError, match=r"no model is called 'yolov2-digit'; did you mean yolov2-digits\?"):
        load_network("yolov2-digit")
    with pytest.raises(CfgError, match=r"no/such\.cfg: "):
        load_network("no/such.cfg")


# ------------------------------------------------------------------------------------ without a file


def test_random_weights_follow_torchs_seed(write: Write) -> None:
    cfg = write(f"{CONV}[connected]\noutput=4\n[lstm]\noutput=3\n", SHAPE)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(torch.cat([parameter.detach().flatten() for parameter in load_network(cfg).parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert all(values.isfinite().all() for values in drawn)


@pytest.mark.parametrize(("text", "deviation", "bound"), [
    ("[convolutional]\nfilters=400\nsize=3\ngroups=2", (2 / (9 * 2)) ** 0.5, None),
    ("[deconvolutional]\nfilters=400\nsize=3\nstride=2", 0.02 * 25 * 25 / 144, None),
    ("[connected]\noutput=50", (2 / 576 / 3) ** 0.5, (2 / 576) ** 0.5),
    ("[local]\nfilters=20\nsize=3", (2 / 36 / 3) ** 0.5, (2 / 36) ** 0.5),
])  # fmt: skip
def test_random_weights_are_spread_as_the_originals(
    write: Write, text: str, deviation: float, bound: float | None
) -> None:
    torch.manual_seed(0)
    network = load_network(write(text, (4, 12, 12)))
    weights = floats(network, 0, "weights")
    assert weights.size > 7000
    assert weights.std() == pytest.approx(deviation, rel=0.05)
    assert abs(weights.mean()) < 0.05 * deviation
    assert (floats(network, 0, "biases") == 0).all()
    if bound:
        assert np.abs(weights).max() <= bound * 1.000001


def test_another_size_than_the_cfgs(write: Write) -> None:
    network = load_network(write(CONV, SHAPE), size=(20, 14))
    assert (network.spec.net.width, network.spec.net.height) == (20, 14)
    assert network.spec.layers[0].output[:3] == (8, 12, 18)


# --------------------------------------------------------------------------------------- what is read


def test_every_value_lands_in_its_place(write: Write) -> None:
    cfg = write(f"{CONV}[connected]\noutput=2\nbatch_normalize=1\n", (2, 3, 3))
    path, (biases, scales, mean, variance, weights, *connected) = numbered(cfg)
    network = load_network(cfg, path)
    for name, values in {
        "biases": biases,
        "scales": scales,
        "rolling_mean": mean,
        "rolling_variance": variance,
    }.items():
        assert (floats(network, 0, name) == values).all()
    assert (floats(network, 0, "weights") == weights.reshape(8, 2, 3, 3)).all()
    assert (floats(network, 1, "biases") == connected[0]).all()
    assert (floats(network, 1, "weights") == connected[1].reshape(2, 8)).all()


HEADERS = [Header(0, 2, 0, 7), Header(0, 1, 0, 7), Header(0, 2, 5, 2**40), Header(1, 0, 0, 3), Header(0, 1001, 0, 9)]


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_round_trip_is_byte_for_byte_the_same(write: Write, tmp_path: Path, header: Header) -> None:
    cfg = write(f"{CONV}{CONV}flipped=1\n[connected]\noutput=5\n[rnn]\noutput=3\n", SHAPE)
    path, _ = numbered(cfg, header)
    network = load_network(cfg, path)
    assert network.header == header
    save_weights(network, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == path.read_bytes()


def test_old_files_hold_connected_weights_transposed(write: Write) -> None:
    cfg = write("[connected]\noutput=2\n", (3,))
    path = cfg.with_suffix(".weights")
    path.write_bytes(struct.pack("<iiii8f", 0, 1001, 0, 0, 7, 8, *range(6)))
    network = load_network(cfg, path)
    assert floats(network, 0, "weights").tolist() == [[0, 2, 4], [1, 3, 5]]
    assert network.layers[0].weights.is_contiguous()


def test_the_network_owns_its_values(write: Write) -> None:
    cfg = write(CONV * 2, SHAPE)
    path, _ = numbered(cfg)
    before = path.read_bytes()
    first, second = load_network(cfg, path), load_network(cfg, path)
    with torch.no_grad():
        for value in first.state_dict().values():
            value.zero_()
    assert path.read_bytes() == before
    assert (floats(second, 0, "biases") == range(1, 9)).all()
    path.write_bytes(before[:20])
    assert (floats(second, 1, "weights") > 0).all()
    storages = {value.untyped_storage().data_ptr() for value in second.state_dict().values()}
    assert len(storages) == len(second.state_dict())  # so that what is dropped is freed, and one alone can be saved


def test_saving_over_the_file_that_was_loaded(write: Write) -> None:
    cfg = write(CONV, SHAPE)
    path, _ = numbered(cfg)
    before = path.read_bytes()
    save_weights(load_network(cfg, path), path)
    assert path.read_bytes() == before


def test_a_cut_file_gives_the_first_layers_and_the_rest_is_random(write: Write, tmp_path: Path) -> None:
    cfg = write(CONV * 3, SHAPE)
    path, _ = numbered(cfg)
    cut = tmp_path / "small.conv.2"
    cut_weights(path, load_spec(cfg), cut, 2)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(load_network(cfg, cut, cutoff=2))
    whole = load_network(cfg, path)
    for layer in (0, 1):
        assert (floats(drawn[0], layer, "weights") == floats(whole, layer, "weights")).all()
    random = [floats(network, 2, "weights") for network in drawn]
    assert (random[0] == random[1]).all()
    assert not (random[0] == random[2]).any()
    assert (floats(drawn[0], 2, "rolling_variance") == 1).all()
    with pytest.raises(WeightsError, match="cutoff 2"):
        load_network(cfg, cut)


def test_options_that_load_a_part_leave_the_rest_random(write: Write) -> None:
    cfg = write(f"{CONV}numload=3\n{CONV}dontload=1\n{CONV}dontloadscales=1\n", SHAPE)
    path, arrays = numbered(cfg)
    torch.manual_seed(0)
    network = load_network(cfg, path)
    assert [array.size for array in arrays] == [3, 3, 3, 3, 3 * 27, 8, 8 * 72]
    weights = floats(network, 0, "weights")
    assert (weights[:3].ravel() == arrays[4]).all()
    assert 0 < np.abs(weights[3:]).max() < 3
    assert (floats(network, 0, "biases") == [1, 2, 3, 0, 0, 0, 0, 0]).all()
    assert (floats(network, 0, "rolling_variance")[3:] == 1).all()
    assert 0 < np.abs(floats(network, 1, "weights")).max() < 3
    assert (floats(network, 2, "weights").ravel() == arrays[6]).all()
    assert (floats(network, 2, "scales") == 1).all()


# -------------------------------------------------------------------------------------- what is refused


def bad_files(cfg: Path) -> dict[str, tuple[type[DarknetCompatError], Path, Path]]:
    """What is wrong → the error it must be, a cfg and a weights file."""
    good, _ = numbered(cfg)
    content = good.read_bytes()

    def weights(name: str, data: bytes) -> tuple[type[DarknetCompatError], Path, Path]:
        path = cfg.with_name(name)
        path.write_bytes(data)
        return WeightsError, cfg, path

    def other(name: str, text: str, error: type[DarknetCompatError]) -> tuple[type[DarknetCompatError], Path, Path]:
        path = cfg.with_name(name)
        path.write_text(text)
        return error, path, good

    small = "[net]\nchannels=3\nheight=1\nwidth=1\n"
    cfg.with_name("bad.tree").write_text("a 1\nb 0\n")
    cfg.with_name("bad.map").write_text("1\nsome\n")
    region = f"{small}[convolutional]\nfilters=7\nactivation=linear\n[region]\nclasses=2\n"
    return {
        "no such cfg": (CfgError, cfg.with_name("none.cfg"), good),
        "a folder for a cfg": (CfgError, cfg.parent, good),
        "no layers": other("empty.cfg", small, CfgError),
        "no such section": other("section.cfg", f"{small}[convolution]\n", CfgError),
        "a bad tree": other("tree.cfg", f"{region}tree=bad.tree\n", TreeError),
        "a bad map": other("map.cfg", f"{region}map=bad.map\n", MetadataError),
        "no such weights": (WeightsError, cfg, cfg.with_name("none.weights")),
        "a folder for weights": (WeightsError, cfg, cfg.parent),
        "nothing in it": weights("nothing", b""),
        "half a header": weights("half", content[:18]),
        "cut short": weights("short", content[:-1000]),
        "a byte too many": weights("long", content + b"x"),
        "a web page": weights("page", b"<!DOCTYPE html><html>not found</html>" * 50),
    }


@pytest.mark.parametrize("name", [
    "no such cfg", "a folder for a cfg", "no layers", "no such section", "a bad tree", "a bad map", "no such weights",
    "a folder for weights", "nothing in it", "half a header", "cut short", "a byte too many", "a web page",
])  # fmt: skip
def test_bad_files_are_one_clear_line(write: Write, name: str) -> None:
    error, cfg, weights = bad_files(write(CONV, SHAPE))[name]
    with pytest.raises(DarknetCompatError) as caught:
        load_network(cfg, weights)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    guilty = weights if error is WeightsError else cfg
    assert str(guilty) in str(caught.value) or error in (TreeError, MetadataError)


def test_a_file_cut_short_names_the_layer(write: Write) -> None:
    cfg = write(CONV * 2, SHAPE)
    path, _ = numbered(cfg)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(WeightsError, match=r"layer 1 \[convolutional\] \(weights\)"):
        load_network(cfg, path)


def test_a_file_that_shrinks_meanwhile_is_an_error(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = write(CONV, SHAPE)
    path, _ = numbered(cfg)
    make = Network.__init__

    def shrink(*arguments: object, **options: object) -> None:
        make(*arguments, **options)  # type: ignore[arg-type]
        os.truncate(path, 100)

    monkeypatch.setattr(Network, "__init__", shrink)
    with pytest.raises(WeightsError, match="shorter"):
        load_network(cfg, path)


def test_where_nothing_can_be_written_nothing_is_left(write: Write, tmp_path: Path) -> None:
    network = load_network(write(CONV, SHAPE))
    with pytest.raises(WeightsError) as caught:
        save_weights(network, tmp_path / "none" / "small.weights")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------ what it costs


@pytest.fixture(scope="module")
def yolov2_voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights for yolov2-voc, 203 MB, in the page cache."""
    path = tmp_path_factory.mktemp("weights") / "yolov2-voc.weights"
    count = sum(slot.size for slot in slots(load_spec(YOLOV2_VOC)))
    with path.open("wb") as file:
        file.write(Header().to_bytes())
        np.random.default_rng(0).random(count, np.float32).tofile(file)
    assert path.stat().st_size == 202704264
    return path


PEAK = """
from sys import argv
from darknet_compat.network.load import load_network

def peak():  # of this program alone; getrusage also counts whoever started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

before = peak()
network = load_network(argv[1], argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_loading_takes_no_more_memory_than_the_weights(yolov2_voc: Path) -> None:
    """The bar is 1.3 times the file beyond torch's own. Measured: 1.02."""
    command = [sys.executable, "-c", PEAK, str(YOLOV2_VOC), str(yolov2_voc)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    assert 0.9 < int(done.stdout) / yolov2_voc.stat().st_size < 1.3
