"""The worker's one loaded network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darknet_compat.errors import OriginalError
from darknet_compat.formats.arrays import Floats

_GATES = ("wz", "uz", "wr", "ur", "wh", "uh", "uo", "wo", "uf", "wf", "ui", "wi", "ug", "wg")
_PARTS = ("input_layer", "self_layer", "output_layer", *_GATES)
_SECTION_OF = {"active": "activation", "logxent": "logistic"}
"""Layer types that the original calls otherwise in a cfg than in its enum."""


@dataclass(frozen=True)
class Setup:
    """What makes a network: two files, how many images go through at once, and what replaces the cfg's own.

    `subdivisions` of `rows` make a batch in training.
    """

    cfg: str
    weights: str | None = None
    rows: int = 1
    subdivisions: int = 1
    size: tuple[int, int] | None = None
    time_steps: int | None = None
    seed: int = 0


class Networks:
    """Loads networks and keeps the last one, as long as neither its files nor what is asked of it changes.

    A recurrent network is loaded anew each time: the original keeps its state from one call to the next, and results
    would depend on what was asked before.
    """

    def __init__(self, ffi: Any, lib: Any, scratch: Path) -> None:
        self._ffi, self._lib, self._scratch = ffi, lib, scratch
        self._types: dict[int, str] = ffi.typeof("LAYER_TYPE").elements
        self._recurrent = {lib.RNN, lib.GRU, lib.LSTM, lib.CRNN}
        self._of_one_size = self._recurrent | {lib.CONNECTED, lib.LOCAL, lib.CROP, lib.DETECTION}
        self._key: object = None
        self._cfg = ""
        self._net: Any = None

    def get(self, setup: Setup) -> Any:
        """A `network *` that is ready for `setup.rows` images (original: `load_network`)."""
        key = (setup, _stamp(setup.cfg), _stamp(setup.weights))
        if key != self._key:
            self._key = None
            self.release()
            self._cfg = setup.cfg
            self._load(setup)
            if not any(self._net.layers[i].type in self._recurrent for i in range(self._net.n)):
                self._key = key
        return self._net

    def fresh(self, setup: Setup) -> Any:
        """The same, loaded anew and given to no later request, for whoever changes it."""
        self._key = None
        net = self.get(setup)
        self._key = None
        return net

    def release(self) -> None:
        """Free the network, and what `free_network` forgets: the workspace and the parts of recurrent layers."""
        net, self._net = self._net, None
        if net is None:
            return
        for layer, part in self._parts(net):
            if part.output == layer.output:  # as in rnn and crnn; `free_layer` of the whole frees these
                part.output = part.delta = self._ffi.NULL
            self._lib.free_layer(part[0])
            self._lib.free(part)
        self._lib.free(net.workspace)
        self._lib.free_network(net)

    def predict(self, net: Any, images: Floats) -> Any:
        """Run one forward pass; `images` has as many values as the network was made for. Returns a `float *`."""
        expected = net.inputs * net.batch
        if images.size != expected:
            raise OriginalError(
                f"{self._cfg}: the network takes {net.batch} x {net.inputs} values "
                f"({net.c}x{net.h}x{net.w}, channels first), found {images.size} in an array of shape {images.shape}"
            )
        return self._lib.network_predict(net, self._ffi.from_buffer("float[]", images))

    def layer(self, net: Any, i: int) -> tuple[str, tuple[int, int, int], int]:
        """Type as the cfg spells it, shape (c, h, w), number of outputs of one layer."""
        layer = net.layers[i]
        name = self._types[int(layer.type)].lower()
        shape = layer.out_c, layer.out_h, layer.out_w
        if shape[0] * shape[1] * shape[2] != layer.outputs:  # connected, softmax, cost and others leave them unset
            shape = layer.outputs, 1, 1
        return _SECTION_OF.get(name, name), shape, layer.outputs

    def _load(self, setup: Setup) -> None:
        os.chdir(Path(setup.cfg).parent)  # there the original looks for `tree=data/9k.tree` and the like
        steps = setup.time_steps or max(1, self._option(setup.cfg, "time_steps", 1))
        if setup.rows % steps:
            raise OriginalError(
                f"{setup.cfg}: with time_steps={steps} the number of rows must be a multiple of {steps} "
                f"(time steps x sequences, one step's rows after the other), found {setup.rows}"
            )
        options = {
            "batch": setup.rows // steps * setup.subdivisions,
            "subdivisions": setup.subdivisions,
            "time_steps": steps,
        }
        own_size = self._option(setup.cfg, "width", 0), self._option(setup.cfg, "height", 0)
        resized = setup.size is not None and setup.size != own_size
        if setup.size:
            options["width"], options["height"] = setup.size
        changed = self._scratch / "network.cfg"
        changed.write_bytes(_with_options(Path(setup.cfg).read_bytes(), options))
        self._lib.srand(setup.seed)
        self._net = net = self._lib.parse_network_cfg(os.fsencode(changed))
        self._give_room(net)
        fixed = [i for i in range(net.n) if resized and net.layers[i].type in self._of_one_size]
        if fixed:
            raise OriginalError(
                f"{setup.cfg}: cannot be resized to {options['width']}x{options['height']}: "
                f"layer {fixed[0]} [{self.layer(net, fixed[0])[0]}] fits {own_size[0]}x{own_size[1]} only"
            )
        if setup.weights:
            self._lib.load_weights(net, os.fsencode(setup.weights))

    def _give_room(self, net: Any) -> None:
        """Working memory as large as its layers use: a [local] counts its floats and asks for as many bytes, a [crnn]
        does not ask for its convolutions'. They write beyond it, into other layers' values or to the library's end."""
        layers = [net.layers[i] for i in range(net.n)]
        asked = max((layer.workspace_size for layer in layers), default=0)
        needed = [4 * layer.workspace_size for layer in layers if layer.type == self._lib.LOCAL]
        needed += [part.workspace_size for _, part in self._parts(net)]
        if max(needed, default=0) > asked:
            self._lib.free(net.workspace)
            net.workspace = self._ffi.cast("float *", self._lib.calloc(1, max(needed)))

    def _parts(self, net: Any) -> Iterator[tuple[Any, Any]]:
        """The layers that recurrent ones are made of, each with its whole."""
        for i in range(net.n):
            for name in _PARTS:
                if part := getattr(net.layers[i], name):
                    yield net.layers[i], part

    def _option(self, cfg: str, key: str, default: int) -> int:
        """A whole number in the cfg's first section, as the original reads it."""
        first = self._lib.read_cfg(os.fsencode(cfg)).front
        if not first:
            return default
        options = self._ffi.cast("section *", first.val).options
        return int(self._lib.option_find_int_quiet(options, key.encode(), default))


def _with_options(cfg: bytes, options: dict[str, int]) -> bytes:
    """The same definition with options put first in its first section, where they count before the file's own.

    All else stays byte for byte as it is, so that the original, and no other reader, decides what it means.
    """
    added = [f"{key}={value}".encode() for key, value in options.items()]
    lines = cfg.split(b"\n")
    for i, line in enumerate(lines):
        if line.strip().startswith(b"["):
            return b"\n".join([*lines[: i + 1], *added, *lines[i + 1 :]])
    return cfg


def _stamp(path: str | None) -> tuple[int, int] | None:
    if path is None:
        return None
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size
