"""How work is cut up for a cluster: how many processes hold a model, and how many pictures are one piece."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from darknet_compat.cluster.connection import cores

SHARE = 0.8
"""Of a core, as Ray counts them, for each process that holds a model; it uses all of it. What is left is for those that
read and write, which would never be begun where nothing is."""
WRITING = 0.1
"""Of a core for each that writes."""
_PIECES = 16
"""For each process, so that none has to wait long for the last one."""
_LEAST, _MOST = 16, 1024
"""Pictures in a piece."""


def actors(ray: ModuleType, workers: int | None) -> tuple[int, dict[str, Any]]:
    """How many processes hold the model, and what Ray is told of them."""
    count = workers or cores(ray)
    return count, {"compute": ray.data.ActorPoolStrategy(size=count), "num_cpus": SHARE}


def part_of(pictures: int, workers: int, batch: int) -> int:
    """Pictures in one piece: what is lost with a process, and a Parquet file. Whole batches, so that each picture meets
    the network in the same company wherever it is."""
    wanted = min(_MOST, max(pictures // (workers * _PIECES), min(_LEAST, -(-pictures // workers)), 1))
    return -(-wanted // batch) * batch


def parts_of(name: str, items: Sequence[Any], size: int) -> list[Any]:
    """The items as tables of one column, so many in each."""
    import pyarrow as pa

    return [pa.table({name: list(items[start : start + size])}) for start in range(0, len(items), size)]
