"""tools/paper.py: its networks, its own form of location, cells that are not run twice, and the page it writes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.datasets.readers import digits
from darknet_compat.definition.complexity import costs
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import Detection
from darknet_compat.errors import TrainingError
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.formats.cfg import read_cfg
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.network import Network
from darknet_compat.training.batches.truth import Truth
from tools import paper
from tools.miniature import claims, classes, networks, page, path, proposals, training
from tools.miniature.cells import Cell, Result, Setting, results, run, shown
from tools.miniature.networks import DIGITS, VOC

REGION = """
[net]
width=32
height=16
channels=3
batch=1
[convolutional]
filters=7
size=1
stride=8
activation=linear
[region]
anchors=2,3
num=1
classes=2
coords=4
softmax=1
bias_match=1
object_scale=5
coord_scale=3
thresh=0.6
"""


# ------------------------------------------------------------------------------------------------ location


@pytest.fixture
def network(tmp_path: Path) -> Network:
    (tmp_path / "region.cfg").write_text(REGION)
    network = Network(load_spec(tmp_path / "region.cfg"))
    network.layers[-1].head = proposals.ProposalRegion(network.layers[-1].spec, "cuda")
    return network


def test_a_proposal_lies_its_anchors_sizes_away_from_the_middle_of_its_cell(network: Network) -> None:
    raw = torch.zeros(1, 7, 2, 4)  # a grid of 4 x 2 cells
    raw[0, :4, 0, 1] = torch.tensor([0.25, -0.5, np.log(0.5), 0.0])
    module = network.layers[-1]
    box = module.boxes(module(raw), (32, 16)).xywh[0, 1]
    assert box.tolist() == pytest.approx([(1 + 0.5 + 0.25 * 2) / 4, (0 + 0.5 - 0.5 * 3) / 2, 0.5 * 2 / 4, 3 / 2])


def test_its_gradient_is_that_of_squares_in_t(network: Network) -> None:
    module = network.layers[-1]
    loss = proposals.ProposalLoss(module.spec, module)
    truth = Truth(torch.tensor([[[0.6, 0.3, 0.25, 0.9]]]), torch.tensor([[1]]))
    raw = torch.randn(1, 7, 2, 4, generator=torch.Generator().manual_seed(0))
    gradient = loss(raw, truth, 20_000, (32, 16)).gradient[0, :4, 0, 2]  # the cell of the centre: column 2, row 0
    wanted = torch.tensor([(0.6 * 4 - 2 - 0.5) / 2, (0.3 * 2 - 0 - 0.5) / 3, np.log(0.25 * 4 / 2), np.log(0.9 * 2 / 3)])
    t = raw[0, :4, 0, 2].clone().requires_grad_()
    (3 * (2 - 0.25 * 0.9) * (wanted - t).square().sum() / 2).backward()
    assert gradient.tolist() == pytest.approx(t.grad.tolist(), rel=1e-5)


# ------------------------------------------------------------------------------------------------ networks


def text(step: networks.Part, tmp_path: Path) -> list[str]:
    cfg = training.write_cfg(tmp_path / f"{step}.cfg", *networks.detector(DIGITS, step, 100))
    load_spec(cfg)
    return cfg.read_text().splitlines()


def test_neighbours_differ_in_one_thing(tmp_path: Path) -> None:
    bare, normalized = text("yolo", tmp_path), text("batchnorm", tmp_path)
    dropout = bare.index("[dropout]")  # which the paper takes away with it
    assert [line for line in normalized if line != "batch_normalize=1"] == bare[:dropout] + bare[dropout + 3 :]
    assert text("hires", tmp_path) == normalized  # and starts from another classifier
    only = {"anchors", "num"}
    for before, after in (("convolutional", "hand"), ("network", "priors")):
        a, b = text(before, tmp_path), text(after, tmp_path)  # type: ignore[arg-type]
        assert len(a) == len(b)
        changed = {x.split("=")[0] for x, y in zip(a, b, strict=True) if x != y}
        assert only <= changed <= only | {"filters"}
    assert text("priors", tmp_path) == text("location", tmp_path)


def test_the_new_network_takes_no_more_operations_than_the_old_one(tmp_path: Path) -> None:
    for step in ("hand", "network"):
        text(step, tmp_path)
    old, new = (
        sum(one.operations for one in costs(load_spec(tmp_path / f"{step}.cfg"))) for step in ("hand", "network")
    )
    assert 0.9 * old < new <= old


def test_classifiers_keep_their_bodies_first_layers(tmp_path: Path) -> None:
    cfg = training.write_cfg(tmp_path / "c.cfg", *networks.classifier(DIGITS, DIGITS.old, False, 100))
    text("yolo", tmp_path)
    classifier, detector = load_spec(cfg), load_spec(tmp_path / "yolo.cfg")
    kinds = [[layer.type for layer in spec.layers[: networks.layers(DIGITS.old)]] for spec in (classifier, detector)]
    assert kinds[0] == kinds[1]


def test_at_full_size_the_path_ends_in_yolov2(tmp_path: Path) -> None:
    cfg = training.write_cfg(tmp_path / "voc.cfg", *networks.detector(VOC, "passthrough", 41_378))
    made, shipped = (
        [(one.type, [(option.key, option.value) for option in one.options]) for one in read_cfg(file).sections[1:]]
        for file in (cfg, cfg_dir() / "yolov2-voc.cfg")
    )
    shipped[-1] = ("region", [(key, "0" if key == "random" else value) for key, value in shipped[-1][1]])
    assert made == shipped


@pytest.mark.parametrize("step", ["yolo", "hires", "convolutional", "hand", "network"])
def test_at_full_size_every_step_is_a_network(step: networks.Part, tmp_path: Path) -> None:
    spec = load_spec(training.write_cfg(tmp_path / "voc.cfg", *networks.detector(VOC, step, 1000)))
    head = spec.heads[-1]
    assert spec.net.step_rows == 64
    assert (head.side if isinstance(head, Detection) else head.input.w) == (7 if step in ("yolo", "hires") else 13)


# ------------------------------------------------------------------------------------------------ cells


def count(setting: Setting, cell: Cell, folder: Path) -> Result:
    with open(folder / "runs", "a") as file:
        file.write("x")
    if cell.config == "fails" and (folder / "runs").stat().st_size == 1:
        raise KeyboardInterrupt
    return {"mAP": 0.25 + cell.seed}


def test_a_killed_table_goes_on_where_it_was(tmp_path: Path) -> None:
    setting = Setting(out=tmp_path, processes=1)
    cells = [Cell("t", "runs", 0, count), Cell("t", "fails", 0, count), Cell("t", "runs", 1, count)]
    with pytest.raises(KeyboardInterrupt):
        run(cells, setting)
    assert {name: [one["mAP"] for one in found] for name, found in results(cells, setting).items()} == {"runs": [0.25]}
    run(cells, setting)
    run(cells, setting)
    assert [(cell.folder(setting) / "runs").read_text() for cell in cells] == ["x", "xx", "x"]
    assert {name: len(found) for name, found in results(cells, setting).items()} == {"runs": 2, "fails": 1}


def test_another_budget_is_another_question_and_begins_in_an_empty_folder(tmp_path: Path) -> None:
    cell = Cell("t", "runs", 0, count)
    for setting in (Setting(out=tmp_path, processes=1), Setting(out=tmp_path, processes=1, budget=2)):
        run([cell], setting)
    assert (cell.folder(setting) / "runs").read_text() == "x"
    assert cell.known(Setting(out=tmp_path)) is None


def test_the_classes_are_looked_at_again_with_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(out=tmp_path)
    monkeypatch.setattr(classes, "look", lambda *_: {"score": 0.5})
    run(classes.cells(setting)[0], setting)
    assert classes.cells(setting)[0][0].known(setting)
    (tmp_path / f"{classes.MODEL}.weights").write_bytes(b"other")
    monkeypatch.setattr(classes, "weights_dir", lambda: tmp_path)
    assert classes.cells(setting)[0][0].known(setting) is None


def test_a_training_whose_loss_is_no_number_is_tried_again_at_a_lower_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(cfg: Path, data: str, folder: Path) -> Path:
        if "rate-1" in str(folder) or "rate-0.3" in str(folder):
            (folder / "log.csv").write_text("batch,loss\n1,2.5\n2,1e9\n")
            raise TrainingError("batch 3: the loss is nan; nothing of this batch is kept")
        return folder / "x_final.weights"

    monkeypatch.setattr(training, "train", train)
    found = training.steady(lambda rate: (("net", {"rate": rate}), []), "", "x", tmp_path)
    assert (found.rate, found.diverged) == (0.1, {"1": 2, "0.3": 2})
    assert (found.folder / "cfg" / "x.cfg").read_text() == "[net]\nrate=0.1\n"


def test_mean_and_half_the_range() -> None:
    assert shown([0.5, 0.61, 0.54]) == "55.0 ± 5.5"
    assert shown([0.5]) == "50.0"
    assert shown([]) == ""


# ------------------------------------------------------------------------------------------------ the page


def known_path(tmp_path: Path) -> Setting:
    """A folder in which two steps of Table 2 were run with two seeds."""
    setting = Setting(out=tmp_path, seeds=(0, 1))
    for config, seed, score in (("yolo", 0, 0.3), ("yolo", 1, 0.4), ("batchnorm", 0, 0.35), ("batchnorm", 1, 0.38)):
        cell = path.cell_of(path.step_of(config), seed, setting)
        result = {"mAP": score, "recall": 0.5, "proposals": 20.0, "rate": 1, "AP": {}, "losses": [], "cpu_seconds": 1.0}
        cell.file(setting).parent.mkdir(parents=True, exist_ok=True)
        cell.file(setting).write_text(json.dumps({"asked": cell.asked(setting), "result": result}))
    return setting


def test_the_path_shows_each_step_beside_the_papers(tmp_path: Path) -> None:
    rows = page.table("path", known_path(tmp_path)).splitlines()
    assert rows[2] == "| YOLO: a grid, connected layers | 63.4 | 35.0 ± 5.0 |  | 50.0 ± 0.0 | 20 | 1 |"
    assert rows[3] == "| batch normalization | 65.8 | 36.5 ± 1.5 | +1.5 | 50.0 ± 0.0 | 20 | 1 |"
    assert rows[4] == "| high-resolution classifier | 69.5 |  |  |  |  |  |"


def test_a_claim_counts_seeds(tmp_path: Path) -> None:
    found = claims.step("yolo", "batchnorm")(known_path(tmp_path))
    assert found == ("mAP 35.0 ± 5.0 → 36.5 ± 1.5", (1, 2))
    assert claims.step("yolo", "batchnorm", falls=True)(known_path(tmp_path)) == (found[0], (1, 2))
    assert claims.step("yolo", "location")(known_path(tmp_path)) is None


def test_the_stabler_form_of_location_is_the_one_whose_loss_has_less_to_fall(tmp_path: Path) -> None:
    """By hand: from 80 to 8 and from 20 to 4, over the first and the last tenth of twenty batches."""
    setting = Setting(out=tmp_path, seeds=(0,))
    assert claims.stable(setting) is None
    for config, first, last in (("priors", 80, 8), ("location", 20, 4)):
        losses = [(batch, first if batch < 2 else last if batch > 17 else 50) for batch in range(20)]
        cell = path.cell_of(path.step_of(config), 0, setting)
        cell.file(setting).parent.mkdir(parents=True, exist_ok=True)
        cell.file(setting).write_text(
            json.dumps({"asked": cell.asked(setting), "result": {"mAP": 0.5, "losses": losses}})
        )
    found = claims.stable(setting)
    assert found == ("the loss begins at 10.0 → 5.0 times its last; mAP 50.0 → 50.0", (1, 1))


def test_the_page_has_one_place_for_each_table() -> None:
    places = re.findall(r"<!-- (\w+) -->\n(?:.*?)<!-- /(\w+) -->", page.PAGE.read_text("utf-8"), re.DOTALL)
    assert sorted(places) == sorted((name, name) for name in [*page.TABLES, "claims", "budget"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tables",), "invalid choice"),
        (("path", "--seeds", "0,0"), "different numbers"),
        (("path", "--budget", "0"), "above 0"),
        (("priors", "--data", "coco"), "needs --path"),
        (("joint", "--data", "voc", "--path", "."), "is for path, sizes, priors"),
        (("path", "--data", "voc", "--path", "."), "needs --pictures"),
        (("priors", "--path", "nowhere"), "is not there"),
    ],
)
def test_wrong_usage_is_said_in_a_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        paper.main()
    assert caught.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_step_of_the_path_from_its_classifier_to_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SCENES", 8)
    setting = Setting(out=tmp_path, seeds=(0,), budget=0.001, processes=1)
    low, high, steps = path.cells(setting)
    for group in (low, high, [cell for cell in steps if cell.config in ("yolo", "hand", "multiscale")]):
        run(group, setting)
    found = results(steps, setting)
    assert set(found) == {"yolo", "hand", "multiscale"}
    assert all(0 <= one["mAP"] <= 1 and len(one["losses"]) == one["batches"] for (one,) in found.values())
    assert path.LARGE in found["multiscale"][0]


@pytest.mark.slow
def test_a_network_with_connected_layers_learns_eight_scenes_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(digits.COUNTS, "train", 8)
    cfg = training.write_cfg(tmp_path / "cfg" / "grid.cfg", *networks.detector(DIGITS, "batchnorm", 500))
    weights = training.train(cfg, "digits", tmp_path, seed=0)
    detector = EvaluatedModel(str(cfg), weights, names=training.NAMES, backend="torch").detector()
    entries = training.entries_of(digits.DigitScenes("train", 8), training.NAMES)
    found = training.average_precision(training.found(detector, entries), training.NAMES)
    assert min(found.values()) > 0.9
    assert training.recall(detector, entries).recall == 1
