from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.tree.named import open_tree
from darknet_compat.formats.wordtree import read_tree
from tests.cli.support import Done, in_process
from tests.formats.tree.nouns import installed, wnid, write_nouns

ENTITY, PHYSICAL = "n00001740", "n00001930"
ANIMAL, DEVICE, RODENT, POINTER, FOX, LEVER = map(wnid, range(2001, 2007))
ABOVE = {
    ENTITY: [],
    PHYSICAL: [ENTITY],
    ANIMAL: [PHYSICAL],
    DEVICE: [PHYSICAL],
    RODENT: [ANIMAL],
    FOX: [ANIMAL],
    POINTER: [DEVICE],
    LEVER: [DEVICE],
}
WORDS = {ANIMAL: ["animal"], DEVICE: ["device"], RODENT: ["mouse"], POINTER: ["mouse"], FOX: ["fox"], LEVER: ["lever"]}


@pytest.fixture
def nouns(tmp_path: Path) -> Path:
    return write_nouns(tmp_path / "wn", ABOVE, WORDS)


@pytest.fixture
def tree(tmp_path: Path, nouns: Path) -> Path:
    labels = tmp_path / "my.labels"
    labels.write_text(f"{RODENT}\n{FOX}\n{POINTER}\n{LEVER}\n")
    out = tmp_path / "my.tree"
    done = command("build", labels, "--alone", "--wordnet", nouns, "--out", out, "--names", tmp_path / "my.names")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{out}: 6 nodes, 4 labels and 2 between them and the roots (animal, device), 2 levels\n"
    return out


def command(*arguments: object) -> Done:
    return in_process("tree", *arguments)


def document(*arguments: object) -> Any:
    done = command(*arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def refusal(*arguments: object) -> str:
    """The one line that a command ends with that cannot do what it was asked to."""
    done = command(*arguments)
    assert done.code == 1
    assert done.err.count("\n") == 1
    return done.err


# ------------------------------------------------------------------------------------------------------- build


def test_build_writes_a_tree_and_its_names(tree: Path) -> None:
    assert tree.read_text() == f"{ANIMAL} -1\n{DEVICE} -1\n{RODENT} 0\n{FOX} 0\n{POINTER} 1\n{LEVER} 1\n"
    assert tree.with_suffix(".names").read_text() == "animal\ndevice\nmouse\nfox\nmouse\nlever\n"


def test_build_as_json(tmp_path: Path, nouns: Path, tree: Path) -> None:
    out = tmp_path / "other.tree"
    facts = document("build", tmp_path / "my.labels", "--alone", "--wordnet", nouns, "--out", out)
    assert (facts["file"], facts["labels"], facts["nodes"], facts["leaves"]) == (str(out), 4, 6, 4)
    assert facts["roots"] == ["animal", "device"]


def test_build_says_what_is_wrong_and_writes_nothing(tmp_path: Path, nouns: Path) -> None:
    labels, out = tmp_path / "l", tmp_path / "new.tree"
    labels.write_text(f"{FOX}\nfox\n")
    arguments = ("build", labels, "--alone", "--out", out, "--wordnet")
    assert f"{labels}:2: fox is no noun of WordNet" in refusal(*arguments, nouns)
    assert "there is no data.noun" in refusal(*arguments, tmp_path)
    labels.write_text(f"{FOX}\n{LEVER}\n")
    assert "1 of 2 labels are no kind of n00002001 animal" in refusal(*arguments, nouns, "--root", ANIMAL)
    assert "imagenet3k: cannot be read" in refusal("build", "imagenet3k", "--wordnet", nouns, "--out", out)
    assert "more: cannot be read" in refusal("build", labels, "--among", tmp_path / "more", "--out", out)
    assert not out.exists()
    assert command("build", labels).code == 2  # without --out


@pytest.mark.reference
def test_build_gives_the_papers_tree_without_further_ado(tmp_path: Path) -> None:
    installed()
    done = command("build", "imagenet1k", "--out", tmp_path / "1k.tree")
    assert ": 1,369 nodes, 1,000 labels and 369 between them and the roots (object, matter), " in done.out
    assert len(read_tree(tmp_path / "1k.tree")) == 1369


# ------------------------------------------------------------------------------------------------ show, stats


def test_show_prints_a_path_and_a_subtree(tree: Path) -> None:
    assert command("show", tree).out == (
        f"animal  {ANIMAL}  2 leaves\n  mouse  {RODENT}\n  fox  {FOX}\n"
        f"device  {DEVICE}  2 leaves\n  mouse  {POINTER}\n  lever  {LEVER}\n"
    )
    assert command("show", tree, "--depth", 0).out == f"animal  {ANIMAL}  2 leaves\ndevice  {DEVICE}  2 leaves\n"
    assert command("show", tree, "lever").out == f"device\nlever  {LEVER}\n"
    assert "2 nodes are called 'mouse'" in refusal("show", tree, "mouse")
    assert "no node is called 'dog'" in refusal("show", tree, "dog")


def test_show_with_probabilities_puts_the_likeliest_first(tree: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([0.25, 0.75, 0.2, 0.05, 0.25, 0.5], np.float32))
    shown = command("show", tree, "--probabilities", tmp_path / "p.npy").out
    assert shown == (
        f"0.7500  device  {DEVICE}  2 leaves\n  0.5000  lever  {LEVER}\n  0.2500  mouse  {POINTER}\n"
        f"0.2500  animal  {ANIMAL}  2 leaves\n  0.2000  mouse  {RODENT}\n  0.0500  fox  {FOX}\n"
    )
    assert command("show", tree, LEVER, "--probabilities", tmp_path / "p.npy").out.startswith(
        "device 0.75\n0.5000  lever"
    )
    found = document("show", tree, "lever", "--probabilities", tmp_path / "p.npy")
    assert [(step["name"], step["probability"]) for step in found["path"]] == [("device", 0.75), ("lever", 0.5)]
    (tmp_path / "p.json").write_text("[1]")
    assert "expected 6 probabilities" in refusal("show", tree, "--probabilities", tmp_path / "p.json")


def test_show_as_json(tree: Path) -> None:
    found = document("show", tree, "animal", "--depth", 1)
    assert (found["node"], found["label"], found["leaves"]) == (0, ANIMAL, 2)
    assert [child["name"] for child in found["children"]] == ["mouse", "fox"]
    assert [root["name"] for root in document("show", tree)["roots"]] == ["animal", "device"]


def test_the_released_tree_is_the_default() -> None:
    assert "object > whole > living thing" in command("show", "9k", "Norfolk terrier").out
    facts = document("stats")
    assert (facts["nodes"], facts["leaves"], facts["groups"], facts["levels"]) == (9418, 7573, 1846, 17)
    assert facts["largest_groups"][0] == ["herb", 149]


def test_stats(tree: Path) -> None:
    assert document("stats", tree) == {
        "nodes": 6,
        "leaves": 4,
        "roots": ["animal", "device"],
        "groups": 3,
        "only_children": 0,
        "largest_groups": [["no root", 2], ["animal", 2], ["device", 2]],
        "levels": 2,
        "mean_leaf_depth": 1.0,
    }
    assert "levels   2; a leaf is 1.0 below its root on average" in command("stats", tree).out


def test_render(tree: Path, tmp_path: Path) -> None:
    done = command("render", tree, "--out", tmp_path / "t.html")
    assert done.out.startswith(f"{tmp_path / 't.html'}: 6 nodes, ")
    assert "<title>my.tree</title>" in (tmp_path / "t.html").read_text()
    assert "expected a file that ends in .html or .svg" in refusal("render", tree, "--out", tmp_path / "t.gif")


# --------------------------------------------------------------------------------------------------------- map


def test_map_asks_about_what_is_open_and_takes_the_answer(tree: Path, nouns: Path, tmp_path: Path) -> None:
    labels, out, answers = tmp_path / "pets.names", tmp_path / "pets.map", tmp_path / "answers"
    labels.write_text("fox\nmouse\nlevers\n")
    arguments = ("map", labels, tree, "--wordnet", nouns, "--out", out)
    done = command(*arguments)
    assert done.code == 1 and not out.exists()
    assert (
        done.out
        == f"mouse = {RODENT}    # mouse: the meaning of mouse\n#mouse = {POINTER}    # mouse: the meaning of mouse\n"
    )
    assert "1 of 3 labels are open; put the lines that you mean into a file and pass it with --given" in done.err

    answers.write_text(done.out)
    done = command(*arguments, "--given", answers)
    assert done.code == 0, done.err
    assert read_map(out) == (3, 2, 5)
    assert done.err == f"darknet-compat: {out}: 3 labels: 2 by name, 1 as given\n"

    answers.write_text(f"mouse = {POINTER}\n")
    assert command(*arguments, "--given", answers).code == 0
    assert read_map(out) == (3, 4, 5)


def test_map_takes_the_likeliest_if_told_to(tree: Path, nouns: Path, tmp_path: Path) -> None:
    labels, out = tmp_path / "pets.names", tmp_path / "pets.map"
    labels.write_text("mouse\n")
    done = command("map", labels, tree, "--wordnet", nouns, "--first", "--out", out)
    assert (done.code, read_map(out)) == (0, (2,))
    assert "#mouse" in done.out  # the guess is shown with what else it might have been
    labels.write_text("mouse\nnonsense\n")
    assert "1 of 2 labels are open" in command("map", labels, tree, "--wordnet", nouns, "--first").err


def test_map_as_json(tree: Path, nouns: Path, tmp_path: Path) -> None:
    labels = tmp_path / "pets.names"
    labels.write_text(f"fox\nmouse\n{LEVER}\n")
    done = command("map", labels, tree, "--wordnet", nouns, "--out", tmp_path / "m", "--json")
    found = json.loads(done.out)
    assert (done.code, found["file"], found["open"]) == (1, None, 1)
    assert found["found"] == {"name": 1, "open": 1, "wnid": 1}
    assert found["labels"][0] == {
        "label": "fox",
        "how": "name",
        "to": {"node": 3, "label": FOX, "name": "fox"},
        "candidates": [],
    }
    assert [candidate["sense"] for candidate in found["labels"][1]["candidates"]] == [RODENT, POINTER]


def test_map_of_a_packaged_list_by_a_packaged_map(tmp_path: Path) -> None:
    from darknet_compat.formats.packaged import cfg_dir

    released = cfg_dir() / "data" / "coco9k.map"
    done = command("map", "coco", "--given", released, "--out", tmp_path / "coco.map")
    assert done.code == 0, done.err  # and WordNet is not needed
    assert (tmp_path / "coco.map").read_bytes() == released.read_bytes()


@pytest.mark.reference
def test_map_of_ilsvrc_needs_no_answers(tmp_path: Path) -> None:
    installed()
    done = command("map", "imagenet1k", "--out", tmp_path / "m")
    assert done.code == 0, done.err
    names = open_tree().tree.names
    labels = read_names(Path(open_tree().tree.source).with_name("imagenet1k.labels"))
    assert tuple(names[node] for node in read_map(tmp_path / "m")) == labels
