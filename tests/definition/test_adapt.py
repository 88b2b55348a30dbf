"""The same network for another number of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.definition import spec as s
from darknet_compat.definition.adapt import for_epochs, with_classes, with_net_options
from darknet_compat.definition.lower import load_spec, lower
from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import format_cfg, parse_cfg, read_cfg
from darknet_compat.formats.packaged import cfg_dir

HEADS = (s.Region, s.Yolo, s.Detection)


@pytest.mark.parametrize("name", ["yolov2-voc", "yolov2-tiny", "yolo9000", "yolov3", "yolov3-tiny", "yolov1"])
@pytest.mark.parametrize("classes", [1, 3, 200])
def test_detectors_are_valid_networks_of_so_many_classes(name: str, classes: int, tmp_path: Path) -> None:
    adapted = with_classes(read_cfg(cfg_dir() / f"{name}.cfg"), classes)
    (tmp_path / "new.cfg").write_text(format_cfg(adapted))
    spec = load_spec(tmp_path / "new.cfg")
    heads = [layer for layer in spec.layers if isinstance(layer, HEADS)]
    assert heads
    assert {head.classes for head in heads} == {classes}
    assert spec.tree is None


def test_a_head_of_the_forks_and_what_belongs_to_the_old_classes() -> None:
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=22\n"
    text += "[Gaussian_yolo]\nnum=3\nmask=0,1\nclasses=2\ncounters_per_class=5,6\n"
    spec = lower(with_classes(parse_cfg(text), 5))
    assert spec.layers[0].output.c == 2 * (9 + 5)
    head = spec.layers[1]
    assert isinstance(head, s.GaussianYolo) and head.classes == 5 and not head.counters_per_class


@pytest.mark.parametrize("name", ["darknet19", "darknet9000", "tiny"])
def test_classifiers_too(name: str, tmp_path: Path) -> None:
    adapted = with_classes(read_cfg(cfg_dir() / f"{name}.cfg"), 37)
    (tmp_path / "new.cfg").write_text(format_cfg(adapted))
    spec = load_spec(tmp_path / "new.cfg")
    assert spec.heads[-1].output.size == 37


def test_everything_else_stays() -> None:
    cfg = parse_cfg(
        "[net]\nheight=4\n[convolutional]\nfilters=18\nstride=1\n[region]\nnum=3\nclasses=1\ntree=a\nthresh=.6\n"
    )
    adapted = format_cfg(with_classes(cfg, 2))
    assert adapted == (
        "[net]\nheight=4\n\n[convolutional]\nfilters=21\nstride=1\n\n[region]\nnum=3\nclasses=2\nthresh=.6\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[net]\n[convolutional]\nfilters=3\n", "has no head whose classes could be changed"),
        ("[net]\n[region]\nnum=2\n", r":2: layer 0 \[region\] follows no layer whose outputs could be changed"),
    ],
)
def test_what_cannot_be_adapted(text: str, message: str) -> None:
    with pytest.raises(CfgError, match=message):
        with_classes(parse_cfg(text), 3)


def test_options_of_the_net() -> None:
    cfg = parse_cfg("[net]\nbatch=64\nwidth=4\n[softmax]\nbatch=7\n")
    changed = format_cfg(with_net_options(cfg, {"batch": 8, "learning_rate": 0.01}))
    assert changed == "[net]\nbatch=8\nwidth=4\nlearning_rate=0.01\n\n[softmax]\nbatch=7\n"


def test_epochs_of_ones_own_pictures() -> None:
    net = load_spec(cfg_dir() / "yolov2-voc.cfg").net
    assert for_epochs(net, 10, 1000, {}) == {"max_batches": 157, "steps": "78,117"}
    assert for_epochs(net, 10, 1000, {"batch": 8})["max_batches"] == 1250
    poly = load_spec(cfg_dir() / "darknet19.cfg").net
    assert for_epochs(poly, 0.001, 10, {"width": 3}) == {"width": 3, "max_batches": 1}
