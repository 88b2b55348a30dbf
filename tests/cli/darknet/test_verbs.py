"""Darknet's verbs on toys: their text, their files, and wrong input as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.weights.file import read_header
from tests.cli.darknet.conftest import Darknet, untimed
from tests.cli.support import REPOSITORY, Toy, as_process, in_process, paint


def test_detector_test(dn: Darknet, toy: Toy, here: Path) -> None:
    done = dn("detector", "test", "toy.data", toy.cfg, toy.weights, "a.png")
    assert (done.code, untimed(done.out), done.err) == (0, "a.png: Predicted in T seconds.\ncat: 94%\n", "")
    assert (here / "predictions.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    dn("detector", "test", "toy.data", toy.cfg, toy.weights, "a.png", "-thresh", 0.1, "-out", "drawn")
    assert (here / "drawn.jpg").is_file()


def test_pictures_are_asked_for(dn: Darknet, toy: Toy) -> None:
    done = dn("detector", "test", "toy.data", toy.cfg, toy.weights, stdin="a.png\nnone.png\nb.png\n")
    assert done.code == 1
    text = "Enter Image Path: a.png: Predicted in T seconds.\ncat: 94%\nEnter Image Path: Enter Image Path: b.png: "
    assert untimed(done.out) == f"{text}Predicted in T seconds.\ncat: 94%\nEnter Image Path: "
    assert done.err == "darknet-compat: none.png: no such file\n"


def test_options_before_the_verb_and_words_behind_the_last(dn: Darknet, toy: Toy) -> None:
    done = dn("-i", 0, "-thresh", 0.1, "detector", "test", "toy.data", toy.cfg, toy.weights, "a.png", "b.png")
    assert (done.code, untimed(done.out)) == (0, "a.png: Predicted in T seconds.\ndog: 12%\ncat: 94%\n")
    assert done.err.splitlines() == [
        "darknet-compat: -i has no meaning here: there is no GPU of Darknet's here; -- --device cuda runs on one",
        "darknet-compat: b.png: not looked at; the order is detector test DATA CFG WEIGHTS [PICTURE]",
    ]


def test_demo(dn: Darknet, toy: Toy) -> None:
    """Three frames are averaged, those before the first as zeros; -avg 1 looks at each alone."""
    words = ("detector", "demo", "toy.data", toy.cfg, toy.weights, "list.txt")
    start = "Demo\nvideo file: list.txt\n"
    frame = "\033[2J\033[1;1H\nFPS:N\nObjects:\n\n"
    done = dn(*words)
    assert (done.code, untimed(done.out)) == (0, f"{start}{frame}{frame}")
    assert untimed(dn(*words, "-avg", 1).out) == f"{start}{frame}cat: 94%\n{frame}cat: 94%\n"
    (Path("list.txt")).write_text("none.png\na.png\n")
    done = dn(*words, "-avg", 1)
    assert (done.code, done.err) == (1, "darknet-compat: none.png: no such file\n")


def test_the_forks_options(dn: Darknet, toy: Toy, here: Path) -> None:
    common = ("detector", "test", "toy.data", toy.cfg, toy.weights, "a.png")
    done = dn(*common, "-ext_output", "-save_labels", "-out", "found.json", "-dont_show")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].startswith("cat: 94%\t(left_x: ")
    (frame,) = json.loads((here / "found.json").read_text())
    assert (frame["frame_id"], frame["filename"]) == (1, "a.png")
    (found,) = frame["objects"]
    assert (found["class_id"], found["name"], found["confidence"]) == (0, "cat", pytest.approx(0.93544, abs=1e-5))
    number, *box = (here / "a.txt").read_text().split()
    assert number == "0"
    box_of = found["relative_coordinates"]
    expected = [box_of[key] for key in ("center_x", "center_y", "width", "height")]
    assert [float(side) for side in box] == pytest.approx(expected, abs=1e-4)


def test_valid_recall_and_map(dn: Darknet, toy: Toy, here: Path) -> None:
    done = dn("detector", "valid", "toy.data", toy.cfg, toy.weights)
    assert (done.code, done.out) == (0, "")
    lines = (here / "found" / "comp4_det_test_cat.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b"]
    reached = dn("detector", "recall", "toy.data", toy.cfg, toy.weights)
    assert (reached.code, reached.out) == (0, "")
    assert reached.err.splitlines()[-1] == "    1     0     2\tRPs/Img: 2.00\tIOU: 50.00%\tRecall:0.00%"
    page = dn("detector", "map", "toy.data", toy.cfg, toy.weights, "-iou_thresh", 0.4)
    assert page.code == 0, page.err
    assert "class_id = 0, name = cat, ap = " in page.out
    assert "mean average precision (mAP@0.40) = 0." in page.out


def test_mirror_images_are_averaged_by_torch_whatever_is_quickest(dn: Darknet, toy: Toy, here: Path) -> None:
    """In a process that has not imported torch, which is where another backend is taken."""
    words = ("detector", "valid2", "toy.data", toy.cfg, toy.weights)
    done = as_process("darknet", *words, cwd=here)
    assert done.code == 0, done.err
    assert len((here / "found" / "comp4_det_test_cat.txt").read_text().splitlines()) == 2
    scored = as_process("evaluate", toy.cfg, "toy.data", "--flip", "--metric", "voc", cwd=here)
    assert scored.code == 0, scored.err
    refused = dn(*words, "--", "--backend", "onnxruntime")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "mirrored answers can be averaged with --backend torch only" in refused.err


def test_classifier(dn: Darknet, classes: Toy) -> None:
    done = dn("classifier", "predict", "abc.data", classes.cfg, classes.weights, "a_bee.png")
    assert (done.code, done.out) == (0, "66.52%: cow\n24.47%: bee\n")
    assert untimed(done.err) == "a_bee.png: Predicted in T seconds.\n"
    done = dn("classifier", "predict", "abc.data", classes.cfg, classes.weights, "a_bee.png", "-t", 3)
    assert done.out.endswith(" 9.00%: ant\n")
    done = dn("classifier", "valid", "abc.data", classes.cfg, classes.weights)
    assert done.out == "a_bee.png, 1, 0.090031, 0.244728, \n0: top 1: 0.000000, top 2: 1.000000\n"
    assert dn("classifier", "label", "abc.data", classes.cfg, classes.weights).out == "cow\n"


def test_training(dn: Darknet, here: Path, toy: Toy) -> None:
    text = toy.cfg.read_text().replace("[net]", "[net]\nmax_batches=2\nbatch=1\n")
    (here / "small.cfg").write_text(text)
    done = dn("detector", "train", "toy.data", "small.cfg", "--", "--workers", "0", "--device", "cpu")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["small", "Learning Rate: 0.001, Momentum: 0.9, Decay: 0.0001"]
    assert lines[-1].startswith("2: ") and lines[-1].endswith(", 2 images")
    assert [line.split(":")[0] for line in lines[2:5]] == ["Loaded", "Region Avg IOU", "1"]
    words = ", ".join(part.split(":")[0].strip() for part in lines[3].split(","))
    assert words == "Region Avg IOU, Class, Obj, No Obj, Avg Recall, count"
    assert read_header(here / "backup" / "small_final.weights").seen == 2
    assert (here / "backup" / "small.backup").is_file()


def test_training_a_classifier(dn: Darknet, here: Path, classes: Toy) -> None:
    text = classes.cfg.read_text().replace("[net]", "[net]\nmax_batches=3\nbatch=2\nmax_crop=12")
    (here / "small.cfg").write_text(text)
    for name in ("ant_1", "bee_2", "cow_3"):
        paint(here / f"{name}.png")
    (here / "train.txt").write_text("ant_1.png\nbee_2.png\ncow_3.png\n")
    (here / "abc.names").write_text("ant\nbee\ncow\n")
    (here / "abc.data").write_text("classes=3\nlabels=abc.names\nnames=abc.names\ntrain=train.txt\nbackup=backup\n")
    done = dn("classifier", "train", "abc.data", "small.cfg", "--", "--workers", "0", "--device", "cpu")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:5] == ["small", "1", "Learning Rate: 0.001, Momentum: 0.9, Decay: 0.0001", "3", "8 12"]
    starts = [line.split(":")[0] for line in lines[5:]]
    assert starts == ["Loaded", "1, 0.667", "Loaded", "2, 1.333", "Loaded", "3, 2.000"]
    assert lines[-1].endswith(", 6 images")
    names = {path.name for path in (here / "backup").glob("*.weights")}
    assert names == {"small_1.weights", "small_2.weights", "small_final.weights", "small.weights"}
    assert (here / "backup" / "small.weights").read_bytes() == (here / "backup" / "small_final.weights").read_bytes()


def test_anchors(dn: Darknet, here: Path, toy: Toy) -> None:
    done = dn("detector", "calc_anchors", "toy.data", "-num_of_clusters", 1, "-width", 64, "-height", 64)
    assert done.code == 0, done.err
    assert "num_of_clusters = 1, width = 64, height = 64" in done.out
    assert (here / "anchors.txt").read_text().replace(" ", "") == "64,32"
    assert (here / "counters_per_class.txt").read_text() == "2, 0"


def test_cost(dn: Darknet, toy: Toy) -> None:
    assert dn("ops", toy.cfg).out == "Floating Point Operations: 84\nFloating Point Operations: 0.00 Bn\n"
    lines = dn("speed", toy.cfg, 2).out.splitlines()
    assert lines[1].startswith("2 evals, ") and lines[-1].endswith(" Hz")


def test_weights_are_edited(dn: Darknet, toy: Toy, here: Path) -> None:
    assert dn("average", toy.cfg, "mean.weights", toy.weights, toy.weights).code == 0
    assert (here / "mean.weights").read_bytes() == toy.weights.read_bytes()
    assert dn("partial", toy.cfg, toy.weights, "part.weights", 1).code == 0
    assert (here / "part.weights").stat().st_size == 20
    for verb in ("rescale", "rgbgr", "denormalize", "reset"):
        assert dn(verb, toy.cfg, toy.weights, "out.weights").code == 0
        assert len((here / "out.weights").read_bytes()) == len(toy.weights.read_bytes())
    assert dn("rgbgr", toy.cfg, "out.weights", "back.weights").code == 0
    assert dn("normalize", toy.cfg, toy.weights, "out.weights").code == 0
    floats = np.frombuffer((here / "out.weights").read_bytes()[20:], np.float32)
    assert floats[14:28].tolist() == [1] * 14  # the scales that it gained
    assert dn("statistics", toy.cfg, toy.weights).out == "\n\n\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("detector test toy.data toy.weights toy.cfg a.png", 2, "expected the .cfg before the weights; the order is"),
        ("detector test toy.cfg toy.weights a.png", 1, "toy.cfg: expected a .data file, which comes before the .cfg"),
        ("detector test", 2, "expected detector test DATA CFG WEIGHTS [PICTURE], and there is no DATA"),
        ("detector test toy.data", 2, "expected detector test DATA CFG WEIGHTS [PICTURE], and there is no CFG"),
        ("detector test none.data toy.cfg toy.weights a.png", 1, "none.data"),
        ("detector test toy.data none.cfg toy.weights a.png", 1, "none.cfg: there is no such .cfg"),
        ("detector test toy.data toy.cfg none.weights a.png", 1, "none.weights"),
        ("detector test bare.data toy.cfg toy.weights a.png", 1, "bare.data: has no names=, which this needs"),
        ("detector test dead.data toy.cfg toy.weights a.png", 1, "dead.data: names: there is no 'none.names'"),
        ("detector valid bare.data toy.cfg toy.weights", 1, "bare.data: has no names="),
        ("detector test toy.data toy.cfg toy.weights none.png", 1, "none.png: no such file"),
        ("detector test toy.data toy.cfg toy.weights a.png -thresh", 2, "-thresh: expected a number after it"),
        ("detector test toy.data toy.cfg toy.weights a.png -thresh 25", 2, "thresh: expected a number from 0 to 1"),
        *(
            (f"detector {verb} named.data toy.cfg toy.weights", 1, "named.data: has no valid=, which this needs")
            for verb in ("valid", "valid2", "recall", "map")
        ),
        ("detector train bare.data toy.cfg", 1, "bare.data: has no train=, which this needs"),
        ("partial toy.cfg toy.weights toy.weights 1", 2, "toy.weights: would be overwritten; the order is partial"),
        ("partial toy.cfg toy.weights out many", 2, "expected a number of layers, found 'many'"),
        ("average toy.cfg out", 1, "expected average CFG OUT WEIGHTS…, and there are no WEIGHTS"),
        ("rescale toy.cfg toy.weights", 2, "expected rescale CFG WEIGHTS OUT, and there is no OUT"),
        ("speed toy.cfg many", 2, "expected a number of passes, found 'many'"),
    ],
)
def test_wrong_input(words: str, code: int, message: str, dn: Darknet, toy: Toy, here: Path) -> None:
    (here / "bare.data").write_text("classes=2\n")
    (here / "dead.data").write_text("classes=2\nnames=none.names\n")
    (here / "named.data").write_text("classes=2\nnames=toy.names\n")
    done = dn(*words.split())
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert message in done.err
    assert not (here / "out").exists()


def test_a_dead_path_in_a_list(dn: Darknet, toy: Toy, here: Path) -> None:
    (here / "list.txt").write_text("a.png\nnone.png\n")
    done = dn("detector", "valid", "toy.data", toy.cfg, toy.weights)
    assert done.code == 1
    assert "darknet-compat: none.png: no such file\n" in done.err
    assert "Traceback" not in done.err
    assert len((here / "found" / "comp4_det_test_cat.txt").read_text().splitlines()) == 1
    for verb in ("recall", "map"):
        done = dn("detector", verb, "toy.data", toy.cfg, toy.weights)
        said = [line for line in done.err.splitlines() if "none.png" in line]
        assert (done.code, len(said)) == (1, 1), done.err


def test_a_reader_that_has_enough_is_no_error(toy: Toy, here: Path) -> None:
    names = "a.png\n" * 2000
    words = ("detector", "test", "toy.data", toy.cfg, toy.weights, "--", "--backend", "onnxruntime")
    command = [sys.executable, "-m", "darknet_compat", "darknet", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, cwd=here, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(names.encode()[:60000])
        process.stdin.close()
        assert process.stdout.read(10) == b"Enter Imag"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_all_three_ways_to_call_it(toy: Toy, here: Path) -> None:
    files = ("toy.data", toy.cfg, toy.weights, "a.png")
    words = ("detector", "test", *files, "-thresh", "0.5", "--", "--backend", "torch")
    by_command = as_process("darknet", *words, cwd=here)
    assert (by_command.code, untimed(by_command.out)) == (0, "a.png: Predicted in T seconds.\ncat: 94%\n")
    inside = in_process("darknet", *words)
    assert (inside.code, untimed(inside.out)) == (0, untimed(by_command.out))
    assert in_process("darknet", "--help").out.startswith("usage: darknet FUNCTION")
