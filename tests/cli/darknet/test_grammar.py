"""Darknet's grammar: words in order, options with one dash anywhere, this package's own after `--`."""

from __future__ import annotations

import pytest

from darknet_compat.cli.darknet import explain
from darknet_compat.cli.darknet.grammar import parse
from darknet_compat.cli.darknet.main import VERBS, run
from darknet_compat.errors import OptionError
from darknet_compat.inference.options import DetectOptions


def words(text: str) -> list[str]:
    return text.split()


def test_options_stand_anywhere() -> None:
    line = parse(words("detector test -thresh 0.25 a.data a.cfg -dont_show a.weights dog.jpg -i 0"), DetectOptions)
    assert line.words == ["detector", "test", "a.data", "a.cfg", "a.weights", "dog.jpg"]
    assert line.options == {"thresh": 0.25, "dont_show": True, "i": 0}
    assert line.notes() == ["-i has no meaning here: there is no GPU of Darknet's here; -- --device cuda runs on one"]


def test_our_own_options_come_last() -> None:
    line = parse(words("detect a.cfg -- --backend torch --hier-thresh 0.3 --batch 4 --clip"), DetectOptions)
    assert line.ours == {"backend": "torch", "hier_thresh": "0.3", "batch": 4, "clip": True}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detect a.cfg -thresh", "-thresh: expected a number after it, found the end of the line"),
        ("detect a.cfg -thresh -dont_show", "-thresh: expected a number after it, found -dont_show"),
        ("detect a.cfg -thresh much", "-thresh: expected a number, found 'much'"),
        ("detect a.cfg -points 1.5", "-points: expected a whole number, found '1.5'"),
        ("detect a.cfg -thresh=0.5", "-thresh=0.5: no such option; write -thresh 0.5"),
        ("detect a.cfg -tresh 0.5", r"-tresh: no such option; did you mean -thresh\?"),
        ("detect a.cfg -- --bakend torch", r"--bakend: no such option after --; did you mean --backend\?"),
        ("detect a.cfg -- --backend", "--backend: expected a value after it"),
        ("detect a.cfg -- --batch four", "--batch: expected a number, found 'four'"),
    ],
)
def test_bad_usage(line: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse(line.split(), DetectOptions)


def test_every_verb_has_an_equivalent() -> None:
    assert set(explain._KIND) == set(VERBS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "detector test a.data a.cfg a.weights dog.jpg -thresh 0.25",
            "detect a.cfg dog.jpg --weights a.weights --names 'names= of a.data' --thresh 0.25"
            " --dialect original --out predictions.jpg",
        ),
        (
            "detector map a.data a.cfg a.weights -points 101",
            "evaluate a.cfg a.data --weights a.weights --metric map --points 101",
        ),
        (
            "detector demo a.data a.cfg a.weights film.mp4 -out_filename found.mp4 -dont_show",
            "detect a.cfg film.mp4 --weights a.weights --names 'names= of a.data' --dialect original --out found.mp4",
        ),
        (
            "detector demo a.data a.cfg a.weights -c 1",
            "detect a.cfg 1 --weights a.weights --names 'names= of a.data' --dialect original --show",
        ),
        ("classify a.cfg a.weights dog.jpg", "classify a.cfg dog.jpg --weights a.weights --dialect original"),
        ("partial a.cfg a.weights out 15", "partial a.cfg out 15 --weights a.weights"),
        (
            "detector train a.data a.cfg a.conv.15 -clear -map",
            "train a.cfg a.data --weights a.conv.15 --out 'backup= of a.data' --valid valid --metric map --clear",
        ),
        (
            "detect a.cfg a.weights dog.jpg -- --backend openvino",
            "detect a.cfg dog.jpg --weights a.weights --dialect original --out predictions.jpg --backend openvino",
        ),
    ],
)
def test_explaining(line: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*line.split()[:1], "--explain", *line.split()[1:]]) == 0
    assert capsys.readouterr().out == f"darknet-compat {expected}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detectr test", "darknet detectr: no such function; did you mean detector?"),
        ("detector tets a.data", "darknet detector tets: no such function; did you mean test?"),
        ("detector", "usage: darknet detector [test/demo/train/valid"),
        ("elephant a.cfg", "darknet elephant: no such function; there are average, classifier,"),
        ("nightmare a.cfg", "darknet nightmare: not taken over: what it was for is elsewhere or gone"),
        ("detector extract a.data", "darknet detector extract: not taken over"),
        ("-i 0 detectr test", "darknet detectr: no such function; did you mean detector?"),
    ],
)
def test_unknown_verbs(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_the_list_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    text = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == text
    assert "  detector test DATA CFG WEIGHTS [PICTURE]" in text
