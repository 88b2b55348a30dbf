from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import TreeError
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import WordTree, format_tree, from_parents, parse_tree, read_tree
from tests.conftest import Original
from tests.formats import library

SMALL = ["animal -1", "thing -1", "dog 0", "cat 0", "car 1", "poodle 2", "beagle 2"]


def refusal(*lines: str) -> str:
    with pytest.raises(TreeError) as error:
        parse_tree(lines, "m.tree")
    assert str(error.value).isprintable()
    return str(error.value)


def as_the_original_reads(parents: list[int]) -> dict[str, list[int]]:
    """The original's `read_tree`, told in Python: a new parent opens a new group."""
    children = [-1] * len(parents)
    groups: list[list[int]] = [[]]
    before = -1
    for node, parent in enumerate(parents):
        if parent != before:
            groups.append([])
            before = parent
        groups[-1].append(node)
        if parent >= 0:
            children[parent] = len(groups) - 1
    return {
        "parent": parents,
        "child": children,
        "group": [number for number, group in enumerate(groups) for _ in group],
        "leaf": [int(node not in parents) for node in range(len(parents))],
        "group_size": [len(group) for group in groups],
        "group_offset": [group[0] for group in groups],
    }


def as_we_read(tree: WordTree) -> dict[str, list[int]]:
    return {
        "parent": tree.parents.tolist(),
        "child": tree.child_groups.tolist(),
        "group": tree.groups.tolist(),
        "leaf": tree.leaves.astype(int).tolist(),
        "group_size": tree.group_sizes.tolist(),
        "group_offset": tree.group_offsets.tolist(),
    }


@st.composite
def parent_lists(draw: st.DrawFn) -> list[int]:
    """Parents of a tree: some roots, then one group after another below a node that has no children yet."""
    parents = [-1] * draw(st.integers(1, 4))
    childless = list(range(len(parents)))
    for _ in range(draw(st.integers(0, 12))):
        parent = childless.pop(draw(st.integers(0, len(childless) - 1)))
        size = draw(st.integers(1, 4))
        childless += range(len(parents), len(parents) + size)
        parents += [parent] * size
    return parents


def tree_of(parents: list[int]) -> WordTree:
    return from_parents([f"n{node:08}" for node in range(len(parents))], parents)


# --------------------------------------------------------------------------------------------------- reading


def test_a_small_tree() -> None:
    tree = parse_tree(SMALL)
    assert tree.names == ("animal", "thing", "dog", "cat", "car", "poodle", "beagle")
    assert tree.parents.tolist() == [-1, -1, 0, 0, 1, 2, 2]
    assert tree.group_offsets.tolist() == [0, 2, 4, 5]
    assert tree.group_sizes.tolist() == [2, 2, 1, 2]
    assert tree.groups.tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert tree.child_groups.tolist() == [1, 2, 3, -1, -1, -1, -1]
    assert tree.leaves.tolist() == [False, False, False, True, True, True, True]
    assert tree.depths.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert [tree.path(node) for node in (0, 4, 6)] == [[0], [1, 4], [0, 2, 6]]
    assert len(tree) == 7


def test_blanks_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.tree"
    path.write_bytes(b"animal\t-1\r\n  thing   -1 \r\ndog 0\r\n\r\n \n")
    assert read_tree(path) == parse_tree(["animal -1", "thing -1", "dog 0"])
    # C takes no other space for a blank.
    assert parse_tree(["a\u00a0b\x1c -1"]).names == ("a\u00a0b\x1c",)


@given(parent_lists())
def test_trees_are_read_as_the_original_does(parents: list[int]) -> None:
    tree = tree_of(parents)
    assert as_we_read(tree) == as_the_original_reads(parents)
    assert parse_tree(format_tree(tree).splitlines()) == tree
    depths = [len(tree.path(node)) - 1 for node in range(len(tree))]
    assert tree.depths.tolist() == depths


@given(parent_lists(), st.integers(0, 2**32 - 1))
def test_absolute_probabilities_are_products_down_the_path(parents: list[int], seed: int) -> None:
    tree = tree_of(parents)
    conditional = np.random.default_rng(seed).random((3, len(parents)), np.float32)
    absolute = tree.absolute(conditional)
    for node in range(len(parents)):
        expected = np.prod(conditional[:, tree.path(node)].astype(np.float64), axis=1)
        np.testing.assert_allclose(absolute[:, node], expected, rtol=1e-5)


_NAMES = st.lists(
    st.text(st.characters(exclude_characters=" \t\n\v\f\r\0", exclude_categories=["Cs"]), min_size=1, max_size=9),
    min_size=40, max_size=60, unique=True,
)  # fmt: skip


@given(parent_lists(), _NAMES)
def test_what_is_written_reads_back(parents: list[int], names: list[str]) -> None:
    tree = from_parents(names[: len(parents)], parents[: len(names)])
    assert parse_tree(format_tree(tree).split("\n")) == tree


def test_equal_trees_are_equal_and_hash_alike() -> None:
    tree, again = parse_tree(SMALL), parse_tree(SMALL)
    assert tree == again and hash(tree) == hash(again)
    assert tree != parse_tree(["beast -1", *SMALL[1:]])
    assert tree != parse_tree([*SMALL[:-1], "beagle 3"]) and tree != SMALL


# --------------------------------------------------------------------------------------------- against the original


@pytest.mark.reference
def test_the_original_reads_the_same_9418_nodes(original: Original) -> None:
    tree = read_tree(original.data / "9k.tree")
    assert len(tree) == 9418
    assert as_we_read(tree) == {
        name: values.tolist() for name, values in library.tree(original, original.data / "9k.tree").items()
    }
    assert read_tree(cfg_dir() / "data" / "9k.tree") == tree
    assert format_tree(tree) == (original.data / "9k.tree").read_text()
    # The plain reading that the other tests rely on is the original's.
    assert as_we_read(tree) == as_the_original_reads(tree.parents.tolist())


@pytest.mark.reference
@pytest.mark.parametrize("seed", range(5))
def test_the_original_reads_the_same_random_trees(seed: int, original: Original, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    parents = [-1] * int(random.integers(1, 9))
    childless = list(range(len(parents)))
    while len(parents) < 200:
        parent = childless.pop(int(random.integers(len(childless))))
        size = int(random.integers(1, 9))
        childless += range(len(parents), len(parents) + size)
        parents += [parent] * size
    path = tmp_path / "m.tree"
    path.write_text(format_tree(tree_of(parents)))
    assert as_we_read(read_tree(path)) == {
        name: values.tolist() for name, values in library.tree(original, path).items()
    }


# ----------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "m.tree: expected as many parents as names and at least one, found 0 names, 0 parents"),
        (["", " "], "m.tree: expected as many parents as names and at least one, found 0 names, 0 parents"),
        (["animal"], "m.tree:1: expected a name and its parent's number, found 'animal'"),
        (["animal -1 x"], "m.tree:1: expected a name and its parent's number, found 'animal -1 x'"),
        (["animal -1", "", "dog 0"], "m.tree:2: expected a name and its parent's number, found ''"),
        (["animal -1", "dog zero"], "m.tree:2: expected a name and its parent's number, found 'dog zero'"),
        (["animal -1", "dog ٠"], "m.tree:2: expected a name and its parent's number, found 'dog \\u0660'"),
        (["animal -1", "dog 9999999999"], "m.tree:2: expected a name and its parent's number, found 'dog 9999999999'"),
        (["animal -1", "dog 0", "dog 0"], "m.tree:3: 'dog' stands twice, first on line 2"),
        (["animal -1", "dog 2"], "m.tree:2: 'dog' has parent 2; expected -1 for a root, or a node from 0 to 1"),
        (["animal -1", "dog -2"], "m.tree:2: 'dog' has parent -2; expected -1 for a root, or a node from 0 to 1"),
        (["animal 0"], "m.tree:1: 'animal' has parent 0 on line 1: a cycle"),
        (["animal -1", "dog 2", "cat 1"], "m.tree:2: 'dog' has parent 2 on line 3: a cycle"),
        (["a -1", "b 3", "c 1", "d 2"], "m.tree:2: 'b' has parent 3 on line 4: a cycle"),
        (["animal -1", "poodle 2", "dog 0"],
         "m.tree:2: 'poodle' has parent 2 on line 3: a parent must stand before its children"),
        (["a -1", "b 2", "c 3", "d 2"],
         "m.tree:2: 'b' has parent 2 on line 3: a parent must stand before its children"),
        (["animal -1", "thing -1", "dog 0", "car 1", "cat 0"],
         "m.tree:5: 'cat' is apart from the other children of node 0: siblings must be contiguous"),
        (["animal -1", "dog 0", "thing -1"],
         "m.tree:3: 'thing' is apart from the other roots: siblings must be contiguous"),
        (["\x1b[31m\u2028 x"], "m.tree:1: expected a name and its parent's number, found '\\x1b[31m\\u2028 x'"),
    ],
)  # fmt: skip
def test_what_is_no_tree(lines: list[str], message: str) -> None:
    assert refusal(*lines) == message


def test_trees_from_elsewhere_are_checked_too() -> None:
    for name in ("", "two words", "line\nend"):
        with pytest.raises(TreeError, match=r"^<tree>:1: '.*' is no name: it is empty or has blanks$"):
            from_parents([name], [-1])
    with pytest.raises(TreeError, match="found 2 names, 1 parent"):
        from_parents(["a", "b"], [-1])


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "m.tree"
    for data, message in ((b"", "found 0 names"), (b"\0\1", "expected a .tree (text), found binary data")):
        path.write_bytes(data)
        with pytest.raises(TreeError) as error:
            read_tree(path)
        assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
    with pytest.raises(TreeError, match=r"cannot be read as a \.tree: Is a directory"):
        read_tree(tmp_path)


def test_a_deep_tree_and_a_long_cycle_take_no_time() -> None:
    depth = 50_000
    names = [f"n{node}" for node in range(depth)]
    tree = from_parents(names, list(range(-1, depth - 1)))
    assert tree.depths[-1] == depth - 1 and len(tree.path(depth - 1)) == depth
    with pytest.raises(TreeError, match="a cycle"):
        from_parents(names, [-1, *range(2, depth), 1])
