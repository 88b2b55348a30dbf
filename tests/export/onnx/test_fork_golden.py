"""Exported networks in ONNX Runtime and OpenVINO against what the running fork answered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.definition import spec as s
from darknet_compat.export.onnx.export import export_onnx
from tests.export.support import ENGINES, run_graph
from tests.network import golden
from tests.network.golden import TOLERANCE, cases_with, deviation
from tests.network.test_fork_golden import each_network, in_letterbox, load_published


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@cases_with("weights")
def test_raw_outputs_are_the_forks(name: str, engine: str, tmp_path: Path) -> None:
    case = golden.load(name, tmp_path)
    spec, layers = case.spec, case.layers()
    if any(layer.recurrent for layer in spec.layers):
        pytest.skip("recurrent: only feed-forward networks are exported")
    if not case.answers["fold"]:
        pytest.skip("as parsed: what is exported is prepared for inference")
    export_onnx(case.network, tmp_path / "m.onnx", outputs="heads", sizes="fixed", names=())
    found = list(run_graph(engine, tmp_path / "m.onnx", case.images).values())
    wanted = [head.sources[0] for head in spec.heads] or [spec.output_index]
    compared = 0
    for index, values in zip(wanted, found, strict=True):
        if index in layers:
            assert deviation(values.ravel(), layers[index]) <= TOLERANCE
            compared += 1
    assert compared


@pytest.mark.parametrize("engine", ENGINES)
@cases_with("boxes_before_nms")
def test_boxes_are_the_forks(name: str, engine: str, tmp_path: Path) -> None:
    case = golden.load(name, tmp_path)
    if case.spec.tree is not None:
        pytest.skip("the boxes of a tree are chosen elsewhere")
    export_onnx(case.network, tmp_path / "m.onnx", outputs="boxes", sizes="fixed", names=())
    size = (case.images.shape[3], case.images.shape[2])
    found = ENGINES[engine](tmp_path / "m.onnx", size=size).infer(case.images)
    xywh, objectness, classes = (found[key][0] for key in ("boxes", "objectness", "classes"))
    region = next((head for head in case.spec.heads if isinstance(head, s.Region)), None)
    thresh, scores = float(case.answers["thresh"]), objectness[:, None] * classes
    expected = case.answers["boxes_before_nms"].copy()
    if name.startswith("letter_"):
        height, width = case.answers["picture"].shape[1:]
        expected[:, :4] = in_letterbox(expected[:, :4], (width, height), size)
    rows = np.concatenate([xywh, objectness[:, None], np.where(scores > thresh, scores, 0)], 1)
    if region is None:
        rows = rows[objectness > thresh]
    else:  # ours come anchor by anchor, the fork's cell by cell, and all of them with an objectness of 1
        rows[:, 4] = 1
        rows = rows.reshape(region.num, -1, rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)
    assert rows.shape == expected.shape
    assert (np.abs(rows - expected) <= 1e-4 * np.maximum(np.abs(expected), 1)).all()


@pytest.mark.slow
@each_network
def test_published_networks_are_the_forks(name: str, tmp_path: Path) -> None:
    network, picture, answers = load_published(name, tmp_path)
    export_onnx(network, tmp_path / "m.onnx", outputs="heads", sizes="fixed", names=())
    for engine in ENGINES:
        raws = run_graph(engine, tmp_path / "m.onnx", picture).values()
        compared = 0
        for head, raw in zip(network.spec.heads, raws, strict=True):
            activated = network.layers[head.index](torch.from_numpy(raw.copy()))
            expected = answers[f"head_{head.index:03d}"]
            assert deviation(activated.detach().numpy().ravel()[::3], expected) <= TOLERANCE, engine
            compared += 1
        assert compared
    shutil.rmtree(tmp_path)
