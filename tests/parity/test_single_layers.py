"""Definitions with words that the original does not have: those are named, the other layers compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.parity.layers import layer_parity
from darknet_compat.parity.reference import LayerOutput, Original
from darknet_compat.parity.single_layers import foreign_layers, remarks_on
from tests.parity.test_opencv import CONV, HEAD, NET, YOLO, write

ROUTE = "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


@pytest.mark.parametrize(
    ("section", "foreign"),
    [
        (CONV, ""),
        (CONV.replace("leaky", "mish"), "activation=mish"),
        (CONV + "dilation=2\n", "dilation=2"),
        (CONV + "dilation=1\nantialiasing=0\n", ""),
        (CONV + "stride_x=2\n", "stride_x=2"),
        (CONV + "cbn=1\n", "cbn=1"),
        (CONV + "xnor=1\nbin_output=1\n", "bin_output=1"),
        ("[conv]\nsize=3\nshare_index=0\n", "share_index=0"),
        (ROUTE, "groups=2"),
        ("[route]\nlayers=-1\ngroups=1\n", ""),
        ("[shortcut]\nfrom=-2,-3\n", "several layers in from"),
        ("[sam]\nfrom=-2\n", "[sam]"),
        ("[rnn]\noutput=8\nhidden=8\n", ""),  # as in the original's own definitions, where it is passed over
        ("[rnn]\noutput=8\nhidden=4\n", "hidden=4"),
        (YOLO + "scale_x_y=1.0\nnew_coords=0\nnms_kind=greedynms\niou_loss=ciou\n", ""),
        (YOLO + "scale_x_y=1.05\n", "scale_x_y=1.05"),
        (YOLO + "new_coords=1\n", "new_coords=1"),
    ],
)
def test_what_the_original_does_not_have(section: str, foreign: str) -> None:
    assert foreign_layers(parse_cfg(NET + section)) == ({0: foreign} if foreign else {})


def test_a_first_dropout_has_no_output_to_hand_on() -> None:
    """In the original it has that of the layer before it; before the first lies other memory."""
    cfg = parse_cfg(NET + "[dropout]\n" + CONV + "[dropout]\n")
    assert foreign_layers(cfg) == {0: "[dropout] as the first layer"}
    assert remarks_on(cfg, foreign_layers(cfg))[0] == (
        "the original does not have [dropout] as the first layer (layer 0)"
    )


def test_all_of_it_is_said_in_one_line() -> None:
    cfg = parse_cfg(NET + CONV.replace("leaky", "mish") * 2 + ROUTE + "[sam]\nfrom=-2\n")
    first, second = remarks_on(cfg, foreign_layers(cfg))
    assert first == (
        "the original does not have activation=mish of [convolutional] (2 layers from 0),"
        " groups=2 of [route] (layer 2), [sam] (layer 3)"
    )
    assert "--reader opencv" in second
    assert remarks_on(parse_cfg(NET + CONV), {}) == ()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("sections", "compared"),
    [
        ((CONV, CONV.replace("leaky", "mish"), HEAD, YOLO), [True, False, True, True]),
        ((CONV, ROUTE, HEAD, YOLO), [True, False, True, True]),
        ((CONV, HEAD, YOLO + "scale_x_y=1.2\n"), [True, True, False]),
        (
            (CONV, ROUTE, "[route]\nlayers=0,-1\n", CONV, "[shortcut]\nfrom=-4\n", "[maxpool]\nsize=2\nstride=2\n"),
            [True, False, True, True, True, True],
        ),
        ((CONV, ROUTE, "[avgpool]\n", "[connected]\noutput=5\n", "[softmax]\n"), [True, False, True, True, True]),
        ((CONV, ROUTE, "[upsample]\n", "[reorg]\nstride=2\n", CONV), [True, False, True, True, True]),
        ((CONV, ROUTE, "[dropout]\n", CONV), [True, False, False, True]),
        ((CONV, ROUTE, CONV + "groups=2\nxnor=1\n", CONV + "groups=0\n"), [True, False, True, True]),
        ((CONV, ROUTE, "[softmax]\n", "[connected]\noutput=5\n", "[logistic]\n"), [True, False, True, True, True]),
        ((CONV, ROUTE, "[softmax]\n", "[logistic]\n", "[route]\nlayers=-1,-2\n"), [True, False, True, True, True]),
        (("[dropout]\n", CONV, "[dropout]\n", "[route]\nlayers=0,-1\n"), [False, True, False, True]),
    ],
    ids=range(11),
)
def test_the_other_layers_are_the_originals(
    sections: tuple[str, ...], compared: list[bool], tmp_path: Path, running: Original
) -> None:
    parity = layer_parity(write(tmp_path, *sections), seed=1, original=running)
    assert parity.passed, [row for row in parity.rows if row.verdict == "differs"]
    assert [row.verdict == "same" for row in parity.rows] == compared
    assert "the original does not have" in parity.remarks[0]


@pytest.mark.reference
def test_a_difference_of_one_layer_is_found(tmp_path: Path, running: Original, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = running.layer_outputs

    def other(cfg: Any, *arguments: Any, **named: Any) -> list[LayerOutput]:
        *before, last = outputs(cfg, *arguments, **named)
        wrong = Path(cfg).stem == "2"
        return [*before, replace(last, output=last.output * 1.01) if wrong else last]

    monkeypatch.setattr(running, "layer_outputs", other)
    parity = layer_parity(write(tmp_path, CONV, ROUTE, HEAD, YOLO), original=running)
    assert [row.verdict for row in parity.rows] == ["same", "nothing to compare", "differs", "same"]
