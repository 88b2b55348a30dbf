"""From a `.cfg` and its `.weights` to answers where torch cannot be imported, against the answers of torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import save_weights
from tests.export.support import SHIPPED, seeded

_HIDDEN = "import sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; from darknet_compat.cli.main import main\n"
_NOT_IMPORTED = f"{_HIDDEN.replace(chr(10), '')}; sys.modules.pop('torch')\n"


def run(*arguments: str | Path, code: str = _HIDDEN) -> Any:
    """The JSON of a command in an interpreter without torch."""
    command = [sys.executable, "-c", f"{code}main()", "darknet-compat", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SHIPPED.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cfg with every kind of what a detector's body commonly has, and weights beside it."""
    cfg = tmp_path_factory.mktemp("small") / "small.cfg"
    cfg.write_text(
        "[net]\nwidth=64\nheight=64\nchannels=3\n"
        "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n"
        "[maxpool]\nsize=2\nstride=2\n"
        "[convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=mish\n[shortcut]\nfrom=-2\n"
        "[reorg]\nstride=2\n[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1,2\nanchors=5,5, 20,20, 40,40\nnum=3\nclasses=2\n"
    )
    save_weights(seeded(cfg), cfg.with_suffix(".weights"))
    return cfg


def same(found: list[dict[str, Any]], expected: Any) -> None:
    assert len(found) == len(expected) > 0
    assert [one["class_id"] for one in found] == expected.class_ids.tolist()
    np.testing.assert_allclose([one["score"] for one in found], expected.scores, atol=1e-5)


def test_a_detector(small: Path, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (48, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    (answer,) = run("detect", small, tmp_path / "noise.png", "--thresh", "0.1")["images"]
    same(answer["detections"], Detector(small, backend="torch", thresh=0.1)(tmp_path / "noise.png"))


@pytest.mark.reference
def test_real_boxes_are_those_of_torch(shared_data: Path, photos: list[Path]) -> None:
    cfg = shared_data / "models/yolo-fastest-1.1/yolo-fastest-1.1.cfg"
    answers = run("detect", cfg, *photos[:3], "--thresh", "0.2")["images"]
    for answer, photo in zip(answers, photos, strict=False):
        expected = Detector(cfg, backend="torch", thresh=0.2)(photo)
        same(answer["detections"], expected)


@pytest.mark.reference
def test_a_classifier(shared_data: Path, photos: list[Path]) -> None:
    cfg = shared_data / "models/tiny-darknet/tiny.cfg"
    (answer,) = run("classify", cfg, photos[0])["images"]
    expected = Classifier(cfg, backend="torch")(photos[0]).top(5)
    assert [one["class_id"] for one in answer["classes"]][:3] == [guess.class_id for guess in expected][:3]


def test_info_and_export(small: Path, tmp_path: Path) -> None:
    assert run("info", small)
    (entry,) = [run("export", small, "--out", tmp_path / "m.onnx")]
    assert (tmp_path / "m.onnx").stat().st_size == entry["bytes"]


@pytest.mark.parametrize("command", [["info"], ["export", "--out", "{}/m.onnx"], ["detect", "{}/grey.png"]])
def test_torch_is_not_imported_where_it_is_installed(command: list[str], small: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "grey.png")
    verb, *rest = (part.format(tmp_path) for part in command)
    code = (
        "import sys, atexit; sys.argv = sys.argv[1:]\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "from darknet_compat.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "darknet-compat", verb, str(small), *rest]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SHIPPED.parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "False"


def test_a_cache_that_cannot_be_written_keeps_nothing_and_stops_nobody(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "file"))
    picture = np.random.default_rng(0).integers(0, 255, (48, 60, 3), np.uint8)
    found = Detector(small, backend="onnxruntime", thresh=0.1)(picture)
    assert found.class_ids.tolist() == Detector(small, backend="torch", thresh=0.1)(picture).class_ids.tolist()
