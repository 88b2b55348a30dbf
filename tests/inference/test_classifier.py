"""Classes: the original's, flat ones and a tree's."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import darknet_compat as dc
from darknet_compat.errors import BackendError, ImageError, MetadataError
from darknet_compat.formats.wordtree import format_tree
from darknet_compat.inference.batch import Failure, prepare
from darknet_compat.inference.classification import Classification
from darknet_compat.inference.hierarchy import top_nodes
from darknet_compat.parity.reference import Original
from tests.conftest import Original as Installed
from tests.heads.test_tree import random_tree
from tests.inference.support import Files, classifier, noise, write_model
from tests.parity.program import parse_classes, run_program


@pytest.fixture(scope="module")
def tiny(real: Callable[[str], Files]) -> dc.Classifier:
    return dc.Classifier(*real("tiny-darknet"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_model(tmp_path_factory.mktemp("toy"), classifier(6), gain=1)


@pytest.mark.reference
def test_the_program_prints_the_same_five(
    tiny: dc.Classifier, real: Callable[[str], Files], photos: list[Path], original: Installed
) -> None:
    """Within a tenth of a percent. Where two classes are nearer to each other than that, either may come first."""
    data = original.cfg / "imagenet1k.data"
    for photo in photos:
        printed = parse_classes(run_program("classifier", "predict", data, *real("tiny-darknet"), photo).stdout)
        assert len(printed) == 5
        ours = {guess.name: 100 * guess.probability for guess in tiny(photo).top(6)}
        for name, percent in printed:
            assert ours[name] == pytest.approx(percent, abs=0.1)
        assert tiny(photo).top(1)[0].name == printed[0][0]


@pytest.mark.reference
def test_all_thousand_probabilities(
    tiny: dc.Classifier, darknet: Original, real: Callable[[str], Files], photos: list[Path]
) -> None:
    ids, scores = darknet.classify(*real("tiny-darknet"), photos[0], top=1000)
    np.testing.assert_allclose(tiny(photos[0]).probabilities[ids], scores, rtol=0, atol=0.001)


def test_the_dog_is_a_malamute(tiny: dc.Classifier, photos: list[Path]) -> None:
    found = [(guess.name, 100 * guess.probability) for guess in tiny(photos[0]).top(5)]
    expected = [
        ("malamute", 14.18),
        ("Newfoundland", 6.13),
        ("dogsled", 5.48),
        ("standard schnauzer", 4.54),
        ("Eskimo dog", 3.94),
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose([value for _, value in found], [value for _, value in expected], atol=0.1)


@pytest.mark.reference
@pytest.mark.parametrize("head", ["[softmax]", "[softmax]\ntemperature=3", "[logistic]"])
def test_flat_heads(head: str, darknet: Original, tmp_path: Path) -> None:
    files = write_model(tmp_path, classifier(6, head), gain=1)
    cv2.imwrite(str(tmp_path / "noise.png"), noise(70, 90))
    ids, scores = darknet.classify(*files, tmp_path / "noise.png", top=6)
    found = dc.Classifier(*files)(tmp_path / "noise.png")
    np.testing.assert_allclose(found.probabilities[ids], scores, atol=1e-5)
    assert [guess.class_id for guess in found.top()] == ids[:5].tolist()


@pytest.mark.reference
@pytest.mark.parametrize("nodes", [5, 60, 400])
def test_a_trees_leaves(nodes: int, darknet: Original, tmp_path: Path) -> None:
    """Absolute probabilities; what is no leaf is 0 to the original, and is not named at all here."""
    tree = random_tree(nodes, nodes)
    (tmp_path / "its.tree").write_text(format_tree(tree))
    files = write_model(tmp_path, classifier(len(tree), "[softmax]\ntree=its.tree"), gain=1)
    cv2.imwrite(str(tmp_path / "noise.png"), noise(70, 90))
    leaves = int(tree.leaves.sum())
    ids, scores = darknet.classify(*files, tmp_path / "noise.png", top=leaves)
    found = dc.Classifier(*files)(tmp_path / "noise.png")
    guesses = found.top(len(tree))
    assert len(guesses) == leaves
    np.testing.assert_allclose([guess.probability for guess in guesses], scores, atol=1e-5)
    assert guesses[0].class_id == ids[0]
    assert all(tree.leaves[guess.class_id] for guess in guesses)
    np.testing.assert_allclose(found.probabilities[ids], scores, atol=1e-5)
    np.testing.assert_allclose(sum(guess.probability for guess in guesses), 1, atol=1e-4)


def test_a_trees_answer_leads_down_to_where_confidence_ends(tmp_path: Path) -> None:
    tree = random_tree(60, 60)
    (tmp_path / "its.tree").write_text(format_tree(tree))
    files = write_model(tmp_path, classifier(len(tree), "[softmax]\ntree=its.tree"), gain=1)
    for arguments in ({}, {"hierarchy": "paper"}, {"hier_thresh": 0.1}, {"hier_thresh": 0, "level": 1}):
        ask = dc.Classifier(*files, names=tree.names, **arguments)  # type: ignore[arg-type]
        found = ask(noise(70, 90))
        outputs = ask.runtime.infer(prepare(noise(70, 90), ask.runtime.description).pixels[None])["classes"]
        (node,) = top_nodes(outputs, tree, ask.hier_thresh, ask.hierarchy, ask.level)
        assert [step.node for step in found.path] == tree.path(int(node))
        for step in found.path:
            assert step.name == tree.names[step.node]
            assert step.probability == pytest.approx(float(found.probabilities[step.node]), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hier_thresh": 2}, "hier_thresh: expected a number from 0 to 1, found 2"),
        ({"hierarchy": "yolo"}, "hierarchy: expected one of darknet, paper, found 'yolo'"),
        ({"level": -1}, "level: expected a whole number from 0 on, found -1"),
    ],
)
def test_ways_down_that_are_none(toy: Files, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        dc.Classifier(*toy, **arguments)  # type: ignore[arg-type]


def test_only_a_tree_has_leaves(toy: Files, tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"^leaves: .*small\.cfg has no WordTree$"):
        dc.Classifier(*toy, leaves=tmp_path / "leaves")


def test_a_picture_is_the_same_however_it_is_handed_over(toy: Files, tmp_path: Path) -> None:
    picture = noise(50, 70)
    data = bytes(cv2.imencode(".png", picture)[1])
    (tmp_path / "noise.png").write_bytes(data)
    ask = dc.Classifier(*toy)
    sources = [tmp_path / "noise.png", str(tmp_path / "noise.png"), data, Image.open(io.BytesIO(data)), picture]
    expected = ask(picture).probabilities
    for answer in ask(sources):
        np.testing.assert_array_equal(answer.probabilities, expected)
    assert ask([]) == []


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_stream_keeps_the_order_and_goes_on(batch: int, toy: Files, tmp_path: Path) -> None:
    ask = dc.Classifier(*toy)
    sources = [noise(40 + number, 60, number) for number in range(5)]
    sources[2] = tmp_path / "no.png"  # type: ignore[call-overload]
    found = list(ask.stream(sources, batch))
    assert [source is expected for (source, _), expected in zip(found, sources, strict=True)] == [True] * 5
    for number, (source, answer) in enumerate(found):
        if number == 2:
            assert isinstance(answer, Failure) and "no.png: no such file" in str(answer.error)
        else:
            assert isinstance(answer, Classification)
            np.testing.assert_allclose(answer.probabilities, ask(source).probabilities, atol=1e-5)
    with pytest.raises(ImageError, match=r"no\.png: no such file"):
        ask(sources)
    with pytest.raises(BackendError, match=r"^batch: expected 1 or more pictures, found 0$"):
        list(ask.stream(sources, 0))


def test_a_batch_of_nothing_readable(toy: Files) -> None:
    assert [type(answer) for _, answer in dc.Classifier(*toy).stream([b"", b"x"], 2)] == [Failure, Failure]


def test_names_come_with_the_classes(toy: Files) -> None:
    ask = dc.Classifier(*toy, names=list("abcdef"))
    assert ask.names == tuple("abcdef") == ask(noise(8, 8)).class_names


@pytest.mark.parametrize(("precision", "allowed"), [("fp16", 0.002), ("bf16", 0.02)])
def test_lower_precision_stays_near(
    precision: str, allowed: float, tiny: dc.Classifier, real: Callable[[str], Files], photos: list[Path]
) -> None:
    found = dc.Classifier(*real("tiny-darknet"), precision=precision)(photos[0])  # type: ignore[arg-type]
    np.testing.assert_allclose(found.probabilities, tiny(photos[0]).probabilities, atol=allowed)


def test_threads_share_a_classifier(toy: Files) -> None:
    ask = dc.Classifier(*toy)
    pictures = [noise(48 + number, 80, number) for number in range(16)]
    expected = [ask(picture).probabilities for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(ask, pictures), expected, strict=True):
            np.testing.assert_array_equal(found.probabilities, alone)
