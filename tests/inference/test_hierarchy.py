"""Ways down the WordTree: the original's functions, a plain definition, and what probabilities have to add up to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from ctypes import c_void_p
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import darknet_compat as dc
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import WordTree, format_tree, parse_tree, read_tree
from darknet_compat.heads import answers
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.hierarchy import last_nodes, mapped, path_steps, top_nodes
from darknet_compat.inference.select import Criteria, select
from darknet_compat.network.load import load_network
from darknet_compat.parity.definition import tree_softmax
from darknet_compat.runtime import torch as runtime
from darknet_compat.runtime.described import describe
from tests.heads.test_tree import random_tree
from tests.inference.conftest import Library
from tests.inference.support import Files, noise, region, write_model
from tests.network import golden

NINE_K_FILE = cfg_dir() / "data" / "9k.tree"
NINE_K = read_tree(NINE_K_FILE)
TREE_TEXT = "thing -1\nplace -1\nanimal 0\ncar 0\ncat 2\ndog 2\nbird 2\ntabby 4\nsiamese 4\nroom 1\n"
SMALL = parse_tree(TREE_TEXT.splitlines())

trees = st.builds(random_tree, st.integers(0, 10**6), st.integers(1, 300))
seeds = st.integers(0, 10**6)
thresholds = st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5, 0.9, 1.0])


def probabilities(tree: WordTree, seed: int, rows: int = 4, sharpness: float = 4) -> Floats:
    """Each node's probability given its parent, [rows, nodes]: a softmax over each group of siblings."""
    logits = np.random.default_rng(seed).normal(0, sharpness, (rows, len(tree)))
    return np.asarray(tree_softmax(tree, logits), np.float32)


# --------------------------------------------------------------------------------------------------------- one node


@pytest.fixture(scope="module")
def original_tree(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Callable[[WordTree], c_void_p]:
    """The original's reading of a tree."""
    folder = tmp_path_factory.mktemp("trees")

    @functools.cache
    def read(tree: WordTree) -> c_void_p:
        (folder / "its.tree").write_text(format_tree(tree))
        return library.tree(folder / "its.tree")

    return read


def check_darknet(library: Library, theirs: c_void_p, tree: WordTree, conditional: Floats, thresh: float) -> None:
    absolute = [library.absolute(theirs, row) for row in conditional]
    np.testing.assert_array_equal(tree.absolute(conditional), absolute)
    expected = [library.top(theirs, row, thresh) for row in absolute]
    assert top_nodes(conditional, tree, thresh).tolist() == expected


@pytest.mark.reference
@given(tree=trees, seed=seeds, thresh=thresholds, sharpness=st.sampled_from([0.5, 2.0, 8.0]))
def test_the_darknet_rule_is_the_originals(
    library: Library,
    original_tree: Callable[[WordTree], c_void_p],
    tree: WordTree,
    seed: int,
    thresh: float,
    sharpness: float,
) -> None:
    check_darknet(library, original_tree(tree), tree, probabilities(tree, seed, sharpness=sharpness), thresh)


@pytest.mark.reference
@given(seed=seeds, thresh=st.floats(0, 1, width=32))
def test_any_numbers_lead_where_they_lead_the_original(
    library: Library, original_tree: Callable[[WordTree], c_void_p], seed: int, thresh: float
) -> None:
    """No softmax: zeros, ones, and equal siblings among them."""
    values = np.random.default_rng(seed).choice(np.array([0, 0.25, 0.5, 0.75, 1], np.float32), (4, len(SMALL)))
    check_darknet(library, original_tree(SMALL), SMALL, values, thresh)


@pytest.mark.reference
@pytest.mark.parametrize("thresh", [0.05, 0.5])
@pytest.mark.parametrize("sharpness", [2, 20])
def test_yolo9000s_tree(library: Library, sharpness: float, thresh: float) -> None:
    conditional = probabilities(NINE_K, 1, rows=100, sharpness=sharpness)
    check_darknet(library, library.tree(NINE_K_FILE), NINE_K, conditional, thresh)
    assert len(set(top_nodes(conditional, NINE_K, thresh).tolist())) > 3


def way_down(tree: WordTree, row: Floats, thresh: float, rule: str, level: int | None) -> int:
    """The rule in words: go to the best child for as long as there is confidence."""

    def descend(node: int, depth: int, above: np.float32, running: np.float32) -> int:
        children = np.flatnonzero(tree.parents == node)
        if not len(children) or (level is not None and depth > level):
            return node
        best = int(children[row[children].argmax()])
        absolute = above * row[best]
        running = running * absolute if rule == "darknet" else absolute
        if running > np.float32(thresh):
            return descend(best, depth + 1, absolute, running)
        return best if node < 0 else node

    return descend(-1, 0, np.float32(1), np.float32(1))


@given(tree=trees, seed=seeds, thresh=thresholds, level=st.sampled_from([None, 0, 1, 2, 5]))
@pytest.mark.parametrize("rule", ["paper", "darknet"])
def test_rules_are_their_definitions(rule: str, tree: WordTree, seed: int, thresh: float, level: int | None) -> None:
    conditional = probabilities(tree, seed)
    expected = [way_down(tree, row, thresh, rule, level) for row in conditional]
    assert top_nodes(conditional, tree, thresh, rule, level).tolist() == expected  # type: ignore[arg-type]


@given(tree=trees, seed=seeds, thresh=thresholds)
def test_what_a_way_down_has_to_be(tree: WordTree, seed: int, thresh: float) -> None:
    """Never deeper by darknet's rule than by the paper's, on one way; within the level; above the threshold."""
    conditional = probabilities(tree, seed)
    absolute = tree.absolute(conditional)
    by_paper = top_nodes(conditional, tree, thresh, "paper")
    by_darknet = top_nodes(conditional, tree, thresh, "darknet")
    for row, (deep, early) in enumerate(zip(by_paper.tolist(), by_darknet.tolist(), strict=True)):
        assert early in tree.path(deep)
        assert absolute[row, deep] > np.float32(thresh) or tree.parents[deep] < 0
    for level in range(3):
        cut = top_nodes(conditional, tree, thresh, "paper", level)
        assert (tree.depths[cut] <= level).all()
        assert all(node in tree.path(deep) for node, deep in zip(cut.tolist(), by_paper.tolist(), strict=True))


def test_without_a_threshold_the_way_ends_at_a_leaf() -> None:
    conditional = probabilities(NINE_K, 3, 50)
    assert NINE_K.leaves[top_nodes(conditional, NINE_K, 0, "paper")].all()
    assert (NINE_K.parents[top_nodes(conditional, NINE_K, 1, "paper")] < 0).all()


def test_no_candidates_have_no_nodes() -> None:
    assert top_nodes(np.empty((0, len(SMALL)), np.float32), SMALL, 0.5).shape == (0,)


# ------------------------------------------------------------------------------------------- probabilities of nodes


@given(tree=trees, seed=seeds)
def test_a_map_gives_absolute_probabilities(tree: WordTree, seed: int) -> None:
    conditional = probabilities(tree, seed)
    nodes = tuple(np.random.default_rng(seed).integers(0, len(tree), 7).tolist())
    expected = [[row[tree.path(node)].astype(np.float64).prod() for node in nodes] for row in conditional]
    found = mapped(conditional, tree, nodes)
    assert found.shape == (4, 7) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("name", ["coco9k.map", "inet9k.map"])
def test_the_shipped_maps(name: str) -> None:
    nodes = tuple(int(line) for line in (cfg_dir() / "data" / name).read_text().split())
    conditional = probabilities(NINE_K, 5, 10)
    np.testing.assert_allclose(
        mapped(conditional, NINE_K, nodes), NINE_K.absolute(conditional)[:, list(nodes)], rtol=1e-5, atol=1e-30
    )


@given(tree=trees, seed=seeds, level=st.integers(0, 4))
def test_stops_share_all_the_mass(tree: WordTree, seed: int, level: int) -> None:
    """Cut at any level, the leaves above the cut and the nodes on it have probabilities that sum to 1."""
    absolute = mapped(probabilities(tree, seed), tree, tuple(range(len(tree)))).astype(np.float64)
    stops = (tree.depths == level) | (tree.leaves & (tree.depths < level))
    np.testing.assert_allclose(absolute[:, stops].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(absolute[:, tree.leaves].sum(1), 1, atol=1e-5)


@given(tree=trees, seed=seeds)
def test_siblings_share_their_parents_probability(tree: WordTree, seed: int) -> None:
    absolute = mapped(probabilities(tree, seed), tree, tuple(range(len(tree)))).astype(np.float64)
    for offset, size in zip(tree.group_offsets.tolist(), tree.group_sizes.tolist(), strict=True):
        parent = int(tree.parents[offset])
        above = 1.0 if parent < 0 else absolute[:, parent]
        np.testing.assert_allclose(absolute[:, offset : offset + size].sum(1), above, rtol=1e-4, atol=1e-9)


@given(tree=trees, seed=seeds)
def test_a_path_leads_from_a_root_with_ever_less_confidence(tree: WordTree, seed: int) -> None:
    (row,) = probabilities(tree, seed, 1)
    node = int(np.random.default_rng(seed).integers(len(tree)))
    path = path_steps(row, tree, node, tree.names)
    assert path[0].name == tree.names[path[0].node] and tree.parents[path[0].node] == -1
    assert path[-1].node == node
    assert path[-1].probability == pytest.approx(mapped(row[None], tree, (node,))[0, 0], rel=1e-5)
    for above, below in pairwise(path):
        assert tree.parents[below.node] == above.node
        assert below.probability <= above.probability


# ----------------------------------------------------------------------------------------------- in a whole detector


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A detector with the small tree; sharp enough that ways end at different depths."""
    folder = tmp_path_factory.mktemp("forest")
    (folder / "its.tree").write_text(TREE_TEXT)
    (folder / "small.names").write_text("".join(f"{name}\n" for name in SMALL.names))
    return write_model(folder, region(len(SMALL), "softmax=1\ntree=its.tree"), seed=1, gain=1)


def rounded(node: int, score: float) -> tuple[int, int]:
    """A score in millionths, so that lists of them can be compared."""
    return node, round(1e6 * float(score))


@pytest.mark.reference
@pytest.mark.parametrize("hier_thresh", [0.05, 0.3, 0.5])
def test_detections_name_the_node_that_the_original_names(
    hier_thresh: float, forest: Files, library: Library, original_tree: Callable[[WordTree], c_void_p]
) -> None:
    theirs = original_tree(SMALL)
    detector = dc.Detector(*forest, thresh=0.5, hier_thresh=hier_thresh, nms=1)
    depths = set()
    for seed in range(6):
        pixels = prepare(noise(64, 96, seed), detector.runtime.description).pixels
        outputs = {name: array[0] for name, array in detector.runtime.infer(pixels[None]).items()}
        expected = [
            rounded(library.top(theirs, library.absolute(theirs, row), hier_thresh), score)
            for score, row in zip(outputs["objectness"], outputs["classes"], strict=True)
            if score > np.float32(0.5)
        ]
        found = detector(noise(64, 96, seed))
        assert sorted(rounded(one.class_id, one.score) for one in found) == sorted(expected)
        assert [SMALL.names[one.class_id] for one in found] == list(found.names)
        depths |= {int(SMALL.depths[one.class_id]) for one in found}
    assert len(depths) > 1


@pytest.mark.parametrize("level", [None, 0, 1])
@pytest.mark.parametrize("rule", ["paper", "darknet"])
def test_paths_say_where_confidence_ran_out(rule: str, level: int | None, forest: Files) -> None:
    detector = dc.Detector(*forest, thresh=0.5, hier_thresh=0.2, hierarchy=rule, level=level)  # type: ignore[arg-type]
    found = detector(noise(64, 96))
    outputs = detector.runtime.infer(prepare(noise(64, 96), detector.runtime.description).pixels[None])
    assert len(found) == len(found.paths) > 3
    for one, path in zip(found, found.paths, strict=True):
        (candidate,) = np.flatnonzero(outputs["objectness"][0] == np.float32(one.score))
        absolute = SMALL.absolute(outputs["classes"][0, candidate])
        assert [step.probability for step in path] == pytest.approx([absolute[step.node] for step in path], rel=1e-5)
        assert path[-1].node == one.class_id and path[-1].name == one.name
        assert [step.node for step in path] == SMALL.path(one.class_id)
        if len(path) > 1:
            assert path[-1].probability > 0.2
        assert level is None or len(path) <= level + 1


def test_a_map_scores_its_classes(forest: Files, tmp_path: Path) -> None:
    detector = dc.Detector(*forest, thresh=0.05, nms=1, map=[7, 4, 1])
    found = detector(noise(64, 96))
    assert set(found.names) == {"tabby", "cat", "place"}
    for one, path in zip(found, found.paths, strict=True):
        assert path[-1].node == (7, 4, 1)[one.class_id]
        assert 0.05 < one.score <= path[-1].probability + 1e-6
    cats = [one for one in found if one.name == "cat"]
    tabbies = {one.box: one.score for one in found if one.name == "tabby"}
    assert all(tabbies.get(one.box, 0) <= one.score for one in cats)


def test_what_there_was_no_room_for_is_counted(monkeypatch: pytest.MonkeyPatch, forest: Files) -> None:
    detector = dc.Detector(*forest, thresh=0.5, nms=1)
    everything = detector(noise(64, 96))
    assert everything.dropped == 0
    monkeypatch.setattr(answers, "SPLIT_FROM", 1)
    detector.runtime = runtime.TorchRuntime(load_network(*forest), candidates=4)
    few = detector(noise(64, 96))
    assert (len(few), few.dropped) == (4, len(everything) - 4)
    np.testing.assert_allclose(few.scores, everything.scores[:4], rtol=1e-5)
    assert few.names == everything.names[:4]


def test_the_split_head_changes_no_detection(monkeypatch: pytest.MonkeyPatch, forest: Files) -> None:
    full = dc.Detector(*forest, thresh=0.5)
    monkeypatch.setattr(answers, "SPLIT_FROM", 1)
    split = dc.Detector(*forest, thresh=0.5)
    for seed in range(5):
        ours, theirs = split(noise(64, 96, seed)), full(noise(64, 96, seed))
        np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-5)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-4, atol=1e-3)
        assert [len(path) for path in ours.paths] == [len(path) for path in theirs.paths]


# ------------------------------------------------------------------------------------------------ the fork's answer


def test_last_nodes_by_hand() -> None:
    # thing place | animal car | cat dog bird | tabby siamese | room
    sure = [0.9, 0.1, 0.9, 0.1, 0.8, 0.1, 0.1, 0.7, 0.3, 1.0]  # tabby 0.4536, cat 0.648
    unsure = [0.5, 0.5, 0.9, 0.1, 0.8, 0.1, 0.1, 0.7, 0.3, 1.0]  # nothing above 0.5
    place = [0.1, 0.9, 0.9, 0.1, 0.8, 0.1, 0.1, 0.7, 0.3, 0.9]  # room 0.81, and place 0.9 before it
    nodes, found = last_nodes(np.array([sure, unsure, place], np.float32), SMALL)
    assert nodes.tolist() == [4, -1, 9]
    assert found[[0, 2]].tolist() == pytest.approx([0.648, 0.81])


def test_a_network_of_the_forks_answers_with_the_last_node(tmp_path: Path) -> None:
    if not golden.FOLDER.is_dir():
        pytest.skip("no ../shared/data")
    case = golden.load("region_tree", tmp_path)
    found = runtime.TorchRuntime(case.network).infer(case.images)
    outputs = {name: found[name][0] for name in ("objectness", "classes")}
    description = describe(case.spec)
    assert description.leaves_first and case.spec.tree is not None
    kept, scores, columns = select(outputs, Criteria(float(case.answers["thresh"]), leaves_first=True), case.spec.tree)
    expected = case.answers["boxes_before_nms"]
    rows = np.zeros((len(outputs["objectness"]), expected.shape[1] - 5), np.float32)
    rows[np.ix_(kept, columns)] = scores
    anchors = case.spec.heads[-1].num  # type: ignore[attr-defined]
    rows = rows.reshape(anchors, -1, rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)  # the fork's go cell by cell
    assert (rows > 0).any()
    np.testing.assert_allclose(rows, expected[:, 5:], atol=1e-4)
