"""Small data sets laid out as the labelling tools lay them out.

`MADE` has a maker for each; what they hold is `shapes.PARTS`, so that every reader can be held against the same truth.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.datasets.shapes import (
    BLANK,
    HEIGHT,
    NAMES,
    PARTS,
    WIDTH,
    coco_json,
    cvat_task,
    cvat_xml,
    picture,
    put,
    put_labels,
    put_pictures,
    put_xml,
    yolo_lines,
)

MATERIAL = Path(__file__).parent / "material"


def darknet(folder: Path, data: str = "obj.data") -> None:
    """Folders images and labels as the original has them, and its lists."""
    options = ["classes=2", "names=obj.names"]
    for key, part in PARTS.items():
        put_pictures(folder / "images", part)
        put_labels(folder / "labels", part)
        put(folder / f"{key}.txt", "".join(f"images/{stem}.png\n" for stem in part))
        options.append(f"{key}={key}.txt")
    put(folder / "obj.names", "\n".join(NAMES))
    put(folder / data, "\n".join(options))


def alexeyab(folder: Path) -> None:
    """The fork's README: data/obj.data, paths from the folder above, labels beside the pictures."""
    for key, part in PARTS.items():
        put_pictures(folder / "data/obj", part)
        put_labels(folder / "data/obj", part)
        put(folder / f"data/{key}.txt", "".join(f"data/obj/{stem}.png\n" for stem in part))
    put(folder / "data/obj.names", "\n".join(NAMES))
    options = "classes= 2\ntrain  = data/train.txt\nvalid  = data/valid.txt\ntest = data/test.txt\n"
    put(folder / "data/obj.data", options + "names = data/obj.names\nbackup = backup/\n")


def cvat_yolo(folder: Path) -> None:
    """CVAT's YOLO 1.1: paths that begin with data/, wherever it is unpacked; only a list for training."""
    put_pictures(folder / "obj_train_data", PARTS["train"])
    put_labels(folder / "obj_train_data", PARTS["train"])
    put(folder / "train.txt", "".join(f"data/obj_train_data/{stem}.png\n" for stem in PARTS["train"]))
    put(folder / "obj.names", "\n".join(NAMES))
    put(folder / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")


def roboflow_darknet(folder: Path) -> None:
    """Roboflow's Darknet export."""
    for key, part in PARTS.items():
        put_pictures(folder / key, part, "{}_png.rf.0123456789abcdef.png")
        put_labels(folder / key, part, "{}_png.rf.0123456789abcdef.txt")
        put(folder / key / "_darknet.labels", "\n".join(NAMES))
    put(folder / "README.dataset.txt", "made by a test\n")


def roboflow_voc(folder: Path) -> None:
    """Roboflow's VOC export."""
    for key, part in PARTS.items():
        put_pictures(folder / key, part)
        put_xml(folder / key, part)


def roboflow_coco(folder: Path) -> None:
    """Roboflow's COCO export, with its category above all others."""
    categories = [{"id": 0, "name": "shapes", "supercategory": "none"}]
    categories += [{"id": n, "name": name, "supercategory": "shapes"} for n, name in enumerate(NAMES, start=1)]
    for key, part in PARTS.items():
        put_pictures(folder / key, part)
        put(folder / key / "_annotations.coco.json", coco_json(part, categories=categories))


def roboflow_yolov8(folder: Path) -> None:
    """Roboflow's YOLOv8 export, whose paths go up one folder too many."""
    for key, part in PARTS.items():
        put_pictures(folder / key / "images", part)
        put_labels(folder / key / "labels", part)
    lines = ["train: ../train/images", "val: ../valid/images", "test: ../test/images", "nc: 2", f"names: {list(NAMES)}"]
    put(folder / "data.yaml", "\n".join(lines))


def ultralytics(folder: Path) -> None:
    """Ultralytics' own layout, names by number."""
    for key, part in PARTS.items():
        split = "val" if key == "valid" else key
        put_pictures(folder / "images" / split, part)
        put_labels(folder / "labels" / split, part)
    splits = "path: .\ntrain: images/train\nval: images/val\ntest: images/test\n"
    put(folder / "data.yaml", f"{splits}names:\n  0: square\n  1: disc\n")


def ultralytics_lists(folder: Path) -> None:
    """The same with lists in place of folders, one of them in two pieces."""
    ultralytics(folder)
    stems = list(PARTS["train"])
    for name, some in (("a.txt", stems[:2]), ("b.txt", stems[2:])):
        put(folder / name, "".join(f"./images/train/{stem}.png\n" for stem in some))
    put(folder / "data.yaml", "train: [a.txt, b.txt]\nval: images/val\ntest: images/test\nnames: [square, disc]\n")


def labelimg_yolo(folder: Path) -> None:
    """labelImg: labels and classes.txt beside pictures of any name."""
    put_pictures(folder, PARTS["train"], "my {}.png")
    put_labels(folder, PARTS["train"], "my {}.txt")
    put(folder / "classes.txt", "\n".join(NAMES))


def labelimg_voc(folder: Path) -> None:
    """labelImg: an annotation beside each picture."""
    put_pictures(folder, PARTS["train"])
    put_xml(folder, PARTS["train"])


def darkmark(folder: Path) -> None:
    """DarkMark: folders of frames with labels beside them."""
    for number, (stem, boxes) in enumerate(PARTS["train"].items()):
        put(folder / f"video_{number % 2}/{stem}.png", picture(stem))
        put(folder / f"video_{number % 2}/{stem}.txt", yolo_lines(boxes))
    put(folder / "marks.names", "\n".join(NAMES))


def left_by(tool: str) -> Callable[[Path], None]:
    """What a real tool left: its files as they are in `material`, which a person made once with its server or library
    from the pictures here; the pictures are made anew under its names."""

    def make(folder: Path) -> None:
        shutil.copytree(MATERIAL / tool, folder, dirs_exist_ok=True)
        for line in (MATERIAL / "pictures.txt").read_text().splitlines():
            if line.startswith(f"{tool}/"):
                stem = Path(line).stem.rpartition("-")[2]
                put(folder / line.removeprefix(f"{tool}/"), BLANK if stem == "nothing" else picture(stem))

    return make


def kaggle_voc(folder: Path) -> None:
    """VOC's as Kaggle has it."""
    put_pictures(folder / "images", PARTS["train"])
    put_xml(folder / "annotations", PARTS["train"])


def voc(
    folder: Path, annotations: str = "Annotations", lists: str = "ImageSets/Main", pictures: str = "JPEGImages"
) -> None:
    """VOC's own folders."""
    for key, part in PARTS.items():
        put_pictures(folder / pictures, part)
        put_xml(folder / annotations, part)
        put(folder / f"{lists}/{'val' if key == 'valid' else key}.txt", "".join(f"{stem}\n" for stem in part))


def imagenet_det(folder: Path) -> None:
    """ImageNet DET's folders."""
    voc(folder, "Annotations/DET", "ImageSets/DET", "Data/DET")


def coco(folder: Path) -> None:
    """COCO's own folders, with files beside those of instances."""
    for key, part in PARTS.items():
        split = {"train": "train2017", "valid": "val2017", "test": "test2017"}[key]
        put_pictures(folder / split, part)
        put(folder / f"annotations/instances_{split}.json", coco_json(part))
        put(folder / f"annotations/captions_{split}.json", json.dumps({"images": [], "annotations": []}))


def cvat_coco(folder: Path) -> None:
    """CVAT's COCO 1.0."""
    put_pictures(folder / "images/default", PARTS["train"])
    put(folder / "annotations/instances_default.json", coco_json(PARTS["train"]))


def supervisely_project(folder: Path) -> None:
    """A project of Supervisely's with a data set for each part."""
    classes = [{"title": name, "shape": "rectangle"} for name in NAMES]
    put(folder / "meta.json", json.dumps({"classes": classes, "tags": []}))
    for key, part in PARTS.items():
        put_pictures(folder / key / "img", part)
        for stem, boxes in part.items():
            objects = [
                {
                    "classTitle": NAMES[box.class_id],
                    "geometryType": "rectangle",
                    "points": {"exterior": [[box.x1, box.y1], [box.x2, box.y2]], "interior": []},
                }
                for box in boxes
            ]
            document = {"size": {"width": WIDTH, "height": HEIGHT}, "objects": objects}
            put(folder / key / f"ann/{stem}.png.json", json.dumps(document))


def open_images(folder: Path) -> None:
    """Open Images' CSV files; labels have codes, which have names."""
    put(folder / "annotations/class-descriptions-boxable.csv", "/m/0,apple\n/m/1,square\n/m/2,disc\n")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
    for key, part in PARTS.items():
        split = "validation" if key == "valid" else key
        put_pictures(folder / "images" / split, part)
        rows = [
            f"{stem},xclick,/m/{box.class_id + 1},1,{box.x1 / WIDTH!r},{box.x2 / WIDTH!r},{box.y1 / HEIGHT!r},"
            f"{box.y2 / HEIGHT!r},0,0,0"
            for stem, boxes in part.items()
            for box in boxes
        ]
        put(folder / f"annotations/oidv6-{split}-annotations-bbox.csv", "\n".join([header, *rows]))


def kitti_folders(folder: Path) -> None:
    """KITTI's folders, with a region that nobody labelled."""
    for key, part in PARTS.items():
        split = folder / {"train": "training", "valid": "validation", "test": "testing"}[key]
        put_pictures(split / "image_2", part)
        for stem, boxes in part.items():
            rows = [
                f"{NAMES[box.class_id]} 0.00 0 -1.58 {box.x1:.2f} {box.y1:.2f} {box.x2:.2f} {box.y2:.2f} 1 1 1 1 1 1 0"
                for box in boxes
            ]
            rows.append("DontCare -1 -1 -10 1.0 1.0 9.0 9.0 -1 -1 -1 -1000 -1000 -1000 -10")
            put(split / f"label_2/{stem}.txt", "\n".join(rows))


def csv_table(folder: Path) -> None:
    """A table as TensorFlow's tutorials make it."""
    for key, part in PARTS.items():
        put_pictures(folder / "images" / key, part)
        rows = [
            f"{stem}.png,{WIDTH},{HEIGHT},{NAMES[box.class_id]},{box.x1},{box.y1},{box.x2},{box.y2}"
            for stem, boxes in part.items()
            for box in boxes
        ]
        put(folder / f"{key}.csv", "\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]))


def roboflow_csv(folder: Path) -> None:
    """Roboflow's TensorFlow export: a table of one name in each part's folder."""
    csv_table(folder)
    for key in PARTS:
        (folder / "images" / key).rename(folder / key)
        (folder / f"{key}.csv").rename(folder / key / "_annotations.csv")


def csv_retinanet(folder: Path) -> None:
    """A table without a line of names, as keras-retinanet reads it."""
    put_pictures(folder / "pictures", PARTS["train"])
    rows = [
        f"pictures/{stem}.png,{box.x1},{box.y1},{box.x2},{box.y2},{NAMES[box.class_id]}"
        for stem, boxes in PARTS["train"].items()
        for box in boxes
    ]
    put(folder / "annotations.csv", "\n".join(rows))


def labelme_folder(folder: Path) -> None:
    """labelme: a JSON beside each picture, rectangles as they were drawn, one from below to above."""
    for key, part in PARTS.items():
        put_pictures(folder / key, part)
        for stem, boxes in part.items():
            shapes = [
                {"label": NAMES[b.class_id], "points": [[b.x2, b.y2], [b.x1, b.y1]], "shape_type": "rectangle"}
                for b in boxes
            ]
            document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.png"}
            sizes = {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
            put(folder / key / f"{stem}.json", json.dumps(document | sizes))


def cvat_images(folder: Path) -> None:
    """A project exported from CVAT for images: one file, the parts as subsets."""
    subsets = {"train": "Train", "valid": "Validation", "test": "Test"}
    for key, part in PARTS.items():
        put_pictures(folder / "images" / subsets[key], part)
    pictures = "".join(cvat_xml(part, f'subset="{subsets[key]}"') for key, part in PARTS.items())
    put(folder / "annotations.xml", cvat_task(pictures))


class Made(NamedTuple):
    """What makes a layout, what it is to be recognised as, the names of its parts, what to open it by, and how far its
    boxes may be off, in fractions of the picture."""

    make: Callable[[Path], None]
    layout: str
    splits: tuple[str, ...] = ()
    source: str = ""
    most: float = 1e-6


THREE = ("train", "valid", "test")
MADE: dict[str, Made] = {
    "darknet": Made(darknet, "darknet", THREE),
    "alexeyab": Made(alexeyab, "darknet", THREE),
    "cvat-yolo": Made(cvat_yolo, "darknet", ("train",)),
    "roboflow-darknet": Made(roboflow_darknet, "yolo", THREE),
    "roboflow-voc": Made(roboflow_voc, "voc", THREE),
    "roboflow-coco": Made(roboflow_coco, "coco", THREE),
    "roboflow-yolov8": Made(roboflow_yolov8, "yaml", ("train", "val", "test")),
    "ultralytics": Made(ultralytics, "yaml", ("train", "val", "test")),
    "ultralytics-lists": Made(ultralytics_lists, "yaml", ("train", "val", "test")),
    "labelimg-yolo": Made(labelimg_yolo, "yolo"),
    "labelimg-voc": Made(labelimg_voc, "voc"),
    "darkmark": Made(darkmark, "yolo"),
    "labelstudio-yolo": Made(left_by("labelstudio/yolo"), "yolo"),
    # It cuts pixels to whole ones: 28 of 72, which it has as 38.888888888888886 %, is 27.
    "labelstudio-voc": Made(left_by("labelstudio/voc"), "voc", most=1.01 / HEIGHT),
    "labelstudio-coco": Made(left_by("labelstudio/coco"), "coco"),
    "datumaro-yolo": Made(left_by("datumaro/yolo"), "darknet", ("train", "val", "test")),
    "datumaro-ultralytics": Made(left_by("datumaro/ultralytics"), "yaml", ("train", "val", "test")),
    "datumaro-coco": Made(left_by("datumaro/coco"), "coco", ("train", "val", "test")),
    "datumaro-open-images": Made(left_by("datumaro/open-images"), "open-images", ("train", "val", "test")),
    "datumaro-kitti": Made(left_by("datumaro/kitti"), "kitti", ("train", "val", "test")),
    "datumaro-cvat": Made(left_by("datumaro/cvat"), "cvat", ("train", "val", "test")),
    "kaggle-voc": Made(kaggle_voc, "voc"),
    "voc": Made(voc, "voc", ("train", "val", "test")),
    "imagenet-det": Made(imagenet_det, "voc", ("train", "val", "test")),
    "coco": Made(coco, "coco", ("train2017", "val2017", "test2017")),
    "cvat-coco": Made(cvat_coco, "coco", ("default",)),
    "cvat": Made(cvat_images, "cvat", ("Train", "Validation", "Test")),
    "labelme": Made(labelme_folder, "labelme", THREE),
    "supervisely": Made(supervisely_project, "supervisely", THREE),
    "open-images": Made(open_images, "open-images", ("train", "validation", "test")),
    "kitti": Made(kitti_folders, "kitti", ("training", "validation", "testing")),
    "csv": Made(csv_table, "csv", THREE),
    "roboflow-csv": Made(roboflow_csv, "csv", THREE),
    "csv-retinanet": Made(csv_retinanet, "csv", (), "annotations.csv"),
}
"""Every layout by the name of who leaves it."""


def made(kind: str, folder: Path) -> Path:
    """Lay one out in an empty folder; what to open it by."""
    shutil.rmtree(folder, ignore_errors=True)
    MADE[kind].make(folder)
    return folder / MADE[kind].source
