from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import MetadataError, TreeError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.tree.named import (
    NamedTree,
    open_tree,
    read_leaves,
    read_probabilities,
    write_lines,
    write_tree,
)
from darknet_compat.formats.wordtree import from_parents, read_tree

#                 0         1         2         3          4         5        6         7
NAMES = ("n01", "n02", "n03", "n04", "n05", "n06", "n07", "7")
WORDS = ("animal", "plant", "dog", "Big_cat", "rose", "mouse", "terrier", "mouse")
PARENTS = (-1, -1, 0, 0, 1, 1, 2, 2)


@pytest.fixture
def tree() -> NamedTree:
    return NamedTree(from_parents(NAMES, PARENTS, "my.tree"), WORDS)


@pytest.fixture(scope="module")
def nine_thousand() -> NamedTree:
    return open_tree()


def refusal(tree: NamedTree, text: str) -> str:
    with pytest.raises(TreeError) as error:
        tree.node(text)
    assert str(error.value).isprintable()
    return str(error.value)


# --------------------------------------------------------------------------------------------------- look-up


def test_nodes_are_found_by_name_by_word_and_by_number(tree: NamedTree) -> None:
    assert tree.node("n03") == tree.node("dog") == tree.node("DOG") == tree.node("2") == 2
    assert tree.node("big cat") == tree.node("big_cat") == tree.node(" Big  Cat ") == 3
    assert tree.find("mouse") == (5, 7)
    assert tree.find("cat") == ()
    assert tree.node("7") == 7  # its name, before the number, which is the same here by chance
    assert len(tree) == 8


def test_what_is_no_node_or_several_is_refused(tree: NamedTree) -> None:
    assert refusal(tree, "terier").endswith("did you mean 'terrier'?")
    assert "my.tree: no node is called '8'; expected a word, a wnid or a number from 0 to 7" in refusal(tree, "8")
    message = refusal(tree, "mouse")
    assert "2 nodes are called 'mouse'" in message
    assert "n06 (plant > mouse); 7 (animal > dog > mouse)" in message


def test_paths_with_and_without_probabilities(tree: NamedTree) -> None:
    assert tree.describe(6) == "animal > dog > terrier"
    assert tree.describe(6, np.array([0.99, 0, 0.5, 0, 0, 0, 0.126, 0])) == "animal 0.99 > dog 0.50 > terrier 0.13"


def test_children_and_leaves_below(tree: NamedTree) -> None:
    assert [list(tree.children(node)) for node in (None, 0, 1, 2, 3)] == [[0, 1], [2, 3], [4, 5], [6, 7], []]
    assert tree.leaves_below.tolist() == [3, 2, 2, 1, 1, 1, 1, 1]


@given(st.data())
def test_leaves_below_are_those_whose_path_leads_through(data: st.DataObject) -> None:
    parents = [-1]
    for group in range(data.draw(st.integers(0, 12))):  # a new group below a node that has none yet
        free = [node for node in range(len(parents)) if node not in parents]
        parents += [data.draw(st.sampled_from(free))] * data.draw(st.integers(1, 3), label=f"size of group {group}")
    tree = from_parents([f"n{node}" for node in range(len(parents))], parents)
    paths = [tree.path(node) for node in np.flatnonzero(tree.leaves).tolist()]
    expected = [sum(node in path for path in paths) for node in range(len(tree))]
    assert NamedTree(tree, tree.names).leaves_below.tolist() == expected


# ----------------------------------------------------------------------------------------------- the released


def test_the_released_tree_has_its_words_and_wnids(nine_thousand: NamedTree) -> None:
    assert len(nine_thousand) == 9418
    assert nine_thousand.tree.names == read_names(cfg_dir() / "data" / "9k.labels")
    terrier = nine_thousand.node("Norfolk terrier")
    assert nine_thousand.tree.names[terrier] == "n02094114"
    assert nine_thousand.describe(terrier).startswith("object > whole > living thing > organism > animal > chordate")
    assert nine_thousand.describe(terrier).endswith("dog > hunting dog > terrier > Norfolk terrier")
    assert [nine_thousand.words[root] for root in nine_thousand.children(None)] == [
        "thing",
        "matter",
        "object",
        "atmospheric phenomenon",
    ]
    assert len(nine_thousand.find("mouse")) == 2
    assert nine_thousand.leaves_below[:4].sum() == 7573


def test_every_node_is_found_by_its_wnid_and_among_those_of_its_word(nine_thousand: NamedTree) -> None:
    for node, (name, word) in enumerate(zip(nine_thousand.tree.names, nine_thousand.words, strict=True)):
        assert nine_thousand.node(name) == node
        assert node in nine_thousand.find(word)


# ---------------------------------------------------------------------------------------------- reading, writing


def test_a_tree_is_written_as_it_was_read(tmp_path: Path) -> None:
    released = cfg_dir() / "data" / "9k.tree"
    write_tree(read_tree(released), tmp_path / "again.tree")
    assert (tmp_path / "again.tree").read_bytes() == released.read_bytes()


def test_names_beside_the_tree_are_its_words(tree: NamedTree, tmp_path: Path) -> None:
    write_tree(tree.tree, tmp_path / "my.tree")
    assert open_tree(tmp_path / "my.tree").words == NAMES
    write_lines(WORDS, tmp_path / "my.names")
    assert open_tree(tmp_path / "my.tree").words == WORDS
    write_lines([word.upper() for word in WORDS], tmp_path / "loud.names")
    assert open_tree(str(tmp_path / "my.tree"), tmp_path / "loud.names").words[0] == "ANIMAL"
    write_lines(WORDS[1:], tmp_path / "my.names")
    with pytest.raises(MetadataError, match=r"my\.names: has 7 names, but .*my\.tree has 8 nodes"):
        open_tree(tmp_path / "my.tree")


def test_a_file_comes_before_a_packaged_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: NamedTree) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(open_tree("9k")) == len(open_tree("9k.tree")) == 9418
    write_tree(tree.tree, tmp_path / "9k.tree")
    assert len(open_tree("9k.tree")) == 8
    with pytest.raises(TreeError, match="10k: cannot be read"):
        open_tree("10k")
    with pytest.raises(TreeError, match="elsewhere/9k: cannot be read"):
        open_tree("elsewhere/9k")


def test_nothing_half_written_stays(tree: NamedTree, tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="cannot be written"):
        write_tree(tree.tree, tmp_path / "missing" / "my.tree")
    with pytest.raises(MetadataError, match="cannot be written"):
        write_lines([1], tmp_path)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------- leaf lists


def test_leaf_lists_choose_nodes(tree: NamedTree, tmp_path: Path) -> None:
    write_lines(["n03", "n06"], tmp_path / "leaves")
    assert read_leaves(tmp_path / "leaves", tree.tree).tolist() == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    write_lines(["n03", "dog"], tmp_path / "leaves")
    with pytest.raises(MetadataError, match=r"leaves:2: expected a node of my\.tree, found 'dog'"):
        read_leaves(tmp_path / "leaves", tree.tree)


def test_ilsvrcs_classes_are_leaves_of_the_released_tree(nine_thousand: NamedTree) -> None:
    chosen = read_leaves(cfg_dir() / "data" / "imagenet1k.labels", nine_thousand.tree)
    assert chosen.sum() == 1000


# ------------------------------------------------------------------------------------------------ probabilities


def test_probabilities_are_read_from_npy_and_json(tree: NamedTree, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 8)
    np.save(tmp_path / "p.npy", values.astype(np.float32))
    (tmp_path / "p.json").write_text(json.dumps(values.tolist()))
    for file in ("p.npy", "p.json"):
        found = read_probabilities(tmp_path / file, tree.tree)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, values, atol=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[0.5, 0.5]", "expected 8 probabilities, one a node of my.tree, found 2"),
        ("0.5", "found one number"),
        ("[" + ",".join(["0.5"] * 7) + ", 1.5]", "expected probabilities from 0 to 1"),
        ("[" + ",".join(["0.5"] * 7) + ", NaN]", "expected probabilities from 0 to 1"),
        ('["a"]', "a .npy or a JSON list of numbers"),
        ("[[1], [2, 3]]", "a .npy or a JSON list of numbers"),
        ("{}", "a .npy or a JSON list of numbers"),
        ("not json", "a .npy or a JSON list of numbers"),
    ],
)
def test_what_is_no_probability_is_refused(tree: NamedTree, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(MetadataError) as error:
        read_probabilities(tmp_path / "p.json", tree.tree)
    assert message in str(error.value)


def test_a_broken_npy_is_refused(tree: NamedTree, tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="cannot be read as probabilities"):
        read_probabilities(tmp_path / "missing.npy", tree.tree)
    for content in (b"", b"\x93NUMPY", b"words"):
        (tmp_path / "p.npy").write_bytes(content)
        with pytest.raises(MetadataError, match=r"p\.npy: expected probabilities"):
            read_probabilities(tmp_path / "p.npy", tree.tree)
    np.save(tmp_path / "p.npy", np.array([object()] * 8), allow_pickle=True)
    with pytest.raises(MetadataError, match=r"p\.npy: expected probabilities"):
        read_probabilities(tmp_path / "p.npy", tree.tree)
