"""The models of the best-known fork (AlexeyAB/darknet), and Yolo-Fastest: one entry a name.

Figures are those of the fork's README where nothing else is said; mAP is at IoU 0.5, AP the mean over 0.5 to 0.95.
Where two files were published under one name, each address has the checksum of its own.
"""

from __future__ import annotations

from darknet_compat.catalogue.fetch.checksum import UNKNOWN, Expected, Part
from darknet_compat.catalogue.model import HANK_AI, Figure, Mirror, Model, WeightsFile

_RELEASES = "https://github.com/AlexeyAB/darknet/releases/download/"
_V3, _V4_PRE, _V4 = (_RELEASES + f"{tag}/" for tag in ("darknet_yolo_v3_optimal", "darknet_yolo_v4_pre", "yolov4"))
_V7 = "https://github.com/WongKinYiu/yolov7/releases/download/v0.1/"
_FASTEST = "https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/master/ModelZoo/yolo-fastest-1.1_coco/"

_PRN_PAPER = "Enriching Variety of Layer-wise Learning Information by Gradient Combination (2019), WongKinYiu"
_CSP_PAPER = "CSPNet: A New Backbone that can Enhance Learning Capability of CNN (2019), arXiv:1911.11929"
_V4_PAPER = "YOLOv4: Optimal Speed and Accuracy of Object Detection (2020), arXiv:2004.10934"
_SCALED_PAPER = "Scaled-YOLOv4: Scaling Cross Stage Partial Network (2020), arXiv:2011.08036"
_V7_PAPER = "YOLOv7: Trainable bag-of-freebies sets new state-of-the-art (2022), arXiv:2207.02696"
_README = "the fork's README"
_COCO, _VAL = "COCO test-dev", "COCO val2017"


def _drive(identity: str) -> str:
    """A file of Google Drive that is too long for its virus scan, which asks before it gives such a one."""
    return f"https://drive.usercontent.google.com/download?id={identity}&export=download&confirm=t"


def _map(value: float, size: int, ap: float | None = None, source: str = _README) -> tuple[Figure, ...]:
    figures = (Figure("mAP", value, _COCO, size, source),)
    return figures if ap is None else (*figures, Figure("AP", ap, _COCO, size, source))


def _model(
    name: str,
    title: str,
    paper: str,
    floats: int,
    mirrors: tuple[Mirror, ...],
    figures: tuple[Figure, ...] = (),
    published: Expected = UNKNOWN,
    header: int | None = None,
    file: str | None = None,
) -> Model:
    """A detector of COCO's 80 classes, with the thresholds of the fork's `detector test`."""
    weights = WeightsFile(file or f"{name}.weights", floats, header, mirrors, published)
    return Model(name, title, paper, "detect", f"{name}.cfg", "data/coco.names", weights, thresh=0.25, figures=figures)


FORK = (
    _model(
        "yolov3-tiny-prn",
        "YOLOv3-tiny with partial residual connections, on COCO",
        _PRN_PAPER,
        4_939_758,
        (_drive("18yYZWyKbo4XSDVyztmsEcF9B_6bxrhUY"),),
        _map(33.1, 416),
    ),
    _model(
        "csresnext50-panet-spp",
        "CSPResNeXt-50 with path aggregation and spatial pyramid pooling, on COCO",
        f"{_CSP_PAPER}, section 4.3",
        57_030_845,
        (_drive("1aNXdM8qVy11nqTcd2oaVB3mf7ckr258-"),),
        _map(60.0, 512),
        file="csresnext50-panet-spp_final.weights",
    ),
    _model(
        "enet-coco",
        "EfficientNet-B0 with heads of YOLOv3, on COCO",
        "EfficientNet (2019), arXiv:1905.11946; the detector: the fork's README",
        4_808_270,
        (_drive("1FlHeQjWEQVJt0ay1PVsiuuMzmtNyv36m"),),
        _map(45.5, 416),
        file="enetb0-coco_final.weights",
    ),
    _model(
        "yolov4",
        "YOLOv4 on COCO",
        _V4_PAPER,
        64_429_405,
        (_V3 + "yolov4.weights", HANK_AI + "yolov4.weights", _V4 + "yolov4.weights"),
        _map(65.7, 608, 43.5) + _map(64.9, 512, 43.0) + _map(62.8, 416, 41.2) + _map(60.0, 320, 38.0),
        Expected(sha1="0143deb6c46fcc7f74dd35bf3c14edc3784e99ee", md5="00a4878d05f4d832ab38861b32061283"),
        20,
    ),
    _model(
        "yolov4-tiny",
        "YOLOv4-tiny on COCO",
        f"{_SCALED_PAPER}, section 3.3",
        6_062_814,
        (
            Part(
                HANK_AI + "yolov4-tiny.weights",
                Expected(
                    sha256="cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
                    md5="8911bf808aed305d6854c4ea48fcc731",
                ),
            ),
            Part(_V4 + "yolov4-tiny.weights", Expected(sha1="451caaab22fb9831aa1a5ee9b5ba74a35ffa5dcb")),
            _V4_PRE + "yolov4-tiny.weights",
        ),
        _map(40.2, 416),
        header=20,
    ),
    _model("yolov4-tiny-3l", "YOLOv4-tiny with three heads", f"{_SCALED_PAPER}, section 3.3", 6_334_045, ()),
    _model(
        "yolov4-csp",
        "YOLOv4-CSP on COCO",
        f"{_SCALED_PAPER}, section 3.2",
        52_986_205,
        (_V4_PRE + "yolov4-csp.weights",),
        _map(67.4, 640, 48.7) + _map(64.8, 512, 46.2),
    ),
    _model(
        "yolov4x-mish",
        "YOLOv4-CSP, wider and deeper, on COCO",
        f"{_SCALED_PAPER}, section 3.2",
        99_847_037,
        (_V4_PRE + "yolov4x-mish.weights",),
        _map(68.5, 640, 50.1),
        Expected(sha1="a6f2879af2241de2e9730d317a55db6afd0af00b"),
    ),
    _model(
        "yolov4-p5",
        "YOLOv4-P5 on COCO",
        f"{_SCALED_PAPER}, section 3.4",
        70_917_468,
        (_V4_PRE + "yolov4-p5.weights",),
        _map(70.0, 896, 51.6),
    ),
    _model(
        "yolov4-p6",
        "YOLOv4-P6 on COCO",
        f"{_SCALED_PAPER}, section 3.4",
        127_717_040,
        (_V4_PRE + "yolov4-p6.weights",),
        _map(72.1, 1280, 54.0),
    ),
    _model(
        "yolov7-tiny",
        "YOLOv7-tiny on COCO",
        _V7_PAPER,
        6_241_885,
        (_V4 + "yolov7-tiny.weights", HANK_AI + "yolov7-tiny.weights", _V7 + "yolov7-tiny.weights"),
        (Figure("mAP", 52.8, _VAL, 416, "paper, Table 1"), Figure("AP", 35.2, _VAL, 416, "paper, Table 1")),
    ),
    _model(
        "yolov7",
        "YOLOv7 on COCO",
        _V7_PAPER,
        36_974_557,
        (
            Part(
                _V4 + "yolov7.weights",
                Expected(sha256="4ecf7ca13ec5039ec7b79b0f25b156fda5eaf819d6c2bb6828ba55fe4f928332"),
            ),
            HANK_AI + "yolov7.weights",
            _V7 + "yolov7.weights",
        ),
        _map(69.7, 640, 51.4, "YOLOv7's README"),
    ),
    _model(
        "yolov7x",
        "YOLOv7-X on COCO",
        _V7_PAPER,
        71_409_685,
        (_V4 + "yolov7x.weights", _V7 + "yolov7x.weights"),
        _map(71.2, 640, 53.1, "YOLOv7's README"),
    ),
    _model(
        "yolo-fastest-1.1",
        "Yolo-Fastest 1.1, of 1.4 MB, on COCO",
        "no paper; dog-qiuqiu/Yolo-Fastest, README",
        346_062,
        (_FASTEST + "yolo-fastest-1.1.weights",),
        (Figure("mAP", 24.4, _VAL, 320, "its README"),),
        Expected(sha256="1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890"),
        20,
    ),
    _model(
        "yolo-fastest-1.1-xl",
        "Yolo-Fastest 1.1 of twice as many channels, on COCO",
        "no paper; dog-qiuqiu/Yolo-Fastest, README",
        923_486,
        (_FASTEST + "yolo-fastest-1.1-xl.weights",),
        (Figure("mAP", 34.33, _VAL, 320, "its README"),),
    ),
)
