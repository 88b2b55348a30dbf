"""The original Darknet as a reference: its library in a process of its own, called function by function.

    with Original() as original:
        outputs = original.layer_outputs("cfg/yolov2-voc.cfg", "yolov2-voc.weights", images)

The library ends its process with `exit` and `assert` on whatever it does not like. That arrives here as an
OriginalError with the last lines it wrote, and the next call starts a new process. Where the original does not check
(a `.weights` file of the wrong length, say) nothing is checked here either: it is the reference for what it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from darknet_compat.errors import OriginalError
from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.parity._original.build import built_module
from darknet_compat.parity._original.installation import Installation, find_original, require_original
from darknet_compat.parity._original.networks import Setup
from darknet_compat.parity._original.process import Worker
from darknet_compat.vision.image import expect_few_pixels_in

__all__ = [
    "Installation",
    "LayerDelta",
    "LayerOutput",
    "LayerShape",
    "Original",
    "OriginalClasses",
    "OriginalDetections",
    "find_original",
    "require_original",
]

PathLike = str | Path


@dataclass(frozen=True)
class LayerShape:
    """A layer of the original's network: its type as a cfg spells it, `shape` (c, h, w), `outputs` per image.

    Layers without a geometry of their own (connected, softmax, cost, …) have the shape (outputs, 1, 1).
    """

    type: str
    shape: tuple[int, int, int]
    outputs: int


@dataclass(frozen=True)
class LayerOutput:
    """A layer's `output` after a forward pass: float32 [N, outputs], N the number of images (or rows)."""

    type: str
    shape: tuple[int, int, int]
    output: Floats


class LayerDelta(NamedTuple):
    """What a layer's output should move by, float32 [N, outputs], and for those that report one a `cost`."""

    type: str
    delta: Floats
    cost: float | None


class OriginalDetections(NamedTuple):
    """`boxes` float32 [M, 4], x1 y1 x2 y2 in pixels of the image, unclipped; `scores` and `class_ids` (int64) [M]."""

    boxes: Floats
    scores: Floats
    class_ids: Ints


class OriginalClasses(NamedTuple):
    """The most likely classes, best first: `class_ids` int64 [K], `scores` float32 [K]."""

    class_ids: Ints
    scores: Floats


class Original:
    """The installed original, in a process that starts at the first call and ends with `close` or the `with` block.

    Every method raises OriginalError where the original dies of what it is given, gives no answer within `timeout`
    seconds, or would read outside of its memory (an array of the wrong size). One network stays loaded from call to
    call, until another one, another number of images or a changed file is asked for. Without weights the network
    has the original's own random ones, the same ones for the same `seed`. For one thread only.
    """

    def __init__(self, installation: Installation | None = None, *, timeout: float = 600.0) -> None:
        """Find the original, and compile the binding if need be. Raises OriginalError if either fails."""
        self.installation = installation or require_original()
        self._worker = Worker(built_module(self.installation), timeout)

    def __enter__(self) -> Original:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process. A later call starts a new one."""
        self._worker.stop()

    def layer_shapes(self, cfg: PathLike, *, size: tuple[int, int] | None = None) -> list[LayerShape]:
        """Every layer without running any (original: `parse_network_cfg`); `size` as in `layer_outputs`."""
        setup = _setup(cfg, None, size=size, time_steps=1)
        return [LayerShape(*layer) for layer in self._worker.ask("layer_shapes", setup.cfg, setup)]

    def layer_outputs(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        images: Floats,
        *,
        size: tuple[int, int] | None = None,
        time_steps: int | None = None,
        seed: int = 0,
    ) -> list[LayerOutput]:
        """Every layer's output after one forward pass in test mode (original: `network_predict`).

        `images` is [N, C, H, W] or [N, inputs]; exactly these N go through at once, whatever the cfg's batch. `size`
        (width, height) stands for the cfg's own; a network with layers that fit one size only is an error. (The
        original's `resize_network` gives the same numbers, but refuses [shortcut] layers.)
        A [dropout] layer shares its predecessor's output; a [cost] layer without truth leaves zeros.

        Recurrent networks read N = time_steps x sequences rows, all sequences' first step, then all second
        steps, …, from a zero state; `time_steps` replaces the cfg's own.
        """
        images = np.ascontiguousarray(images, np.float32)
        setup = _setup(cfg, weights, rows=len(images), size=size, time_steps=time_steps, seed=seed)
        return [LayerOutput(*layer) for layer in self._worker.ask("layer_outputs", setup.cfg, setup, images)]

    def save_weights(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        out: PathLike,
        *,
        cutoff: int | None = None,
        clear: bool = False,
        seed: int = 0,
    ) -> None:
        """Load weights and save them again (original: `save_weights_upto`).

        `cutoff` keeps only the layers before it. `clear` saves 0 images seen; the `partial` command does both.
        """
        setup = _setup(cfg, weights, time_steps=1, seed=seed)
        self._worker.ask("save_weights", setup.cfg, setup, str(Path(out).absolute()), cutoff, clear)

    def rates(self, cfg: PathLike, count: int, *, first: int = 0, seed: int = 0) -> Floats:
        """The learning rates, float32 [count], of `count` batches from batch `first` on (original: `get_current_rate`).

        `seed` is for C's `rand`, from which policy=random draws.
        """
        setup = _setup(cfg, None, time_steps=1)
        return np.asarray(self._worker.ask("rates", setup.cfg, setup, first, count, seed))

    def train_deltas(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        images: Floats,
        truths: Floats,
        *,
        seen: int = 0,
        activated_trees: bool = False,
        size: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> tuple[list[LayerDelta], str]:
        """Every layer's `delta` after a forward pass in training, and what was printed (original: `forward_network`).

        `truths` as for `train`; `seen` images, these included. With `activated_trees` a [region] with a tree takes its
        class outputs for probabilities already: the CPU build's own softmax over a tree indexes wrongly, while the
        deltas that it computes from probabilities are the CUDA build's.
        """
        setup = _setup(cfg, weights, rows=len(images), size=size, time_steps=1, seed=seed)
        arrays = (np.ascontiguousarray(values, np.float32) for values in (images, truths))
        layers, printed = self._worker.ask("deltas", setup.cfg, setup, *arrays, seen, activated_trees)
        return [LayerDelta(*layer) for layer in layers], printed

    def train(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        images: Floats,
        truths: Floats,
        out: PathLike,
        *,
        batch: int,
        subdivisions: int = 1,
        time_steps: int = 1,
        seed: int = 0,
    ) -> Floats:
        """Train on all rows in order, `batch` for each update, and save the weights in `out`: float32 losses [steps].

        `images` [steps·batch, …] go in as they are, without augmentation; `truths` [steps·batch, truths] as the last
        layer reads them. A loss is what the original prints: its cost an image (original: `train_network`). The
        CPU build trains no [region], whose backward pass is commented out in it, and takes a tree's unknown groups for
        truth; here both are the CUDA build's.
        """
        rows = batch // subdivisions * time_steps
        setup = _setup(cfg, weights, rows=rows, subdivisions=subdivisions, time_steps=time_steps, seed=seed)
        arrays = (np.ascontiguousarray(values, np.float32) for values in (images, truths))
        return np.array(self._worker.ask("train", setup.cfg, setup, *arrays, str(Path(out).absolute())), np.float32)

    def time_train(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        images: Floats,
        truths: Floats,
        repeats: int = 1,
        *,
        processor: bool = False,
    ) -> list[float]:
        """Seconds of each of `repeats` updates, as `train`, on one batch of `images` [batch, …] and `truths`
        [batch, truths]; with `processor` of its time."""
        setup = _setup(cfg, weights, rows=len(images), time_steps=1)
        arrays = (np.ascontiguousarray(values, np.float32) for values in (images, truths))
        return list(self._worker.ask("time_train", setup.cfg, setup, *arrays, repeats, processor))

    def detections(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        image: PathLike | Floats,
        *,
        thresh: float = 0.5,
        hier_thresh: float = 0.5,
        nms: float = 0.45,
        letterbox: bool = True,
        size: tuple[int, int] | None = None,
    ) -> OriginalDetections:
        """What `darknet detector test` finds in an image, in the order in which it prints (original: `test_detector`).

        `image` is a file, or float32 [C, H, W], RGB, 0..1. One row for each class above `thresh` of each box that
        non-maximum suppression (`do_nms_sort`) has left. `letterbox=False` stretches the image to the network's size
        instead, as `test_yolo` does for [detection] networks, whose boxes know of no border.
        """
        setup = _setup(cfg, weights, size=size)
        answer = self._worker.ask("detections", setup.cfg, setup, _image(image), thresh, hier_thresh, nms, letterbox)
        return OriginalDetections(*answer)

    def classify(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        image: PathLike | Floats,
        top: int = 5,
        *,
        size: tuple[int, int] | None = None,
    ) -> OriginalClasses:
        """The `top` classes of an image, a file or float32 [C, H, W] in RGB from 0 to 1.

        As `darknet classifier predict` (original: `predict_classifier`).
        """
        setup = _setup(cfg, weights, size=size)
        return OriginalClasses(*self._worker.ask("classify", setup.cfg, setup, _image(image), top))

    def load_image(self, path: PathLike) -> Floats:
        """A picture as float32 [3, H, W], RGB, 0..1 (original: `load_image_color`).

        Raises OriginalError where the original says that it cannot load it, and goes on with a black square.
        """
        return np.asarray(self._worker.ask("load_image", str(path), _picture(path)))

    def random_numbers(self, seed: int, count: int) -> Ints:
        """[count]: what C's `rand` gives after `srand(seed)`, 0 to 2^31 - 1, the source of all chance in it."""
        return np.asarray(self._worker.ask("random_numbers", f"seed {seed}", seed, count))

    def load_detection(
        self,
        picture: PathLike,
        width: int,
        height: int,
        *,
        boxes: int,
        jitter: float,
        colours: tuple[float, float, float],
        seed: int,
    ) -> tuple[Floats, Floats]:
        """A training picture for a detector, [3, height, width], and its truth [boxes, 5] (`load_data_detection`).

        Labels are read where the original looks for them. `colours` are hue, saturation and exposure.
        """
        path = _file(picture)
        image, truth = self._worker.ask("load_detection", path, path, width, height, boxes, jitter, colours, seed)
        return image, truth

    def load_region(
        self,
        picture: PathLike,
        width: int,
        height: int,
        *,
        side: int,
        classes: int,
        jitter: float,
        colours: tuple[float, float, float],
        seed: int,
    ) -> tuple[Floats, Floats]:
        """One for YOLO's first detector, and its truth [side, side, 5 + classes] (`load_data_region`)."""
        path = _file(picture)
        image, truth = self._worker.ask("load_region", path, path, width, height, side, classes, jitter, colours, seed)
        return image, truth

    def load_classification(
        self,
        picture: PathLike,
        labels: Sequence[str],
        *,
        low: int,
        high: int,
        size: int,
        angle: float,
        aspect: float,
        colours: tuple[float, float, float],
        center: bool = False,
        seed: int,
    ) -> tuple[Floats, Floats]:
        """A training picture for a classifier, [3, size, size], and its truth [len(labels)] (`load_data_augment`)."""
        path, sides = _file(picture), (low, high, size)
        image, truth = self._worker.ask(
            "load_classification", path, path, labels, sides, angle, aspect, colours, center, seed
        )
        return image, truth

    def resize_image(self, image: Floats, width: int, height: int) -> Floats:
        """Bilinear resize of [C, H, W] (original: `resize_image`)."""
        return self.image_function("resize_image", image, width, height)

    def letterbox_image(self, image: Floats, width: int, height: int) -> Floats:
        """Resize of [C, H, W] that keeps the aspect and fills with 0.5 (original: `letterbox_image`)."""
        return self.image_function("letterbox_image", image, width, height)

    def image_function(self, name: str, *arguments: Floats | float | int) -> Floats:
        """Any image function that `_original.declarations` declares; its images are arrays [C, H, W].

        Returns the image that the function returns or, where it returns none, the last of its images as it left it:
        `image_function("place_image", image, w, h, dx, dy, canvas)` is the new canvas. No argument is changed.
        """
        return np.asarray(self._worker.ask("call_image_function", name, name, _arguments(arguments)))

    def nms(
        self, boxes: Floats, objectness: Floats, scores: Floats, threshold: float = 0.45, *, kind: str = "sort"
    ) -> tuple[Floats, Floats]:
        """Non-maximum suppression (original: `do_nms_sort`, or `do_nms_obj` with `kind="obj"`).

        `boxes` [N, 4] are centre x, centre y, width, height; `objectness` [N]; `scores` [N, classes]. Returns
        objectness and scores, in the order given, with 0 where they were suppressed.
        """
        if kind not in ("sort", "obj"):
            raise ValueError(f"kind must be 'sort' or 'obj', found {kind!r}")
        arrays = [np.array(values, np.float32, order="C") for values in (boxes, objectness, scores)]
        shapes = [array.shape for array in arrays]
        if len(shapes[2]) != 2 or shapes[:2] != [(shapes[2][0], 4), (shapes[2][0],)]:
            raise ValueError(f"expected [N, 4], [N] and [N, classes], found {', '.join(map(str, shapes))}")
        kept_objectness, kept_scores = self._worker.ask("nms", f"do_nms_{kind}", kind, *arrays, threshold)
        return kept_objectness, kept_scores

    def time_forward(
        self,
        cfg: PathLike,
        weights: PathLike | None,
        images: Floats,
        repeats: int = 1,
        *,
        size: tuple[int, int] | None = None,
    ) -> list[float]:
        """Seconds of each of `repeats` forward passes over [N, C, H, W], loading and messages not counted."""
        images = np.ascontiguousarray(images, np.float32)
        setup = _setup(cfg, weights, rows=len(images), size=size)
        return list(self._worker.ask("time_forward", setup.cfg, setup, images, repeats))

    def time_letterbox(self, image: Floats, width: int, height: int, repeats: int = 1) -> list[float]:
        """Seconds of each of `repeats` calls of `letterbox_image` on [C, H, W], freeing the result not counted."""
        return self.time_image_function("letterbox_image", image, width, height, repeats=repeats)

    def time_image_function(self, name: str, *arguments: Floats | float | int, repeats: int = 1) -> list[float]:
        """Seconds of each of `repeats` calls, as `image_function`; one that works in place works on its own result."""
        return list(self._worker.ask("time_image_function", name, name, _arguments(arguments), repeats))


def _setup(
    cfg: PathLike,
    weights: PathLike | None,
    *,
    rows: int = 1,
    subdivisions: int = 1,
    size: tuple[int, int] | None = None,
    time_steps: int | None = None,
    seed: int = 0,
) -> Setup:
    return Setup(_file(cfg), None if weights is None else _file(weights), rows, subdivisions, size, time_steps, seed)


def _file(path: PathLike) -> str:
    path = Path(path).absolute()
    if not path.is_file():
        raise OriginalError(f"{path}: no such file")
    return str(path)


def _image(image: PathLike | Floats) -> str | Floats:
    return _pixels(image) if isinstance(image, np.ndarray) else _picture(image)


def _picture(path: PathLike) -> str:
    """The file's whole path, since the original works in a folder of its own. Raises ImageError for more pixels than we
    would read."""
    file = _file(path)
    expect_few_pixels_in(file)
    return file


def _pixels(image: Floats) -> Floats:
    array = np.ascontiguousarray(image, np.float32)
    if array.ndim != 3 or not array.size:
        raise ValueError(f"an image is an array [C, H, W] with at least one pixel, found shape {array.shape}")
    return array


def _arguments(arguments: tuple[Floats | float | int, ...]) -> list[Floats | float | int]:
    return [_pixels(value) if isinstance(value, np.ndarray) else value for value in arguments]
