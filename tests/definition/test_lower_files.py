from __future__ import annotations

import time
from pathlib import Path

import pytest

from darknet_compat.definition import spec as s
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import DarknetCompatError, TreeError
from tests.formats.making import IMAGE, refusal

# ------------------------------------------------------------------------------------- files that options name

TREE = "animal -1\nthing -1\ndog 0\ncat 0\n"
NINE = "[conv]\nfilters=9\n[region]\nclasses=4\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, in it `data/four.tree`."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "four.tree").write_text(TREE)
    return folder


def load(folder: Path, tail: str, body: str = NINE) -> NetworkSpec:
    (folder / "m.cfg").write_text(f"[net]\n{IMAGE}\n{body}{tail}")
    return load_spec(folder / "m.cfg")


def test_a_tree_is_read_from_the_models_folder(model: Path) -> None:
    spec = load(model, "tree=data/four.tree\n")
    assert spec.tree is not None and spec.tree.names == ("animal", "thing", "dog", "cat")
    assert spec.files == {"data/four.tree": str(model / "data" / "four.tree")}
    assert load(model, "tree=./data/../data/four.tree\n").tree == spec.tree
    assert load(model, f"tree={model}/data/four.tree\n").tree == spec.tree
    assert load(model, "tree=/usr/share/darknet/data/four.tree\n").tree == spec.tree
    assert load(model, "[softmax]\ntree=data/four.tree\n", "[connected]\noutput=4\n").tree == spec.tree


def test_a_cfg_in_a_folder_cfg_may_name_what_lies_beside_that_folder(model: Path) -> None:
    (model / "cfg").mkdir()
    (model / "cfg" / "m.cfg").write_text(f"[net]\n{IMAGE}\n{NINE}tree=data/four.tree\n")
    assert load_spec(model / "cfg" / "m.cfg").tree is not None


def test_a_link_to_a_cfg_is_where_the_cfg_is(model: Path, tmp_path: Path) -> None:
    load(model, "tree=data/four.tree\n")
    (tmp_path / "link.cfg").symlink_to(model / "m.cfg")
    assert load_spec(tmp_path / "link.cfg").tree is not None


def test_the_packaged_tree_is_found_from_anywhere(tmp_path: Path) -> None:
    spec = load(tmp_path, "[softmax]\ntree=data/9k.tree\n", "[connected]\noutput=9418\n")
    assert spec.tree is not None and len(spec.tree) == 9418


@pytest.mark.parametrize(
    "name", ["../four.tree", "data/../../four.tree", "{outside}", "data/link.tree", "link/four.tree"]
)
def test_a_path_that_leaves_the_models_folder_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "four.tree"
    outside.write_text(TREE)
    (model / "data" / "link.tree").symlink_to(outside)
    (model / "link").symlink_to(tmp_path)
    name = name.format(outside=outside)
    message = refusal(lambda: load(model, f"tree={name}\n"))
    assert message.startswith(f"{model}/m.cfg:9: layer 1 [region] tree: ")
    assert " leaves the model's folder; copy the file into " in message


@pytest.mark.parametrize("name", ["none.tree", "data", "data/four.tree/x", "n" * 300, "x/" * 100_000, "\udcff.tree"])
def test_a_file_that_is_not_there_is_refused_at_once(name: str, model: Path) -> None:
    start = time.process_time()
    (model / "m.cfg").write_bytes(f"[net]\n{IMAGE}\n{NINE}tree={name}\n".encode(errors="surrogateescape"))
    message = refusal(lambda: load_spec(model / "m.cfg"))
    assert message.startswith(f"{model}/m.cfg:9: layer 1 [region] tree: there is no '")
    assert time.process_time() - start < 0.5


def test_the_whole_disk_is_no_models_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from darknet_compat.formats.metadata import data_roots

    assert data_roots("/cfg/m.cfg") == [Path("/cfg")]
    assert data_roots("/models/cfg/m.cfg") == [Path("/models/cfg"), Path("/models")]


def test_trees_that_are_none(model: Path) -> None:
    path = model / "data" / "bad.tree"
    path.write_text("animal -1\ndog 2\ncat 1\nthing -1\n")
    assert refusal(lambda: load(model, "tree=data/bad.tree\n"), TreeError) == (
        f"{path}:2: 'dog' has parent 2 on line 3: a cycle"
    )
    path.write_text("animal -1\ndog 0\n")
    assert refusal(lambda: load(model, "tree=data/bad.tree\n")) == (
        f"{model}/m.cfg:9: layer 1 [region] tree: {path} has 2 nodes, but there are 4 classes"
    )
    assert refusal(lambda: load(model, "[softmax]\ntree=data/bad.tree\n", "[conv]\n")) == (
        f"{model}/m.cfg:7: layer 1 [softmax] tree: {path} has 2 nodes, but there are 48 inputs"
    )


def test_maps(model: Path) -> None:
    path = model / "data" / "my.map"
    path.write_text("3\n0\n")
    spec = load(model, "map=data/my.map\n")
    assert isinstance(spec.layers[1], s.Region) and spec.layers[1].map == (3, 0)
    path.write_text("3\n4\n")
    with pytest.raises(DarknetCompatError, match=r"my\.map:2: expected a class from 0 to 3, found 4$"):
        load(model, "map=data/my.map\n")
