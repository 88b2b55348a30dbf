from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from darknet_compat.catalogue.models import MODELS
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import Region, Softmax
from darknet_compat.definition.weights.slots import slots
from darknet_compat.formats.cfg import Cfg, read_cfg
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import read_tree

if TYPE_CHECKING:
    from tests.conftest import Original

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "cfg" / "data"


def tool(name: str) -> ModuleType:
    """A maintainers' script as a module."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", REPOSITORY / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


write_cfg, import_data = tool("write_cfg"), tool("import_data")
sections = sys.modules["tools.definitions.sections"]
each_network = pytest.mark.parametrize("name", write_cfg.NETWORKS)


# ---------------------------------------------------------------------------------------------------- definitions


@each_network
def test_a_definition_is_what_the_script_writes(name: str) -> None:
    assert (REPOSITORY / "cfg" / f"{name}.cfg").read_bytes() == write_cfg.write_all()[f"{name}.cfg"].encode()


def test_every_definition_is_in_the_catalogue_and_every_model_has_one() -> None:
    assert {path.name for path in cfg_dir().glob("*.cfg")} == {model.cfg for model in MODELS.values()}
    assert set(write_cfg.NETWORKS) == set(MODELS)


@each_network
def test_a_definition_leaves_no_option_unread(name: str) -> None:
    spec = load_spec(cfg_dir() / f"{name}.cfg")
    # Everything it names lies in the packaged folder; YOLOv1's jitter and friends are the trainer's.
    assert all(Path(path).is_relative_to(cfg_dir().resolve()) for path in spec.files.values())
    assert spec.notes == ()


def effective(cfg: Cfg) -> list[tuple[str, dict[str, object]]]:
    """Each section's options as they count: the first of a key, numbers as numbers, files by name."""
    layers = []
    for section in cfg.sections:
        options = {}
        for option in section.options:
            counted = section.find(option.key)
            assert counted is not None and counted.value is not None
            try:
                options[option.key] = tuple(float(item) for item in counted.value.split(",") if item)
            except ValueError:
                options[option.key] = counted.value.rpartition("/")[2]
        layers.append((section.type, options))
    return layers


# SHA-1 of the published definitions after [net]: "[name]", then "key=value" sorted by key, blanks and comments removed.
PUBLISHED = {
    "csresnext50-panet-spp": "79d8d41634062845fb423edaeb7ea3749cd91742",
    "enet-coco": "e64b97654fe09f696942ed0a67f6844108d57249",
    "yolo-fastest-1.1": "5b10741432599aa954d4a15ddd12b3e0520e99a6",
    "yolo-fastest-1.1-xl": "7176efa4d7e2f895c685ec9aa896dae442794db7",
    "yolov3-tiny-prn": "4aecc8763a6313ca74ca17a98174c58dbd860e5a",
    "yolov4": "cc8b4a43be74c1c4c026768b502e7dd6467139f5",
    "yolov4-csp": "fe33a853a65e5cd4abe40e4784716035ea1fd147",
    "yolov4-p5": "f6be7485c0932659c13394fb733dfe74f6388518",
    "yolov4-p6": "dbb18364430fa2031ba74e6a178a21df7fc62d76",
    "yolov4-tiny": "a764ec8b536e1af0da5376abff7059db9c3d4724",
    "yolov4-tiny-3l": "414dc59c93d246496677e07ec4bd504dce5b289c",
    "yolov4x-mish": "96110bf4df81df50cae9503300ec62643256fa1c",
    "yolov7": "c049f7bd54db18c696d9acaed21e4122f176ddf5",
    "yolov7-tiny": "5f70ffc35e2c5d3a3b24dc1688e0ac3e34a53a9c",
    "yolov7x": "881fef5b8beab3cb24765e8c3d00db7bc389c81d",
}


def digest(cfg: Cfg) -> str:
    blocks = []
    for section in cfg.sections[1:]:
        counting = (section.find(option.key) for option in section.options)
        pairs = {option.key: (option.value or "").partition("#")[0] for option in counting if option}
        blocks.append("\n".join([f"[{section.type}]", *(f"{key}={value}" for key, value in sorted(pairs.items()))]))
    return hashlib.sha1("\n".join(blocks).encode(), usedforsecurity=False).hexdigest()


def test_the_forks_networks_have_their_published_digests() -> None:
    assert {name: digest(read_cfg(cfg_dir() / f"{name}.cfg")) for name in write_cfg.fork.NETWORKS} == PUBLISHED


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_definition_says_what_the_forks_file_says(name: str, shared_data: Path) -> None:
    path = next(path for path in sorted((shared_data / "wild").glob(f"*-{name}.cfg")))
    ours, theirs = read_cfg(cfg_dir() / f"{name}.cfg"), read_cfg(path)
    assert digest(ours) == digest(theirs) and effective(ours) == effective(theirs)
    full = shared_data / "fork" / f"full_{name}.npz"
    if full.is_file():
        assert str(np.load(full)["body_sha1"]) == PUBLISHED[name]


@pytest.mark.reference
@pytest.mark.parametrize("name", sorted(set(write_cfg.original.NETWORKS) - set(write_cfg.OWN)))
def test_a_definition_says_what_the_original_says(name: str, original: Original) -> None:
    path = original.cfg / f"{name}.cfg"
    ours, theirs = effective(read_cfg(cfg_dir() / f"{name}.cfg")), effective(read_cfg(path))
    (_, our_net), (_, their_net) = ours.pop(0), theirs.pop(0)
    assert len(ours) == len(theirs)
    for index, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our == their, f"layer {index}"
    # Where the original's [net] comments the training's batch out, ours has it.
    text = path.read_text().partition("[conv")[0]
    for key in ("batch", "subdivisions"):
        stated = [float(value) for value in re.findall(rf"^[# ]*{key} *= *(\d+)", text, re.MULTILINE)]
        assert our_net.pop(key) == (max(stated),)
        their_net.pop(key)
    assert our_net == their_net


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    text = write_cfg.write_all()["yolov2.cfg"]
    (tmp_path / "a.cfg").write_text(text.replace("filters=425", "filters=420"))
    assert effective(read_cfg(tmp_path / "a.cfg")) != effective(read_cfg(cfg_dir() / "yolov2.cfg"))


def test_a_plan_knows_its_words() -> None:
    plan, conv, maxpool = sections.plan, sections.conv, sections.maxpool
    route, shortcut = sections.route, sections.shortcut
    assert plan("7x64/2 M") == [conv(64, 7, 2), maxpool()]
    assert plan("8g 8g2 1x4=", "mish") == [
        conv(8, activation="mish", groups=8),
        conv(8, activation="mish", groups=2),
        conv(4, 1, activation="linear"),
    ]
    assert plan("@-1,3 +-5a M5/1 half", "mish") == [
        route(-1, 3),
        shortcut(-5, "mish"),
        maxpool(5, 1),
        route(-1, groups=2, group_id=1),
    ]
    with pytest.raises(ValueError, match="no step of a plan"):
        plan("32 N")


# ---------------------------------------------------------------------------------------- names, labels, maps, tree


@pytest.mark.reference
def test_the_data_is_what_the_script_writes(original: Original, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_data.main([str(original.data), "--check"]) == 0
    assert "12 files, 0 stale" in capsys.readouterr().out


@pytest.mark.parametrize("name", import_data.LISTS)
def test_a_list_is_clean(name: str) -> None:
    text = (DATA / name).read_bytes()
    lines = text.split(b"\n")
    assert lines.pop() == b"" and len(lines) == import_data.LISTS[name].count
    assert all(line and line == line.strip() and line.isascii() for line in lines)


def test_the_readme_lists_every_file() -> None:
    text = (DATA / "README.md").read_text("utf-8")
    assert import_data.table() in text
    own = {"digits.tree", "digits.names", "digits.map", "digits-nodes.names"}
    assert all(f"`{name}`" in text for name in own)
    assert {path.name for path in DATA.iterdir()} == {"README.md", *own, *import_data.LISTS}


def test_the_tree_and_its_lists_agree() -> None:
    tree, names = read_tree(DATA / "9k.tree"), read_names(DATA / "9k.names")
    assert tree.names == read_names(DATA / "9k.labels") and len(tree) == len(names) == 9418
    assert {"animal", "dog"} < {names[node] for node in tree.path(names.index("malamute"))}
    for name, classes in (("coco9k.map", 80), ("inet9k.map", 200)):
        assert len(read_map(DATA / name, len(tree))) == classes
    coco = read_names(DATA / "coco.names")
    mapped = [names[node] for node in read_map(DATA / "coco9k.map")]
    assert sum(ours == theirs for ours, theirs in zip(coco, mapped, strict=True)) >= 50


def test_ilsvrc_has_its_thousand_classes() -> None:
    labels, names = read_names(DATA / "imagenet1k.labels"), read_names(DATA / "imagenet1k.names")
    assert len(set(labels)) == 1000 and names[labels.index("n02110063")] == "malamute"
    assert {name for name in names if names.count(name) > 1} == {"crane", "maillot"}


def test_the_names_of_the_digits_nodes_are_the_trees() -> None:
    tree, names = read_tree(DATA / "digits.tree"), read_names(DATA / "digits.names")
    assert read_names(DATA / "digits-nodes.names") == tree.names
    assert tuple(tree.names[node] for node in read_map(DATA / "digits.map", len(tree))) == names


@pytest.mark.parametrize(("name", "head"), [("yolo9000", Region), ("darknet9000", Softmax)])
def test_the_tree_is_found_from_the_definition(name: str, head: type) -> None:
    spec = load_spec(cfg_dir() / f"{name}.cfg")
    assert isinstance(spec.heads[-1], head) and spec.tree is not None and len(spec.tree) == 9418


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a\r\nb\r\n", "Windows line ends"),
        (b"a\nb \n", "blanks at an end"),
        (b"a\n\n", "empty"),
        (b"a\na\n", "stands twice"),
        (b"a\n", "1 lines, expected 2"),
        (b"a\nb\nc\n", "3 lines, expected 2"),
    ],
)
def test_the_import_notices(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(ValueError, match=reason):
        import_data.lines_of(tmp_path / "x", import_data.List("x", 2, True, True, ""))


@pytest.mark.parametrize("name", write_cfg.RECIPES)
def test_recipes_train_the_same_network_as_the_paper_says(name: str) -> None:
    path = REPOSITORY / "cfg" / "recipes" / f"{name}.cfg"
    assert path.read_bytes() == write_cfg.write_all()[f"recipes/{name}.cfg"].encode()
    ours, released = load_spec(path), load_spec(REPOSITORY / "cfg" / f"{name}.cfg")
    assert list(slots(ours)) == list(slots(released))
    assert not ours.notes
    net = ours.net
    epochs = net.max_batches * net.batch / (write_cfg.VOC_0712 if name == "yolov2-voc" else write_cfg.ILSVRC)
    assert round(epochs, 2) == {"darknet19": 160, "darknet19_448": 10, "yolov2-voc": 160}[name]


def test_the_example_of_cells() -> None:
    path = REPOSITORY / "cfg" / "examples" / "cells.cfg"
    assert path.read_bytes() == write_cfg.write_all()["examples/cells.cfg"].encode()
    spec = load_spec(path)
    assert not spec.notes
    assert sum(slot.size for slot in slots(spec)) < 3_000_000
    assert (spec.net.width, spec.net.height, spec.layers[-1].classes) == (320, 240, 3)
