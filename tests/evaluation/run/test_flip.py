"""Flip averaging: a picture and its mirror image get the same answer, mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.errors import BackendError
from darknet_compat.evaluation.run.flip import flip_averaged, mirrored_candidates
from darknet_compat.inference.detector import Detector


@pytest.mark.parametrize("model", ["yolo-lite-voc3", "yolo-fastest-1.1"])
def test_a_mirror_image_is_answered_mirrored(model: str, shared_data: Path, photos: list[Path]) -> None:
    detector = Detector(f"{shared_data}/models/{model}/{model}.cfg", backend="torch")
    plain = detector.runtime
    averaged = flip_averaged(plain)
    size = averaged.description.height
    from darknet_compat.vision.image import decode, letterbox

    picture = letterbox(decode(photos[0]), size, size)[0][None]
    straight, mirrored = averaged.infer(picture), averaged.infer(np.ascontiguousarray(picture[..., ::-1]))
    other = averaged.mirrored
    assert np.array_equal(other[other], np.arange(len(other))) and len(other) == straight["boxes"].shape[1]
    turned = mirrored["boxes"][:, other].copy()
    turned[..., 0] = 1 - turned[..., 0]
    assert straight["boxes"] == pytest.approx(turned, abs=1e-5)
    for name in ("objectness", "classes"):
        assert straight[name] == pytest.approx(mirrored[name][:, other], abs=1e-6)
    once = plain.infer(picture)
    assert np.abs(once["objectness"] - straight["objectness"]).max() > 0.01  # it does make a difference
    strong = once["objectness"][0] > 0.4
    assert strong.any() and np.abs(once["boxes"] - straight["boxes"])[0, strong].max() < 0.1


def test_where_it_is_not_possible(shared_data: Path) -> None:
    cfg = shared_data / "models/yolo-lite-voc3/yolo-lite-voc3.cfg"
    with pytest.raises(BackendError, match="--backend torch only"):
        flip_averaged(Detector(cfg, backend="onnxruntime").runtime)


def test_heads_without_a_grid() -> None:
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.formats.packaged import cfg_dir

    with pytest.raises(BackendError, match="no grid of boxes"):
        mirrored_candidates(load_spec(cfg_dir() / "yolov1.cfg"))
