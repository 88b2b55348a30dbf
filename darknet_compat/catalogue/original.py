"""The original Darknet's models, and this project's own: one entry a name."""

from __future__ import annotations

from darknet_compat.catalogue.fetch.checksum import Expected, Part
from darknet_compat.catalogue.model import HANK_AI, Figure, Model, WeightsFile, author

_ULTRALYTICS = "https://github.com/ultralytics/yolov3/releases/download/v8/"
_YOLO_9000 = "https://raw.githubusercontent.com/philipperemy/yolo-9000/master/yolo9000-weights/"


_V1 = "You Only Look Once: Unified, Real-Time Object Detection (2015), arXiv:1506.02640"
_V2 = "YOLO9000: Better, Faster, Stronger (2016), arXiv:1612.08242"
_V3 = "YOLOv3: An Incremental Improvement (2018), arXiv:1804.02767"
_SITE = "the author's site"
_COCO, _VOC, _IMAGENET = "COCO test-dev", "VOC 2007 test", "ImageNet validation"


def _top(top1: float, top5: float, size: int, source: str) -> tuple[Figure, ...]:
    return Figure("top-1", top1, _IMAGENET, size, source), Figure("top-5", top5, _IMAGENET, size, source)


ORIGINAL = (
    Model(
        "darknet19",
        "Darknet-19, the classifier YOLOv2 grew from",
        f"{_V2}, section 3 and Table 6",
        "classify",
        "darknet19.cfg",
        "data/imagenet1k.names",
        WeightsFile("darknet19.weights", 20_856_776, None, author("darknet19.weights")),
        "data/imagenet1k.labels",
        figures=_top(72.9, 91.2, 224, "paper, section 3"),
    ),
    Model(
        "darknet19_448",
        "Darknet-19 trained on at 448x448, whose first 23 layers YOLOv2 starts from",
        f"{_V2}, section 3",
        "classify",
        "darknet19_448.cfg",
        "data/imagenet1k.names",
        WeightsFile("darknet19_448.weights", 20_856_776, None, author("darknet19_448.weights")),
        "data/imagenet1k.labels",
        figures=_top(76.5, 93.3, 448, "paper, section 3"),
    ),
    Model(
        "darknet53",
        "Darknet-53, the classifier YOLOv3 grew from",
        f"{_V3}, section 2.4 and Table 1",
        "classify",
        "darknet53.cfg",
        "data/imagenet1k.names",
        WeightsFile("darknet53.weights", 41_645_640, None, author("darknet53.weights")),
        "data/imagenet1k.labels",
        figures=_top(77.2, 93.8, 256, "paper, Table 2"),
    ),
    Model(
        "darknet9000",
        "Darknet-19 over the WordTree of 9418 nodes",
        f"{_V2}, section 4",
        "classify",
        "darknet9000.cfg",
        "data/9k.names",
        WeightsFile("darknet9000.weights", 29_485_226),
        "data/9k.labels",
    ),
    Model(
        "tiny",
        "Tiny Darknet, a classifier of 4 MB",
        "no paper; the author's site, page tiny-darknet",
        "classify",
        "tiny.cfg",
        "data/imagenet1k.names",
        WeightsFile("tiny.weights", 1_046_488, 16, author("tiny.weights")),
        "data/imagenet1k.labels",
        figures=_top(58.7, 81.7, 224, _SITE),
    ),
    Model(
        "yolov1",
        "YOLO, the first, on PASCAL VOC",
        f"{_V1}, section 2; this release of it: the author's site, page yolov1",
        "detect",
        "yolov1.cfg",
        "data/voc.names",
        WeightsFile("yolov1.weights", 197_328_243, 16, author("yolov1/yolov1.weights")),
        thresh=0.2,
        nms=0.4,
        figures=(Figure("mAP", 63.4, _VOC, 448, "paper, Table 1"),),
    ),
    Model(
        "yolov1-tiny",
        "Fast YOLO, on PASCAL VOC",
        f"{_V1}, section 2.1; this release of it: the author's site, page yolov1",
        "detect",
        "yolov1-tiny.cfg",
        "data/voc.names",
        WeightsFile("tiny-yolov1.weights", 27_099_950, 16, author("yolov1/tiny-yolov1.weights")),
        thresh=0.2,
        nms=0.4,
        figures=(Figure("mAP", 52.7, _VOC, 448, "paper, Table 1"),),
    ),
    Model(
        "yolov2",
        "YOLOv2 on COCO",
        f"{_V2}, sections 2 and 3",
        "detect",
        "yolov2.cfg",
        "data/coco.names",
        WeightsFile(
            "yolov2.weights",
            50_983_561,
            16,
            (HANK_AI + "yolov2.weights", *author("yolov2.weights")),
            Expected(md5="70d89ba2e180739a1c700a9ff238e354"),
        ),
        figures=(Figure("mAP", 48.1, _COCO, 608, _SITE),),
    ),
    Model(
        "yolov2-voc",
        "YOLOv2 on PASCAL VOC",
        f"{_V2}, sections 2 and 3, Table 3",
        "detect",
        "yolov2-voc.cfg",
        "data/voc.names",
        WeightsFile(
            "yolov2-voc.weights",
            50_676_061,
            16,
            (
                *author("yolov2-voc.weights"),
                # Under its earlier name, of which OpenCV's tests know the checksum.
                *(
                    Part(url, Expected(sha1="1cc1a7f8ad12d563d85b76e9de025dc28ac397bb"))
                    for url in author("yolo-voc.weights")
                ),
            ),
        ),
        figures=tuple(
            Figure("mAP", value, _VOC, size, "paper, Table 3")
            for size, value in ((288, 69.0), (352, 73.7), (416, 76.8), (480, 77.8), (544, 78.6))
        ),
    ),
    Model(
        "yolov2-tiny",
        "Tiny YOLOv2 on COCO",
        "no paper; the author's site, page yolo",
        "detect",
        "yolov2-tiny.cfg",
        "data/coco.names",
        WeightsFile(
            "yolov2-tiny.weights",
            11_237_145,
            20,
            (HANK_AI + "yolov2-tiny.weights", *author("yolov2-tiny.weights")),
            Expected(md5="04904b18f0e0835d8e1d6e75d3fa93fe"),
        ),
        figures=(Figure("mAP", 23.7, _COCO, 416, _SITE),),
    ),
    Model(
        "yolov2-tiny-voc",
        "Tiny YOLOv2 on PASCAL VOC",
        "no paper; the author's site, page yolov2",
        "detect",
        "yolov2-tiny-voc.cfg",
        "data/voc.names",
        WeightsFile(
            "yolov2-tiny-voc.weights",
            15_867_885,
            16,
            author("yolov2-tiny-voc.weights"),
            Expected(sha1="24b4bd049fc4fa5f5e95f684a8967e65c625dff9"),
        ),
        figures=(Figure("mAP", 57.1, _VOC, 416, _SITE),),
    ),
    Model(
        "yolo9000",
        "YOLO9000: detection in 9418 classes of a WordTree",
        f"{_V2}, section 4",
        "detect",
        "yolo9000.cfg",
        "data/9k.names",
        WeightsFile(
            "yolo9000.weights",
            48_807_501,
            None,
            (
                (
                    Part(
                        _YOLO_9000 + "xaa", Expected((95 << 20,), git_blob="6c7bf34e9d00f2f6ebf417f4b16c821ce4a8bc39")
                    ),
                    Part(_YOLO_9000 + "xab", Expected(git_blob="ec9f7a7e7672aeec737d0b870c9e1c3cd06310d5")),
                ),
                *author("yolo9000.weights"),
            ),
        ),
        "data/9k.labels",
        figures=(
            Figure("mAP", 19.7, "ImageNet DET validation", None, "paper, section 4"),
            Figure(
                "mAP", 16.0, "ImageNet DET validation, 156 classes without boxes in training", 544, "paper, section 4"
            ),
        ),
    ),
    Model(
        "yolov3",
        "YOLOv3 on COCO",
        f"{_V3}, section 2",
        "detect",
        "yolov3.cfg",
        "data/coco.names",
        WeightsFile(
            "yolov3.weights",
            62_001_757,
            20,
            (HANK_AI + "yolov3.weights", *author("yolov3.weights"), _ULTRALYTICS + "yolov3.weights"),
            Expected(sha1="520878f12e97cf820529daea502acca380f1cb8e", md5="c84e5b99d0e52cd466ae710cadf6d84c"),
        ),
        figures=tuple(
            Figure("mAP", value, _COCO, size, _SITE) for size, value in ((320, 51.5), (416, 55.3), (608, 57.9))
        ),
    ),
    Model(
        "yolov3-spp",
        "YOLOv3 with spatial pyramid pooling, on COCO",
        "no paper; the author's site, page yolo",
        "detect",
        "yolov3-spp.cfg",
        "data/coco.names",
        WeightsFile(
            "yolov3-spp.weights",
            63_052_381,
            None,
            (*author("yolov3-spp.weights"), _ULTRALYTICS + "yolov3-spp.weights"),
        ),
        figures=(Figure("mAP", 60.6, _COCO, 608, _SITE),),
    ),
    Model(
        "yolov3-tiny",
        "Tiny YOLOv3 on COCO",
        "no paper; the author's site, page yolo",
        "detect",
        "yolov3-tiny.cfg",
        "data/coco.names",
        WeightsFile(
            "yolov3-tiny.weights",
            8_858_734,
            20,
            (HANK_AI + "yolov3-tiny.weights", *author("yolov3-tiny.weights"), _ULTRALYTICS + "yolov3-tiny.weights"),
            Expected(md5="3bcd6b390912c18924b46b26a9e7ff53"),
        ),
        figures=(Figure("mAP", 33.1, _COCO, 416, _SITE),),
    ),
    Model(
        "yolov2-digits",
        "YOLOv2 in small, on handwritten digits; comes with this package",
        f"this project, after {_V2}, section 2",
        "detect",
        "yolov2-digits.cfg",
        "data/digits.names",
        WeightsFile("yolov2-digits.weights", 351_166, 20),
        figures=(Figure("mAP", 95.4, "4,000 held-out scenes of digits", 192, "weights/README.md"),),
    ),
    Model(
        "yolo9000-digits",
        "YOLO9000 in small: handwritten digits on a WordTree of 15 nodes",
        f"this project, after {_V2}, section 4",
        "detect",
        "yolo9000-digits.cfg",
        "data/digits-nodes.names",
        WeightsFile("yolo9000-digits.weights", 352_136, 20),
        figures=(Figure("mAP", 81.5, "4,000 held-out scenes of digits", 192, "weights/README.md"),),
    ),
)
