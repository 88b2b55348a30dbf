from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from darknet_compat.catalogue import catalog
from darknet_compat.catalogue.catalog import MODELS, Model, cache_dir, fetch, files, find, local_weights
from darknet_compat.catalogue.fetch.checksum import Expected, Part
from darknet_compat.catalogue.models import ALIASES, HEADERS, WeightsFile
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec, Softmax
from darknet_compat.definition.weights.file import slots
from darknet_compat.errors import CatalogError, DownloadError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir, weights_dir
from tests.catalogue.fetch.http_server import Server, gives

AS_SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@pytest.fixture(scope="session")
def specs() -> dict[str, NetworkSpec]:
    return {name: load_spec(cfg_dir() / model.cfg) for name, model in MODELS.items()}


# -------------------------------------------------------------------------------------------------------- the table


@each_model
def test_floats_are_what_the_network_holds(model: Model, specs: dict[str, NetworkSpec]) -> None:
    assert model.weights.floats == sum(math.prod(slot.shape) for slot in slots(specs[model.name]))


@each_model
def test_there_is_a_name_and_a_label_for_each_class(model: Model, specs: dict[str, NetworkSpec]) -> None:
    head = specs[model.name].heads[-1]
    classes = head.output.size if isinstance(head, Softmax) else head.classes
    assert model.task == ("classify" if isinstance(head, Softmax) else "detect")
    assert len(read_names(cfg_dir() / model.names)) == classes
    if model.labels:
        assert len(set(read_names(cfg_dir() / model.labels))) == classes


@each_model
def test_addresses_are_https_and_sizes_agree(model: Model) -> None:
    weights = model.weights
    assert weights.header in (None, *HEADERS) and weights.file.endswith(".weights")
    urls = []
    for mirror in weights.mirrors:
        pieces = [mirror] if isinstance(mirror, (str, Part)) else mirror
        urls += [piece if isinstance(piece, str) else piece.url for piece in pieces]
    assert all(url.startswith("https://") for url in urls) and len(set(urls)) == len(urls)
    assert urls or model.name in ("darknet9000", "yolov4-tiny-3l", "yolov2-digits", "yolo9000-digits")


# The lengths that downloads of the official files reported: the header's width is right, and so is the count.
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tiny", 4_185_968),
        ("yolov1", 789_312_988),
        ("yolov2", 203_934_260),
        ("yolov2-tiny", 44_948_600),
        ("yolov2-tiny-voc", 63_471_556),
        ("yolov2-voc", 202_704_260),
        ("yolov3", 248_007_048),
        ("yolov3-tiny", 35_434_956),
        ("yolov4", 257_717_640),
        ("yolov4-tiny", 24_251_276),
        ("yolo-fastest-1.1", 1_384_268),
    ],
)
def test_known_lengths(name: str, size: int) -> None:
    assert MODELS[name].weights.size == size and MODELS[name].weights.expected.sizes == (size,)


def test_an_unknown_header_leaves_two_lengths() -> None:
    assert MODELS["yolo9000"].weights.size is None
    assert MODELS["yolo9000"].weights.expected.sizes == (195_230_020, 195_230_024)


def test_the_real_tiny_darknet_is_what_the_table_says(shared_data: Path) -> None:
    path = shared_data / "models" / "tiny-darknet" / "tiny.weights"
    assert path.stat().st_size == MODELS["tiny"].weights.size


def test_older_names_lead_to_models() -> None:
    assert set(ALIASES.values()) <= set(MODELS) and not set(ALIASES) & set(MODELS)
    assert find("YOLO-voc") is MODELS["yolov2-voc"]


@pytest.mark.parametrize(
    ("asked", "meant"), [("yolo2-voc", "yolov2-voc"), ("yolov2.cfg", "yolov2"), ("darknet-19", "darknet19")]
)
def test_an_unknown_name_suggests_the_closest(asked: str, meant: str) -> None:
    with pytest.raises(
        CatalogError, match=f"no model is called '{asked}'; did you mean {meant}\\? known are darknet19,"
    ):
        find(asked)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "\x1b[31m\n", "x" * 5000])
def test_a_name_that_is_like_none(name: str) -> None:
    with pytest.raises(CatalogError, match="known are") as error:
        find(name)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value) and len(str(error.value)) < 600


# ------------------------------------------------------------------------------------------- where the weights are

DATA = b"".join(number.to_bytes(4, "little") for number in range(20_000))


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for `weights/`; the cache is beside it and does not exist yet."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(catalog, "weights_dir", lambda: folder)
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def toy(server: Server, packaged: Path) -> Model:
    """A model whose weights, 16 + 4·19,996 bytes, only the local server has."""
    server.routes["/toy.weights"] = gives(DATA)
    weights = WeightsFile("toy.weights", 19_996, None, (server.url("/toy.weights"),))
    return replace(MODELS["yolov2-voc"], name="toy", weights=weights)


def test_weights_are_fetched_once_and_found_again(toy: Model, server: Server, tmp_path: Path) -> None:
    assert local_weights(toy) is None
    seen: list[int] = []
    path = fetch(toy, progress=lambda done, total: seen.append(done))
    assert path == tmp_path / "cache" / "toy.weights" and path.read_bytes() == DATA and seen[-1] == len(DATA)
    assert fetch(toy) == local_weights(toy) == path and len(server.requests) == 1


def test_packaged_weights_come_first(toy: Model, server: Server, packaged: Path) -> None:
    fetch(toy)
    (packaged / "toy.weights").write_bytes(DATA[::-1])
    assert fetch(toy) == packaged / "toy.weights" and len(server.requests) == 1


def test_all_files_of_a_model(toy: Model, tmp_path: Path) -> None:
    found = files(toy)
    assert found.cfg == cfg_dir() / "yolov2-voc.cfg" and found.cfg.is_file()
    assert found.names == cfg_dir() / "data" / "voc.names" and found.labels is None
    assert found.weights == tmp_path / "cache" / "toy.weights"


def test_weights_named_by_hand_are_taken_as_they_are(packaged: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.weights"
    mine.write_bytes(b"mine")
    found = files("darknet19", mine)
    assert found.weights == mine and found.labels == cfg_dir() / "data" / "imagenet1k.labels"
    for path, what in ((tmp_path / "absent", "nothing"), (tmp_path, "a folder")):
        with pytest.raises(CatalogError, match=f"expected a .weights file, found {what}"):
            files("darknet19", path)


def test_another_networks_weights_are_refused_before_they_arrive(toy: Model, server: Server, tmp_path: Path) -> None:
    other = replace(toy, weights=replace(toy.weights, floats=5))
    with pytest.raises(DownloadError, match="80,000 bytes long, expected 36 or 40"):
        fetch(other)
    assert local_weights(other) is None


def test_published_checksums_hold_for_downloads_and_for_files_found(toy: Model, server: Server, packaged: Path) -> None:
    md5 = hashlib.md5(DATA).hexdigest()
    known = replace(toy, weights=replace(toy.weights, published=Expected(md5=md5)))
    assert fetch(known).read_bytes() == DATA
    damaged = packaged / "toy.weights"
    damaged.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(CatalogError, match=f"is not the published file: md5 is .*, expected {md5}; remove it"):
        fetch(known)


def test_weights_nobody_publishes(packaged: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nobody is known to publish darknet9000\.weights; train it, and put it at"):
        fetch("darknet9000")


# ------------------------------------------------------------------------------------------- the record at first use


def test_the_first_use_is_recorded(toy: Model) -> None:
    path = fetch(toy)
    record = json.loads(path.with_name("toy.weights.json").read_text())
    assert record["sha256"] == hashlib.sha256(DATA).hexdigest() and record["published"] == "unknown"
    assert record["size"] == len(DATA)


def test_a_file_that_changed_since_is_refused(toy: Model) -> None:
    path = fetch(toy)
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(1, 1))  # as a real change would show, whatever the clock's steps
    with pytest.raises(
        CatalogError, match=r"has changed since its first use: sha256 is .*; remove it and toy\.weights\.json"
    ):
        fetch(toy)
    path.unlink()
    path.with_name("toy.weights.json").unlink()
    assert fetch(toy).read_bytes() == DATA


def test_weights_that_travel_with_the_package_change_with_it(toy: Model, packaged: Path) -> None:
    """Another version's weights, beside the record that the one before has left: the manifest says which are right."""
    path = packaged / "toy.weights"
    for data in (DATA, DATA[::-1]):
        path.write_bytes(data)
        listed = {"toy.weights": {"sha256": hashlib.sha256(data).hexdigest()}}
        (packaged / "manifest.json").write_text(json.dumps({"files": listed}))
        assert fetch(toy) == path
    path.write_bytes(DATA)
    os.utime(path, ns=(1, 1))
    with pytest.raises(CatalogError, match=r"is not the published file: sha256 is .*, expected"):
        fetch(toy)


def shipped(packaged: Path) -> Path:
    """The toy's weights, as the package has them."""
    path = packaged / "toy.weights"
    path.write_bytes(DATA)
    listed = {"toy.weights": {"sha256": hashlib.sha256(DATA).hexdigest()}}
    (packaged / "manifest.json").write_text(json.dumps({"files": listed}))
    return path


def damage(path: Path, data: bytes | None) -> None:
    path.unlink()
    if data is not None:
        path.write_bytes(data)


DAMAGES = pytest.mark.parametrize(
    ("data", "said"),
    [
        (DATA[:-1] + b"?", "is not the published file: sha256 is .*"),
        (DATA[:-8], "is 79,992 bytes long, expected 80,000 or 80,004"),
        (None, "is missing, which comes with the package"),
    ],
    ids=["changed", "cut", "missing"],
)


@DAMAGES
def test_shipped_weights_of_a_checkout_are_restored_by_what_is_said(
    data: bytes | None, said: str, toy: Model, packaged: Path
) -> None:
    """Nobody else has them, so that they cannot be fetched again."""
    toy = replace(toy, weights=replace(toy.weights, mirrors=()))
    path, root = shipped(packaged), packaged.parent
    for command in (["init", "-q"], ["add", "weights"], [*AS_SOMEBODY, "commit", "-qm", "Ship"]):
        subprocess.run(["git", "-C", root, *command], check=True)
    damage(path, data)
    with pytest.raises(CatalogError, match=rf"^{path}: {said}; `git -C .*` restores it") as error:
        fetch(toy)
    subprocess.run(shlex.split(str(error.value).split("`")[1]), check=True, capture_output=True, cwd="/")
    assert fetch(toy) == path


@DAMAGES
def test_shipped_weights_of_an_installation(data: bytes | None, said: str, toy: Model, packaged: Path) -> None:
    toy = replace(toy, weights=replace(toy.weights, mirrors=()))
    path = shipped(packaged)
    damage(path, data)
    with pytest.raises(CatalogError, match=rf"^{path}: {said}; reinstall darknet-compat"):
        fetch(toy)


def test_weights_nobody_publishes_cannot_be_fetched_again(toy: Model, packaged: Path) -> None:
    toy = replace(toy, weights=replace(toy.weights, mirrors=()))
    path = packaged / "toy.weights"
    path.write_bytes(DATA)
    assert fetch(toy) == path
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(CatalogError, match=r"has changed .*; put the right file there, remove toy\.weights\.json"):
        fetch(toy)


def test_an_untouched_file_is_not_read_again(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(toy)
    monkeypatch.setattr("darknet_compat.catalogue.fetch.provenance.file_checksums", None)
    assert fetch(toy) == path


def test_a_touched_file_is_read_and_recorded_again(toy: Model) -> None:
    path = fetch(toy)
    os.utime(path, ns=(7, 7))
    fetch(toy)
    assert json.loads(path.with_name("toy.weights.json").read_text())["mtime_ns"] == 7


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\xff", '{"sha256": '])
def test_a_damaged_record_is_written_anew(toy: Model, text: str) -> None:
    path = fetch(toy)
    record = path.with_name("toy.weights.json")
    record.write_text(text, "latin-1")
    fetch(toy)
    assert json.loads(record.read_text())["sha256"] == hashlib.sha256(DATA).hexdigest()


def test_where_no_record_can_be_written_the_weights_are_used_all_the_same(toy: Model, packaged: Path) -> None:
    (packaged / "toy.weights").write_bytes(DATA)
    (packaged / "toy.weights.json").mkdir()
    assert fetch(toy) == packaged / "toy.weights"
    assert sorted(path.name for path in packaged.iterdir()) == ["toy.weights", "toy.weights.json"]


# ------------------------------------------------------------------------------------------------------ the folders


def test_the_cache_folder_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", "~/models")
    assert cache_dir() == Path.home() / "models"


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("darwin", None, "Library/Caches"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
    ],
)
def test_the_cache_folder_of_each_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str | None, folder: str
) -> None:
    monkeypatch.delenv("DARKNET_COMPAT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert cache_dir() == tmp_path / folder / "darknet-compat"
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "named"))
        assert cache_dir() == tmp_path / "named" / "darknet-compat"


def test_shipped_weights_are_those_of_the_manifest() -> None:
    listed = json.loads((weights_dir() / "manifest.json").read_text("utf-8"))["files"]
    for name, entry in listed.items():
        data = (weights_dir() / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"])
        assert {"source", "licence", "cfg"} <= set(entry)
