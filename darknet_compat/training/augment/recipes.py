"""A training picture of a labelled one, as the original's loaders make it (data.c)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.definition.spec import BoxHead, Detection, Net, NetworkSpec, YoloHead
from darknet_compat.errors import TrainingError
from darknet_compat.formats.arrays import Bytes, Floats
from darknet_compat.training.augment.boxes import Move, PictureTruths, fill_truth_detection, fill_truth_region
from darknet_compat.training.augment.draws import Another, Colours, Draws
from darknet_compat.training.augment.fork import ForkRecipe
from darknet_compat.training.augment.mixing import Mixing, mixed
from darknet_compat.training.augment.pixels import (
    center_crop_image,
    crop_image,
    distort_image,
    flip_image,
    place_image,
    rotate_crop_image,
)
from darknet_compat.vision.resize import resize_into

GREY = np.float32(0.5)
_TWO_PI = np.float32(2 * np.pi)


@dataclass(frozen=True)
class DetectionRecipe:
    """Pictures for detectors: another aspect, somewhere on grey, other colours, mirrored (`load_data_detection`).

    `jitter` is by what part of its sides width and height change. At most `max_boxes` boxes a picture are kept.
    """

    jitter: float
    colours: Colours
    flip: bool
    max_boxes: int

    def __call__(
        self, picture: Bytes, labels: Labels, out: Floats, draws: Draws, another: Another | None = None
    ) -> PictureTruths:
        """Fill `out`, float32 [3, H, W], with the picture, uint8 [H, W, 3]; tell what it shows then."""
        _, height, width = out.shape
        new_width, new_height = _fitted(picture, self.jitter, width, height, draws)
        dx = draws.uniform(0, np.float32(width) - new_width)
        dy = draws.uniform(0, np.float32(height) - new_height)
        hue, saturation, exposure = self.colours.draw(draws)
        flip = draws.coin() if self.flip else False
        w, h, left, top = int(new_width), int(new_height), int(dx), int(dy)
        out[:] = min(GREY * np.float32(exposure), np.float32(1))  # distorted grey is grey: only the picture needs more
        place_image(picture, w, h, left, top, out, flip=flip)
        if flip:
            left = width - left - w
        shown = out[:, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)]
        distort_image(shown, hue, saturation, exposure)
        move = Move(-dx / width, -dy / height, new_width / width, new_height / height, flip)
        return fill_truth_detection(labels, move, self.max_boxes, draws)


def _fitted(picture: Bytes, jitter: float, width: int, height: int, draws: Draws) -> tuple[np.float32, np.float32]:
    """The size at which a picture of changed aspect fits the network's input."""
    image_height, image_width = (np.float32(side) for side in picture.shape[:2])
    dw, dh = np.float32(jitter) * image_width, np.float32(jitter) * image_height
    aspect = (image_width + draws.uniform(-dw, dw)) / (image_height + draws.uniform(-dh, dh))
    if aspect < 1:
        return np.float32(height) * aspect, np.float32(height)
    return np.float32(width), np.float32(width) / aspect


@dataclass(frozen=True)
class CropRecipe:
    """Pictures for YOLO's first detector: each side cut off or extended by up to `jitter`, and then stretched
    (`load_data_region`)."""

    jitter: float
    colours: Colours
    flip: bool

    def __call__(
        self, picture: Bytes, labels: Labels, out: Floats, draws: Draws, another: Another | None = None
    ) -> PictureTruths:
        """Fill `out`, float32 [3, H, W], with the picture, uint8 [H, W, 3]; tell what it shows then."""
        image_height, image_width = picture.shape[:2]
        left, width = self._side(image_width, draws)
        top, height = self._side(image_height, draws)
        flip = draws.coin() if self.flip else False
        resize_into(out, crop_image(picture, left, top, width, height))
        if flip:
            flip_image(out)
        distort_image(out, *self.colours.draw(draws))
        sx, sy = np.float32(width) / np.float32(image_width), np.float32(height) / np.float32(image_height)
        dx, dy = np.float32(left) / np.float32(image_width) / sx, np.float32(top) / np.float32(image_height) / sy
        return fill_truth_region(labels, Move(dx, dy, 1 / sx, 1 / sy, flip), draws)

    def _side(self, size: int, draws: Draws) -> tuple[int, int]:
        """Where a crop begins along one side of the picture, and its length."""
        most = int(np.float32(size) * np.float32(self.jitter))
        first, last = (int(draws.uniform(-most, most)) for _ in range(2))
        return first, max(size - first - last, 1)


@dataclass(frozen=True)
class ClassificationRecipe:
    """Pictures for classifiers: a crop, scaled, turned and narrowed, mirrored, other colours (`load_data_augment`).

    The shorter side becomes `min_ratio` to `max_ratio` times the network's input, of which a square is cut out; it is
    turned by up to `angle` degrees. With `center` the square in the middle is resized instead. `mixing` is the fork's.
    """

    angle: float
    aspect: float
    min_ratio: float
    max_ratio: float
    center: bool
    colours: Colours
    flip: bool
    mixing: Mixing = "none"

    def __call__(
        self, picture: Bytes, labels: Labels, out: Floats, draws: Draws, another: Another | None = None
    ) -> PictureTruths:
        """Fill `out`, float32 [3, H, W], with the picture, uint8 [H, W, 3]; its labels are of the whole picture."""
        truths = self._alone(picture, labels, out, draws)
        if self.mixing == "none" or another is None:
            return truths
        return mixed(self.mixing, out, truths, lambda other: self._alone(*another(), other, draws), draws)

    def _alone(self, picture: Bytes, labels: Labels, out: Floats, draws: Draws) -> PictureTruths:
        _, height, width = out.shape
        if self.center:
            crop = center_crop_image(picture, width, height)
        else:
            crop = rotate_crop_image(picture, *self._window(picture, width, height, draws))
        flip = draws.coin() if self.flip else False
        out[:] = crop[..., ::-1] if flip else crop
        distort_image(out, *self.colours.draw(draws))
        return PictureTruths(np.zeros((len(labels), 4), np.float32), labels.classes)

    def _window(
        self, picture: Bytes, width: int, height: int, draws: Draws
    ) -> tuple[float, float, int, int, float, float, float]:
        """Parameters of `rotate_crop_image` (original: `random_augment_args`)."""
        image_height, image_width = picture.shape[:2]
        low, high = (int(np.float32(ratio) * np.float32(width)) for ratio in (self.min_ratio, self.max_ratio))
        aspect = draws.scale(self.aspect)
        side = draws.between(low, high)
        narrowed = np.float32(image_width) * aspect
        shorter = image_height if image_height < narrowed else int(narrowed)
        scale = np.float32(side) / np.float32(max(shorter, 1))
        radians = np.float32(float(draws.uniform(-self.angle, self.angle) * _TWO_PI) / 360)
        # The original subtracts the width from both, which for its square inputs is the same.
        dx = (np.float32(image_width) * scale / aspect - np.float32(width)) / np.float32(2)
        dy = (np.float32(image_height) * scale - np.float32(width)) / np.float32(2)
        dx, dy = draws.uniform(-dx, dx), draws.uniform(-dy, dy)
        return float(radians), float(scale), width, height, float(dx), float(dy), float(aspect)


Recipe = DetectionRecipe | CropRecipe | ClassificationRecipe | ForkRecipe


def recipe(spec: NetworkSpec) -> Recipe:
    """How this network's training pictures are made. Raises TrainingError for options that make none."""
    net = spec.net
    heads = [head for head in spec.heads if isinstance(head, BoxHead)]
    if heads:
        head = heads[-1]
        if not 0 <= head.jitter < 1:
            raise TrainingError(f"{spec.place(head)} jitter must be from 0 to below 1, found {head.jitter:g}")
        if not head.max_boxes:
            raise TrainingError(f"{spec.place(head)} max must be above 0, or no box counts, found 0")
        if isinstance(head, Detection):
            return CropRecipe(head.jitter, _colours(net), net.flip)
        if spec.dialect.opencv_pictures:
            resize = head.resize if isinstance(head, YoloHead) else 1.0
            if not 0.1 <= resize <= 10:
                raise TrainingError(f"{spec.place(head)} resize must be from 0.1 to 10, found {resize:g}")
            return ForkRecipe(
                head.jitter, resize, _colours(net), net.flip, head.max_boxes, bool(net.letter_box), net.mosaic,
                net.mosaic_bound, net.mixup, net.blur, net.gaussian_noise,
            )  # fmt: skip
        return DetectionRecipe(head.jitter, _colours(net), net.flip, head.max_boxes)
    if min(net.min_ratio, net.max_ratio) <= 0:
        raise TrainingError(f"{spec.name}: min_crop and max_crop must be above 0")
    return ClassificationRecipe(
        net.angle, net.aspect or 1.0, net.min_ratio, net.max_ratio, net.center, _colours(net), net.flip, _mixing(spec)
    )


def _mixing(spec: NetworkSpec) -> Mixing:
    """What [net] asks for. Raises TrainingError where a tree is there, whose unknown groups mean nothing in parts."""
    net = spec.net
    asked = [name for name in ("mixup", "cutmix", "mosaic", "label_smooth_eps") if getattr(net, name)]
    if asked and spec.tree is not None:
        raise TrainingError(f"{spec.name}: {asked[0]} of [net] does not go with a tree")
    if net.cutmix and net.mosaic:
        return "cutmix or mosaic"
    return "cutmix" if net.cutmix else "mosaic" if net.mosaic else "mixup" if net.mixup else "none"


def _colours(net: Net) -> Colours:
    """As the cfg says; a factor of 0 stands for none (original: `load_thread`)."""
    return Colours(net.hue, net.saturation or 1.0, net.exposure or 1.0)
