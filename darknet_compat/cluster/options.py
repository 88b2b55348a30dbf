"""What can be asked of a cluster, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from darknet_compat.errors import OptionError
from darknet_compat.options import Option, Options
from darknet_compat.sources.kind import ADDRESS

Engine = Annotated[
    Literal["local", "ray"],
    Option(
        "What the work is shared out by: local, this process's threads; ray, processes of the cluster that RAY_ADDRESS"
        " names, else of one on this machine."
    ),
]
WorkersOption = Annotated[
    int | None,
    Option(
        "With --engine ray: processes that hold the model. Default: one for each core of the cluster.",
        metavar="N",
        least=1,
        most=100_000,
    ),
]


def parse_place(value: Any) -> Path | str:
    """A path, or an address (s3://bucket/folder), which a Path would take a slash from."""
    return str(value) if ADDRESS.match(str(value)) else Path(value)


def expect_engine(engine: str, workers: int | None) -> None:
    """Raise OptionError for `workers` without Ray."""
    if workers is not None and engine != "ray":
        raise OptionError("goes with --engine ray", "workers")


@dataclass(frozen=True)
class ClusterOptions(Options):
    """What runs the work: this process (`local`) or a Ray cluster, and how large that is."""

    engine: Engine = "local"
    workers: WorkersOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_engine(self.engine, self.workers)
