"""A process of the cluster that holds a model (an actor of Ray's)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from darknet_compat.cluster.parquet_rows import row, table
from darknet_compat.cluster.pictures import source
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections


class ToRows:
    """From pictures (column `file`, seen from `folder`) to rows of what was found in them (`cluster.parquet_rows`)."""

    def __init__(self, detector: Detector, folder: str, batch: int, clip: bool, asked: dict[str, Any]) -> None:
        self.detector, self.folder, self.batch, self.clip, self.asked = detector, folder, batch, clip, asked

    def __call__(self, part: pa.Table) -> pa.Table:
        """See the class."""
        files: list[str] = part["file"].to_pylist()
        pictures = [source(file, self.folder, self.detector.max_pixels) for file in files]
        answers = self.detector.stream(pictures, self.batch, **self.asked)
        return table(row(file, self._shown(answer)) for file, (_, answer) in zip(files, answers, strict=True))

    def _shown(self, answer: Detections | Failure) -> Detections | Failure:
        return answer.clipped() if self.clip and isinstance(answer, Detections) else answer


class ToAnswers:
    """From numbers of pictures (column `id`) to what is said of them, pickled (column `answer`)."""

    def __init__(self, detector: Detector, pictures: Any, batch: int) -> None:
        import ray

        self.detector, self.batch = detector, batch
        self.pictures: Sequence[Any] = ray.get(pictures)

    def __call__(self, part: pa.Table) -> pa.Table:
        """See the class."""
        answers = [pickle.dumps(_bare(answer)) for answer in self._answers(part["id"].to_pylist())]
        return pa.table({"answer": pa.array(answers, pa.large_binary())})

    def _answers(self, numbers: Sequence[int]) -> Iterator[Detections | Failure]:
        picked = (self.pictures[number] for number in numbers)
        pictures = (one.pixels() if hasattr(one, "pixels") else one for one in picked)
        return (answer for _, answer in self.detector.stream(pictures, self.batch))


def _bare(answer: Detections | Failure) -> Detections | Failure:
    """Without the picture, and a WordTree's ways down."""
    if isinstance(answer, Failure):
        return Failure(None, answer.error)
    return replace(answer, source=None, paths=())
