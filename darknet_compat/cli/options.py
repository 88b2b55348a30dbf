"""The options that several commands have: those of models, and how a command says what it has to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from darknet_compat.errors import CfgError
from darknet_compat.formats.words import Precision, Resize
from darknet_compat.inference.options import (
    DialectOption,
    HierThresh,
    InputSize,
    ModelOption,
    NamesOption,
    PrecisionMode,
    ResizeMode,
    WeightsOption,
)
from darknet_compat.options import MaxPixels, Option, Size

__all__ = [
    "DialectOption",
    "HierThresh",
    "InputSize",
    "Json",
    "MaxPixels",
    "ModelOption",
    "NamesOption",
    "Precision",
    "PrecisionMode",
    "Resize",
    "ResizeMode",
    "Size",
    "Verbose",
    "WeightsOption",
    "explaining",
]

Verbose = Annotated[bool, Option("Say on stderr which backend runs the model, and why.")]
Json = Annotated[bool, Option("Print one JSON document for programs, and nothing else, on stdout.")]


@contextmanager
def explaining(size: tuple[int, int] | None) -> Iterator[None]:
    """Where a network cannot take inputs of the `size` that was asked for, say which one to try."""
    try:
        yield
    except CfgError as error:
        if size is None:
            raise
        near = Size(*(max(32, 32 * round(side / 32)) for side in size))
        hint = f"; most networks need multiples of 32, such as {near}" if near != size else ""
        raise CfgError(f"{error}; this with --size {Size(*size)}{hint}") from None
