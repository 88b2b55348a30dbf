"""`classify`: names and probabilities, as text and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import BARE_CLASSIFIER, CLASSIFIER, Command, Toy, paint, write_toy
from tests.sources.making import numbered, write_clip


def test_the_most_probable_first(dc: Command, classifier: Toy, picture: Path) -> None:
    done = dc("classify", classifier.cfg, picture, "--top", "2")
    lines = done.out.splitlines()
    assert done.code == 0 and len(lines) == 4
    assert lines[0].startswith(f"{picture}: ")
    assert [line.split(maxsplit=2) for line in lines[2:]] == [["66.52", "%", "class 2"], ["24.47", "%", "class 1"]]


def test_json_and_names(dc: Command, classifier: Toy, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "my.names").write_text("eel\nox\nhen\n")
    done = dc("classify", classifier.cfg, picture, "absent.png", "--names", tmp_path / "my.names", "--json")
    good, bad = json.loads(done.out)["images"]
    assert done.code == 1
    assert [guess["name"] for guess in good["classes"]] == ["hen", "ox", "eel"]
    assert good["classes"][0] == {"name": "hen", "probability": pytest.approx(0.66524, abs=1e-5), "class_id": 2}
    assert bad == {"file": "absent.png", "error": "absent.png: no such file"}


def test_a_bad_picture_is_named_and_the_rest_go_on(dc: Command, classifier: Toy, picture: Path) -> None:
    done = dc("classify", classifier.cfg, "absent.png", picture)
    assert done.code == 1
    assert done.err == "darknet-compat: absent.png: no such file\n"
    assert "class 2" in done.out


def test_probabilities_that_are_no_numbers_are_an_error(dc: Command, picture: Path, tmp_path: Path) -> None:
    broken = write_toy(tmp_path, "broken", CLASSIFIER, [0, float("nan"), 0])
    done = dc("classify", broken.cfg, picture, "--json")
    assert done.code == 1 and "no numbers" in json.loads(done.out)["images"][0]["error"]


@pytest.mark.parametrize("way", ["torch", "onnxruntime", "exported"])
def test_without_a_softmax_they_are_scores(way: str, dc: Command, picture: Path, tmp_path: Path) -> None:
    """Also where all of them could be probabilities."""
    for biases, shown in ([9.75, -2, 1e6], ["1e+06", "9.75", "-2"]), ([0.5, 0.25, 0.125], ["0.5", "0.25", "0.125"]):
        bare = write_toy(tmp_path, "bare", BARE_CLASSIFIER, biases)
        model: tuple[object, ...] = (bare.cfg, "--backend", way)
        if way == "exported":
            assert dc("export", bare.cfg, "--out", tmp_path / "bare.onnx").code == 0
            model = (tmp_path / "bare.onnx",)
        head, *rows = dc("classify", *model, picture).out.splitlines()[1:]
        assert head.split() == ["score", "class"] and [row.split()[0] for row in rows] == shown
        (answer,) = json.loads(dc("classify", *model, picture, "--json").out)["images"]
        assert answer["are_probabilities"] is False
        assert [one["probability"] for one in answer["classes"]] == sorted(biases, reverse=True)


def test_scores_that_are_no_numbers(dc: Command, picture: Path, tmp_path: Path) -> None:
    broken = write_toy(tmp_path, "broken", BARE_CLASSIFIER, [float("nan")] * 3)
    done = dc("classify", broken.cfg, picture)
    assert (done.code, done.err) == (
        1,
        f"darknet-compat: {picture}: scores that are no numbers; are the weights this model's?\n",
    )


@pytest.mark.reference
def test_a_real_classifier_names_the_dog(dc: Command, shared_data: Path, photos: list[Path]) -> None:
    model = shared_data / "models" / "tiny-darknet" / "tiny.cfg"
    done = dc("classify", model, photos[0], "--json")
    found = [(guess["name"], guess["probability"]) for guess in json.loads(done.out)["images"][0]["classes"]]
    # What Debian's original prints, in percent.
    original = {
        "malamute": 14.18,
        "Newfoundland": 6.13,
        "dogsled": 5.48,
        "standard schnauzer": 4.54,
        "Eskimo dog": 3.94,
    }
    assert [name for name, _ in found] == list(original)
    for name, probability in found:
        assert 100 * probability == pytest.approx(original[name], abs=0.1)


TREE_CFG = """[net]
width=8
height=8
channels=3
[convolutional]
filters=6
size=1
activation=linear
[avgpool]
[softmax]
tree=toy.tree
"""


@pytest.fixture
def tree_classifier(tmp_path: Path) -> Toy:
    """animal 0.9526, in it dog 0.8808 (absolute 0.8390), in it terrier 0.7311 (0.6134) and hound (0.2256)."""
    (tmp_path / "toy.tree").write_text("animal -1\nthing -1\ncat 0\ndog 0\nhound 3\nterrier 3\n")
    toy = write_toy(tmp_path, "toy", TREE_CFG, [3, 0, 0, 2, 0, 1])
    toy.cfg.with_suffix(".names").write_text("animal\nthing\ncat\ndog\nhound\nterrier\n")
    return toy


def test_of_a_tree_the_leaves_are_the_classes_and_a_path_leads_down(
    dc: Command, tree_classifier: Toy, tmp_path: Path
) -> None:
    picture = paint(tmp_path / "grey.png", 8, 8)
    answer = json.loads(dc("classify", tree_classifier.cfg, picture, "--top", "2", "--json").out)["images"][0]
    assert [(one["name"], round(one["probability"], 4)) for one in answer["classes"]] == [
        ("terrier", 0.6134),
        ("hound", 0.2256),
    ]
    assert [step["name"] for step in answer["path"]] == ["animal", "dog"]
    done = dc("classify", tree_classifier.cfg, picture, "--hierarchy", "paper")
    assert "animal 95 % > dog 84 % > terrier 61 %" in done.out
    done = dc("classify", tree_classifier.cfg, picture, "--level", "0")
    assert "  animal 95 %\n" in done.out


def test_a_list_of_leaves_limits_the_classes(dc: Command, tree_classifier: Toy, tmp_path: Path) -> None:
    picture, leaves = paint(tmp_path / "grey.png", 8, 8), tmp_path / "leaves"
    leaves.write_text("dog\ncat\n")
    answer = json.loads(dc("classify", tree_classifier.cfg, picture, "--leaves", leaves, "--json").out)["images"][0]
    assert [(one["name"], round(one["probability"], 4)) for one in answer["classes"]] == [
        ("dog", 0.839),
        ("cat", 0.1135),
    ]
    leaves.write_text("dog\nwolf\n")
    done = dc("classify", tree_classifier.cfg, picture, "--leaves", leaves)
    assert (done.code, done.err.count("\n")) == (1, 1) and f"{leaves}:2" in done.err


def test_leaves_without_a_tree_are_one_line(dc: Command, classifier: Toy, tmp_path: Path) -> None:
    done = dc("classify", classifier.cfg, paint(tmp_path / "grey.png", 8, 8), "--leaves", classifier.cfg)
    assert (done.code, done.err.count("\n")) == (1, 1) and "no WordTree" in done.err


def test_frames_of_a_video_one_after_another(dc: Command, classifier: Toy, tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = write_clip(tmp_path / "clip.mp4", numbered(10))
    done = dc("classify", classifier.cfg, clip, tmp_path / "gone.mp4", "--every", 4, "--json")
    *found, missing = json.loads(done.out)["images"]
    assert done.code == 1 and missing["error"].endswith("gone.mp4: no such file")
    assert [(one["file"], one["frame"], one["time"]) for one in found] == [
        (f"{clip}[{number}]", number, number / 10) for number in (0, 4, 8)
    ]
    assert dc("classify", classifier.cfg, clip, "--max-frames", 2).out.count("66.52 %") == 2
