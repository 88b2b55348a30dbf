"""Which candidates count, against a loop that asks each one, class by class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.wordtree import WordTree, from_parents
from darknet_compat.inference.hierarchy import top_nodes
from darknet_compat.inference.select import Criteria, darknet_places, select, surest

TREE = from_parents(list("abcdefg"), [-1, -1, 0, 0, 2, 2, 2])
VALUES = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0])
UNBOUNDED = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.5])
FLOAT32 = np.float32

Found = dict[tuple[int, int], float]


def outputs(objectness: Floats, classes: Floats) -> dict[str, Floats]:
    return {"objectness": objectness, "classes": classes}


def found(values: dict[str, Floats], criteria: Criteria, tree: WordTree | None = None) -> Found:
    """(candidate, class) → score."""
    kept, scores, columns = select(values, criteria, tree)
    assert scores.shape == (len(kept), len(columns)) and scores.dtype == np.float32
    rows, places = np.nonzero(scores)
    return {(int(kept[r]), int(columns[p])): float(scores[r, p]) for r, p in zip(rows, places, strict=True)}


def product(path: list[int], row: Floats) -> np.float32:
    value = FLOAT32(1)
    for node in path:
        value *= row[node]
    return value


def expected(values: dict[str, Floats], criteria: Criteria, tree: WordTree | None = None) -> Found:
    """As the original's loops (`get_region_detections`, `get_yolo_detections`, `get_detection_detections`)."""
    thresh, answer = FLOAT32(criteria.thresh), {}
    for i, (scale, row) in enumerate(zip(values["objectness"], values["classes"], strict=True)):
        if tree is not None and criteria.map is None:
            node = top_nodes(row[None], tree, criteria.hier_thresh, criteria.rule, criteria.level)[0]
            answer[i, int(node)] = scale
        else:
            if tree is not None and criteria.map is not None:
                row = [product(tree.path(node)[::-1], row) for node in criteria.map]
            answer |= {(i, j): scale * probability for j, probability in enumerate(row)}
    return {key: float(score) for key, score in answer.items() if score > thresh}


def candidates(elements: st.SearchStrategy[float], classes: int | None = None) -> st.SearchStrategy[dict[str, Floats]]:
    sizes = st.tuples(st.integers(0, 6), st.just(classes) if classes else st.integers(1, 5))

    def of(size: tuple[int, int]) -> st.SearchStrategy[dict[str, Floats]]:
        objectness = arrays.arrays(np.float32, size[0], elements=elements)
        return st.builds(outputs, objectness, arrays.arrays(np.float32, size, elements=elements))

    return sizes.flatmap(of)


@given(candidates(VALUES), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.999, 1.0]))
def test_flat_classes(values: dict[str, Floats], thresh: float) -> None:
    assert found(values, Criteria(thresh)) == expected(values, Criteria(thresh))


@given(candidates(UNBOUNDED), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@example(outputs(np.array([-0.5], FLOAT32), np.array([[-2.0, 1.0]], FLOAT32)), 0.5)
@example(outputs(np.array([0.5], FLOAT32), np.array([[1.5, -2.0]], FLOAT32)), 0.5)
def test_yolos_first_head_bounds_nothing(values: dict[str, Floats], thresh: float) -> None:
    """Probabilities and objectness are what the last layer says: above 1, below 0; two negative ones make a score."""
    assert found(values, Criteria(thresh)) == expected(values, Criteria(thresh))


@given(candidates(VALUES, len(TREE)), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 0.5]))
@pytest.mark.parametrize("level", [None, 0, 1])
@pytest.mark.parametrize("rule", ["darknet", "paper"])
def test_a_trees_node_has_the_objectness(
    rule: str, level: int | None, values: dict[str, Floats], thresh: float, hier_thresh: float
) -> None:
    criteria = Criteria(thresh, hier_thresh, rule, level)  # type: ignore[arg-type]
    assert found(values, criteria, TREE) == expected(values, criteria, TREE)


@given(
    candidates(VALUES, len(TREE)),
    st.sampled_from([0.0, 0.05, 0.25]),
    st.lists(st.integers(0, len(TREE) - 1), min_size=1, max_size=8),
)
def test_a_maps_classes_have_objectness_times_the_nodes_probability(
    values: dict[str, Floats], thresh: float, nodes: list[int]
) -> None:
    criteria = Criteria(thresh, map=tuple(nodes))
    ours, theirs = found(values, criteria, TREE), expected(values, criteria, TREE)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs)


def test_only_the_classes_that_occur_have_a_column() -> None:
    values = outputs(np.array([0.9, 0.1, 0.8], FLOAT32), np.array([[0, 0.9, 0.1], [1, 0, 0], [0, 0.1, 0.9]], FLOAT32))
    kept, scores, columns = select(values, Criteria(0.5), None)
    assert kept.tolist() == [0, 2]
    assert columns.tolist() == [1, 2]
    np.testing.assert_allclose(scores, [[0.81, 0], [0, 0.72]], rtol=1e-6)


def test_a_score_has_to_exceed_the_threshold() -> None:
    values = outputs(np.array([0.5, 0.5], FLOAT32), np.array([[1.0], [1.0]], FLOAT32))
    assert found(values, Criteria(0.5)) == {}
    assert len(found(values, Criteria(0.4999))) == 2
    tree = from_parents(["only"], [-1])
    assert found(values, Criteria(0.5), tree) == {}
    assert found(values, Criteria(0.4999), tree) == {(0, 0): 0.5, (1, 0): 0.5}


def test_darknet_places_sort_by_the_last_class_first() -> None:
    """Row 2 alone has the last class; rows 1 and 0 differ in the one before; row 3 has the first only."""
    scores = np.array([[0.9, 0.2, 0], [0.1, 0.3, 0], [0.05, 0, 0.01], [0.95, 0, 0]], np.float32)
    assert darknet_places(scores).tolist() == [2, 1, 0, 3]
    assert darknet_places(np.zeros((0, 3), np.float32)).tolist() == []
    assert darknet_places(np.zeros((2, 0), np.float32)).tolist() == [0, 1]


def test_the_surest_box_suppresses_the_others_of_whatever_class() -> None:
    """The second covers two thirds of the first and is surer; the third stands alone; the fourth is too weak."""
    boxes = [[0.5, 0.5, 0.4, 0.4], [0.55, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]]
    values = outputs(np.array([0.6, 0.7, 0.5, 0.2], FLOAT32), np.eye(4, dtype=FLOAT32))
    given = {**values, "boxes": np.array(boxes, FLOAT32)}
    assert surest(given, 0.3, 0.4)["objectness"].tolist() == [0, pytest.approx(0.7), 0.5, 0]
    assert surest(given, 0.3, 0.8)["objectness"].tolist() == [pytest.approx(0.6), pytest.approx(0.7), 0.5, 0]
    assert given["objectness"][0] > 0.5
