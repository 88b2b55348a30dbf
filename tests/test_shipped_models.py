"""The models that come with the package, trained: what is shown of other people's models where `../shared` is there,
for whoever has this repository alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import pytest

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import cut_weights, read_weights, write_weights
from darknet_compat.evaluation.compare.agreement import judge_of
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.formats.packaged import cfg_dir, weights_dir
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network
from darknet_compat.parity.layers import layer_parity
from darknet_compat.parity.reference import Original
from darknet_compat.parity.stages import stage_parity
from darknet_compat.runtime.exported import describe, read_artefact
from darknet_compat.runtime.torch import TorchRuntime
from tests import conftest
from tests.definition.weights.test_cutting import partial
from tests.export.onnx.test_networks import hold as hold_exported
from tests.inference.support import Files, assert_same
from tests.inference.test_detector import check_program
from tests.parity.test_stages import hold as hold_chain

CFG, WEIGHTS = cfg_dir() / "yolov2-digits.cfg", weights_dir() / "yolov2-digits.weights"
TREE, TREE_WEIGHTS = cfg_dir() / "yolo9000-digits.cfg", weights_dir() / "yolo9000-digits.weights"
BOTH = pytest.mark.parametrize(("cfg", "weights"), [(CFG, WEIGHTS), (TREE, TREE_WEIGHTS)], ids=["yolov2", "yolo9000"])


@pytest.fixture(scope="module")
def running(original: conftest.Original) -> Iterator[Original]:
    with Original() as library:
        yield library


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight of the held-out scenes, in which are some twenty digits."""
    folder, held_out = tmp_path_factory.mktemp("scenes"), DigitScenes("test", 8)
    paths = [folder / f"{index}.png" for index in range(len(held_out))]
    for index, path in enumerate(paths):
        assert cv2.imwrite(str(path), held_out.sample(index).image)
    return paths


def cpu_build(thresh: float) -> Detector:
    """As the original that runs here has it: its CPU build."""
    detector = Detector(CFG, WEIGHTS, thresh=thresh)
    detector.runtime = TorchRuntime(load_network(CFG, WEIGHTS, batchnorm="cpu"))
    return detector


@BOTH
@pytest.mark.reference
def test_every_layer_is_the_originals(cfg: Path, weights: Path, scenes: Sequence[Path], running: Original) -> None:
    parity = layer_parity(cfg, weights, image=scenes[0], original=running)
    assert parity.passed, [row for row in parity.rows if row.verdict == "differs"][:3]
    assert all(row.verdict == "same" for row in parity.rows)


@pytest.mark.reference
@pytest.mark.parametrize("thresh", [0.25, 0.1])
def test_what_is_found_is_what_the_original_finds(thresh: float, scenes: Sequence[Path], running: Original) -> None:
    detector, compared = cpu_build(thresh), 0
    for scene in scenes:
        expected = running.detections(CFG, WEIGHTS, scene, thresh=thresh)
        assert_same(detector(scene), expected)
        compared += len(expected.scores)
    assert compared > 12


@pytest.mark.reference
def test_the_program_prints_the_same(scenes: list[Path], original: conftest.Original, tmp_path: Path) -> None:
    def load(name: str, thresh: float) -> Detector:
        return cpu_build(thresh)

    check_program(CFG.stem, 0.1, load, Files(CFG, WEIGHTS), scenes[:2], tmp_path / "digits.data")


@pytest.mark.reference
def test_the_chain_from_the_original_to_each_runtime(scenes: list[Path], running: Original) -> None:
    chain = stage_parity(CFG, WEIGHTS, scenes[:2], layers=True, original=running)
    hold_chain(chain)
    assert sum(one.matched for one in chain.stages[0].answers) > 3


@BOTH
def test_exported_they_answer_the_same(cfg: Path, weights: Path, tmp_path: Path) -> None:
    hold_exported(load_network(cfg, weights), tmp_path)


@BOTH
def test_their_files_are_written_as_they_were_read(cfg: Path, weights: Path, tmp_path: Path) -> None:
    read = read_weights(weights, load_spec(cfg))
    write_weights(tmp_path / "again.weights", read.header, read.arrays)
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


@pytest.mark.reference
def test_what_the_original_saves_and_cuts(running: Original, original: conftest.Original, tmp_path: Path) -> None:
    running.save_weights(CFG, WEIGHTS, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes()[12:] == WEIGHTS.read_bytes()[12:]  # it writes its own revision
    cut_weights(WEIGHTS, load_spec(CFG), tmp_path / "ours", 5)
    assert (tmp_path / "ours").read_bytes() == partial(original, CFG, WEIGHTS, tmp_path / "theirs", 5)


def test_in_int8_they_lose_less_than_a_point(scenes: list[Path], tmp_path: Path) -> None:
    source, path = tmp_path / "m.onnx", tmp_path / "int8.onnx"
    export_onnx(load_network(CFG, WEIGHTS), source, sizes="fixed")
    description = describe(read_artefact(source), "", "fp32", None)
    images = (prepare(scene, description).pixels[None] for scene in scenes)
    made = quantize_onnx(source, path, images, judge_of(source, scenes))
    assert made.quantization is not None
    assert made.quantization["objects"] > 12 and made.quantization["drop"] <= 1
    assert path.stat().st_size < 0.55 * source.stat().st_size
