"""COCO's JSON: boxes, crowds, the categories' numbers, and orders that differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers.coco import CocoInstances
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir

COCO_80 = """
    person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign
    parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie suitcase
    frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle
    wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair
    couch potted_plant bed dining_table toilet tv laptop mouse remote keyboard cell_phone microwave oven toaster sink
    refrigerator book clock vase scissors teddy_bear hair_drier toothbrush
"""
"""Their names in COCO's own files, in the order of their numbers."""


def document(**changes: Any) -> dict[str, Any]:
    """Two pictures, the second without objects; a dog and a crowd of people in the first."""
    return {
        "images": [
            {"id": 9, "file_name": "a.jpg", "width": 100, "height": 50},
            {"id": 4, "file_name": "b.jpg", "width": 10, "height": 10},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18, "bbox": [10, 20, 30, 5.5], "area": 99.5, "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 100, 50], "iscrowd": 1},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    } | changes


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_instances(tmp_path: Path) -> None:
    coco = CocoInstances(written(tmp_path / "instances_val2017.json", document()), pictures=tmp_path / "x")
    assert (coco.title, coco.names, coco.category_ids, coco.image_ids) == (
        "val2017",
        ("dog", "person"),
        (18, 1),
        (9, 4),
    )
    first, second = coco
    assert (first.id, first.image) == ("a", tmp_path / "x/a.jpg")
    assert first.labels.corners(100, 50).tolist() == [[10, 20, 40, 25.5], [0, 0, 100, 50]]
    assert (first.labels.classes.tolist(), first.labels.crowd.tolist()) == ([0, 1], [False, True])
    assert (coco.areas(0).tolist(), coco.size(0)) == ([99.5, 5000], (100, 50))
    assert (second.id, len(second.labels)) == ("b", 0)


def test_another_order_of_categories_mixes_nothing_up(tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", document())
    coco = CocoInstances(path, names=["person", "dog"])
    assert (coco.names, coco.category_ids) == (("person", "dog"), (1, 18))
    assert coco[0].labels.classes.tolist() == [1, 0]
    with pytest.raises(DatasetError, match=r"x.json: the category 'dog' is not one of the 1 names"):
        CocoInstances(path, names=["person"])
    more = CocoInstances(path, names=["cat", "person", "dog"])  # a file with some of the model's classes
    assert (more.names, more.category_ids) == (("cat", "person", "dog"), (19, 1, 18))
    assert more[0].labels.classes.tolist() == [2, 1]


def test_cocos_80_are_darknets_80(tmp_path: Path) -> None:
    categories = [
        {"id": number, "name": name.replace("_", " ")} for number, name in enumerate(COCO_80.split(), start=1)
    ]
    path = written(tmp_path / "x.json", document(categories=categories[::-1], annotations=[]))
    names = read_names(cfg_dir() / "data" / "coco.names")
    assert CocoInstances(path, names=names).category_ids == tuple(range(1, 81))


@pytest.mark.parametrize("pictures", ["val2017", "images/val2017", "images", "annotations", "."])
def test_where_the_pictures_are(pictures: str, tmp_path: Path) -> None:
    written(tmp_path / "annotations/instances_val2017.json", document())
    written(tmp_path / pictures / "a.jpg", "")
    image = open_dataset(tmp_path, split="val")[0].image
    assert isinstance(image, Path) and image.resolve() == tmp_path / pictures / "a.jpg"


def test_splits_of_a_folder(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        written(tmp_path / f"annotations/instances_{split}.json", document())
    titles = [open_dataset(tmp_path, split=split).title for split in (None, "train", "val2017", "valid")]
    assert titles == ["train2017", "train2017", "val2017", "val2017"]
    with pytest.raises(DatasetError, match="there is no split 'test'; there are 'train2017', 'val2017'"):
        open_dataset(tmp_path, split="test")


IMAGE, OBJECT = document()["images"][0], document()["annotations"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: expected COCO's instances, found damaged JSON: Expecting value"),
        ('{"images": [\n{"id": 1,\n', ":3: expected COCO's instances, found damaged JSON: "),
        ("[" * 100_000, ": expected COCO's instances, found JSON that is nested too deep"),
        ("9" * 10_000, ": expected COCO's instances, an object with images, annotations and categories"),
        ([], ": expected COCO's instances, an object with images, annotations and categories"),
        ({"info": 1}, ": expected a list of images; the file has info"),
        (document(images=[3]), ": expected a list of images; the file has images, annotations, categories"),
        (document(categories=None), ": expected a list of categories; the file has images, annotations, categories"),
        (document(images=[IMAGE | {"id": True}]), ": image 1: id: expected a whole number, found 'True'"),
        (document(images=[IMAGE | {"file_name": 3}]), ": image 1: file_name: expected text, found '3'"),
        (document(images=[IMAGE | {"width": 0}]), ": image 1: expected a width and a height in pixels, found 0"),
        (document(images=[IMAGE, IMAGE]), ": two images have the same id"),
        (document(images=[IMAGE | {"file_name": "../.."}]), ": expected a file inside "),
        (document(annotations=[OBJECT | {"image_id": 5}]), ": annotation 1: there is no image with the id 5"),
        (document(annotations=[OBJECT | {"category_id": 5}]), ": annotation 1: there is no category with the id 5"),
        (document(annotations=[OBJECT | {"bbox": [1, 2, 3]}]), ": annotation 1: expected a bbox of four numbers"),
        (document(annotations=[OBJECT | {"bbox": [1, 2, 3, float("nan")]}]), ": annotation 1: expected a bbox of four"),
        (document(annotations=[OBJECT | {"bbox": "1234"}]), ": annotation 1: expected a bbox of four numbers"),
        (document(categories=[{"id": 1, "name": "a"}] * 2), ": two categories have the same id"),
    ],
    ids=range(19),
)
def test_files_that_are_none(content: object, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.json", content)
    with pytest.raises(DatasetError) as error:
        list(CocoInstances(path))
    assert str(error.value).startswith(f"{path}{message}")
    assert str(error.value).isprintable()
