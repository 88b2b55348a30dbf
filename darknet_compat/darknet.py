"""The Python module of Darknet, the fork's and the original's, on this package's runtimes and without a shared library.

    import darknet_compat.darknet as darknet

    network, class_names, class_colors = darknet.load_network("yolov4.cfg", "coco.data", "yolov4.weights")

A program written for the fork's `darknet.py` runs unchanged after `sys.modules["darknet"] = darknet_compat.darknet`, or
beside a file `darknet.py` that says `from darknet_compat.darknet import *`. Memory is Python's: the `free_…` functions
let go of what they are given, and whoever does not call them loses nothing.

`python -m darknet_compat.darknet …` takes Darknet's own command lines.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from ctypes import POINTER, c_char_p, c_float, c_int, c_void_p, pointer
from pathlib import Path
from typing import Any

from darknet_compat.errors import ImageError, MetadataError
from darknet_compat.formats.datafile import DataFile
from darknet_compat.inference.legacy import (
    DETECTION,
    IMAGE,
    METADATA,
    CentreBox,
    LegacyNetwork,
    as_text,
    centred,
    do_nms_obj,
    do_nms_sort,
    free_batch_detections,
    free_detections,
    get_network_boxes,
    network_predict_batch,
    picture,
    pixels_of,
    predict_image,
    predict_image_letterbox,
    remove_negatives,
    remove_negatives_faster,
)

__all__ = [
    "DETECTION",
    "IMAGE",
    "METADATA",
    "POINTER",
    "batch_detect_image",
    "bbox2points",
    "c_array",
    "c_char_p",
    "c_float",
    "c_int",
    "c_void_p",
    "class_colors",
    "classify",
    "copy_image_from_bytes",
    "decode_detection",
    "detect",
    "detect_image",
    "do_nms_obj",
    "do_nms_sort",
    "draw_boxes",
    "free_batch_detections",
    "free_detections",
    "free_image",
    "free_network",
    "get_network_boxes",
    "letterbox_image",
    "load_image",
    "load_meta",
    "load_net",
    "load_net_custom",
    "load_network",
    "make_image",
    "network_dimensions",
    "network_height",
    "network_predict_batch",
    "network_width",
    "non_max_suppression_fast",
    "performDetect",
    "pointer",
    "predict_image",
    "predict_image_letterbox",
    "print_detections",
    "remove_negatives",
    "remove_negatives_faster",
    "rgbgr_image",
    "sample",
    "set_gpu",
]

# -------------------------------------------------------------------------------------------------- networks


def load_network(
    config_file: str, data_file: str, weights: str, batch_size: int = 1
) -> tuple[LegacyNetwork, list[str], dict[str, tuple[int, int, int]]]:
    """A network, its classes' names, and a random colour (blue, green, red) for each. Raises DarknetCompatError for
    files that are missing or do not belong together, where the fork exits."""
    metadata = load_meta(data_file)
    network = load_net_custom(config_file, weights, 0, batch_size)
    network.names = tuple(metadata.names)
    network.detector(letterbox=False)
    return network, metadata.names, class_colors(metadata.names)


def load_net(config_file: Any, weights: Any, clear: int = 0) -> LegacyNetwork:
    """A network by its files (bytes or str); `clear` matters in training only. Nothing is opened before it is used."""
    return load_net_custom(config_file, weights, clear, 1)


def load_net_custom(config_file: Any, weights: Any, clear: int = 0, batch: int = 1) -> LegacyNetwork:
    """As `load_net`, for batches of `batch` pictures."""
    return LegacyNetwork(Path(as_text(config_file)), Path(as_text(weights)) if weights else None, batch)


def load_meta(data_file: Any) -> METADATA:
    """The names that a `.data` file names, which lie where Darknet looks for them or beside the `.data` file. (The
    original's are bytes; these are str, as the fork makes them.) Raises MetadataError."""
    data = DataFile(as_text(data_file))
    names = list(data.names("names"))
    count = data.number("classes", len(names))
    if count > len(names):
        raise MetadataError(f"{data.path}: classes={count}, but there are only {len(names)} names")
    return METADATA(count, names[:count])


def network_width(net: LegacyNetwork) -> int:
    """Pixels of the input."""
    return net.size()[0]


def network_height(net: LegacyNetwork) -> int:
    """Pixels of the input."""
    return net.size()[1]


def network_dimensions(net: LegacyNetwork) -> tuple[int, int, int]:
    """Width, height and channels of the input, as hank-ai's."""
    return net.size()


def free_network(net: LegacyNetwork) -> None:
    """Release what was opened for the network."""
    net._detectors.clear()
    net._classifier = net.last = None


def set_gpu(number: int) -> None:
    """Does nothing: a Detector takes the GPU that there is, and `device=` another."""


# ---------------------------------------------------------------------------------------------------- images


def make_image(width: int, height: int, channels: int) -> IMAGE:
    """An image to copy bytes into."""
    return IMAGE(width, height, channels)


def copy_image_from_bytes(image: IMAGE, data: bytes) -> None:
    """Take a picture's bytes, height x width x channels in RGB. Raises ImageError for any other number of them, where
    the fork reads beyond."""
    import numpy as np

    expected = image.w * image.h * image.c
    if len(data) != expected:
        size = f"{image.w} x {image.h} x {image.c}"
        raise ImageError(f"expected {expected} bytes for an image of {size}, found {len(data)}")
    image.pixels = np.frombuffer(data, np.uint8).reshape(image.h, image.w, image.c)


def load_image(path: Any, width: int = 0, height: int = 0, channels: int = 3) -> IMAGE:
    """A picture's file; resized to `width` x `height` where these are given. Raises ImageError."""
    from darknet_compat.vision.image import decode

    pixels = decode(as_text(path))
    if width and height and pixels.shape[1::-1] != (width, height):
        import numpy as np

        from darknet_compat.vision.resize import resize

        planes = resize(pixels, width, height)  # [3, h, w], 0..1
        pixels = np.ascontiguousarray(np.rint(planes.transpose(1, 2, 0) * 255).astype(np.uint8))
    return IMAGE(pixels.shape[1], pixels.shape[0], 3, pixels)


def letterbox_image(image: IMAGE, width: int, height: int) -> IMAGE:
    """The picture as large as it fits into `width` x `height`, centred on grey: floats, the original's bits. Raises
    ImageError."""
    from darknet_compat.vision.image import letterbox

    return IMAGE(width, height, image.c, letterbox(pixels_of(image), width, height)[0])


def rgbgr_image(image: IMAGE) -> None:
    """Swap red and blue, of floats in place. Raises ImageError for fewer than three channels, where Darknet reads
    beyond."""
    import numpy as np

    if image.c < 3:
        raise ImageError(f"expected an image of 3 channels, to swap the first and the third, found {image.c}")
    pixels = pixels_of(image)
    if pixels.dtype == np.uint8:
        image.pixels = pixels[..., [2, 1, 0, *range(3, image.c)]]
    else:
        pixels[[0, 2]] = pixels[[2, 0]]


def free_image(image: IMAGE) -> None:
    """Release the pixels; harmless when called twice."""
    image.pixels = None


# ------------------------------------------------------------------------------------------------- detecting


def detect_image(
    network: LegacyNetwork,
    class_names: Sequence[str],
    image: IMAGE,
    thresh: float = 0.5,
    hier_thresh: float = 0.5,
    nms: float = 0.45,
) -> list[tuple[str, str, CentreBox]]:
    """(name, confidence in percent as text, (centre x, centre y, width, height) in pixels of `image`), the least sure
    first; one for each class of a box above `thresh`.

    The image is stretched to the network and suppression is the plain one, whatever the cfg says, as in the fork's
    Python. There the list is sorted by the confidence as *text*, so that "9.5" stands after "85.1": that fault is not
    reproduced. `hier_thresh` matters with a WordTree only, whose names here are the network's own.
    """
    found = network.found(image, False, thresh, nms)
    triples = [
        (class_names[one.class_id], one.score, centred(one.box)) for one in found if one.class_id < len(class_names)
    ]
    return decode_detection(sorted(triples, key=lambda one: one[1]))


def batch_detect_image(
    network: LegacyNetwork,
    class_names: Sequence[str],
    images: Sequence[IMAGE],
    thresh: float = 0.5,
    hier_thresh: float = 0.5,
    nms: float = 0.45,
) -> list[list[tuple[str, str, CentreBox]]]:
    """`detect_image` of several pictures."""
    return [detect_image(network, class_names, image, thresh, hier_thresh, nms) for image in images]


def decode_detection(detections: Sequence[tuple[str, float, CentreBox]]) -> list[tuple[str, str, CentreBox]]:
    """Confidences from 0 to 1 as percent with two decimals, in text."""
    return [(label, str(round(confidence * 100, 2)), bbox) for label, confidence, bbox in detections]


def bbox2points(bbox: CentreBox) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in whole pixels."""
    x, y, w, h = bbox
    return round(x - w / 2), round(y - h / 2), round(x + w / 2), round(y + h / 2)


def class_colors(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """A random colour for each name: blue, green, red."""
    return {name: (random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)) for name in names}


def print_detections(detections: Sequence[tuple[str, str, CentreBox]], coordinates: bool = False) -> None:
    """A line for each, with its box (of which x and y are the centre, though they are called left and top)."""
    print("\nObjects:")
    for label, confidence, (x, y, w, h) in detections:
        place = f"    (left_x: {x:.0f}   top_y:  {y:.0f}   width:   {w:.0f}   height:  {h:.0f})" if coordinates else ""
        print(f"{label}: {confidence}%{place}")


def draw_boxes(
    detections: Sequence[tuple[str, str, CentreBox]], image: Any, colors: Mapping[str, tuple[int, int, int]]
) -> Any:
    """Boxes and labels drawn into a picture as OpenCV has it, which is given back."""
    from darknet_compat.vision.opencv import opencv

    cv2 = opencv()
    for label, confidence, bbox in detections:
        left, top, right, bottom = bbox2points(bbox)
        cv2.rectangle(image, (left, top), (right, bottom), colors[label], 1)
        text = f"{label} [{float(confidence):.2f}]"
        cv2.putText(image, text, (left, top - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colors[label], 2)
    return image


def non_max_suppression_fast(
    detections: Sequence[tuple[str, Any, CentreBox]], overlap_thresh: float
) -> list[tuple[str, Any, CentreBox]]:
    """Those that no later one covers by more than `overlap_thresh` of its own area, whatever their classes; the last
    (surest) first."""
    kept: list[tuple[str, Any, CentreBox]] = []
    for one in reversed(list(detections)):
        if all(_covered(one[2], other[2]) <= overlap_thresh for other in kept):
            kept.append(one)
    return kept


def _covered(box: CentreBox, other: CentreBox) -> float:
    """The share of `box` that lies in another."""
    x, y, w, h = box
    ox, oy, ow, oh = other
    width = min(x + w / 2, ox + ow / 2) - max(x - w / 2, ox - ow / 2)
    height = min(y + h / 2, oy + oh / 2) - max(y - h / 2, oy - oh / 2)
    return max(width, 0.0) * max(height, 0.0) / (w * h) if w * h else 0.0


# ----------------------------------------------------------------------------------------------- the original's


def detect(
    net: LegacyNetwork, meta: METADATA, image: Any, thresh: float = 0.5, hier_thresh: float = 0.5, nms: float = 0.45
) -> list[tuple[str, float, CentreBox]]:
    """(name, score from 0 to 1, (centre x, centre y, width, height) in pixels) in the picture's file, the surest first;
    with a border, as the original fits pictures. Names are str."""
    net.names = net.names or tuple(meta.names)
    found = net.found(image, True, thresh, nms)
    return [(meta.names[one.class_id], one.score, centred(one.box)) for one in found]


def classify(net: LegacyNetwork, meta: METADATA, im: Any) -> list[tuple[str, float]]:
    """(name, probability) of every class, the most probable first."""
    net.names = net.names or tuple(meta.names)
    classifier = net.classifier()
    answer = classifier(picture(im, classifier.runtime.description.channels))
    return [(guess.name, guess.probability) for guess in answer.top(meta.classes)]


def sample(probs: Sequence[float]) -> int:
    """A random number of a class, each as probable as its share of the sum of `probs`."""
    total, left = sum(probs), random.uniform(0, 1)
    for number, one in enumerate(probs):
        left -= one / total
        if left <= 0:
            return number
    return len(probs) - 1


def c_array(ctype: Any, values: Sequence[Any]) -> Any:
    """An array of ctypes, such as an IMAGE takes: `c_array(c_float, planes.flatten())`."""
    return (ctype * len(values))(*values)


def performDetect(
    imagePath: str = "data/dog.jpg",
    thresh: float = 0.25,
    configPath: str = "./cfg/yolov4.cfg",
    weightPath: str = "yolov4.weights",
    metaPath: str = "./cfg/coco.data",
    showImage: bool = True,
    makeImageOnly: bool = False,
    initOnly: bool = False,
) -> Any:
    """The fork's older front door: `detect` with files by their paths, kept open for the next call.

    With `showImage` a dict: `detections`, `image` (RGB, boxes drawn in) and `caption`; no window is opened, whether or
    not `makeImageOnly`. Else the list. `initOnly` only opens.
    """
    key = (configPath, weightPath, metaPath)
    if key not in _PERFORMING:
        _PERFORMING.clear()
        _PERFORMING[key] = (load_net(configPath, weightPath), load_meta(metaPath))
    network, meta = _PERFORMING[key]
    if initOnly:
        network.names = network.names or tuple(meta.names)
        network.detector(letterbox=True)
        return None
    found = detect(network, meta, imagePath, thresh)
    if not showImage:
        return found
    drawn = network.found(imagePath, True, thresh, 0.45).plot()[..., ::-1]
    caption = "\n<br/>".join(f"{name}: {100 * score:.2f}%" for name, score, _ in found)
    return {"detections": found, "image": drawn, "caption": caption}


_PERFORMING: dict[tuple[str, str, str], tuple[LegacyNetwork, METADATA]] = {}
"""What `performDetect` has open."""


if __name__ == "__main__":
    from darknet_compat.cli.darknet.main import main

    main()
