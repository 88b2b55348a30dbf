"""Options values: each field's help, default and check stated once, and what becomes of wrong values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from darknet_compat.errors import DarknetCompatError, OptionError
from darknet_compat.options import Option, Options, Size, made, options_of, parse_choices, parse_fraction, parse_size


@dataclass(frozen=True)
class Wanted(Options):
    data: Annotated[str, Option("What to look at.", positional=True)]
    files: Annotated[list[str], Option("More.")] = ()  # type: ignore[assignment]
    out: Annotated[Path | None, Option("Where to.")] = None
    batch: Annotated[int, Option("How many.", least=1, most=8)] = 4
    rate: Annotated[float | None, Option("How fast.", least=0)] = None
    kind: Annotated[Literal["a", "b"], Option("Which.")] = "a"
    size: Annotated[Size | None, Option("How large.", parse=parse_size)] = None
    thresh: Annotated[float, Option("From where on.", parse=parse_fraction)] = 0.5
    several: Annotated[tuple[str, ...] | None, Option("Some.", parse=parse_choices("x", "y"))] = None
    loud: Annotated[bool, Option("Whether.")] = False


def test_values_come_in_their_type() -> None:
    value = made(Wanted, None, {"data": "d", "files": "one.jpg", "out": "x", "size": 416, "several": "x, y"})
    assert (value.files, value.out, value.size, value.several) == (("one.jpg",), Path("x"), Size(416, 416), ("x", "y"))
    assert Wanted("d", size="608x352").size == (608, 352)  # type: ignore[arg-type]
    assert Wanted("d", size=(608, 352), batch=np.int64(2)).size == Size(608, 352)  # type: ignore[arg-type]
    assert made(Wanted, value, {}) is value
    assert options_of(Wanted)["batch"].option.help == "How many."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch: expected a whole number from 1 to 8, found 0"),
        ({"batch": 9}, "batch: expected a whole number from 1 to 8, found 9"),
        ({"batch": 2.5}, "batch: expected a whole number from 1 to 8, found 2.5"),
        ({"batch": "4"}, "batch: expected a whole number from 1 to 8, found '4'"),
        ({"batch": True}, "batch: expected a whole number from 1 to 8, found True"),
        ({"batch": None}, "batch: expected a whole number from 1 to 8, found None"),
        ({"rate": float("nan")}, "rate: expected a number from 0 on, found nan"),
        ({"rate": [1]}, r"rate: expected a number from 0 on, found \[1\]"),
        ({"kind": "c"}, "kind: expected one of a, b, found 'c'"),
        ({"size": "big"}, "size: expected a number of pixels, or WIDTHxHEIGHT such as 608x416, found 'big'"),
        ({"size": (1, 2, 3)}, "size: expected a number of pixels, or"),
        ({"size": 9999}, "size: expected 1 to 8192 pixels a side, found 9999x9999"),
        ({"thresh": 25}, "thresh: expected a number from 0 to 1 such as 0.25, found '25'; 25 % is 0.25"),
        ({"several": "z"}, "several: expected some of x, y, with commas between, found 'z'"),
        ({"bach": 1}, "bach: no such option; there are data, files, out, batch"),
    ],
)
def test_wrong_values_name_their_option(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        made(Wanted, None, {"data": "d"} | given)
    assert isinstance(caught.value, DarknetCompatError)
    assert caught.value.option == next(iter(given))


def test_what_cannot_be_made() -> None:
    with pytest.raises(OptionError, match="'data'"):
        made(Wanted, None, {})
    with pytest.raises(OptionError, match="expected Wanted or keyword arguments, found both"):
        made(Wanted, Wanted("d"), {"batch": 1})
    with pytest.raises(OptionError, match="expected Wanted, found str"):
        made(Wanted, "d", {})  # type: ignore[type-var]
