"""Whose words a definition is written in, and the table of what both say and mean differently."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from darknet_compat.definition import dialects
from darknet_compat.definition import spec as s
from darknet_compat.definition.dialects import FORK, ORIGINAL, ROWS, Dialect, DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.formats.cfg import parse_cfg
from tests.formats.making import IMAGE, lowered, refusal

YOLO = "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nanchors=1,2,3,4"


def as_dialect(body: str, dialect: DialectName | None, net: str = IMAGE) -> NetworkSpec:
    return lower(parse_cfg(f"[net]\n{net}\n{body}", "m.cfg"), dialect=dialect)


def test_each_row_of_the_table_is_a_field_and_tells_the_two_apart() -> None:
    assert {field.name for field in fields(Dialect)} == {"name", "signs", *ROWS}
    assert all(original != fork for original, fork in ROWS.values())


def test_nobody_else_asks_which_dialect_it_is() -> None:
    """They ask for a row of the table; a dialect's name is handed on, written and shown, and never compared."""
    package = Path(dialects.__file__).parents[1]
    asking = re.compile(
        r"""dialect(\.name)?\s*(==|!=|\bin\b|\bis\b)\s*["'([FO]|(==|!=|\bis\b)\s*(FORK|ORIGINAL)\b|match .*dialect"""
    )
    found = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if asking.search(path.read_text("utf-8"))
    }
    assert found == {"definition/dialects.py"}


def test_a_definition_without_signs_is_the_originals() -> None:
    assert lowered(YOLO).dialect is ORIGINAL
    assert lowered("[rnn]\nhidden=2\noutput=2").dialect is ORIGINAL  # as the original's own are written


@pytest.mark.parametrize(
    "body, net, sign",
    [
        (f"{YOLO}\niou_loss=ciou", IMAGE, "iou_loss in [yolo] 1"),
        ("[conv]\nfilters=4\n[route]\nlayers=0\ngroups=2", IMAGE, "groups in [route] 1"),
        ("[conv]\nactivation=mish", IMAGE, "activation=mish in [conv] 0"),
        ("[conv]\n[shortcut]\nfrom=0,0", IMAGE, "several layers in from in [shortcut] 1"),
        ("[conv]\nfilters=22\n[Gaussian_yolo]\nnum=2\nclasses=2", IMAGE, "[Gaussian_yolo] in layer 1"),
        ("[rnn]\nhidden=3\noutput=2", IMAGE, "hidden in [rnn] 0"),
        ("[conv]", f"{IMAGE}\nmosaic=1", "mosaic in [net]"),
        ("[conv]", f"{IMAGE}\npolicy=sgdr", "policy=sgdr in [net]"),
    ],
)
def test_words_that_only_the_fork_has_are_signs(body: str, net: str, sign: str) -> None:
    dialect = as_dialect(body, None, net).dialect
    assert dialect == FORK and dialect.signs == (sign,)


def test_many_signs_are_told_in_short() -> None:
    options = "iou_loss=ciou\niou_normalizer=1\nnms_kind=greedynms\nbeta_nms=1\nscale_x_y=1\nmax_delta=5"
    assert as_dialect(f"{YOLO}\n{options}", None).dialect.signs[-1] == "2 more"


def test_the_dialect_can_be_asked_for() -> None:
    assert as_dialect(YOLO, "fork").dialect == FORK
    assert as_dialect(f"{YOLO}\niou_loss=ciou", "original").dialect == ORIGINAL
    message = refusal(lambda: as_dialect(YOLO, "alexey"))  # type: ignore[arg-type]
    assert message == "dialect: expected one of original, fork, found 'alexey'"


def test_pictures_are_stretched_in_the_fork_unless_it_says_otherwise() -> None:
    assert as_dialect(YOLO, "original").resize == "letterbox"
    assert as_dialect(YOLO, "fork").resize == "stretch"
    assert as_dialect(YOLO, "fork", f"{IMAGE}\nletter_box=1").resize == "letterbox"


def test_defaults_differ() -> None:
    for name, eps, normalizer, most in (("original", 1e-7, 1.0, 90), ("fork", 1e-6, 0.75, 200)):
        spec = as_dialect(f"[dropout]\n{YOLO}", name)  # type: ignore[arg-type]
        head = spec.layers[-1]
        assert isinstance(head, s.Yolo)
        assert (spec.net.eps, head.iou_normalizer, head.max_boxes) == (eps, normalizer, most)


@pytest.mark.parametrize(
    "anchors, expected",
    [
        ("1,2,3,4,5,6", ((1, 2), (3, 4))),
        ("1,2,3", ((1, 2), (3, 0.5))),
        ("1,2,3,4#,9,9", ((1, 2), (3, 4))),
        ("1,2#,3,4", ((1, 2), (0.5, 0.5))),
        ("1,2,3,4,", ((1, 2), (3, 4))),
    ],
)
def test_the_fork_reads_any_number_of_anchors(anchors: str, expected: object) -> None:
    head = as_dialect(YOLO.replace("1,2,3,4", anchors), "fork").layers[-1]
    assert isinstance(head, s.Yolo) and head.anchors == expected


def test_anchors_unlike_num() -> None:
    """Fewer leave 0.5 in both; more are a sign of the fork, in the original's dialect an error; mask may name them."""
    few, many = YOLO.replace("1,2,3,4", "1,2,3"), YOLO.replace("1,2,3,4", "1,2,3,4,5,6")
    spec = as_dialect(few, None)
    assert spec.dialect is ORIGINAL
    assert spec.notes == ("m.cfg:10: layer 1 [yolo] anchors: 2 x num = 4 numbers count, found 3; missing ones are 0.5",)
    spec = as_dialect(many, None)
    assert spec.dialect.signs == ("more anchors than num in [yolo] 1",)
    assert spec.notes == (
        "m.cfg:10: layer 1 [yolo] anchors: 2 x num = 4 numbers count, found 6; the others count for nothing",
    )
    spec = as_dialect(f"{many}\nmask=0,2", None)
    head = spec.layers[-1]
    assert isinstance(head, s.Yolo) and head.anchors == ((1, 2), (3, 4), (5, 6))
    assert spec.notes == ("m.cfg:11: layer 1 [yolo] num=2, but mask names anchor 2 of those listed, which is taken",)
    assert "anchors: expected 2 x num = 4 numbers, found 6" in refusal(lambda: as_dialect(many, "original"))


def test_the_last_heads_suppression_is_that_of_all() -> None:
    two = f"{YOLO}\nnms_kind=greedynms\n[route]\nlayers=0\n" + YOLO.partition("\n[")[2].replace("yolo]", "[yolo]")
    spec = as_dialect(f"{two}\nnms_kind=diounms\nbeta_nms=0.9", None)
    assert (spec.nms_kind, spec.beta_nms) == ("diounms", 0.9)
    assert as_dialect(f"{two}\nnms_kind=diounms", "original").nms_kind == "default"
    assert as_dialect(f"{two}\nnms_kind=soft", None).notes == (
        "m.cfg:18: layer 3 [yolo] unknown nms_kind 'soft' is taken for default",
    )
