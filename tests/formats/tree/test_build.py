from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import TreeError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.tree.build import ENTITY, MOVES, build_tree
from darknet_compat.formats.tree.wordnet import PHYSICAL_ENTITY, WordNet
from darknet_compat.formats.wordtree import WordTree, format_tree, parse_tree, read_tree
from tests.formats.tree.nouns import Graph, installed, wnid, wordnets

OBJECT = "n00002684"


def wordnet(above: Graph, words: Mapping[str, str] | None = None) -> WordNet:
    called = {name: ((words or {}).get(name, name),) for name in above}
    return WordNet(called, {name: tuple(up) for name, up in above.items()}, dict.fromkeys(above, ""), Path("small"))


def parents(tree: WordTree) -> dict[str, str | None]:
    return {
        name: tree.names[parent] if parent >= 0 else None
        for name, parent in zip(tree.names, tree.parents.tolist(), strict=True)
    }


def refusal(whole: WordNet, labels: Sequence[str], **options: str) -> str:
    with pytest.raises(TreeError) as error:
        build_tree(whole, labels, source="my.labels", **options)  # type: ignore[arg-type]
    assert str(error.value).isprintable()
    return str(error.value)


# -------------------------------------------------------------------------------- the rule, a clause at a time

R, A, B, C, D, E, F, G = ENTITY, *(wnid(number) for number in range(11, 18))


def built(above: Graph, labels: Sequence[str], words: Mapping[str, str] | None = None, **options: object) -> object:
    return parents(build_tree(wordnet({R: [], **above}, words), labels, moves={}, **options))  # type: ignore[arg-type]


def test_of_two_paths_the_one_that_adds_fewer_nodes_is_taken() -> None:
    above = {A: [R], B: [A], C: [R], D: [C], E: [B, C]}  # to E: two new nodes on the left, none on the right
    assert built(above, [D, E]) == {D: None, E: None}  # C, which is alone, is left out
    assert built(above, [C, D, E, A]) == {A: None, C: None, D: C, E: C}


def test_what_other_labels_have_brought_costs_nothing() -> None:
    above = {A: [R], B: [A], C: [R], D: [C], E: [B, D], F: [B], G: [B]}
    assert built(above, [E, F, G, C]) == {B: None, E: B, F: B, G: B, C: None}


def test_equal_paths_are_told_apart_by_the_alphabet_from_the_root() -> None:
    above = {A: [R], B: [R], C: [A], D: [B], E: [C, D], F: [C], G: [D]}
    labels = [A, B, C, D, E, F, G]
    assert built(above, labels, {A: "a", B: "b", C: "z", D: "c"})[E] == C  # type: ignore[index]
    assert built(above, labels, {A: "b", B: "a", C: "a", D: "z"})[E] == D  # type: ignore[index]
    assert built(above, labels, {A: "same", B: "Same", C: "a", D: "z"})[E] == C  # type: ignore[index]


def test_a_node_with_one_child_gives_its_place_to_it_unless_it_is_a_label() -> None:
    above = {A: [R], B: [A], C: [B], D: [B], E: [R]}
    assert built(above, [C, D, E]) == {B: None, C: B, D: B, E: None}
    assert built(above, [A, C, D, E]) == {A: None, B: A, C: B, D: B, E: None}


def test_a_label_gets_its_only_child_as_a_sibling_if_that_is_a_leaf() -> None:
    above = {A: [R], B: [A], C: [R]}
    assert built(above, [A, B, C]) == {A: None, B: None, C: None}
    assert built({**above, D: [C], E: [D], F: [C]}, [A, C, D, E, F]) == {A: None, C: None, D: C, E: C, F: C}


def test_a_root_that_stands_alone_is_left_out_unless_it_is_a_label() -> None:
    above = {A: [R], B: [A], C: [A]}
    assert built(above, [B, C]) == {B: None, C: None}
    assert built(above, [A, B, C]) == {A: None, B: A, C: A}
    assert built(above, [B]) == {B: None}
    assert built(above, [R, B, C]) == {R: None, A: R, B: A, C: A}


def test_siblings_are_contiguous_and_followed_by_what_is_below_each() -> None:
    above = {A: [R], B: [R], C: [B], D: [A], E: [A], F: [B], G: [B]}
    tree = build_tree(wordnet({R: [], **above}), [G, F, E, D, C], moves={})
    assert tree.names == (A, B, D, E, C, F, G)
    assert tree.parents.tolist() == [-1, -1, 0, 0, 1, 1, 1]


def test_more_nouns_help_to_choose_paths_and_are_cut_off_again() -> None:
    above = {A: [R], B: [R], C: [A, B], D: [B], E: [A], F: [B]}
    words = {A: "a", B: "b"}
    assert built(above, [C, E, F], words) == {A: None, C: A, E: A, F: None}
    above = {**above, A: [G], G: [R], C: [A, B]}
    assert built(above, [C, F], words) == {C: None, F: None}
    assert built({**above, E: [G]}, [C, E, F], words, among=[D, A, wnid(99)]) == built(above, [C, E, F], words)


def test_moves_hang_a_synset_elsewhere_with_what_is_below_it() -> None:
    above = {A: [R], B: [A], C: [B], D: [B], E: [R], F: [E], G: [E]}
    whole = wordnet({R: [], **above})
    assert parents(build_tree(whole, [C, D, F, G], moves={B: E})) == {B: None, C: B, D: B, F: None, G: None}
    assert parents(build_tree(whole, [C, D, F, A], moves={B: E}))[B] == E
    assert parents(build_tree(whole, [C, D, A], moves={B: F}))[B] is None  # F comes along and is merged away again
    assert parents(build_tree(whole, [C, D, A, F], moves={B: F})) == {A: None, F: None, B: F, C: B, D: B}
    with pytest.raises(TreeError, match=f"{A} cannot be moved below {C}"):
        build_tree(whole, [A, B, C], moves={A: C})


# ------------------------------------------------------------------------------------------------- what is refused


def test_labels_that_cannot_be_are_refused() -> None:
    whole = wordnet({R: [], A: [R], B: [R], C: [B]}, {A: "ant", C: "cat", B: "beast"})
    assert refusal(whole, []) == "my.labels: expected labels to build a tree of, found none"
    assert "my.labels:2: n00000099 is no noun" in refusal(whole, [A, wnid(99)])
    assert "my.labels:3: n00000011 stands twice, first on line 1" in refusal(whole, [A, B, A])
    assert "the root n00000099 is no noun" in refusal(whole, [A], root=wnid(99))
    message = refusal(whole, [C, A], root=B)
    assert f"1 of 2 labels are no kind of {B} beast: {A} ant;" in message


def test_a_file_of_names_is_told_from_one_of_wnids() -> None:
    assert "my.labels:1: dog is no noun of WordNet in small; expected a wnid" in refusal(wordnet({R: []}), ["dog"])


# ----------------------------------------------------------------------------- the definition, on random graphs


def plain_build(whole: WordNet, labels: Iterable[str], among: Iterable[str]) -> dict[str, str | None]:
    """The same rule, word for word: all paths written down, one thing done at a time, begun again after each."""

    def all_paths(name: str) -> list[list[str]]:
        found = [path for above in whole.hypernyms[name] for path in all_paths(above)] if name != ENTITY else [[]]
        return [[*path, name] for path in found]

    labels = set(labels)
    left = {name: all_paths(name) for name in sorted(labels | set(among))}
    tree: dict[str, str | None] = {ENTITY: None}

    def add(path: Sequence[str]) -> None:
        if path[-1] not in tree:
            add(path[:-1])
            tree[path[-1]] = path[-2]

    def cost(path: Sequence[str]) -> int:
        return sum(step not in tree for step in path)

    for name in [name for name, paths in left.items() if len(paths) == 1]:
        add(left.pop(name)[0])
    allowed = 0
    while left:
        before = len(left)
        for name, paths in list(left.items()):
            best = min(paths, key=lambda path: (cost(path), [(whole.words[step][0].lower(), step) for step in path]))
            if cost(best) <= allowed:
                add(best)
                del left[name]
        allowed += before == len(left)

    def below(name: str | None) -> list[str]:
        return [child for child, parent in tree.items() if parent == name]

    while useless := [name for name in tree if name not in labels and not below(name)]:
        del tree[useless[0]]
    while single := [name for name in tree if name not in labels and len(below(name)) == 1]:
        (child,) = below(single[0])
        tree[child] = tree.pop(single[0])
    raised = [below(name)[0] for name in tree if len(below(name)) == 1 and not below(below(name)[0])]
    tree.update({child: tree[str(tree[child])] for child in raised})
    if len(roots := below(None)) == 1 and roots[0] not in labels:
        for child in below(roots[0]):
            tree[child] = None
        del tree[roots[0]]
    return tree


@given(wordnets(), st.data())
def test_the_tree_is_that_of_the_plain_definition(whole: WordNet, data: st.DataObject) -> None:
    synsets = st.sampled_from(sorted(whole.words))
    labels = data.draw(st.lists(synsets, min_size=1, unique=True))
    among = data.draw(st.lists(synsets))
    assert parents(build_tree(whole, labels, among=among)) == plain_build(whole, labels, among)


@given(wordnets(40), st.data())
def test_what_every_tree_keeps_to(whole: WordNet, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from(sorted(whole.words)), min_size=1, unique=True))
    tree = build_tree(whole, labels)
    assert build_tree(whole, labels[::-1]) == tree
    assert parse_tree(format_tree(tree).splitlines()) == tree  # contiguous groups, parents before children
    assert set(labels) <= set(tree.names) <= set(whole.words)
    children = Counter(parents(tree).values())
    for name, parent in parents(tree).items():
        assert parent is None or parent in whole.ancestors(name)
        if name not in labels:
            assert children[name] >= 2
        elif children[name] == 1:
            (child,) = [child for child, above in parents(tree).items() if above == name]
            assert children[child]
    roots = [name for name, parent in parents(tree).items() if parent is None]
    assert len(roots) > 1 or roots[0] in labels
    assert in_group_preorder(tree)


def in_group_preorder(tree: WordTree) -> bool:
    """Whether each group is followed by all that is below its first node, then its second and so on."""
    groups: dict[int, list[int]] = {}
    for node, parent in enumerate(tree.parents.tolist()):
        groups.setdefault(parent, []).append(node)
    order: list[int] = []
    stack = [-1]
    while stack:
        group = groups.get(stack.pop(), [])
        stack += group[::-1]
        order += group
    return order == list(range(len(tree)))


# ----------------------------------------------------------------------------------------- ImageNet and the paper

NOT_LABELS = {"n04459362", "n09632518", "n09815790", "n09835506"}  # towel, worker, assistant, ballplayer


def packaged(name: str) -> tuple[str, ...]:
    return read_names(cfg_dir() / "data" / name)


def visual_nouns() -> tuple[str, ...]:
    return installed().visual(packaged("imagenet22k.labels"))


@pytest.fixture(scope="module")
def released() -> WordTree:
    return read_tree(cfg_dir() / "data" / "9k.tree")


@pytest.mark.reference
def test_the_1000_classes_give_the_papers_1369_nodes() -> None:
    labels, imagenet = packaged("imagenet1k.labels"), visual_nouns()
    tree = build_tree(installed(), labels, among=imagenet)
    assert len(tree) == 1369
    assert {name for name, leaf in zip(tree.names, tree.leaves, strict=True) if leaf} == set(labels)
    shuffled = list(labels)
    random.Random(0).shuffle(shuffled)
    assert build_tree(installed(), shuffled, among=imagenet[::-1]) == tree


@pytest.mark.reference
@pytest.mark.parametrize(
    ("among", "moves", "root", "labels", "nodes"),
    [
        (True, True, ENTITY, 1000, 1369),
        (True, False, ENTITY, 1000, 1370),
        (True, False, PHYSICAL_ENTITY, 997, 1364),
        (False, True, ENTITY, 1000, 1372),
        (False, False, ENTITY, 1000, 1373),
        (False, False, PHYSICAL_ENTITY, 997, 1367),
        (False, False, OBJECT, 958, 1304),
    ],
)
def test_which_choice_gives_which_count(among: bool, moves: bool, root: str, labels: int, nodes: int) -> None:
    whole = installed()
    reached = [label for label in packaged("imagenet1k.labels") if root in whole.ancestors(label)]
    assert len(reached) == labels
    others = visual_nouns() if among else ()
    tree = build_tree(whole, reached, among=others, root=root, moves=MOVES if moves else {})
    assert len(tree) == nodes


@pytest.mark.reference
def test_the_released_tree_comes_out_of_its_labels(released: WordTree) -> None:
    imagenet = set(packaged("imagenet22k.labels"))
    labels = [name for name in released.names if name in imagenet - NOT_LABELS]
    assert len(labels) == 9145
    tree = build_tree(installed(), labels)
    assert parents(tree) == parents(released)  # all 9418 nodes, all parents


@pytest.mark.reference
@pytest.mark.parametrize(
    ("which", "among", "missing", "other_parents", "more"),
    [
        ("synsets", False, 0, 5, 0),  # all 9149 ImageNet synsets in it
        ("nodes", False, 0, 10, 0),  # all 9418 nodes
        ("leaves", False, 90, 151, 2),  # its 7573 leaves: 90 inner nodes are only there as labels
        ("synsets", True, 1, 38, 4),
        ("nodes", True, 0, 40, 4),
        ("leaves", True, 89, 154, 4),
    ],
)
def test_the_released_tree_agrees_whatever_one_takes_for_its_labels(
    released: WordTree, which: str, among: bool, missing: int, other_parents: int, more: int
) -> None:
    leaves = {name for name, leaf in zip(released.names, released.leaves, strict=True) if leaf}
    wanted = {"synsets": set(packaged("imagenet22k.labels")), "nodes": set(released.names), "leaves": leaves}[which]
    tree = build_tree(
        installed(), [name for name in released.names if name in wanted], among=visual_nouns() if among else ()
    )
    ours, theirs = parents(tree), parents(released)
    both = ours.keys() & theirs.keys()
    counted = len(theirs) - len(both), sum(ours[name] != theirs[name] for name in both), len(ours) - len(both)
    assert counted == (missing, other_parents, more)
    assert sum(ours.get(name, "") == theirs[name] for name in theirs) >= 0.9 * len(theirs)


def test_the_released_tree_has_the_same_order_of_groups(released: WordTree) -> None:
    assert in_group_preorder(released)
