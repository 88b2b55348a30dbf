"""What a cluster says of pictures, in their order: an evaluation's work."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from darknet_compat.cluster.connection import connected
from darknet_compat.cluster.plan import actors, part_of, parts_of
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections


def answers_of_cluster(
    detector: Detector, pictures: Sequence[Any], batch: int = 1, *, workers: int | None = None
) -> Iterator[Detections | Failure]:
    """The answers to `pictures`, paths or what composes one when asked for its `pixels`; `batch` of them go through a
    network at once. Without sources and a WordTree's paths.

    Raises BackendError without Ray and where it gives up, and what the detector raises.
    """
    with connected() as ray:
        from darknet_compat.cluster.worker import ToAnswers

        count, given = actors(ray, workers)
        everything = ray.put([os.path.abspath(one) if isinstance(one, str | Path) else one for one in pictures])
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        parts = parts_of("id", range(len(pictures)), part_of(len(pictures), count, batch))
        data = ray.data.from_arrow(parts).map_batches(  # which is not read by tasks that need a core
            ToAnswers,
            fn_constructor_args=(detector, everything, batch),
            batch_format="pyarrow",
            batch_size=None,
            **given,
        )
        for rows in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            yield from map(pickle.loads, rows["answer"].to_pylist())
