"""How much of a model's accuracy another file has kept: by itself and by labels, counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.base import Labels
from darknet_compat.errors import ExportError, ImageError
from darknet_compat.evaluation.compare.agreement import LEAST, agreement, judge_of
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.network.load import load_network
from darknet_compat.runtime.exported import describe, read_artefact


def found(*rows: tuple[int, float, float]) -> Detections:
    """Class, score, and where a box of 10 x 10 begins."""
    boxes = np.array([[x, 0, x + 10, 10] for *_, x in rows], np.float32).reshape(-1, 4)
    classes = np.array([row[0] for row in rows], np.int64)
    scores = np.array([row[1] for row in rows], np.float32)
    return Detections(boxes, scores, classes, tuple(map(str, classes)), 100, 50)


BEFORE = [found((0, 0.9, 0), (1, 0.6, 30)), found((0, 0.5, 0), (0, 0.2, 50), (0, 0.05, 80))]


def of(*after: Detections) -> float:
    accuracy = agreement(BEFORE, after)
    assert (accuracy.fp32, accuracy.pictures, accuracy.objects) == (100, 2, 3)
    assert accuracy.drop == 100 - accuracy.int8
    return accuracy.int8


def test_a_model_agrees_with_itself() -> None:
    assert of(*BEFORE) == 100


def test_lower_scores_in_the_same_order_cost_nothing() -> None:
    assert of(found((0, 0.3, 0), (1, 0.2, 31)), found((0, 0.1, 1))) == 100


def test_what_was_doubtful_counts_neither_way() -> None:
    assert of(BEFORE[0], found((0, 0.99, 50), (0, 0.5, 0))) == 100


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (found((0, 0.9, 0)), 200 / 3),  # one of three is missing
        (found((0, 0.9, 0), (2, 0.6, 30)), 100 * (1 + 2 / 3) / 3),  # of another class, and before a true one
        (found((0, 0.9, 0), (1, 0.6, 36)), 100 * (1 + 2 / 3) / 3),  # too far away: an IoU of 4 / 16
        (found((0, 0.9, 0), (0, 0.95, 1), (1, 0.6, 30)), 100 * (1 + 2 * 3 / 4) / 3),  # twice: the second is false
        (found((0, 0.8, 60), (0, 0.7, 0), (1, 0.6, 30)), 100 * 3 / 4),  # something else comes first
    ],
)
def test_each_way_to_depart(first: Detections, expected: float) -> None:
    assert of(first, found((0, 0.5, 0))) == pytest.approx(expected)


def test_nothing_found_is_no_agreement() -> None:
    assert of(found(), found()) == 0


# ------------------------------------------------------------------------------------------------- real models


def exported(shared_data: Path, folder: Path, name: str) -> Path:
    cfg = next((shared_data / "models" / name).glob("*.cfg"))
    path = folder / f"{cfg.stem}.onnx"
    export_onnx(load_network(cfg, cfg.with_suffix(".weights")), path, sizes="fixed")
    return path


@pytest.mark.parametrize("name", ["yolo-lite-coco", pytest.param("yolo-fastest-1.1", marks=pytest.mark.slow)])
def test_real_detectors_in_int8_lose_less_than_a_point(
    name: str, shared_data: Path, photos: list[Path], tmp_path: Path
) -> None:
    source, path = exported(shared_data, tmp_path, name), tmp_path / "int8.onnx"
    description = describe(read_artefact(source), "", "fp32", None)
    images = (prepare(photo, description).pixels[None] for photo in photos)
    made = quantize_onnx(source, path, images, judge_of(source, photos))
    assert made.quantization is not None and made.quantization["measure"] == "agreement"
    assert made.quantization["objects"] > 10 and made.quantization["drop"] <= 1
    assert path.stat().st_size < 0.55 * source.stat().st_size
    auto = Detector(path, thresh=0.25)
    assert (auto.choice.backend, auto.runtime.description.precision) == ("openvino", "int8")
    # ONNX Runtime rounds otherwise than the file says, and is held against float32 too.
    other = Detector(path, thresh=LEAST, backend="onnxruntime")
    assert agreement(Detector(source, thresh=LEAST)(photos), other(photos)).int8 > 99


def test_a_ruined_model_is_refused(shared_data: Path, photos: list[Path], tmp_path: Path) -> None:
    """Ranges from a black picture fit no other."""
    source = exported(shared_data, tmp_path, "yolo-lite-coco")
    black = np.zeros((1, 3, 224, 224), np.float32)
    with pytest.raises(ExportError, match=r"int8 loses \d+.\d points of agreement on 7 pictures"):
        quantize_onnx(source, tmp_path / "int8.onnx", [black], judge_of(source, photos))
    assert not (tmp_path / "int8.onnx").exists()


def test_with_labels_it_is_the_mean_average_precision(shared_data: Path, photos: list[Path], tmp_path: Path) -> None:
    """Half of what the model finds is called right: then it loses half with itself as the judge, and nothing more."""
    source = exported(shared_data, tmp_path, "yolo-lite-coco")
    answers = Detector(source, thresh=0.25)(photos)
    labels = [Labels.from_corners(one.boxes[:1], (one.width, one.height), one.class_ids[:1]) for one in answers]
    judge = judge_of(source, photos, labels)
    same = judge(source)
    assert (same.measure, same.pictures, same.drop) == ("mAP", 7, 0)
    assert 50 < same.fp32 <= 100
    none = [Labels.drawn([], []) for _ in photos]
    with pytest.raises(ImageError, match="nothing is labelled in the 7 calibration pictures"):
        judge_of(source, photos, none)


def test_pictures_of_nothing_are_nothing_to_compare(shared_data: Path, tmp_path: Path) -> None:
    source = exported(shared_data, tmp_path, "yolo-lite-coco")
    with pytest.raises(ImageError, match=r"finds nothing above 0\.25 in the 1 calibration pictures"):
        judge_of(source, [np.zeros((50, 50, 3), np.uint8)])


def test_classifiers_agree_by_their_best_class(shared_data: Path, photos: list[Path], tmp_path: Path) -> None:
    source = exported(shared_data, tmp_path, "tiny-darknet")
    accuracy = judge_of(source, photos)(source)
    assert (accuracy.measure, accuracy.int8, accuracy.pictures, accuracy.objects) == ("agreement", 100, 7, 6)
