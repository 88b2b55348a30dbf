"""`darknet-compat evaluate` as a person uses it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import CLASSIFIER, Command, Toy, on_a_terminal, paint, write_toy

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Four pictures; each has a cat that fills the square in its middle, and the last a dog in a corner."""
    for number in range(4):
        paint(tmp_path / f"pictures/p{number}.png", 64, 64)
        (tmp_path / f"pictures/p{number}.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "pictures/p3.txt").write_text("0 0.5 0.5 1 1\n1 0.1 0.1 0.1 0.1\n")
    (tmp_path / "list.txt").write_text("".join(f"pictures/p{number}.png\n" for number in range(4)))
    return tmp_path / "list.txt"


def document_of(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_score(dc: Command, detector: Toy, listed: Path) -> None:
    done = dc("evaluate", detector.cfg, listed)
    assert done.code == 0 and "mAP  50.00 %" in done.out and "4 pictures" in done.out
    assert re.search(r"cat +100\.00 % +4 +4\n", done.out) and re.search(r"dog +0\.00 % +1", done.out)
    assert max(map(len, done.out.splitlines())) <= 80
    found = document_of(dc("evaluate", detector.cfg, listed, "--json", "--metric", "coco"))
    assert found["figures"]["AP50"] == pytest.approx(0.5) and found["problems"] == [] and found["metric"] == "coco"


def test_results_written_and_read_again(dc: Command, detector: Toy, listed: Path, tmp_path: Path) -> None:
    for metric in ("voc", "voc07", "coco", "det"):
        out = tmp_path / metric
        first = document_of(dc("evaluate", detector.cfg, listed, "--metric", metric, "--out", out, "--json"))
        assert all(Path(path).is_file() for path in first["files"])
        assert json.loads((out / "scores.json").read_text())["figures"] == first["figures"]
        again = dc("evaluate", detector.cfg, listed, "--metric", metric, "--results-from", out, "--json")
        assert document_of(again)["figures"] == pytest.approx(first["figures"], abs=1e-9)


def test_what_is_wrong_is_said_and_the_code_is_1(
    dc: Command, detector: Toy, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(listed.parent)  # where a path that leads nowhere is looked for
    listed.write_text(listed.read_text() + "pictures/none.png\npictures/p0.png\n")
    (listed.parent / "pictures/none.txt").write_text("0 0.5 0.5 1 1\n")
    done = dc("evaluate", detector.cfg, listed)
    assert done.code == 1 and re.search(r"cat +80\.00 % +5 +4\n", done.out)
    first, second = done.err.splitlines()
    assert "entry 5: there is no" in first and "its objects count as not found" in first
    assert "entry 6" in second and "counted once" in second


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.txt"], 1, "no such file or folder; expected a list of pictures"),
        (["list.txt", "--split", "x", "--metric", "none"], 2, "--metric"),
        (["list.txt", "--sizes", "64", "--against", "x"], 2, "do not go together"),
        (["list.txt", "--backends", "torch"], 2, "needs --sizes"),
        (["list.txt", "--sizes", "64,x"], 2, "expected a number of pixels"),
        (["list.txt", "--sizes", "64", "--backends", "tensorflow"], 2, "expected some of auto, torch"),
        (["list.txt", "--thresh", "2"], 2, "expected a number from 0 to 1"),
        (["list.txt", "--map", "coco"], 1, "only for a network with a WordTree"),
        (["list.txt", "--level", "1"], 1, "has no WordTree"),
        (["list.txt", "--results-from", "pictures"], 1, "comp4_det_test_cat.txt: cannot be read"),
        (["list.txt", "--results-from", "pictures", "--metric", "coco"], 1, "coco_results.json: cannot be read"),
        (["list.txt", "--out", "list.txt"], 1, "expected a folder for the results, found a file"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], code: int, message: str, dc: Command, detector: Toy, listed: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(listed.parent)
    done = dc("evaluate", detector.cfg, *arguments)
    assert done.code == code and message in done.err, done.err
    assert code == 2 or len(done.err.splitlines()) == 1


def test_recall(dc: Command, detector: Toy, listed: Path) -> None:
    found = document_of(dc("evaluate", detector.cfg, listed, "--metric", "recall", "--json"))["recall"]
    assert found["recall"] == pytest.approx(4 / 5) and found["objects"] == 5
    done = dc("evaluate", detector.cfg, listed, "--metric", "recall")
    assert done.code == 0 and "80.00 %" in done.out


def test_classes(dc: Command, tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "three", CLASSIFIER, [0, 2, 1])
    (tmp_path / "three.names").write_text("ant\nbee\ncow\n")
    for name in ("ant", "bee", "cow"):
        paint(tmp_path / f"data/{name}/1.png", 20, 20)
    for view in ("crop", "letterbox", "stretch", "ten"):
        found = document_of(dc("evaluate", toy.cfg, tmp_path / "data", "--view", view, "--json"))
        assert (found["top1"], found["top5"], found["pictures"]) == (pytest.approx(1 / 3), 1, 3)
    done = dc("evaluate", toy.cfg, tmp_path / "data", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/scores.json").read_text())["top5"] == 1
    assert done.code == 0 and "top-1  33.33 %" in done.out
    assert dc("evaluate", toy.cfg, tmp_path / "data", "--metric", "voc").code == 2


def test_one_against_another(dc: Command, detector: Toy, listed: Path, tmp_path: Path) -> None:
    blind = write_toy(tmp_path, "blind", detector.cfg.read_text(), [0, 0, 0, 0, -9, 3, 0] * 2)
    shutil.copy(detector.cfg.with_suffix(".names"), tmp_path / "blind.names")
    done = dc("evaluate", detector.cfg, listed, "--against", blind.cfg, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "-50.00 points" in done.out and "they part most in  p0, p1, p2, p3" in done.out
    assert max(len(line) for line in done.out.splitlines() if not line.startswith("-> ")) <= 80
    page = (tmp_path / "out/against.html").read_text()
    assert page.count("data:image/jpeg") == 8
    found = document_of(dc("evaluate", detector.cfg, listed, "--against", detector.cfg, "--json"))
    assert found["difference"] == 0 and found["interval"] == [0, 0] and found["agreement"]["share"] == 1


def test_speed_against_accuracy(dc: Command, detector: Toy, listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dc("evaluate", detector.cfg, listed, "--sizes", "32,64", "--backends", "torch", "--out", out, "--json")
    assert done.code == 0, done.err
    points = document_of(done)["points"]
    assert [(one["width"], one["score"]) for one in points] == [(32, pytest.approx(0.5)), (64, points[1]["score"])]
    assert all(one["network_ms"] > 0 and one["picture_ms"] > 0 for one in points)
    assert (out / "sizes.png").read_bytes().startswith(b"\x89PNG") and "sizes" in (out / "sizes.html").read_text()
    bad = dc("evaluate", detector.cfg, listed, "--sizes", "32,7")
    assert bad.code == 1 and "at 7 x 7" in bad.err and "32 x 32" in bad.out


def rendered(page: Path, folder: Path) -> tuple[str, bytes]:
    """The page after a real browser has read it, and what it looks like."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser is installed: {', '.join(BROWSERS)} (apt-get install chromium)")
    shared = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    dump = subprocess.run([*shared, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    shot = folder / "shot.png"
    subprocess.run(
        [*shared, "--window-size=1200,3000", f"--screenshot={shot}", page.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    return dump.stdout, shot.read_bytes()


def test_the_report_in_a_browser(dc: Command, detector: Toy, listed: Path, tmp_path: Path) -> None:
    """A browser reads all of it: sections, charts and examples are there and have a size, and nothing is fetched."""
    import cv2
    import numpy as np

    assert dc("evaluate", detector.cfg, listed, "--out", tmp_path / "out").code == 0
    page = tmp_path / "out/report.html"
    text = page.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', text) and "<script" not in text and "url(" not in text
    dom, shot = rendered(page, tmp_path)
    headings = re.findall(r"<h2>(.*?)</h2>", dom)
    assert headings == [
        "VOC, area",
        "What is wrong with the best detections",
        "What is taken for what",
        "Are the scores honest?",
        "Examples",
    ]
    assert dom.count("data:image/png") == 4 and dom.count("data:image/jpeg") == 4
    picture = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    coloured = np.ptp(picture.astype(int), axis=2) > 40
    assert coloured.mean() > 0.005 and picture.std() > 10  # charts and boxes were painted


def test_cocos_files_score_as_pycocotools_scores_them(dc: Command, detector: Toy, tmp_path: Path) -> None:
    """Annotations and results with two decimals, ids out of order, areas that are not the boxes', crowds; no picture is
    needed, and the figures are the same to the last bit."""
    import numpy as np

    cocotools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(1)
    ids = rng.permutation(40)[:20].tolist()
    boxes = np.round(np.concatenate([rng.uniform(0, 300, (150, 2)), rng.uniform(5, 250, (150, 2))], 1), 2)
    owners, kinds = rng.choice(ids, 150).tolist(), rng.choice([3, 90], 150).tolist()
    areas = np.round(boxes[:, 2] * boxes[:, 3] * rng.uniform(0.3, 1, 150), 4).tolist()
    document = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480} for number in ids],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": row + 1, "image_id": owners[row], "category_id": kinds[row], "bbox": boxes[row].tolist()}
            | {"area": areas[row], "iscrowd": int(row % 9 == 0)}
            for row in range(150)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    source = rng.integers(0, 150, 900)
    near = np.round(boxes[source] + rng.choice([0, 0, 2.5, 7], (900, 4)), 2).tolist()
    scores = np.round(rng.random(900), 2).tolist()
    results = [
        {"image_id": owners[row], "category_id": kinds[row], "bbox": box, "score": score}
        for row, box, score in zip(source.tolist(), near, scores, strict=True)
    ]
    (tmp_path / "coco_results.json").write_text(json.dumps(results))
    done = dc("evaluate", detector.cfg, tmp_path / "a.json", "--results-from", tmp_path, "--json")
    assert done.code == 1 and len(done.err.splitlines()) == 20  # a line for each picture that is missing
    truth = cocotools.COCO(str(tmp_path / "a.json"))
    evaluator = evaluation.COCOeval(truth, truth.loadRes(str(tmp_path / "coco_results.json")), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    assert list(document_of(done)["figures"].values()) == evaluator.stats.tolist()


def test_reading_many_labels_shows_how_far_it_is(detector: Toy, tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/{number}.png\n" for number in range(40)))
    code, output = on_a_terminal("evaluate", detector.cfg, tmp_path / "list.txt")
    assert code == 0 and b"reading labels" in output
