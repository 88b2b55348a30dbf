"""The torch runtime: the network itself, on the CPU or a GPU."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.textfile import first_line
from darknet_compat.formats.words import Precision, Resize
from darknet_compat.heads.answers import splits, uncertain
from darknet_compat.network import heads
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network, out_of_memory
from darknet_compat.network.split import SplitRegion
from darknet_compat.network.windows import Convolutional
from darknet_compat.runtime.base import Use, expect_not_forked, too_large
from darknet_compat.runtime.described import describe

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

CANDIDATES = 256
"""Upper limit on candidates per image that get class probabilities, where there is a limit. Cost depends on how many
candidates pass the threshold, not on this limit. In pictures of trained detectors up to 4.5 % of cells and anchors pass
a threshold of 0.5, 11 % one of 0.24, 24 % one of 0.1: of YOLO9000's 867 at 544 pixels 39, 93 and 209."""

_NAMES = {"xywh": "boxes", "objectness": "objectness", "classes": "classes", "dropped": "dropped"}


class TorchRuntime:
    """Runs a Network, batch normalization folded; the heads in float32 whatever the precision of the layers below.

    `network` is copied, and may be trained on. `device` is torch's name for one; by default a GPU if there is one.
    `streams` is 1: torch's threads are the process's own, and not shared out.
    With many classes, only `candidates` cells and anchors an image get class probabilities (`network.split`).
    """

    streams = 1

    def __init__(
        self,
        network: Network,
        *,
        precision: Precision = "fp32",
        resize: Resize | None = None,
        device: str | None = None,
        candidates: int = CANDIDATES,
    ) -> None:
        if precision not in _DTYPES:
            raise BackendError(f"torch runs in {', '.join(_DTYPES)}, not in {precision}")
        self.description = describe(network.spec, precision=precision, resize=resize)
        self.device = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = _DTYPES[precision]
        self._process = os.getpid()
        folded = network.folded().eval()
        self.heads = [copy.deepcopy(folded.layers[head.index]).to(self.device) for head in folded.spec.heads]
        # Channels innermost: a quarter faster on CPUs, since convolutions need not turn every layer's output around.
        folded.to(self.device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = folded
        self.split = self._split(candidates) if splits(self.network.spec) else None

    def _split(self, candidates: int) -> SplitRegion:
        """The last convolution and head as one module (`network.split`)."""
        convolution, region = self.network.layers[-2], self.heads[-1]
        assert isinstance(convolution, Convolutional) and isinstance(region, heads.Region)
        split = SplitRegion(convolution, region, candidates)
        self.network.layers[-2] = nn.Identity()  # so that the weights of the classes are not held twice
        return split

    @torch.inference_mode()
    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """See `Runtime.infer`. Raises BackendError where the memory does not suffice."""
        if os.getpid() != self._process:
            self._go_on_forked()
        exact: AbstractContextManager[None] = ieee() if self.dtype is torch.float32 else nullcontext()
        try:
            with exact:
                return self._infer(images, thresh)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise too_large(self.description.name, images) from None

    def _go_on_forked(self) -> None:
        """A forked process has none of the threads that torch believes in, and would wait for them forever.

        Raises BackendError where the network is on a GPU, which a forked process cannot use."""
        if self.device.type != "cpu":
            expect_not_forked(self._process, self.description.name)
        torch.set_num_threads(1)
        self._process = os.getpid()

    def _infer(self, images: Floats, thresh: float) -> Mapping[str, Floats]:
        x = torch.from_numpy(images).to(self.device, self.dtype).to(memory_format=torch.channels_last)
        if self.split is not None:
            (features,) = self.network.outputs_of(x, self.network.spec.layers[-2].sources)
            found = self.split(features, thresh)._asdict()
            return {_NAMES[name]: _array(value) for name, value in found.items()}
        raw = self.network(x)
        raws = (raw,) if isinstance(raw, Tensor) else raw
        if not self.heads:  # a classifier that gives its scores as they are
            return {"classes": _array(raws[0].flatten(1))}
        activated = [(head, head(x.float())) for head, x in zip(self.heads, raws, strict=True)]
        if self.description.task == "classify":
            return {"classes": _array(activated[-1][1].flatten(1))}
        size = (images.shape[3], images.shape[2])
        parts = [head.boxes(x, size) for head, x in activated if isinstance(head, heads.Head) and head.spec.detects]
        together = {name: torch.cat([getattr(part, name) for part in parts], 1) for name in heads.Boxes._fields}
        found = {_NAMES[name]: _array(value) for name, value in together.items()}
        if uncertain(self.network.spec):
            sure = [head.uncertainties(x) for head, x in activated if isinstance(head, heads.Yolo)]
            found["uncertainties"] = _array(torch.cat(sure, 1))
        return found | {"dropped": np.zeros(len(images), np.float32)}


def _device(name: str) -> torch.device:
    """The device of a name. Raises BackendError for one that there is not here."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BackendError(f"device: torch cannot use {name!r}: {first_line(error)}") from None
    return device


def open_model(cfg: Path, weights: Path | None, use: Use) -> TorchRuntime:
    """See `runtime.registry.Row`."""
    if use.threads is not None:
        set_threads(use.threads)
    network = load_network(cfg, weights, size=use.size, dialect=use.dialect, batchnorm=use.batchnorm)
    return TorchRuntime(network, precision=use.precision, device=use.device)


def set_threads(threads: int) -> None:
    """How many cores torch uses, in the whole process."""
    torch.set_num_threads(threads)


class _Ieee:
    """A context in which float32 on a GPU is float32: torch's convolutions would by default round to TF32's 10 bits.

    torch's switches belong to the process, so that of threads in here at once the first turns them and the last one out
    turns them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = (False, False)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        with self._lock:
            if not self._inside:
                self._before = matmul.allow_tf32, cudnn.allow_tf32
                matmul.allow_tf32 = cudnn.allow_tf32 = False
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    matmul.allow_tf32, cudnn.allow_tf32 = self._before


ieee = _Ieee()


def _array(x: Tensor) -> Floats:
    array: Floats = x.float().cpu().numpy()
    return array
