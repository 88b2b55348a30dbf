"""`detect` on a cluster: pictures to Parquet; what is written is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darknet_compat.cluster.connection import connected
from darknet_compat.cluster.parquet_folder import Place
from darknet_compat.cluster.pictures import find
from darknet_compat.cluster.plan import WRITING, actors, part_of, parts_of
from darknet_compat.cluster.worker import ToRows
from darknet_compat.inference.identity import model_key
from darknet_compat.inference.job import MANY, open_detector
from darknet_compat.inference.options import DetectOptions
from darknet_compat.sources.base import Failed


@dataclass(frozen=True)
class Written:
    """What is in the folder `out` now: `pictures` with `objects` in all, of which `before` were there already;
    `failed`, those that could not be read, each with the reason."""

    out: str
    pictures: int
    objects: int
    before: int
    failed: tuple[tuple[str, str], ...]


def detect_into(
    out: str | Path,
    options: DetectOptions,
    workers: int | None = None,
    *,
    failed: Failed,
    progress: Any = None,
    say: Callable[[str], None] = lambda line: None,
) -> Written:
    """Put the pictures that `options.files` mean to the model, and write a row for each into Parquet files in `out`, a
    folder or an address; those that have one are passed over.

    `failed` is told what of `options.files` means no picture, `say` what a person should know, and `progress` is
    `open_detector`'s. Raises DarknetCompatError: a model that cannot be opened, a folder of other detections, no Ray.
    """
    files = find(options.files, failed)
    if not files:
        return Written(str(out), 0, 0, 0, ())
    options = replace(options, threads=options.threads or 1, mode=options.mode or "throughput")
    detector = open_detector(options, MANY, progress)
    settings = model_key(options.model, options.weights, detector, options.batch)
    settings |= {"classes": options.classes, "clip": options.clip}
    place = Place(out, settings)
    if place.removed:
        say(f"{place.name}: removed {place.removed} unfinished of a run that was killed")
    done = place.done()
    left = [file for file in files if file not in done]
    if left:
        with connected() as ray:
            count, given = actors(ray, workers)
            data = ray.data.from_arrow(parts_of("file", left, part_of(len(left), count, options.batch)))
            rows = data.map_batches(
                ToRows,
                fn_constructor_args=(detector, os.getcwd(), options.batch, options.clip, {"classes": options.classes}),
                batch_format="pyarrow",
                batch_size=None,
                **given,
            )
            writers = {"concurrency": max(1, count // 8), "ray_remote_args": {"num_cpus": WRITING}}
            rows.write_parquet(place.path, filesystem=place.system, **writers)
    pictures, objects, unread = place.totals()
    return Written(place.name, pictures, objects, len(files) - len(left), tuple(unread))
