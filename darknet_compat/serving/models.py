"""The models of a server: opened, shared by requests, opened again when their files change."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from darknet_compat.catalogue.locate import Sources, locate
from darknet_compat.errors import DarknetCompatError, OptionError
from darknet_compat.inference.about import OpenModel, task_of
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.options import RunOptions
from darknet_compat.options import options_of
from darknet_compat.runtime.processor import cores
from darknet_compat.serving.lanes import BatchLanes, Lanes, SingleLanes, quicker
from darknet_compat.serving.options import ServeOptions

Say = Callable[[str], None]
"""Takes a line for whoever runs the server."""


class Served:
    """One model, its name in addresses, its lanes, and the files it was opened from."""

    def __init__(self, model: str, options: ServeOptions, say: Say) -> None:
        self.options, self.say = options, say
        self.name = Path(model).stem
        self.asked = model
        self.files: Sources = locate(model, options.weights)
        self.task = task_of(self.files.cfg)
        self._lock = threading.Lock()
        self._seen = self._state()
        count = options.lanes or cores()
        self._shared_by: int | None = count
        self._model = self._open(count)
        self.lanes: Lanes
        if options.max_batch > 1 and quicker(together := self._open(None), self._model, count, options.max_batch):
            self._shared_by, self._model = None, together
            self.lanes = BatchLanes(self.model, options.max_batch, options.max_delay_ms / 1000, options.queue)
            self.how = f"batches of up to {options.max_batch}"
        else:
            self.lanes = SingleLanes(self.model, count, options.queue)
            self.how = f"{count} at a time"

    def model(self) -> OpenModel:
        """The model as it is now."""
        with self._lock:
            return self._model

    def to_dict(self) -> dict[str, Any]:
        """What a client wants to know, for JSON."""
        model, own = self.model(), self.model().runtime.description
        about: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "width": own.width,
            "height": own.height,
            "backend": model.choice.backend,
            "precision": own.precision,
            "classes": list(model.names),
            "tree": own.tree is not None,
        }
        if isinstance(model, Detector):
            about |= {"thresh": model.thresh, "nms": model.nms}
        return about

    def without_paths(self, text: str) -> str:
        """A message as clients may see it: the model's name for the files it is in, and no folder of this machine."""
        for path in (self.files.cfg, self.files.weights):
            if path is not None:
                text = text.replace(str(path.resolve()), path.name).replace(str(path), path.name)
        return text

    def refresh(self) -> None:
        """Open the model again if its files have changed since, and rest now. What is wrong with them is said, and the
        old model stays."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            fresh = self._open(self._shared_by)
        except (DarknetCompatError, OSError) as error:
            self.say(f"{self.name}: not opened again: {error}")
            return
        with self._lock:
            self._model = fresh
        self.say(f"{self.name}: opened again")

    def _open(self, lanes: int | None) -> OpenModel:
        """The model as so many lanes share it, a core for each; or, with None, with all cores for each pass."""
        options = self.options
        arguments: dict[str, Any] = {name: getattr(options, name) for name in options_of(RunOptions)}
        arguments |= _shared(options, lanes)
        if self.task == "classify":
            return Classifier(self.asked, **arguments)
        return Detector(self.asked, thresh=options.thresh, nms=options.nms, **arguments)

    def _state(self) -> tuple[tuple[int, int] | None, ...]:
        """When the files changed last, and their sizes."""
        found = []
        for path in (self.files.cfg, self.files.weights, self.options.names):
            try:
                state = os.stat(path) if path is not None else None
            except OSError:
                state = None
            found.append(None if state is None else (state.st_mtime_ns, state.st_size))
        return tuple(found)


def open_models(options: ServeOptions, say: Say) -> dict[str, Served]:
    """All models by name. Raises OptionError for two of one name, and DarknetCompatError for one that cannot be
    opened."""
    if not options.models:
        raise OptionError("expected a model to serve", "models")
    if len(options.models) > 1 and (options.weights or options.names):
        raise OptionError("goes with one model; of several each has its files beside it", "weights")
    served: dict[str, Served] = {}
    for model in options.models:
        name = Path(model).stem
        if name in served:
            raise OptionError(f"two models are called {name}; rename one of the files", "models")
        served[name] = Served(model, options, say)
    return served


def _shared(options: ServeOptions, lanes: int | None) -> dict[str, Any]:
    """The mode and threads of a model for so many lanes: runtimes take as many calls at a time as they have threads in
    mode "throughput". Torch takes any number, and its threads are each call's own."""
    if lanes is None:
        return {"mode": "latency", "threads": None}
    is_torch = options.backend == "torch"
    return {"mode": "latency" if is_torch else "throughput", "threads": 1 if is_torch else lanes}
